/* Parameter updates over ranges, for one instruction set.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/simd.h"

#include <math.h>

static void adamw(float *p, const float *g, float *m, float *v, int64_t n, float beta1, float beta2, const float c[4])
{
    float keep = 1.0F - c[0], step = c[1], root = c[2], eps = c[3], a = 1.0F - beta1, b = 1.0F - beta2;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float mean = beta1 * m[i] + a * g[i], square = beta2 * v[i] + b * g[i] * g[i];
        m[i] = mean;
        v[i] = square;
        p[i] = p[i] * keep - step * mean / (sqrtf(square) * root + eps);
    }
}

static void axpby(float *y, const float *x, int64_t n, float a, float b)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = a * x[i] + b * y[i];
}

static double sum_squares(const float *x, int64_t n)
{
    double s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t i = 0; i < n; i++)
        s += (double)x[i] * (double)x[i];
    return s;
}

const zm_optim_fns ZM_SIMD_NAME(zm_optim) = {.adamw = adamw, .axpby = axpby, .sum_squares = sum_squares};
