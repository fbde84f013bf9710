/* Rotary position embedding: shape rule, plain loops, gradient.
 * SPDX-License-Identifier: MIT */
#include "ops/rope.h"

#include "ops/binary.h"
#include "ops/layout.h"
#include "ops/unary.h"

static zm_status rope_shape(const zm_tensor *node, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)dtype;
    const zm_tensor *x = node->in[0], *cos = node->in[1], *sin = node->in[2];
    char a[96], b[96], c[96];
    if (x->shape.rank != 4 || zm_dim(x, 3) % 2 || x->dtype != ZM_F32)
        return zm_fail(err, ZM_E_SHAPE, "rope: x %s of %s is not f32 [B,N,H,d] with an even d",
                       zm_shape_text(x->shape, a, sizeof a), zm_dtype_name(x->dtype));
    zm_shape want = ZM_SHAPE(zm_dim(x, 1), zm_dim(x, 3) / 2);
    if (!zm_shape_equal(cos->shape, want) || !zm_shape_equal(sin->shape, want) || cos->dtype != ZM_F32 ||
        sin->dtype != ZM_F32)
        return zm_fail(err, ZM_E_SHAPE, "rope: tables %s and %s are not f32 [N,d/2] = %s",
                       zm_shape_text(cos->shape, a, sizeof a), zm_shape_text(sin->shape, b, sizeof b),
                       zm_shape_text(want, c, sizeof c));
    *shape = x->shape;
    return ZM_OK;
}

static void rope_reference(const zm_tensor *node)
{
    const zm_tensor *t = node->in[0];
    const float *x = t->data, *cos = node->in[1]->data, *sin = node->in[2]->data;
    float *y = node->data, sign = node->attr.i[0] ? -1.0F : 1.0F;
    int64_t N = zm_dim(t, 1), H = zm_dim(t, 2), half = zm_dim(t, 3) / 2, rows = zm_dim(t, 0) * N * H;
    for (int64_t r = 0; r < rows; r++) {
        int64_t n = r / H % N;
        for (int64_t i = 0; i < half; i++) {
            double c = cos[n * half + i], s = sign * sin[n * half + i];
            double x0 = x[(r * half + i) * 2], x1 = x[(r * half + i) * 2 + 1];
            y[(r * half + i) * 2] = (float)(x0 * c - x1 * s);
            y[(r * half + i) * 2 + 1] = (float)(x0 * s + x1 * c);
        }
    }
}

/* Sum of gy * turned over batch, heads and the two halves of a pair: what a table entry [n,i] receives. */
static zm_tensor *table_grad(zm_graph *g, zm_tensor *turned, zm_tensor *gy)
{
    int64_t B = zm_dim(gy, 0), N = zm_dim(gy, 1), H = zm_dim(gy, 2), half = zm_dim(gy, 3) / 2;
    zm_tensor *each = zm_reshape(g, zm_mul(g, gy, turned), ZM_SHAPE(B, N, H, half, 2));
    return zm_reshape(g, zm_sum_to(g, each, ZM_SHAPE(1, N, 1, half, 1)), ZM_SHAPE(N, half));
}

/* A rotation's transpose is the rotation backwards; its derivative by the sine is a quarter turn. */
static void rope_gradient(zm_graph *g, zm_tensor *node, zm_tensor *gy, zm_tensor **gin)
{
    zm_tensor *x = node->in[0], *cos = node->in[1], *sin = node->in[2];
    zm_attr back = {.i = {!node->attr.i[0]}};
    if (x->needs_grad)
        gin[0] = zm_node(g, &zm_op_rope, &back, 3, (zm_tensor *[]){gy, cos, sin});
    if (cos->needs_grad)
        gin[1] = table_grad(g, x, gy);
    if (sin->needs_grad) {
        zm_tensor *quarter[] = {x, zm_affine(g, cos, 0, 0), zm_affine(g, sin, 0, 1)};
        gin[2] = table_grad(g, zm_node(g, &zm_op_rope, &node->attr, 3, quarter), gy);
    }
}

#define CASE(text, B, N, H, d, back)                                                                                   \
    {                                                                                                                  \
        .name = text, .n_in = 3, .shape = {{4, {B, N, H, d}}, {2, {N, (d) / 2}}, {2, {N, (d) / 2}}}, .attr.i = {       \
            back                                                                                                       \
        }                                                                                                              \
    }
static const zm_op_case rope_cases[] = {
    CASE("one pair", 1, 1, 1, 2, 0),
    CASE("head 20", 2, 5, 3, 20, 0),
    CASE("head 28", 1, 7, 2, 28, 0),
    CASE("head 64", 2, 3, 2, 64, 0),
    CASE("head 40, backwards", 2, 5, 2, 40, 1),
    CASE("head 128", 1, 9, 1, 128, 0),
    CASE("head 6", 3, 11, 2, 6, 0),
};

const zm_op zm_op_rope = {
    .name = "rope",
    .min_in = 3,
    .max_in = 3,
    .shape = rope_shape,
    .reference = rope_reference,
    .gradient = rope_gradient,
    .in_place = true,
    .tolerance = 1e-6,
    ZM_CASES(rope_cases),
};

zm_tensor *zm_rope(zm_graph *g, zm_tensor *x, zm_tensor *cos, zm_tensor *sin)
{
    return zm_node(g, &zm_op_rope, NULL, 3, (zm_tensor *[]){x, cos, sin});
}
