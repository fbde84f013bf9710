/* Fitting a step and an offset to a few values, so that the squared error of their codes is small.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include "base/quant.h"

/* Largest value that any block can hold: q8_0's 127 steps of the largest f16. */
static const float LARGEST = 65504.0F * 127;
/* Values below this have no f16 step, and their inverse might overflow. */
static const float NOTHING = 1e-20F;

/* v must lie between -2^22 and 2^22: adding 1.5 2^23 leaves no bits for the fraction. */
static inline float rounded(float v)
{
    return v + 12582912.0F - 12582912.0F;
}

static inline float between(float v, float lo, float hi)
{
    v = v < lo ? lo : v;
    return v > hi ? hi : v;
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

float zm_fit_error(const float *x, int n, int lo, int hi, float s, float m, int *q)
{
    float inverse = fabsf(s) > NOTHING ? 1 / s : 0, sum = 0;
    float code[32];
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < n; i++) {
        float c = rounded(between((x[i] - m) * inverse, (float)lo, (float)hi)), e = s * c + m - x[i];
        code[i] = c;
        sum += e * e;
    }
    for (int i = 0; q && i < n; i++)
        q[i] = (int)code[i];
    return sum;
}

/* Codes for the inverse step: the best step for them, and what it explains of the sum of squares. */
static inline float explained(const float *x, int n, float lo, float hi, float inverse, float *s)
{
    float xc = 0, cc = 0;
#pragma omp simd reduction(+ : xc, cc)
    for (int i = 0; i < n; i++) {
        float c = rounded(between(x[i] * inverse, lo, hi));
        xc += x[i] * c;
        cc += c * c;
    }
    *s = cc > 0 ? xc / cc : 0;
    return *s * xc;
}

float zm_fit_signed(const float *x, int n, int lo, int hi)
{
    /* The largest value lands on the code below zero, near it, or past it and is cut off; then the same above zero. */
    enum { TRIES = 9 };
    float top = 0, best = -1, step = 0, s;
    for (int i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(top))
            top = x[i];
    if (fabsf(top) < NOTHING)
        return 0;
    float spread = lo > -8 ? 0.55F : lo > -16 ? 0.30F : lo > -32 ? 0.16F : 0.08F;
    for (int side = 0; side < 2; side++)
        for (int k = -TRIES / 3; k <= TRIES * 2 / 3; k++) {
            float at = (float)(side ? hi : lo) * (1 + spread * (float)k / TRIES);
            float gain = explained(x, n, (float)lo, (float)hi, at / top, &s);
            if (gain > best)
                best = gain, step = s;
        }
    for (int again = 0; again < 2 && fabsf(step) > NOTHING; again++) { /* codes of the best step, and so on */
        float gain = explained(x, n, (float)lo, (float)hi, 1 / step, &s);
        if (!(gain > best))
            break;
        best = gain, step = s;
    }
    return step;
}

/* As above with an offset; the error itself is returned. */
static inline float remaining(const float *x, int n, float top, float inverse, float from, float sx, float sxx,
                              bool below, float *s, float *m)
{
    float c1 = 0, cc = 0, xc = 0;
#pragma omp simd reduction(+ : c1, cc, xc)
    for (int i = 0; i < n; i++) {
        float c = rounded(between((x[i] - from) * inverse, 0, top));
        c1 += c;
        cc += c * c;
        xc += x[i] * c;
    }
    double det = (double)n * (double)cc - (double)c1 * (double)c1;
    if (!(det > 0))
        return INFINITY;
    double step = ((double)n * (double)xc - (double)sx * (double)c1) / det;
    double base = ((double)cc * (double)sx - (double)c1 * (double)xc) / det;
    if (below && base > 0) {
        base = 0;
        step = (double)xc / (double)cc;
    }
    *s = (float)step;
    *m = (float)base;
    return (float)((double)sxx - step * (double)xc - base * (double)sx);
}

float zm_fit_affine(const float *x, int n, int top, bool below, float *m)
{
    enum { TRIES = 8 };
    float lo = x[0], hi = x[0], sx = 0, sxx = 0;
    for (int i = 0; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
        sx += x[i];
        sxx += x[i] * x[i];
    }
    if (below && lo > 0)
        lo = 0;
    *m = lo;
    if (hi - lo < NOTHING)
        return 0;
    float step = (hi - lo) / (float)top, best = zm_fit_error(x, n, 0, top, step, lo, NULL), s = 0, base = 0;
    float spread = top <= 3 ? 0.9F : top <= 15 ? 0.25F : 0.1F;
    for (int end = 0; end < 3; end++) /* what is cut off lies above, on both sides, below */
        for (int k = -TRIES / 4; k <= TRIES * 3 / 4; k++) {
            float inverse = (float)top * (1 + spread * (float)k / TRIES) / (hi - lo);
            float from = lo + 0.5F * (float)end * (hi - lo - (float)top / inverse);
            if ((end && !k) || (below && from > 0))
                continue;
            float error = remaining(x, n, (float)top, inverse, from, sx, sxx, below, &s, &base);
            if (error < best && s > NOTHING)
                best = error, step = s, *m = base;
        }
    float error = remaining(x, n, (float)top, 1 / step, *m, sx, sxx, below, &s, &base); /* codes of the best step */
    if (error < best && s > NOTHING)
        step = s, *m = base;
    return step;
}
