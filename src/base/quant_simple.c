/* Quantised blocks of 32 weights with one scale: q8_0, q4_0, q4_1, q5_0, q5_1 (layouts: quant.h).
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "base/quant.h"
#include "base/quant_fit.h"

enum { N = 32, HALF = 16 };

static void put_u16(unsigned char *p, uint16_t v)
{
    p[0] = (unsigned char)v;
    p[1] = (unsigned char)(v >> 8);
}

static float get_f16(const unsigned char *p)
{
    return zm_f16_to_f32(zm_load_u16le(p));
}

static void q8_0_widen(float *out, const unsigned char *b)
{
    float d = get_f16(b);
    for (int i = 0; i < N; i++)
        out[i] = d * (float)(int8_t)b[2 + i];
}

static void q8_0_narrow(unsigned char *b, const float *in)
{
    float x[N], top = 0;
    zm_fit_finite(x, in, N);
    for (int i = 0; i < N; i++)
        top = fmaxf(top, fabsf(x[i]));
    put_u16(b, zm_f32_to_f16(fminf(top / 127.0F, 65504)));   /* f16 has none larger */
    float d = get_f16(b), inverse = d > 0 ? 1.0F / d : 0.0F; /* of the scale that is kept: its nearest codes */
    if (!isfinite(inverse))
        inverse = 0;
    for (int i = 0; i < N; i++)
        b[2 + i] = (unsigned char)(int8_t)lrintf(fminf(fmaxf(x[i] * inverse, -127), 127));
}

/* Codes of 4 bits: weight i in the lower half of byte i, weight i + 16 in the upper. */
static void put_halves(unsigned char *b, const int *q)
{
    for (int i = 0; i < HALF; i++)
        b[i] = (unsigned char)((q[i] & 15) | (q[i + HALF] & 15) << 4);
}

static void get_halves(int *q, const unsigned char *b)
{
    for (int i = 0; i < HALF; i++) {
        q[i] = b[i] & 15;
        q[i + HALF] = b[i] >> 4;
    }
}

static void put_fifth(unsigned char *b, const int *q)
{
    uint32_t bits = 0;
    for (int i = 0; i < N; i++)
        bits |= (uint32_t)(q[i] >> 4 & 1) << i;
    put_u16(b, (uint16_t)bits);
    put_u16(b + 2, (uint16_t)(bits >> 16));
}

static void add_fifth(int *q, const unsigned char *b)
{
    uint32_t bits = zm_load_u32le(b);
    for (int i = 0; i < N; i++)
        q[i] |= (int)(bits >> i & 1) << 4;
}

/* d and codes in lo .. hi, written as 0 .. hi - lo. */
static void fit_signed(const float *in, int lo, int hi, unsigned char *d, int *q)
{
    const zm_fit_fns *fit = zm_fit();
    float x[N];
    zm_fit_finite(x, in, N);
    uint16_t h = zm_fit_f16(fit->signed_step(x, N, lo, hi));
    put_u16(d, h);
    fit->error(x, N, lo, hi, zm_f16_to_f32(h), 0, q);
    for (int i = 0; i < N; i++)
        q[i] -= lo;
}

/* d, m and codes in 0 .. top. */
static void fit_affine(const float *in, int top, unsigned char *d, int *q)
{
    const zm_fit_fns *fit = zm_fit();
    float x[N], m;
    zm_fit_finite(x, in, N);
    uint16_t h = zm_fit_f16(fit->affine_step(x, N, top, false, &m)), base = zm_fit_f16(m);
    put_u16(d, h);
    put_u16(d + 2, base);
    fit->error(x, N, 0, top, zm_f16_to_f32(h), zm_f16_to_f32(base), q);
}

static void q4_0_widen(float *out, const unsigned char *b)
{
    int q[N];
    float d = get_f16(b);
    get_halves(q, b + 2);
    for (int i = 0; i < N; i++)
        out[i] = d * (float)(q[i] - 8);
}

static void q4_0_narrow(unsigned char *b, const float *in)
{
    int q[N];
    fit_signed(in, -8, 7, b, q);
    put_halves(b + 2, q);
}

static void q4_1_widen(float *out, const unsigned char *b)
{
    int q[N];
    float d = get_f16(b), m = get_f16(b + 2);
    get_halves(q, b + 4);
    for (int i = 0; i < N; i++)
        out[i] = d * (float)q[i] + m;
}

static void q4_1_narrow(unsigned char *b, const float *in)
{
    int q[N];
    fit_affine(in, 15, b, q);
    put_halves(b + 4, q);
}

static void q5_0_widen(float *out, const unsigned char *b)
{
    int q[N];
    float d = get_f16(b);
    get_halves(q, b + 6);
    add_fifth(q, b + 2);
    for (int i = 0; i < N; i++)
        out[i] = d * (float)(q[i] - 16);
}

static void q5_0_narrow(unsigned char *b, const float *in)
{
    int q[N];
    fit_signed(in, -16, 15, b, q);
    put_fifth(b + 2, q);
    put_halves(b + 6, q);
}

static void q5_1_widen(float *out, const unsigned char *b)
{
    int q[N];
    float d = get_f16(b), m = get_f16(b + 2);
    get_halves(q, b + 8);
    add_fifth(q, b + 4);
    for (int i = 0; i < N; i++)
        out[i] = d * (float)q[i] + m;
}

static void q5_1_narrow(unsigned char *b, const float *in)
{
    int q[N];
    fit_affine(in, 31, b, q);
    put_fifth(b + 4, q);
    put_halves(b + 8, q);
}

const zm_quant zm_quant_q8_0 = {ZM_Q8_0, q8_0_widen, q8_0_narrow};
const zm_quant zm_quant_q4_0 = {ZM_Q4_0, q4_0_widen, q4_0_narrow};
const zm_quant zm_quant_q4_1 = {ZM_Q4_1, q4_1_widen, q4_1_narrow};
const zm_quant zm_quant_q5_0 = {ZM_Q5_0, q5_0_widen, q5_0_narrow};
const zm_quant zm_quant_q5_1 = {ZM_Q5_1, q5_1_widen, q5_1_narrow};
