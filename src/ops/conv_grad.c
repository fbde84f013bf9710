/* Gradients of convolution with respect to its input and its weights: shape rules and plain loops.
 * SPDX-License-Identifier: MIT */
#include "ops/conv.h"
#include "ops/conv_shape.h"

/* Both gradients know two of (x, w, y) and are told the three sizes of the third: check that all fit. */
static zm_status check_sizes(const zm_tensor *node, zm_conv_sizes *c, const int64_t *out, const char *op, zm_error *err)
{
    for (int i = 0; i < 3; i++)
        if (node->attr.i[9 + i] < 1 || node->attr.i[9 + i] > (int64_t)1 << 32)
            return zm_fail(err, ZM_E_SHAPE, "%s: size %lld is not positive", op, (long long)node->attr.i[9 + i]);
    if (!zm_conv_window_sane(&node->attr))
        return zm_fail(err, ZM_E_SHAPE, "%s: strides must be positive and padding not negative, both below 2^20", op);
    zm_status s = zm_conv_window(c, &node->attr, op, err);
    for (int i = 0; !s && i < 3; i++)
        if (c->out[i] != out[i])
            s = zm_fail(err, ZM_E_SHAPE, "%s: output gradient has size %lld where the convolution gives %lld", op,
                        (long long)out[i], (long long)c->out[i]);
    return s;
}

static zm_status check_operands(const zm_tensor *node, const char *op, zm_error *err)
{
    const zm_tensor *a = node->in[0], *gy = node->in[1];
    if (!a || !gy || a->shape.rank != 5 || gy->shape.rank != 5)
        return zm_fail(err, ZM_E_SHAPE, "%s: both inputs must have five dimensions", op);
    if (gy->dtype != ZM_F32 || (a->dtype != ZM_F32 && a->dtype != ZM_F16 && a->dtype != ZM_BF16))
        return zm_fail(err, ZM_E_SHAPE, "%s: inputs are %s and %s, not f32", op, zm_dtype_name(a->dtype),
                       zm_dtype_name(gy->dtype));
    return ZM_OK;
}

static zm_status grad_x_shape(const zm_tensor *node, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)dtype;
    zm_status s = check_operands(node, "conv_grad_x", err);
    if (s)
        return s;
    const int64_t *w = node->in[0]->shape.dim, *gy = node->in[1]->shape.dim, *in = node->attr.i + 9;
    if (w[0] != gy[4])
        return zm_fail(err, ZM_E_SHAPE, "conv_grad_x: weights make %lld channels, the output gradient has %lld",
                       (long long)w[0], (long long)gy[4]);
    zm_conv_sizes c = {.in = {in[0], in[1], in[2]}, .kernel = {w[2], w[3], w[4]}};
    *shape = (zm_shape){.rank = 5, .dim = {gy[0], in[0], in[1], in[2], w[1]}};
    return check_sizes(node, &c, gy + 1, "conv_grad_x", err);
}

static zm_status grad_w_shape(const zm_tensor *node, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)dtype;
    zm_status s = check_operands(node, "conv_grad_w", err);
    if (s)
        return s;
    const int64_t *x = node->in[0]->shape.dim, *gy = node->in[1]->shape.dim, *kernel = node->attr.i + 9;
    if (x[0] != gy[0] || node->in[0]->dtype != ZM_F32)
        return zm_fail(err, ZM_E_SHAPE, "conv_grad_w: x is %s of batch %lld, the output gradient f32 of batch %lld",
                       zm_dtype_name(node->in[0]->dtype), (long long)x[0], (long long)gy[0]);
    zm_conv_sizes c = {.in = {x[1], x[2], x[3]}, .kernel = {kernel[0], kernel[1], kernel[2]}};
    *shape = (zm_shape){.rank = 5, .dim = {gy[4], x[4], kernel[0], kernel[1], kernel[2]}};
    return check_sizes(node, &c, gy + 1, "conv_grad_w", err);
}

