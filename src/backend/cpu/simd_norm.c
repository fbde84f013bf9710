/* Norms, modulation and the gated residual over rows, for one instruction set.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/simd.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "backend/cpu/simd_vec.h"

typedef struct stats { /* norm(x) = (x - mean) * r; mean_share, dot_share: what of the means its gradient takes off */
    float mean, r, mean_share, dot_share;
} stats;

/* Sum of (x - mean)^power: four sums side by side, so that none waits for the one before. */
INLINE float row_sum(const float *x, int64_t D, float mean, const int power)
{
    vf a = vset(0), b = a, c = a, d = a;
    int64_t i = 0;
    for (; i + 4 * VW <= D; i += 4 * VW) {
        vf p = vload(x + i) - mean, q = vload(x + i + VW) - mean;
        vf r = vload(x + i + 2 * VW) - mean, s = vload(x + i + 3 * VW) - mean;
        a += power == 2 ? p * p : p;
        b += power == 2 ? q * q : q;
        c += power == 2 ? r * r : r;
        d += power == 2 ? s * s : s;
    }
    for (; i + VW <= D; i += VW) {
        vf p = vload(x + i) - mean;
        a += power == 2 ? p * p : p;
    }
    float sum = vsum((a + b) + (c + d));
    for (; i < D; i++)
        sum += power == 2 ? (x[i] - mean) * (x[i] - mean) : x[i] - mean;
    return sum;
}

static stats stats_of(const zm_norm_rows *s, const float *x)
{
    int64_t D = s->D;
    float share = 1.0F / (float)D;
    stats t = {.mean_share = s->kind == ZM_NORM_LAYER ? share : 0, .dot_share = share};
    if (s->kind == ZM_NORM_LAYER)
        t.mean = row_sum(x, D, 0, 1) * share;
    float square = row_sum(x, D, t.mean, 2);
    if (s->kind == ZM_NORM_L2) {
        float length = sqrtf(square);
        t.r = sqrtf((float)D) / (length > s->eps ? length : s->eps);
        t.dot_share = length > s->eps ? share : 0;
    } else {
        t.r = 1.0F / sqrtf(square * share + s->eps);
    }
    return t;
}

static void norm(const zm_norm_rows *s, float *y, const float *x, int64_t rows)
{
    const float *w = s->weight, *b = s->bias, one = s->plus_one;
    int64_t D = s->D;
    for (int64_t row = 0; row < rows; row++, x += D, y += D) {
        stats t = stats_of(s, x);
        float r = t.r, mean = t.mean;
        if (w && b) {
#pragma omp simd
            for (int64_t i = 0; i < D; i++)
                y[i] = (x[i] - mean) * r * (one + w[i]) + b[i];
        } else if (w) {
#pragma omp simd
            for (int64_t i = 0; i < D; i++)
                y[i] = (x[i] - mean) * r * (one + w[i]);
        } else if (b) {
#pragma omp simd
            for (int64_t i = 0; i < D; i++)
                y[i] = (x[i] - mean) * r + b[i];
        } else {
#pragma omp simd
            for (int64_t i = 0; i < D; i++)
                y[i] = (x[i] - mean) * r;
        }
    }
}

/* With n = norm(x) and u = gy (plus_one + weight): *sum of u, *dot of u and n; dw += gy n, db += gy on the way. */
INLINE void walk_row(float *dw, float *db, const float *x, const float *gy, const float *w, float one, stats t,
                     int64_t D, float *sum, float *dot)
{
    vf s0 = vset(0), s1 = s0, d0 = s0, d1 = s0;
    int64_t i = 0;
    for (; i + VW <= D; i += VW) {
        vf g = vload(gy + i), n = (vload(x + i) - t.mean) * t.r, u = w ? g * (one + vload(w + i)) : g;
        vf swap = s0, swap_d = d0;
        s0 = s1 + u;
        d0 = d1 + u * n;
        s1 = swap;
        d1 = swap_d;
        if (dw)
            vstore(dw + i, vload(dw + i) + g * n);
        if (db)
            vstore(db + i, vload(db + i) + g);
    }
    *sum = vsum(s0 + s1);
    *dot = vsum(d0 + d1);
    for (; i < D; i++) {
        float n = (x[i] - t.mean) * t.r, u = w ? gy[i] * (one + w[i]) : gy[i];
        *sum += u;
        *dot += u * n;
        if (dw)
            dw[i] += gy[i] * n;
        if (db)
            db[i] += gy[i];
    }
}

/* dx = r (u - mean(u) - n mean(u n)). */
static void grad_row(float *dw, float *db, float *dx, const float *x, const float *gy, const float *w, float one,
                     stats t, int64_t D)
{
    float sum, dot, r = t.r, mean = t.mean;
    if (dw && db && w)
        walk_row(dw, db, x, gy, w, one, t, D, &sum, &dot);
    else if (dw && w)
        walk_row(dw, NULL, x, gy, w, one, t, D, &sum, &dot);
    else
        walk_row(dw, db, x, gy, w, one, t, D, &sum, &dot);
    sum *= t.mean_share;
    dot *= t.dot_share;
    if (w) {
#pragma omp simd
        for (int64_t i = 0; i < D; i++)
            dx[i] = r * (gy[i] * (one + w[i]) - sum - (x[i] - mean) * r * dot);
    } else {
#pragma omp simd
        for (int64_t i = 0; i < D; i++)
            dx[i] = r * (gy[i] - sum - (x[i] - mean) * r * dot);
    }
}

static void norm_grad(const zm_norm_rows *s, float *dx, float *dweight, float *dbias, const float *x, const float *gy,
                      int64_t rows)
{
    int64_t D = s->D;
    if (dweight)
        memset(dweight, 0, (size_t)D * sizeof *dweight);
    if (dbias)
        memset(dbias, 0, (size_t)D * sizeof *dbias);
    for (int64_t row = 0; row < rows; row++, x += D, gy += D, dx += D) {
        stats t = stats_of(s, x);
        grad_row(dweight, dbias, dx, x, gy, s->weight, s->plus_one, t, D);
    }
}

static void gate_add(float *y, const float *x, const float *h, const float *gate, int64_t rows, int64_t D)
{
    for (int64_t r = 0; r < rows * D; r += D)
#pragma omp simd
        for (int64_t i = 0; i < D; i++)
            y[r + i] = x[r + i] + h[r + i] * gate[i];
}

static void gate_add_grad(float *dh, float *dgate, const float *h, const float *gate, const float *gy, int64_t rows,
                          int64_t D)
{
    memset(dgate, 0, (size_t)D * sizeof *dgate);
    for (int64_t r = 0; r < rows * D; r += D)
#pragma omp simd
        for (int64_t i = 0; i < D; i++) {
            dh[r + i] = gy[r + i] * gate[i];
            dgate[i] += gy[r + i] * h[r + i];
        }
}

const zm_norm_fns ZM_SIMD_NAME(zm_norm) = {
    .norm = norm,
    .norm_grad = norm_grad,
    .gate_add = gate_add,
    .gate_add_grad = gate_add_grad,
};
