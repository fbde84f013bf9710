/* Activations on whole vectors, for the moment a product's rows are still in the nearest cache.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_GEMM_ACT_H
#define ZM_BACKEND_CPU_GEMM_ACT_H

#include "ops/unary.h"

typedef float vec __attribute__((vector_size(LANES * 4)));
typedef float loose_vec __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int32_t ivec __attribute__((vector_size(LANES * 4)));

#ifndef INLINE
#define INLINE static inline __attribute__((always_inline, unused))
#endif

INLINE vec load(const float *p)
{
    return *(const loose_vec *)p;
}

INLINE void store(float *p, vec v)
{
    *(loose_vec *)p = v;
}

static inline vec choose(ivec where, vec yes, vec no)
{
    return (vec)((where & (ivec)yes) | (~where & (ivec)no));
}

/* e^x, relative error about 1e-7: 2^n times a polynomial on [-ln2/2, ln2/2]; clamped where f32 ends. */
static inline vec vexp(vec x)
{
    const vec zero = {0};
    x = choose((ivec)(x > 88.3f), zero + 88.3f, x);
    x = choose((ivec)(x < -87.3f), zero - 87.3f, x);
    vec shifted = x * 1.44269504f + 12582912.0f; /* adding 1.5 * 2^23 rounds to an integer in the low bits */
    vec n = shifted - 12582912.0f;
    vec r = x - n * 0.693359375f + n * 2.12194440e-4f;
    vec p = zero + 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1;
    ivec power = ((ivec)shifted << 23) + 0x3f800000; /* the high bits of `shifted` fall out of the shift */
    return p * (vec)power;
}

/* erf by Abramowitz & Stegun 7.1.26, absolute error 1.5e-7. */
static inline vec verf(vec x)
{
    vec a = choose((ivec)(x < 0), -x, x), t = 1 / (1 + 0.3275911f * a);
    vec poly = t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
    vec y = 1 - poly * vexp(-a * a);
    return choose((ivec)(x < 0), -y, y);
}

static inline vec activate(vec x, int act)
{
    const vec zero = {0};
    switch (act) {
    case ZM_IDENTITY:
        return x;
    case ZM_SILU:
        return x / (1 + vexp(-x));
    case ZM_SIGMOID:
        return 1 / (1 + vexp(-x));
    case ZM_GELU_TANH: /* x (1 + tanh u) / 2 = x / (1 + e^-2u) */
        return x / (1 + vexp(-1.5957691216f * (x + 0.044715f * x * x * x)));
    case ZM_GELU_ERF:
        return 0.5f * x * (1 + verf(x * 0.70710678118f));
    case ZM_RELU:
        return choose((ivec)(x > 0), x, zero);
    default:
        for (int i = 0; i < LANES; i++)
            x[i] = zm_unary_value((zm_unary_kind)act, x[i]);
        return x;
    }
}

#endif