/* The output place that sees input place `at` through tap k of an axis, or -1. */
static int64_t seen_from(const zm_conv_sizes *c, int axis, int64_t at, int64_t k)
{
    int64_t place = at + c->before[axis] - k;
    if (place < 0 || place % c->stride[axis])
        return -1;
    place /= c->stride[axis];
    return place < c->out[axis] ? place : -1;
}

/* Through every tap, what the output places saw of input place `at`, channel ch. */
static double back_sum(const zm_conv_sizes *c, const zm_tensor *w, const float *gy, const int64_t *at, int64_t ch)
{
    double sum = 0;
    int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2], k = 0;
    for (int64_t kf = 0; kf < c->kernel[0]; kf++)
        for (int64_t kh = 0; kh < c->kernel[1]; kh++)
            for (int64_t kw = 0; kw < c->kernel[2]; kw++, k++) {
                int64_t f = seen_from(c, 0, at[0], kf), h = seen_from(c, 1, at[1], kh), v = seen_from(c, 2, at[2], kw);
                if (f < 0 || h < 0 || v < 0)
                    continue;
                const float *row = gy + ((f * c->out[1] + h) * c->out[2] + v) * c->o;
                for (int64_t o = 0; o < c->o; o++)
                    sum += (double)row[o] * (double)zm_read_f32(w, (o * c->c + ch) * taps + k);
            }
    return sum;
}

static void grad_x_reference(const zm_tensor *node)
{
    zm_conv_sizes c = zm_conv_sizes_of(node);
    const float *gy = node->in[1]->data;
    float *gx = node->data;
    int64_t at[3];
    for (int64_t b = 0; b < c.batch; b++, gy += c.out[0] * c.out[1] * c.out[2] * c.o)
        for (at[0] = 0; at[0] < c.in[0]; at[0]++)
            for (at[1] = 0; at[1] < c.in[1]; at[1]++)
                for (at[2] = 0; at[2] < c.in[2]; at[2]++)
                    for (int64_t ch = 0; ch < c.c; ch++)
                        *gx++ = (float)back_sum(&c, node->in[0], gy, at, ch);
}

/* Over all places of all clips: what channel ch of x, seen through one tap, gave to output channel o. */
static double tap_sum(const zm_conv_sizes *c, const float *x, const float *gy, int64_t o, int64_t ch,
                      const int64_t *tap)
{
    double sum = 0;
    for (int64_t b = 0; b < c->batch; b++)
        for (int64_t f = 0; f < c->out[0]; f++)
            for (int64_t h = 0; h < c->out[1]; h++)
                for (int64_t v = 0; v < c->out[2]; v++, gy += c->o) {
                    int64_t xf = f * c->stride[0] + tap[0] - c->before[0];
                    int64_t xh = h * c->stride[1] + tap[1] - c->before[1];
                    int64_t xv = v * c->stride[2] + tap[2] - c->before[2];
                    if (xf < 0 || xf >= c->in[0] || xh < 0 || xh >= c->in[1] || xv < 0 || xv >= c->in[2])
                        continue;
                    double left = x[(((b * c->in[0] + xf) * c->in[1] + xh) * c->in[2] + xv) * c->c + ch];
                    sum += left * (double)gy[o];
                }
    return sum;
}

static void grad_w_reference(const zm_tensor *node)
{
    zm_conv_sizes c = zm_conv_sizes_of(node);
    const float *x = node->in[0]->data, *gy = node->in[1]->data;
    float *gw = node->data;
    int64_t tap[3];
    for (int64_t o = 0; o < c.o; o++)
        for (int64_t ch = 0; ch < c.c; ch++)
            for (tap[0] = 0; tap[0] < c.kernel[0]; tap[0]++)
                for (tap[1] = 0; tap[1] < c.kernel[1]; tap[1]++)
                    for (tap[2] = 0; tap[2] < c.kernel[2]; tap[2]++)
                        *gw++ = (float)tap_sum(&c, x, gy, o, ch, tap);
}

