/* Super-blocks of 256 quantised weights: q2_k, q3_k, q4_k, q5_k, q6_k (layouts: quant.h, quant_k_bytes.c).
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "base/quant.h"
#include "base/quant_fit.h"

/* What tells one type from another. */
typedef struct kind {
    const zm_superblock_bytes *bytes;
    int subs, n;              /* sub-blocks, weights in each */
    int lo, hi;               /* codes */
    int scale_lo, scale_hi;   /* scales */
    int min_hi;               /* minima; 0: none */
    int near_scale, near_min; /* how far from the rounded scale and minimum better ones are looked for */
} kind;

static void widen(float *out, const unsigned char *block, const kind *k)
{
    zm_superblock b;
    k->bytes->unpack(&b, block);
    for (int s = 0; s < k->subs; s++) {
        float step = b.d * (float)b.scale[s], m = b.dmin * (float)b.min[s];
        for (int i = 0; i < k->n; i++)
            out[s * k->n + i] = step * (float)b.q[s * k->n + i] - m;
    }
}

static float f16_near(float v)
{
    return zm_f16_to_f32(zm_fit_f16(v));
}

static int nearest(float v, int lo, int hi)
{
    return v <= (float)lo ? lo : v >= (float)hi ? hi : (int)lrintf(v);
}

/* The best scale and minimum of sub-block s near the given ones; codes are not written.  Returns the error. */
static float settle_sub(zm_superblock *b, const zm_fit_fns *fit, const kind *k, const float *x, int s, float step,
                        float m)
{
    int scale = b->d != 0 ? nearest(step / b->d, k->scale_lo, k->scale_hi) : 0;
    int low = b->dmin != 0 ? nearest(m / b->dmin, 0, k->min_hi) : 0;
    float best = INFINITY;
    for (int i = scale - k->near_scale; i <= scale + k->near_scale; i++)
        for (int j = low - k->near_min; j <= low + k->near_min; j++) {
            if (i < k->scale_lo || i > k->scale_hi || j < 0 || j > k->min_hi)
                continue;
            float e = fit->error(x, k->n, k->lo, k->hi, b->d * (float)i, -b->dmin * (float)j, NULL);
            if (e < best)
                best = e, b->scale[s] = i, b->min[s] = j;
        }
    return best;
}

static float settle(zm_superblock *b, const zm_fit_fns *fit, const kind *k, const float *x, const float *step,
                    const float *m)
{
    float sum = 0;
    for (int s = 0; s < k->subs; s++)
        sum += settle_sub(b, fit, k, x + s * k->n, s, step[s], m[s]);
    return sum;
}

/* Least squares for d and dmin, when codes, scales and minima stay: x ~ d u - dmin v. */
static void refine(zm_superblock *b, const zm_fit_fns *fit, const kind *k, const float *x)
{
    double uu = 0, vv = 0, uv = 0, xu = 0, xv = 0;
    for (int s = 0; s < k->subs; s++) {
        const float *p = x + s * k->n;
        int *q = b->q + s * k->n;
        double q1 = 0, qq = 0, xq = 0, x1 = 0, u = b->scale[s], v = b->min[s];
        fit->error(p, k->n, k->lo, k->hi, b->d * (float)b->scale[s], -b->dmin * (float)b->min[s], q);
        for (int i = 0; i < k->n; i++) {
            q1 += q[i];
            qq += q[i] * q[i];
            xq += (double)p[i] * q[i];
            x1 += (double)p[i];
        }
        uu += u * u * qq;
        uv += u * v * q1;
        vv += v * v * k->n;
        xu += u * xq;
        xv += v * x1;
    }
    double det = uu * vv - uv * uv;
    if (vv > 0 && det > 1e-9 * uu * vv) {
        double d = (xu * vv - xv * uv) / det, low = (xu * uv - xv * uu) / det;
        if (low > 0)
            b->d = f16_near((float)d), b->dmin = f16_near((float)low);
    } else if (uu > 0) {
        b->d = f16_near((float)(xu / uu)); /* here v is 0 everywhere, or dmin 0 */
    }
}

static void narrow(unsigned char *out, const float *in, const kind *k)
{
    const zm_fit_fns *fit = zm_fit();
    float x[256], step[16], m[16] = {0}, top = 0, low = 0;
    zm_superblock b = {0};
    zm_fit_finite(x, in, 256);
    for (int s = 0; s < k->subs; s++) {
        if (k->min_hi) {
            step[s] = fit->affine_step(x + s * k->n, k->n, k->hi, true, &m[s]);
            m[s] = -m[s];
        } else {
            step[s] = fit->signed_step(x + s * k->n, k->n, k->lo, k->hi);
        }
        top = fabsf(step[s]) > fabsf(top) ? step[s] : top;
        low = m[s] > low ? m[s] : low;
    }
    /* signed scales reach one further below zero: the largest goes there */
    b.d = f16_near(top / (float)(k->scale_lo < 0 ? k->scale_lo : k->scale_hi));
    b.dmin = k->min_hi ? f16_near(low / (float)k->min_hi) : 0;
    float error = settle(&b, fit, k, x, step, m);
    zm_superblock other = b;
    refine(&other, fit, k, x);
    if (settle(&other, fit, k, x, step, m) < error)
        b = other;
    for (int s = 0; s < k->subs; s++)
        fit->error(x + s * k->n, k->n, k->lo, k->hi, b.d * (float)b.scale[s], -b.dmin * (float)b.min[s],
                   b.q + s * k->n);
    k->bytes->pack(out, &b);
}

#define TYPE(name, code, ...)                                                                                          \
    static const kind name = {&zm_##name##_bytes, __VA_ARGS__};                                                        \
    static void name##_widen(float *out, const unsigned char *block)                                                   \
    {                                                                                                                  \
        widen(out, block, &name);                                                                                      \
    }                                                                                                                  \
    static void name##_narrow(unsigned char *block, const float *in)                                                   \
    {                                                                                                                  \
        narrow(block, in, &name);                                                                                      \
    }                                                                                                                  \
    const zm_quant zm_quant_##name = {code, name##_widen, name##_narrow};

TYPE(q2_k, ZM_Q2_K, 16, 16, 0, 3, 0, 15, 15, 1, 1)
TYPE(q3_k, ZM_Q3_K, 16, 16, -4, 3, -32, 31, 0, 1, 0)
TYPE(q4_k, ZM_Q4_K, 8, 32, 0, 15, 0, 63, 63, 1, 1)
TYPE(q5_k, ZM_Q5_K, 8, 32, 0, 31, 0, 63, 63, 1, 1)
TYPE(q6_k, ZM_Q6_K, 16, 16, -32, 31, -128, 127, 0, 1, 0)
