/* ggml's published rules for quantised types as plain loops on numbers, there and back: what our fits are compared to.
 *
 * Nothing here knows bytes, and nothing is shared with the fits in quant_fit.c.  As published, super-blocks weigh the
 * error of a weight by its size: q2_k absolute errors by |x|; q3_k and q6_k squares by x^2; q4_k and q5_k squares by
 * |x| plus the root mean square of the sub-block.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/quant.h"

static float f16(float v)
{
    return zm_f16_to_f32(zm_f32_to_f16(v));
}

static int clamp(int v, int lo, int hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* The value of largest size; the first of several. */
static float largest(const float *x, int n)
{
    float top = 0;
    for (int i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(top))
            top = x[i];
    return top;
}

/* d = max|x| / 127, q = round(x / d), halves away from zero. */
static void q8_0(float *y, const float *x)
{
    float d = fabsf(largest(x, 32)) / 127, inverse = d != 0 ? 1 / d : 0;
    for (int i = 0; i < 32; i++)
        y[i] = f16(d) * roundf(x[i] * inverse);
}

/* d = max / -half, so that the largest value has the code of most below zero; q = trunc(x / d + half + 1/2). */
static void symmetric(float *y, const float *x, int half)
{
    float d = largest(x, 32) / (float)-half, inverse = d != 0 ? 1 / d : 0;
    for (int i = 0; i < 32; i++) {
        int q = (int)(x[i] * inverse + (float)half + 0.5F);
        y[i] = f16(d) * (float)(clamp(q, 0, 2 * half - 1) - half);
    }
}

/* d = (max - min) / top, q = trunc((x - min) / d + 1/2). */
static void asymmetric(float *y, const float *x, int top)
{
    float lo = x[0], hi = x[0];
    for (int i = 1; i < 32; i++) {
        lo = fminf(lo, x[i]);
        hi = fmaxf(hi, x[i]);
    }
    float d = (hi - lo) / (float)top, inverse = d != 0 ? 1 / d : 0;
    for (int i = 0; i < 32; i++)
        y[i] = f16(d) * (float)clamp((int)((x[i] - lo) * inverse + 0.5F), 0, top) + f16(lo);
}

/* Sub-block of 16 with the codes -4..3: the scale of rounded codes, then codes are changed one by one while that helps
 * (weights x^2). */
static float q3_scale(const float *x)
{
    int q[16];
    float top = largest(x, 16), xq = 0, qq = 0;
    if (fabsf(top) < 1e-15F)
        return 0;
    for (int i = 0; i < 16; i++) {
        q[i] = clamp((int)lrintf(-4 / top * x[i]), -4, 3);
        xq += x[i] * x[i] * x[i] * (float)q[i];
        qq += x[i] * x[i] * (float)(q[i] * q[i]);
    }
    for (int round = 0, changed = 1; round < 5 && changed; round++) {
        changed = 0;
        for (int i = 0; i < 16; i++) {
            float w = x[i] * x[i], others = xq - w * x[i] * (float)q[i], squares = qq - w * (float)(q[i] * q[i]);
            if (!(others > 0))
                continue;
            int c = clamp((int)lrintf(x[i] * squares / others), -4, 3);
            float xq2 = others + w * x[i] * (float)c, qq2 = squares + w * (float)(c * c);
            if (c != q[i] && qq2 > 0 && xq2 * xq2 * qq > xq * xq * qq2) {
                q[i] = c;
                xq = xq2;
                qq = qq2;
                changed = 1;
            }
        }
    }
    return qq > 0 ? xq / qq : 0;
}

/* Sub-block of 16 with the codes -32..31: the best of nineteen inverse scales (weights x^2). */
static float q6_scale(const float *x)
{
    float top = largest(x, 16), best = 0, scale = 0;
    if (fabsf(top) < 1e-15F)
        return 0;
    for (int t = 0; t < 19; t++) {
        int k = t == 0 ? 0 : t <= 9 ? t - 10 : t - 9; /* 0, then -9 .. -1, 1 .. 9 */
        float inverse = -(32 + 0.1F * (float)k) / top, xq = 0, qq = 0;
        for (int i = 0; i < 16; i++) {
            float q = (float)clamp((int)lrintf(inverse * x[i]), -32, 31);
            xq += x[i] * x[i] * x[i] * q;
            qq += x[i] * x[i] * q * q;
        }
        if (qq > 0 && (t == 0 || xq * xq > best * qq)) {
            scale = xq / qq;
            best = scale * xq;
        }
    }
    return scale;
}

/* Sub-block of n with codes 0..top and a minimum of at most 0: inverse scales (top + from + 0.1 k) / range, each with the
 * least-squares scale and minimum of its codes; the one of least weighted error.  The range of later tries starts at the
 * best minimum so far, as published. */
