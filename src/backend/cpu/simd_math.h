/* Elementary functions as straight-line arithmetic, so that a loop over them becomes vector code.
 * Largest errors that tests have measured, in units in the last place: exp, log and tanh 1, sigmoid and softplus 2;
 * the normal distribution function 2.5e-7 absolute.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_SIMD_MATH_H
#define ZM_BACKEND_CPU_SIMD_MATH_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define MATH static inline __attribute__((always_inline, unused))

MATH int32_t bits_of(float x)
{
    int32_t i;
    memcpy(&i, &x, sizeof i);
    return i;
}

MATH float float_of(uint32_t i)
{
    float x;
    memcpy(&x, &i, sizeof x);
    return x;
}

/* e^x = 2^n e^r with |r| <= ln 2 / 2; 2^n in two factors, so that results below 2^-126 round as they should. */
MATH float exp_f(float x)
{
    float c = x < -104.0F ? -104.0F : x;
    c = c > 89.0F ? 89.0F : c;
    float t = c * 1.44269504F + 12582912.0F, nf = t - 12582912.0F;
    int32_t n = bits_of(t) - 0x4b400000, half = n >> 1, rest = n - half;
    float r = c - nf * 0.693145752F - nf * 1.42860677e-6F;
    float p = r * 1.392617612e-3F + 8.363173075e-3F;
    p = p * r + 4.166655466e-2F;
    p = p * r + 1.666657703e-1F;
    p = p * r + 0.5F;
    p = p * (r * r) + r + 1.0F;
    return p * float_of((uint32_t)(half + 127) << 23) * float_of((uint32_t)(rest + 127) << 23);
}

/* ln x = e ln 2 + ln(1 + f) with 1 + f between sqrt(1/2) and sqrt(2); x normal and positive; shift is added to e. */
MATH float log_normal(float x, float shift)
{
    int32_t i = bits_of(x), e = (int32_t)((uint32_t)i - 0x3f3504f3U) >> 23;
    float f = float_of((uint32_t)i - ((uint32_t)e << 23)) - 1.0F, n = (float)e + shift;
    float p = f * 6.971611443e-2F - 1.147973381e-1F;
    p = p * f + 1.168541992e-1F;
    p = p * f - 1.242568734e-1F;
    p = p * f + 1.424905765e-1F;
    p = p * f - 1.666780232e-1F;
    p = p * f + 2.000071575e-1F;
    p = p * f - 2.499999696e-1F;
    p = p * f + 3.333333118e-1F;
    return n * 1.42860677e-6F + p * (f * f * f) - 0.5F * f * f + f + n * 0.693145752F;
}

MATH float log_f(float x)
{
    bool tiny = x < 1.17549435e-38F;
    float y = log_normal(x * (tiny ? 8388608.0F : 1.0F), tiny ? -23.0F : 0.0F);
    y = x > 3.4028235e38F ? x : y;
    y = x == 0 ? -INFINITY : y;
    return x < 0 || x != x ? NAN : y;
}

MATH float sigmoid_f(float x)
{
    return 1.0F / (1.0F + exp_f(-x));
}

MATH float tanh_f(float x)
{
    float a = fabsf(x), z = x * x;
    float p = z * -6.096714165e-3F + 2.099717900e-2F;
    p = p * z - 5.385090958e-2F;
    p = p * z + 1.333276974e-1F;
    p = p * z - 3.333332894e-1F;
    float small = a * z * p + a, large = 1.0F - 2.0F / (exp_f(2.0F * a) + 1.0F);
    return copysignf(a < 0.625F ? small : large, x);
}

/* Normal distribution function: Phi(-a) = erfc(a / sqrt 2) / 2, erfc(b) = t exp(-b^2 + P(t)), t = 1 / (1 + b / 2). */
MATH float phi_f(float x)
{
    float b = fabsf(x) * 0.707106781F;
    b = b > 9.5F ? 9.5F : b;
    float t = 1.0F / (1.0F + 0.5F * b);
    float p = t * 1.432246778e-1F - 6.713110909e-1F;
    p = p * t + 1.133697843F;
    p = p * t - 6.645712702e-1F;
    p = p * t - 1.074865922e-1F;
    p = p * t + 1.635099921e-2F;
    p = p * t + 2.922268157e-2F;
    p = p * t + 3.878264065e-1F;
    p = p * t + 9.984867681e-1F;
    p = p * t - 1.265440378F;
    float tail = 0.5F * t * exp_f(p - b * b);
    return x < 0 ? tail : 1.0F - tail;
}

/* ln(1 + e^x) = max(x, 0) + ln(1 + u), u = e^-|x|; the rounding of 1 + u is put back. */
MATH float softplus_f(float x)
{
    float u = exp_f(-fabsf(x)), w = 1.0F + u;
    return 0.5F * (x + fabsf(x)) + log_normal(w, 0) + (u - (w - 1.0F)) / w;
}

#endif