#define S(...)                                                                                                         \
    {                                                                                                                  \
        .rank = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), .dim = { __VA_ARGS__ }                      \
    }
#define PAIR(...)   .n_in = 2, .shape = {__VA_ARGS__}
#define WINDOW(...) .attr = {.i = {__VA_ARGS__}}

static const zm_op_case grad_x_cases[] = {
    {.name = "1x1x1", PAIR(S(9, 7, 1, 1, 1), S(2, 2, 3, 5, 9)), WINDOW(1, 1, 1, 0, 0, 0, 0, 0, 0, 2, 3, 5)},
    {.name = "1x3x3", PAIR(S(16, 8, 1, 3, 3), S(2, 2, 5, 6, 16)), WINDOW(1, 1, 1, 0, 1, 1, 0, 1, 1, 2, 5, 6)},
    {.name = "1x3x3, stride 2, a row unseen",
     PAIR(S(10, 9, 1, 3, 3), S(1, 1, 3, 3, 10)),
     WINDOW(1, 2, 2, 0, 0, 0, 0, 0, 1, 1, 8, 6)},
    {.name = "3x1x1, causal", PAIR(S(11, 12, 3, 1, 1), S(1, 4, 2, 3, 11)), WINDOW(1, 1, 1, 2, 0, 0, 0, 0, 0, 4, 2, 3)},
    {.name = "3x3x3, causal", PAIR(S(8, 16, 3, 3, 3), S(1, 3, 4, 5, 8)), WINDOW(1, 1, 1, 2, 1, 1, 0, 1, 1, 3, 4, 5)},
    {.name = "several tiles",
     PAIR(S(33, 34, 1, 3, 3), S(1, 2, 13, 14, 33)),
     WINDOW(1, 1, 1, 0, 1, 1, 0, 1, 1, 2, 13, 14)},
};

static const zm_op_case grad_w_cases[] = {
    {.name = "1x1x1", PAIR(S(2, 2, 3, 5, 7), S(2, 2, 3, 5, 9)), WINDOW(1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1)},
    {.name = "1x3x3", PAIR(S(2, 2, 5, 6, 8), S(2, 2, 5, 6, 16)), WINDOW(1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 3, 3)},
    {.name = "1x3x3, stride 2, a row unseen",
     PAIR(S(1, 1, 8, 6, 9), S(1, 1, 3, 3, 10)),
     WINDOW(1, 2, 2, 0, 0, 0, 0, 0, 1, 1, 3, 3)},
    {.name = "3x1x1, causal", PAIR(S(1, 4, 2, 3, 12), S(1, 4, 2, 3, 11)), WINDOW(1, 1, 1, 2, 0, 0, 0, 0, 0, 3, 1, 1)},
    {.name = "3x3x3, causal", PAIR(S(1, 3, 4, 5, 16), S(1, 3, 4, 5, 8)), WINDOW(1, 1, 1, 2, 1, 1, 0, 1, 1, 3, 3, 3)},
    {.name = "several tiles",
     PAIR(S(2, 2, 13, 14, 33), S(2, 2, 13, 14, 34)),
     WINDOW(1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 3, 3)},
};

const zm_op zm_op_conv_grad_x = {
    .name = "conv_grad_x",
    .min_in = 2,
    .max_in = 2,
    .shape = grad_x_shape,
    .reference = grad_x_reference,
    .tolerance = 1e-5,
    ZM_CASES(grad_x_cases),
};

const zm_op zm_op_conv_grad_w = {
    .name = "conv_grad_w",
    .min_in = 2,
    .max_in = 2,
    .shape = grad_w_shape,
    .reference = grad_w_reference,
    .tolerance = 1e-5,
    ZM_CASES(grad_w_cases),
};
