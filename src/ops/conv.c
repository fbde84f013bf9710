/* Convolution over frames, height and width: shape rule, plain loops, gradients as graphs.
 * SPDX-License-Identifier: MIT */
#include "ops/conv.h"

#include "ops/binary.h"
#include "ops/conv_shape.h"

bool zm_conv_window_sane(const zm_attr *attr)
{
    for (int i = 0; i < 3; i++)
        if (attr->i[i] < 1 || attr->i[3 + i] < 0 || attr->i[6 + i] < 0 || attr->i[i] > 1 << 20 ||
            attr->i[3 + i] > 1 << 20 || attr->i[6 + i] > 1 << 20)
            return false;
    return true;
}

zm_status zm_conv_window(zm_conv_sizes *c, const zm_attr *attr, const char *op, zm_error *err)
{
    static const char *const axis[] = {"frames", "height", "width"};
    for (int i = 0; i < 3; i++) {
        c->stride[i] = attr->i[i];
        c->before[i] = attr->i[3 + i];
        int64_t room = c->in[i] + c->before[i] + attr->i[6 + i] - c->kernel[i];
        if (room < 0)
            return zm_fail(err, ZM_E_SHAPE, "%s: kernel %lld does not fit %s %lld padded by %lld and %lld", op,
                           (long long)c->kernel[i], axis[i], (long long)c->in[i], (long long)c->before[i],
                           (long long)attr->i[6 + i]);
        c->out[i] = room / c->stride[i] + 1;
    }
    return ZM_OK;
}

static zm_status conv_shape(const zm_tensor *node, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    const zm_tensor *x = node->in[0], *w = node->in[1], *bias = node->n_in > 2 ? node->in[2] : NULL;
    char tx[96], tw[96];
    (void)dtype;
    if (!x || !w)
        return zm_fail(err, ZM_E_SHAPE, "conv: an operand is missing");
    zm_shape_text(x->shape, tx, sizeof tx);
    zm_shape_text(w->shape, tw, sizeof tw);
    if (x->shape.rank != 5 || w->shape.rank != 5 || x->shape.dim[4] != w->shape.dim[1])
        return zm_fail(err, ZM_E_SHAPE, "conv: x %s is not [B,F,H,W,C] for weights %s, [O,C,kf,kh,kw]", tx, tw);
    if (x->dtype != ZM_F32 || (w->dtype != ZM_F32 && w->dtype != ZM_F16 && w->dtype != ZM_BF16))
        return zm_fail(err, ZM_E_SHAPE, "conv: x is %s and w is %s; x must be f32, w f32, f16 or bf16",
                       zm_dtype_name(x->dtype), zm_dtype_name(w->dtype));
    if (bias && (bias->dtype != ZM_F32 || zm_shape_elems(bias->shape) != w->shape.dim[0]))
        return zm_fail(err, ZM_E_SHAPE, "conv: bias of %lld %s is not f32 [%lld]",
                       (long long)zm_shape_elems(bias->shape), zm_dtype_name(bias->dtype), (long long)w->shape.dim[0]);
    if (!zm_conv_window_sane(&node->attr))
        return zm_fail(err, ZM_E_SHAPE, "conv: strides must be positive and padding not negative, both below 2^20");
    zm_conv_sizes c = {.in = {x->shape.dim[1], x->shape.dim[2], x->shape.dim[3]},
                       .kernel = {w->shape.dim[2], w->shape.dim[3], w->shape.dim[4]}};
    zm_status s = zm_conv_window(&c, &node->attr, "conv", err);
    *shape = (zm_shape){.rank = 5, .dim = {x->shape.dim[0], c.out[0], c.out[1], c.out[2], w->shape.dim[0]}};
    return s;
}

zm_conv_sizes zm_conv_sizes_of(const zm_tensor *node)
{
    const zm_tensor *x = node, *w = node, *y = node; /* the node itself stands for the one it computes */
    if (node->op == &zm_op_conv)
        x = node->in[0], w = node->in[1];
    else if (node->op == &zm_op_conv_grad_x)
        w = node->in[0], y = node->in[1];
    else
        x = node->in[0], y = node->in[1];
    zm_conv_sizes c = {.batch = x->shape.dim[0], .c = x->shape.dim[4], .o = y->shape.dim[4]};
    for (int i = 0; i < 3; i++) {
        c.in[i] = x->shape.dim[1 + i];
        c.out[i] = y->shape.dim[1 + i];
        c.kernel[i] = w->shape.dim[2 + i];
        c.stride[i] = node->attr.i[i];
        c.before[i] = node->attr.i[3 + i];
    }
    return c;
}

