/* Elementwise loops, row softmax and rotation for one instruction set.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/simd.h"
#include "backend/cpu/simd_math.h"
#include "backend/cpu/simd_vec.h"

/* (1 + tanh u) / 2 = sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3) */
static const float GELU_2A = 1.59576912F, GELU_B = 0.044715F;

/* y[i] = expr for all i; y may be one of the operands. */
#define EACH(expr)                                                                                                     \
    do {                                                                                                               \
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++) y[i] = (expr);                                             \
    } while (0)

static void unary(zm_unary_kind kind, float *y, const float *x, int64_t n)
{
    switch (kind) {
    case ZM_IDENTITY:
        memmove(y, x, (size_t)n * sizeof *y);
        break;
    case ZM_SILU:
        EACH(x[i] / (1.0F + exp_f(-x[i])));
        break;
    case ZM_GELU_TANH:
        EACH(x[i] * sigmoid_f(GELU_2A * (x[i] + GELU_B * x[i] * x[i] * x[i])));
        break;
    case ZM_GELU_ERF:
        EACH(x[i] * phi_f(x[i]));
        break;
    case ZM_RELU:
        EACH(x[i] > 0 ? x[i] : 0.0F);
        break;
    case ZM_SIGMOID:
        EACH(sigmoid_f(x[i]));
        break;
    case ZM_TANH:
        EACH(tanh_f(x[i]));
        break;
    case ZM_EXP:
        EACH(exp_f(x[i]));
        break;
    case ZM_LOG:
        EACH(log_f(x[i]));
        break;
    case ZM_SQRT:
        EACH(sqrtf(x[i]));
        break;
    case ZM_SQUARE:
        EACH(x[i] * x[i]);
        break;
    case ZM_ABS:
        EACH(fabsf(x[i]));
        break;
    case ZM_SOFTPLUS:
        EACH(softplus_f(x[i]));
        break;
    case ZM_CLAMP1:
        EACH((x[i] > -1.0F ? x[i] : -1.0F) < 1.0F ? (x[i] > -1.0F ? x[i] : -1.0F) : 1.0F);
        break;
    case ZM_UNARY_COUNT:
        break;
    }
}

MATH float silu_slope(float x)
{
    float s = sigmoid_f(x);
    return s * (1.0F + x * (1.0F - s));
}

MATH float gelu_tanh_slope(float x)
{
    float s = sigmoid_f(GELU_2A * (x + GELU_B * x * x * x));
    return s + x * s * (1.0F - s) * GELU_2A * (1.0F + 3.0F * GELU_B * x * x);
}

MATH float sigmoid_slope(float x)
{
    float s = sigmoid_f(x);
    return s * (1.0F - s);
}

MATH float tanh_slope(float x)
{
    float t = tanh_f(x);
    return 1.0F - t * t;
}

static void unary_grad(zm_unary_kind kind, float *y, const float *x, const float *gy, int64_t n)
{
    switch (kind) {
    case ZM_IDENTITY:
        memmove(y, gy, (size_t)n * sizeof *y);
        break;
    case ZM_SILU:
        EACH(gy[i] * silu_slope(x[i]));
        break;
    case ZM_GELU_TANH:
        EACH(gy[i] * gelu_tanh_slope(x[i]));
        break;
    case ZM_GELU_ERF:
        EACH(gy[i] * (phi_f(x[i]) + x[i] * 0.398942280F * exp_f(-0.5F * x[i] * x[i])));
        break;
    case ZM_RELU:
        EACH(x[i] > 0 ? gy[i] : 0.0F * gy[i]);
        break;
    case ZM_SIGMOID:
        EACH(gy[i] * sigmoid_slope(x[i]));
        break;
    case ZM_TANH:
        EACH(gy[i] * tanh_slope(x[i]));
        break;
    case ZM_EXP:
        EACH(gy[i] * exp_f(x[i]));
        break;
    case ZM_LOG:
        EACH(gy[i] / x[i]);
        break;
    case ZM_SQRT:
        EACH(gy[i] * (0.5F / sqrtf(x[i])));
        break;
    case ZM_SQUARE:
        EACH(gy[i] * 2.0F * x[i]);
        break;
    case ZM_ABS:
        EACH(gy[i] * (x[i] > 0 ? 1.0F : x[i] < 0 ? -1.0F : 0.0F));
        break;
    case ZM_SOFTPLUS:
        EACH(gy[i] * sigmoid_f(x[i]));
        break;
    case ZM_CLAMP1:
        EACH(fabsf(x[i]) < 1.0F ? gy[i] : 0.0F * gy[i]);
        break;
    case ZM_UNARY_COUNT:
        break;
    }
}

static void affine(float *y, const float *x, float a, float b, int64_t n)
{
    EACH(a * x[i] + b);
}

#define BINARY(op)                                                                                                     \
    do {                                                                                                               \
        if (a_step && b_step)                                                                                          \
            EACH(a[i] op b[i]);                                                                                        \
        else if (a_step)                                                                                               \
            EACH(a[i] op b0);                                                                                          \
        else                                                                                                           \
            EACH(a0 op b[i * b_step]);                                                                                 \
    } while (0)

static void binary(zm_binary_kind kind, float *y, const float *a, int a_step, const float *b, int b_step, int64_t n)
{
    float a0 = a[0], b0 = b[0];
    switch (kind) {
    case ZM_ADD:
        BINARY(+);
        break;
    case ZM_SUB:
        BINARY(-);
        break;
    case ZM_MUL:
        BINARY(*);
        break;
    case ZM_DIV:
        BINARY(/);
        break;
    }
}

