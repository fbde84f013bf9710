/* The table of quantised types, and what all of their fits share.
 * SPDX-License-Identifier: MIT */
#include "base/quant.h"

#include <math.h>

#include "base/quant_fit.h"

static const zm_quant *const quants[] = {
    &zm_quant_q8_0, &zm_quant_q4_0, &zm_quant_q4_1, &zm_quant_q5_0, &zm_quant_q5_1,
    &zm_quant_q2_k, &zm_quant_q3_k, &zm_quant_q4_k, &zm_quant_q5_k, &zm_quant_q6_k,
};

const zm_quant *zm_quant_find(zm_dtype t)
{
    for (size_t i = 0; i < sizeof quants / sizeof *quants; i++)
        if (quants[i]->dtype == t)
            return quants[i];
    return NULL;
}

const zm_fit_fns *zm_fit(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return &zm_fit_avx512;
    if (__builtin_cpu_supports("avx2"))
        return &zm_fit_avx2;
#endif
    return &zm_fit_base;
}

/* Largest value that any block can hold: q8_0's 127 steps of the largest f16. */
static const float LARGEST = 65504.0F * 127;

static float between(float v, float lo, float hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

void zm_fit_finite(float *out, const float *in, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = isfinite(in[i]) ? between(in[i], -LARGEST, LARGEST) : 0;
}

uint16_t zm_fit_f16(float v)
{
    return zm_f32_to_f16(between(v, -65504.0F, 65504.0F));
}