static float scale_and_min(const float *x, int n, int top, float from, int steps, bool absolute, float *m)
{
    float w[32], square = 0, sw = 0, sx = 0, lo = x[0], hi = x[0], scale = 0, best = 0;
    for (int i = 0; i < n; i++)
        square += x[i] * x[i];
    for (int i = 0; i < n; i++) {
        w[i] = fabsf(x[i]) + (absolute ? 0 : sqrtf(square / (float)n));
        sw += w[i];
        sx += w[i] * x[i];
        lo = fminf(lo, x[i]);
        hi = fmaxf(hi, x[i]);
    }
    lo = fminf(lo, 0);
    *m = -lo;
    if (hi == lo)
        return 0;
    for (int k = -1; k <= steps; k++) { /* -1: the plain range */
        float inverse = ((float)top + (k < 0 ? 0 : from + 0.1F * (float)k)) / (hi - lo), q1 = 0, qq = 0, xq = 0;
        float q[32], error = 0, s = 1 / inverse, base = lo;
        for (int i = 0; i < n; i++) {
            q[i] = (float)clamp((int)lrintf(inverse * (x[i] - lo)), 0, top);
            q1 += w[i] * q[i];
            qq += w[i] * q[i] * q[i];
            xq += w[i] * q[i] * x[i];
        }
        float det = sw * qq - q1 * q1;
        if (k >= 0 && !(det > 0))
            continue;
        if (k >= 0) {
            s = (sw * xq - sx * q1) / det;
            base = (qq * sx - q1 * xq) / det;
            if (base > 0) {
                base = 0;
                s = xq / qq;
            }
        }
        for (int i = 0; i < n; i++) {
            float e = s * q[i] + base - x[i];
            error += w[i] * (absolute ? fabsf(e) : e * e);
        }
        if (k < 0 || error < best) {
            best = error;
            scale = s;
            lo = base;
        }
    }
    *m = -lo;
    return scale;
}

/* Scales and minima rounded to `most` steps of an f16, then the codes nearest to what these give. */
static void affine_block(float *y, const float *x, int n, int top, int most, float from, int steps, bool absolute)
{
    float scale[16], m[16], top_scale = 0, top_min = 0;
    int subs = 256 / n;
    for (int s = 0; s < subs; s++) {
        scale[s] = scale_and_min(x + s * n, n, top, from, steps, absolute, &m[s]);
        top_scale = fmaxf(top_scale, scale[s]);
        top_min = fmaxf(top_min, m[s]);
    }
    float d = f16(top_scale / (float)most), dmin = f16(top_min / (float)most);
    for (int s = 0; s < subs; s++) {
        int ls = top_scale > 0 ? clamp((int)lrintf((float)most / top_scale * scale[s]), 0, most) : 0;
        int lm = top_min > 0 ? clamp((int)lrintf((float)most / top_min * m[s]), 0, most) : 0;
        float step = d * (float)ls, low = dmin * (float)lm;
        for (int i = s * n; i < (s + 1) * n; i++) {
            int q = step != 0 ? clamp((int)lrintf((x[i] + low) / step), 0, top) : 0;
            y[i] = step * (float)q - low;
        }
    }
}

static void signed_block(float *y, const float *x, int half, int most, float (*scale_of)(const float *))
{
    float scale[16], top;
    for (int s = 0; s < 16; s++)
        scale[s] = scale_of(x + 16 * s);
    top = largest(scale, 16);
    float inverse = top != 0 ? (float)-most / top : 0, d = top != 0 ? f16(1 / inverse) : 0;
    for (int s = 0; s < 16; s++) {
        float step = d * (float)clamp((int)lrintf(inverse * scale[s]), -most, most - 1);
        for (int i = 16 * s; i < 16 * s + 16; i++)
            y[i] = step != 0 ? step * (float)clamp((int)lrintf(x[i] / step), -half, half - 1) : 0;
    }
}

static void block(float *y, const float *x, zm_dtype t)
{
    switch (t) {
    case ZM_Q8_0:
        q8_0(y, x);
        return;
    case ZM_Q4_0:
        symmetric(y, x, 8);
        return;
    case ZM_Q5_0:
        symmetric(y, x, 16);
        return;
    case ZM_Q4_1:
        asymmetric(y, x, 15);
        return;
    case ZM_Q5_1:
        asymmetric(y, x, 31);
        return;
    case ZM_Q2_K:
        affine_block(y, x, 16, 3, 15, -0.5F, 15, true);
        return;
    case ZM_Q4_K:
        affine_block(y, x, 32, 15, 63, -1, 20, false);
        return;
    case ZM_Q5_K:
        affine_block(y, x, 32, 31, 63, -0.5F, 15, false);
        return;
    case ZM_Q3_K:
        signed_block(y, x, 4, 32, q3_scale);
        return;
    case ZM_Q6_K:
        signed_block(y, x, 32, 128, q6_scale);
        return;
    default:
        ZM_ASSERT(!"a rule is published for quantised types only");
    }
}

void zm_quant_published(float *out, const float *in, zm_dtype t, size_t n)
{
    size_t each = zm_dtype_block_elems(t);
    for (size_t i = 0; i < n; i += each)
        block(out + i, in + i, t);
}
