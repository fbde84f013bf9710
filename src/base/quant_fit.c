/* Fitting a step and an offset to a few values, so that the squared error of their codes is small.
 *
 * Compiled once per instruction set (ZM_FIT names its table), to the same bits: every sum is sixteen sums side by side,
 * added up in one order, and no product is fused with a sum.  So a file converted anywhere is the same file.
 * SPDX-License-Identifier: MIT */
#include "base/quant_fit.h"

#include <math.h>

enum { LANES = 16 };

/* Values below this have no f16 step, and their inverse might overflow. */
static const float NOTHING = 1e-20F;

#define INLINE static inline __attribute__((always_inline))

/* v must lie between -2^22 and 2^22: adding 1.5 2^23 leaves no bits for the fraction. */
INLINE float rounded(float v)
{
    return v + 12582912.0F - 12582912.0F;
}

INLINE float between(float v, float lo, float hi)
{
    v = v < lo ? lo : v;
    return v > hi ? hi : v;
}

INLINE float total(float *lane)
{
    for (int half = LANES / 2; half; half /= 2)
        for (int l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

INLINE float error_of(const float *x, int n, float lo, float hi, float s, float m, float *code)
{
    float inverse = fabsf(s) > NOTHING ? 1 / s : 0, sum[LANES] = {0};
    for (int i = 0; i < n; i += LANES) {
#pragma omp simd
        for (int l = 0; l < LANES; l++) {
            float c = rounded(between((x[i + l] - m) * inverse, lo, hi)), e = s * c + m - x[i + l];
            code[i + l] = c;
            sum[l] += e * e;
        }
    }
    return total(sum);
}

static float fit_error(const float *x, int n, int lo, int hi, float s, float m, int *q)
{
    float code[32];
    float sum =
        n == 16 ? error_of(x, 16, (float)lo, (float)hi, s, m, code) : error_of(x, 32, (float)lo, (float)hi, s, m, code);
    for (int i = 0; q && i < n; i++)
        q[i] = (int)code[i];
    return sum;
}

/* Codes for the inverse step: the best step for them, and what it explains of the sum of squares. */
INLINE float explained(const float *x, int n, float lo, float hi, float inverse, float *s)
{
    float xc[LANES] = {0}, cc[LANES] = {0};
    for (int i = 0; i < n; i += LANES) {
#pragma omp simd
        for (int l = 0; l < LANES; l++) {
            float c = rounded(between(x[i + l] * inverse, lo, hi));
            xc[l] += x[i + l] * c;
            cc[l] += c * c;
        }
    }
    float squares = total(cc), products = total(xc);
    *s = squares > 0 ? products / squares : 0;
    return *s * products;
}

INLINE float search_signed(const float *x, int n, float lo, float hi)
{
    /* The largest value lands on the code below zero, near it, or past it and is cut off; then the same above zero. */
    enum { SIDE = 9 };
    float top = 0, best = -1, step = 0, s;
    for (int i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(top))
            top = x[i];
    if (fabsf(top) < NOTHING)
        return 0;
    float spread = lo > -8 ? 0.55F : lo > -16 ? 0.30F : lo > -32 ? 0.16F : 0.08F;
    for (int side = 0; side < 2; side++)
        for (int k = -SIDE / 3; k <= SIDE * 2 / 3; k++) {
            float at = (side ? hi : lo) * (1 + spread * (float)k / SIDE);
            float gain = explained(x, n, lo, hi, at / top, &s);
            if (gain > best)
                best = gain, step = s;
        }
    for (int again = 0; again < 2 && fabsf(step) > NOTHING; again++) { /* codes of the best step, and so on */
        float gain = explained(x, n, lo, hi, 1 / step, &s);
        if (!(gain > best))
            break;
        best = gain, step = s;
    }
    return step;
}

static float fit_signed(const float *x, int n, int lo, int hi)
{
    return n == 16 ? search_signed(x, 16, (float)lo, (float)hi) : search_signed(x, 32, (float)lo, (float)hi);
}

enum { TRIES = 8, TRIES_ROOM = 32 };

/* Tries of one search, side by side: inverse steps and offsets, the sums of the codes they give, and what follows. */
typedef struct tries {
    int n;
    float inverse[TRIES_ROOM], from[TRIES_ROOM], codes[TRIES_ROOM], squares[TRIES_ROOM], products[TRIES_ROOM];
    float step[TRIES_ROOM], base[TRIES_ROOM], error[TRIES_ROOM];
} tries;

INLINE void add_codes(tries *t, int k, const float *x, int n, float top)
{
    float c1[LANES] = {0}, cc[LANES] = {0}, xc[LANES] = {0}, inverse = t->inverse[k], from = t->from[k];
    for (int i = 0; i < n; i += LANES) {
#pragma omp simd
        for (int l = 0; l < LANES; l++) {
            float c = rounded(between((x[i + l] - from) * inverse, 0, top));
            c1[l] += c;
            cc[l] += c * c;
            xc[l] += x[i + l] * c;
        }
    }
    t->codes[k] = total(c1), t->squares[k] = total(cc), t->products[k] = total(xc);
}

/* Least squares for each try's codes: step, base and the error that is left.  sum and squares are those of the values;
 * below: a base above 0 is taken for 0. */
INLINE void solve(tries *t, int n, float sum, float squares, bool below)
{
    float none = below ? 0 : INFINITY; /* bases above this are not allowed */
#pragma omp simd
    for (int k = 0; k < t->n; k++) {
        double c1 = (double)t->codes[k], cc = (double)t->squares[k], xc = (double)t->products[k], x1 = (double)sum;
        double det = n * cc - c1 * c1, safe = det > 0 ? det : 1, base = (cc * x1 - xc * c1) / safe;
        double step = (n * xc - x1 * c1) / safe, alone = xc / (cc > 0 ? cc : 1);
        bool clipped = base > (double)none;
        step = clipped ? alone : step;
        base = clipped ? 0 : base;
        double error = (double)squares - step * xc - base * x1;
        t->step[k] = (float)step;
        t->base[k] = (float)base;
        t->error[k] = det > 0 && step > (double)NOTHING ? (float)error : INFINITY;
    }
}

INLINE void take_best(const tries *t, float *best, float *step, float *m)
{
    for (int k = 0; k < t->n; k++)
        if (t->error[k] < *best)
            *best = t->error[k], *step = t->step[k], *m = t->base[k];
}

INLINE float search_affine(const float *x, int n, float top, bool below, float *m)
{
    float lo = x[0], hi = x[0], code[32], sums[LANES] = {0}, squares[LANES] = {0};
    for (int i = 0; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
        sums[i % LANES] += x[i];
        squares[i % LANES] += x[i] * x[i];
    }
    float sum = total(sums), square = total(squares);
    if (below && lo > 0)
        lo = 0;
    *m = lo;
    if (hi - lo < NOTHING)
        return 0;
    float step = (hi - lo) / top, best = error_of(x, n, 0, top, step, lo, code);
    float spread = top <= 3 ? 0.9F : top <= 15 ? 0.25F : 0.1F;
    tries t = {.n = 0};
    for (int end = 0; end < 3; end++) /* what is cut off lies above, on both sides, below */
        for (int k = -TRIES / 4; k <= TRIES * 3 / 4; k++) {
            float inverse = top * (1 + spread * (float)k / TRIES) / (hi - lo);
            float from = lo + 0.5F * (float)end * (hi - lo - top / inverse);
            if ((end && !k) || (below && from > 0))
                continue;
            t.inverse[t.n] = inverse, t.from[t.n] = from;
            t.n++;
        }
    for (int k = 0; k < t.n; k++)
        add_codes(&t, k, x, n, top);
    solve(&t, n, sum, square, below);
    take_best(&t, &best, &step, m);
    t.n = 1, t.inverse[0] = 1 / step, t.from[0] = *m; /* codes of the best step */
    add_codes(&t, 0, x, n, top);
    solve(&t, n, sum, square, below);
    take_best(&t, &best, &step, m);
    return step;
}

static float fit_affine(const float *x, int n, int top, bool below, float *m)
{
    return n == 16 ? search_affine(x, 16, (float)top, below, m) : search_affine(x, 32, (float)top, below, m);
}

#define JOIN2(a, b) a##b
#define JOIN(a, b)  JOIN2(a, b)
const zm_fit_fns JOIN(zm_fit_, ZM_FIT) = {fit_error, fit_signed, fit_affine};