/* Sum over the window of one output place, for one output channel. */
static double window_sum(const zm_conv_sizes *c, const float *x, const zm_tensor *w, int64_t o, const int64_t *at)
{
    double sum = 0;
    int64_t k = 0;
    for (int64_t ch = 0; ch < c->c; ch++)
        for (int64_t kf = 0; kf < c->kernel[0]; kf++)
            for (int64_t kh = 0; kh < c->kernel[1]; kh++)
                for (int64_t kw = 0; kw < c->kernel[2]; kw++, k++) {
                    int64_t f = at[0] * c->stride[0] + kf - c->before[0];
                    int64_t h = at[1] * c->stride[1] + kh - c->before[1];
                    int64_t v = at[2] * c->stride[2] + kw - c->before[2];
                    if (f < 0 || f >= c->in[0] || h < 0 || h >= c->in[1] || v < 0 || v >= c->in[2])
                        continue;
                    double left = x[((f * c->in[1] + h) * c->in[2] + v) * c->c + ch];
                    sum += left * zm_read_f32(w, o * c->c * c->kernel[0] * c->kernel[1] * c->kernel[2] + k);
                }
    return sum;
}

static void conv_reference(const zm_tensor *node)
{
    zm_conv_sizes c = zm_conv_sizes_of(node);
    const float *x = node->in[0]->data, *bias = node->n_in > 2 && node->in[2] ? node->in[2]->data : NULL;
    float *y = node->data;
    int64_t at[3];
    for (int64_t b = 0; b < c.batch; b++, x += c.in[0] * c.in[1] * c.in[2] * c.c)
        for (at[0] = 0; at[0] < c.out[0]; at[0]++)
            for (at[1] = 0; at[1] < c.out[1]; at[1]++)
                for (at[2] = 0; at[2] < c.out[2]; at[2]++)
                    for (int64_t o = 0; o < c.o; o++)
                        *y++ = (float)(window_sum(&c, x, node->in[1], o, at) + (bias ? (double)bias[o] : 0));
}

static void conv_gradient(zm_graph *g, zm_tensor *node, zm_tensor *gy, zm_tensor **gin)
{
    zm_tensor *x = node->in[0], *w = node->in[1], *bias = node->n_in > 2 ? node->in[2] : NULL;
    zm_attr attr = node->attr;
    if (x->needs_grad) {
        for (int i = 0; i < 3; i++)
            attr.i[9 + i] = x->shape.dim[1 + i];
        gin[0] = zm_node(g, &zm_op_conv_grad_x, &attr, 2, (zm_tensor *[]){w, gy});
    }
    if (w->needs_grad) {
        for (int i = 0; i < 3; i++)
            attr.i[9 + i] = w->shape.dim[2 + i];
        gin[1] = zm_node(g, &zm_op_conv_grad_w, &attr, 2, (zm_tensor *[]){x, gy});
    }
    if (bias && bias->needs_grad)
        gin[2] = zm_sum_to(g, gy, bias->shape);
}

#define S(...)                                                                                                         \
    {                                                                                                                  \
        .rank = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), .dim = { __VA_ARGS__ }                      \
    }
#define X_W(...)      .n_in = 2, .shape = {__VA_ARGS__}
#define X_W_BIAS(...) .n_in = 3, .shape = {__VA_ARGS__}
#define WINDOW(...)   .attr = {.i = {__VA_ARGS__}}
#define STORED(type)  .dtype = {ZM_F32, type}

