/* Norms, modulation and the gated residual over rows, for one instruction set.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/simd.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

typedef struct stats { /* norm(x) = (x - mean) * r; mean_share, dot_share: what of the means its gradient takes off */
    float mean, r, mean_share, dot_share;
} stats;

static stats stats_of(const zm_norm_rows *s, const float *x)
{
    int64_t D = s->D;
    float sum = 0, square = 0, share = 1.0F / (float)D;
    stats t = {.mean_share = s->kind == ZM_NORM_LAYER ? share : 0, .dot_share = share};
    if (s->kind == ZM_NORM_LAYER) {
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < D; i++)
            sum += x[i];
        t.mean = sum * share;
    }
    float mean = t.mean;
#pragma omp simd reduction(+ : square)
    for (int64_t i = 0; i < D; i++)
        square += (x[i] - mean) * (x[i] - mean);
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

/* dw += gy norm(x), db += gy for one row. */
static void add_row(float *dw, float *db, const float *x, const float *gy, stats t, int64_t D)
{
    float r = t.r, mean = t.mean;
    if (dw && db) {
#pragma omp simd
        for (int64_t i = 0; i < D; i++) {
            dw[i] += gy[i] * ((x[i] - mean) * r);
            db[i] += gy[i];
        }
    } else if (dw) {
#pragma omp simd
        for (int64_t i = 0; i < D; i++)
            dw[i] += gy[i] * ((x[i] - mean) * r);
    } else if (db) {
#pragma omp simd
        for (int64_t i = 0; i < D; i++)
            db[i] += gy[i];
    }
}

/* With n = norm(x) and u = gy (plus_one + weight): dx = r (u - mean(u) - n mean(u n)). */
static void grad_row(float *dx, const float *x, const float *gy, const float *w, float one, stats t, int64_t D)
{
    float sum = 0, dot = 0, r = t.r, mean = t.mean;
    if (w) {
#pragma omp simd reduction(+ : sum, dot)
        for (int64_t i = 0; i < D; i++) {
            float u = gy[i] * (one + w[i]);
            sum += u;
            dot += u * ((x[i] - mean) * r);
        }
    } else {
#pragma omp simd reduction(+ : sum, dot)
        for (int64_t i = 0; i < D; i++) {
            sum += gy[i];
            dot += gy[i] * ((x[i] - mean) * r);
        }
    }
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
        add_row(dweight, dbias, x, gy, t, D);
        grad_row(dx, x, gy, s->weight, s->plus_one, t, D);
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