static double sum(const float *x, int64_t n)
{
    double s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t i = 0; i < n; i++)
        s += x[i];
    return s;
}

/* Four rows at a time, so that y is read and written once for four reads of x. */
static void sum_rows(float *y, const float *x, int64_t rows, int64_t stride, int64_t cols)
{
    memset(y, 0, (size_t)cols * sizeof *y);
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        const float *a = x + r * stride, *b = a + stride, *c = b + stride, *d = c + stride;
#pragma omp simd
        for (int64_t i = 0; i < cols; i++)
            y[i] += (a[i] + b[i]) + (c[i] + d[i]);
    }
    for (; r < rows; r++)
#pragma omp simd
        for (int64_t i = 0; i < cols; i++)
            y[i] += x[r * stride + i];
}

static void transpose(float *y, int64_t y_stride, const float *x, int64_t x_stride, int64_t rows, int64_t cols)
{
    for (int64_t r0 = 0; r0 < rows; r0 += 16) /* whole cache lines of y stay at hand while x is walked */
        for (int64_t c = 0; c < cols; c += 4) {
            int64_t r = r0, end = r0 + 16 < rows ? r0 + 16 : rows;
            for (; r + 4 <= end && c + 4 <= cols; r += 4)
                vtranspose4(y + c * y_stride + r, y_stride, x + r * x_stride + c, x_stride);
            for (; r < end; r++)
                for (int64_t i = c; i < c + 4 && i < cols; i++)
                    y[i * y_stride + r] = x[r * x_stride + i];
        }
}

static float largest(const float *x, int64_t n)
{
    float top = -INFINITY;
    int64_t i = 0;
    if (n >= VW) {
        vf v = vload(x);
        for (i = VW; i + VW <= n; i += VW)
            v = vmax(vload(x + i), v);
        for (int k = 0; k < VW; k++)
            top = v[k] > top ? v[k] : top;
    }
    for (; i < n; i++)
        top = x[i] > top ? x[i] : top;
    return top;
}

/* y = exp(x - top) (y NULL: not kept); returns the sum. */
static float exp_row(float *y, const float *x, float top, int64_t n)
{
    float s = 0;
    if (y) {
#pragma omp simd reduction(+ : s)
        for (int64_t i = 0; i < n; i++) {
            float e = exp_f(x[i] - top);
            y[i] = e;
            s += e;
        }
    } else {
#pragma omp simd reduction(+ : s)
        for (int64_t i = 0; i < n; i++)
            s += exp_f(x[i] - top);
    }
    return s;
}

static void softmax(float *to, const float *x, int64_t rows, int64_t D)
{
    for (int64_t r = 0; r < rows; r++) {
        float *y = to + r * D;
        float s = 1.0F / exp_row(y, x + r * D, largest(x + r * D, D), D);
        affine(y, y, s, 0, D);
    }
}

static void softmax_grad(float *dx, const float *y, const float *gy, int64_t rows, int64_t D)
{
    for (int64_t r = 0; r < rows * D; r += D) {
        float dot = 0;
#pragma omp simd reduction(+ : dot)
        for (int64_t i = 0; i < D; i++)
            dot += y[r + i] * gy[r + i];
#pragma omp simd
        for (int64_t i = 0; i < D; i++)
            dx[r + i] = y[r + i] * (gy[r + i] - dot);
    }
}

static float cross_entropy(const float *x, int64_t label, int64_t D)
{
    float top = largest(x, D);
    return log_f(exp_row(NULL, x, top, D)) + (top - x[label]);
}

static void cross_entropy_grad(float *dx, const float *x, int64_t label, float g, int64_t D)
{
    float s = exp_row(dx, x, largest(x, D), D);
    affine(dx, dx, g / s, 0, D);
    dx[label] -= g;
}

/* y = x cos + (x with the two of a pair swapped) (-sin, sin): the table is spread to pairs once for all heads. */
static void rope(float *y, const float *x, const float *cos, const float *sin, float sign, int64_t H, int64_t d,
                 float *work)
{
    float *c = work, *s = work + d;
    for (int64_t i = 0; i < d / 2; i++) {
        c[2 * i] = c[2 * i + 1] = cos[i];
        s[2 * i] = -sign * sin[i];
        s[2 * i + 1] = sign * sin[i];
    }
    for (int64_t h = 0; h < H; h++, x += d, y += d) {
        int64_t i = 0;
        for (; i + VW <= d; i += VW) {
            vf v = vload(x + i);
            vstore(y + i, v * vload(c + i) + vswap_pairs(v) * vload(s + i));
        }
        for (; i < d; i += 2) {
            float a = x[i], b = x[i + 1];
            y[i] = a * c[i] + b * s[i];
            y[i + 1] = b * c[i + 1] + a * s[i + 1];
        }
    }
}

const zm_elementwise_fns ZM_SIMD_NAME(zm_elementwise) = {
    .unary = unary,
    .unary_grad = unary_grad,
    .affine = affine,
    .binary = binary,
    .sum = sum,
    .sum_rows = sum_rows,
    .transpose = transpose,
    .softmax = softmax,
    .softmax_grad = softmax_grad,
    .cross_entropy = cross_entropy,
    .cross_entropy_grad = cross_entropy_grad,
    .rope = rope,
};