static const zm_op_case conv_cases[] = {
    {.name = "1x1x1", X_W(S(2, 2, 3, 5, 7), S(9, 7, 1, 1, 1)), WINDOW(1, 1, 1)},
    {.name = "1x1x1, bias", X_W_BIAS(S(1, 3, 4, 4, 16), S(24, 16, 1, 1, 1), S(24)), WINDOW(1, 1, 1)},
    {.name = "1x1x1, stride", X_W(S(1, 3, 4, 5, 6), S(8, 6, 1, 1, 1)), WINDOW(2, 2, 2)},
    {.name = "1x1x1, padded", X_W(S(1, 2, 3, 3, 4), S(5, 4, 1, 1, 1)), WINDOW(1, 1, 1, 1, 0, 1, 0, 1, 0)},
    {.name = "1x3x3", X_W_BIAS(S(2, 2, 5, 6, 8), S(16, 8, 1, 3, 3), S(16)), WINDOW(1, 1, 1, 0, 1, 1, 0, 1, 1)},
    {.name = "1x3x3, odd channels",
     X_W_BIAS(S(1, 2, 5, 6, 3), S(13, 3, 1, 3, 3), S(13)),
     WINDOW(1, 1, 1, 0, 1, 1, 0, 1, 1)},
    {.name = "1x3x3, no padding", X_W(S(1, 1, 5, 6, 5), S(3, 5, 1, 3, 3)), WINDOW(1, 1, 1)},
    {.name = "1x3x3, stride 2, padded right and bottom",
     X_W_BIAS(S(1, 2, 6, 8, 9), S(10, 9, 1, 3, 3), S(10)),
     WINDOW(1, 2, 2, 0, 0, 0, 0, 1, 1)},
    {.name = "1x3x3, stride 2, odd size",
     X_W(S(1, 1, 7, 5, 16), S(16, 16, 1, 3, 3)),
     WINDOW(1, 2, 2, 0, 1, 1, 0, 1, 1)},
    {.name = "1x1x3", X_W(S(1, 2, 3, 7, 4), S(6, 4, 1, 1, 3)), WINDOW(1, 1, 1, 0, 0, 1, 0, 0, 1)},
    {.name = "1x5x2, uneven", X_W(S(1, 1, 9, 4, 5), S(2, 5, 1, 5, 2)), WINDOW(1, 1, 1, 0, 2, 0, 0, 2, 1)},
    {.name = "3x1x1, causal", X_W_BIAS(S(2, 4, 2, 3, 12), S(20, 12, 3, 1, 1), S(20)), WINDOW(1, 1, 1, 2)},
    {.name = "3x1x1, stride 2", X_W(S(1, 5, 3, 2, 8), S(8, 8, 3, 1, 1)), WINDOW(2, 1, 1, 1)},
    {.name = "3x1x1, strided in space", X_W(S(1, 4, 4, 5, 3), S(5, 3, 3, 1, 1)), WINDOW(1, 2, 2, 2)},
    {.name = "3x3x3, causal", X_W_BIAS(S(1, 3, 4, 5, 16), S(8, 16, 3, 3, 3), S(8)), WINDOW(1, 1, 1, 2, 1, 1, 0, 1, 1)},
    {.name = "3x3x3, causal, batch, odd channels",
     X_W_BIAS(S(2, 2, 3, 4, 5), S(7, 5, 3, 3, 3), S(7)),
     WINDOW(1, 1, 1, 2, 1, 1, 0, 1, 1)},
    {.name = "3x3x3, state given, no padding in time",
     X_W(S(1, 4, 3, 3, 6), S(4, 6, 3, 3, 3)),
     WINDOW(1, 1, 1, 0, 1, 1, 0, 1, 1)},
    {.name = "3x3x3, stride 2", X_W(S(1, 5, 5, 6, 4), S(6, 4, 3, 3, 3)), WINDOW(2, 2, 2, 2, 0, 0, 0, 1, 1)},
    {.name = "one frame, causal", X_W(S(1, 1, 4, 4, 8), S(8, 8, 3, 3, 3)), WINDOW(1, 1, 1, 2, 1, 1, 0, 1, 1)},
    {.name = "several tiles",
     X_W_BIAS(S(2, 3, 12, 17, 20), S(37, 20, 1, 3, 3), S(37)),
     WINDOW(1, 1, 1, 0, 1, 1, 0, 1, 1)},
    {.name = "1x3x3, many channels",
     X_W_BIAS(S(2, 3, 11, 14, 48), S(64, 48, 1, 3, 3), S(64)),
     WINDOW(1, 1, 1, 0, 1, 1, 0, 1, 1)},
    {.name = "3x3x3, causal, many channels",
     X_W_BIAS(S(1, 3, 13, 10, 32), S(80, 32, 3, 3, 3), S(80)),
     WINDOW(1, 1, 1, 2, 1, 1, 0, 1, 1)},
    {.name = "3x3x3, many channels, state given, padded on one side",
     X_W(S(2, 4, 9, 12, 32), S(32, 32, 3, 3, 3)),
     WINDOW(1, 1, 1, 0, 1, 0, 0, 0, 1)},
    {.name = "f16 weights",
     X_W_BIAS(S(1, 2, 4, 4, 6), S(5, 6, 1, 3, 3), S(5)),
     STORED(ZM_F16),
     WINDOW(1, 1, 1, 0, 1, 1, 0, 1, 1)},
    {.name = "bf16 weights",
     X_W(S(1, 3, 4, 4, 6), S(5, 6, 3, 3, 3)),
     STORED(ZM_BF16),
     WINDOW(1, 1, 1, 2, 1, 1, 0, 1, 1)},
    {.name = "f16 weights, 1x1x1", X_W(S(1, 2, 4, 4, 6), S(5, 6, 1, 1, 1)), STORED(ZM_F16), WINDOW(1, 1, 1)},
};

const zm_op zm_op_conv = {
    .name = "conv",
    .min_in = 2,
    .max_in = 3,
    .shape = conv_shape,
    .reference = conv_reference,
    .gradient = conv_gradient,
    .tolerance = 1e-5,
    ZM_CASES(conv_cases),
};

zm_tensor *zm_conv(zm_graph *g, zm_tensor *x, zm_tensor *w, zm_tensor *bias, const zm_conv_shape *shape)
{
    zm_attr attr = {0};
    for (int i = 0; i < 3; i++) {
        attr.i[i] = shape->stride[i];
        attr.i[3 + i] = shape->before[i];
        attr.i[6 + i] = shape->after[i];
    }
    return zm_node(g, &zm_op_conv, &attr, bias ? 3 : 2, (zm_tensor *[]){x, w, bias});
}
