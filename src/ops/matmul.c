/* Matrix products with fused bias and activation: shape rule, plain loops, gradients as graphs.
 * SPDX-License-Identifier: MIT */
#include "ops/matmul.h"

#include "ops/binary.h"
#include "ops/layout.h"

/* Sizes every part of this file speaks of: `batch` products of [m,k] by [k,n]. */
typedef struct product {
    int64_t batch, m, n, k;
    int64_t a_step, b_step; /* elements from one product's operand to the next; 0: shared */
    bool ta, tb;
} product;

static product product_of(const zm_tensor *node)
{
    const zm_tensor *a = node->in[0], *b = node->in[1];
    product p = {.batch = 1, .ta = node->attr.i[0] != 0, .tb = node->attr.i[1] != 0};
    p.m = zm_dim(a, p.ta ? -1 : -2);
    p.k = zm_dim(a, p.ta ? -2 : -1);
    p.n = zm_dim(b, p.tb ? -2 : -1);
    for (int i = 0; i < a->shape.rank - 2; i++)
        p.batch *= a->shape.dim[i];
    p.a_step = p.m * p.k;
    if (b->shape.rank > 2)
        p.b_step = p.n * p.k;
    return p;
}

static zm_status check_operands(const zm_tensor *node, zm_error *err)
{
    const zm_tensor *a = node->in[0], *b = node->in[1];
    char ta[96], tb[96];
    if (!a || !b)
        return zm_fail(err, ZM_E_SHAPE, "matmul: an operand is missing");
    zm_shape_text(a->shape, ta, sizeof ta);
    zm_shape_text(b->shape, tb, sizeof tb);
    if (a->shape.rank < 2 || b->shape.rank < 2)
        return zm_fail(err, ZM_E_SHAPE, "matmul: operands %s and %s need at least two dimensions", ta, tb);
    if (a->dtype != ZM_F32)
        return zm_fail(err, ZM_E_SHAPE, "matmul: a is %s, not f32", zm_dtype_name(a->dtype));
    if (!zm_dtype_is_weight(b->dtype))
        return zm_fail(err, ZM_E_SHAPE, "matmul: b is %s, not a type of weights", zm_dtype_name(b->dtype));
    if (zm_dim(b, -1) % (int64_t)zm_dtype_block_elems(b->dtype))
        return zm_fail(err, ZM_E_SHAPE, "matmul: rows of b %s are not whole %s blocks of %zu", tb,
                       zm_dtype_name(b->dtype), zm_dtype_block_elems(b->dtype));
    bool t_a = node->attr.i[0] != 0, t_b = node->attr.i[1] != 0;
    if (zm_dim(a, t_a ? -2 : -1) != zm_dim(b, t_b ? -1 : -2))
        return zm_fail(err, ZM_E_SHAPE, "matmul: inner dimensions of a %s%s and b %s%s differ", ta,
                       t_a ? " transposed" : "", tb, t_b ? " transposed" : "");
    if (b->shape.rank == 2) {
        if (t_a && a->shape.rank > 2)
            return zm_fail(err, ZM_E_SHAPE, "matmul: a transposed %s has leading dimensions but b %s has none", ta, tb);
        return ZM_OK;
    }
    bool same = a->shape.rank == b->shape.rank;
    for (int i = 0; same && i < a->shape.rank - 2; i++)
        same = a->shape.dim[i] == b->shape.dim[i];
    if (!same)
        return zm_fail(err, ZM_E_SHAPE, "matmul: leading dimensions of a %s and b %s differ", ta, tb);
    return ZM_OK;
}

static zm_status matmul_shape(const zm_tensor *node, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    zm_status s = check_operands(node, err);
    if (s)
        return s;
    (void)dtype;
    const zm_tensor *a = node->in[0], *b = node->in[1], *bias = node->n_in > 2 ? node->in[2] : NULL;
    product p = product_of(node);
    if (bias && (bias->dtype != ZM_F32 || zm_shape_elems(bias->shape) != p.n)) {
        char text[96];
        return zm_fail(err, ZM_E_SHAPE, "matmul: bias %s of %s is not f32 [%lld]",
                       zm_shape_text(bias->shape, text, sizeof text), zm_dtype_name(bias->dtype), (long long)p.n);
    }
    if (node->attr.i[2] < 0 || node->attr.i[2] >= ZM_UNARY_COUNT)
        return zm_fail(err, ZM_E_SHAPE, "matmul: there is no activation %lld", (long long)node->attr.i[2]);
    *shape = a->shape;
    shape->dim[shape->rank - 2] = p.m;
    shape->dim[shape->rank - 1] = p.n;
    (void)b;
    return ZM_OK;
}

/* Rows that share one reading of b: to read one value of a block type is to widen the whole block. */
enum { REFERENCE_ROWS = 32 };

static void matmul_reference(const zm_tensor *node)
{
    product p = product_of(node);
    const float *a = node->in[0]->data;
    const zm_tensor *b = node->in[1];
    const float *bias = node->n_in > 2 && node->in[2] ? node->in[2]->data : NULL;
    float *y = node->data;
    for (int64_t z = 0; z < p.batch; z++)
        for (int64_t from = 0; from < p.m; from += REFERENCE_ROWS)
            for (int64_t j = 0; j < p.n; j++) {
                int64_t rows = p.m - from < REFERENCE_ROWS ? p.m - from : REFERENCE_ROWS;
                double sum[REFERENCE_ROWS];
                for (int64_t i = 0; i < rows; i++)
                    sum[i] = bias ? bias[j] : 0;
                for (int64_t k = 0; k < p.k; k++) {
                    double right = zm_read_f32(b, z * p.b_step + (p.tb ? j * p.k + k : k * p.n + j));
                    for (int64_t i = 0; i < rows; i++)
                        sum[i] += right * a[z * p.a_step + (p.ta ? k * p.m + from + i : (from + i) * p.k + k)];
                }
                for (int64_t i = 0; i < rows; i++)
                    y[(z * p.m + from + i) * p.n + j] = zm_unary_value((zm_unary_kind)node->attr.i[2], (float)sum[i]);
            }
}

static zm_tensor *transposed(zm_graph *g, zm_tensor *x)
{
    int order[ZM_MAX_RANK];
    int r = x->shape.rank;
    for (int i = 0; i < r; i++)
        order[i] = i;
    order[r - 2] = r - 1;
    order[r - 1] = r - 2;
    return zm_permute(g, x, order);
}

static zm_tensor *grad_a(zm_graph *g, zm_tensor *node, zm_tensor *gy)
{
    zm_tensor *b = node->in[1];
    bool ta = node->attr.i[0] != 0, tb = node->attr.i[1] != 0;
    if (!ta)
        return zm_matmul(g, gy, b, false, !tb);
    if (b->dtype == ZM_F32)
        return zm_matmul(g, b, gy, tb, true);
    return transposed(g, zm_matmul(g, gy, b, false, !tb)); /* a packed b may only stand on the right */
}

/* Leading dimensions of a that b lacks join M, so that one product sums over all of them. */
static zm_tensor *grad_b(zm_graph *g, zm_tensor *node, zm_tensor *gy)
{
    zm_tensor *a = node->in[0], *b = node->in[1];
    bool ta = node->attr.i[0] != 0, tb = node->attr.i[1] != 0;
    if (b->shape.rank == 2 && a->shape.rank > 2) {
        int64_t k = zm_dim(a, -1), n = zm_dim(gy, -1), rows = zm_shape_elems(a->shape) / k;
        a = zm_reshape(g, a, ZM_SHAPE(rows, k));
        gy = zm_reshape(g, gy, ZM_SHAPE(rows, n));
    }
    return tb ? zm_matmul(g, gy, a, true, ta) : zm_matmul(g, a, gy, !ta, false);
}

static void matmul_gradient(zm_graph *g, zm_tensor *node, zm_tensor *gy, zm_tensor **gin)
{
    zm_tensor *bias = node->n_in > 2 ? node->in[2] : NULL;
    if (node->attr.i[2] != ZM_IDENTITY) { /* the activation's input was not kept: compute it again */
        zm_attr plain = node->attr;
        plain.i[2] = ZM_IDENTITY;
        zm_tensor *before = zm_node(g, &zm_op_matmul, &plain, node->n_in, node->in);
        zm_attr kind = {.i = {node->attr.i[2]}};
        gy = zm_node(g, &zm_op_unary_grad, &kind, 2, (zm_tensor *[]){before, gy});
    }
    if (node->in[0]->needs_grad)
        gin[0] = grad_a(g, node, gy);
    if (node->in[1]->needs_grad)
        gin[1] = grad_b(g, node, gy);
    if (bias && bias->needs_grad)
        gin[2] = zm_sum_to(g, gy, bias->shape);
}

#define S(...)                                                                                                         \
    {                                                                                                                  \
        .rank = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), .dim = { __VA_ARGS__ }                      \
    }
#define TURN(a, b, kind) .attr = {.i = {a, b, kind}}
#define PACKED(type)     .dtype = {ZM_F32, type}
/* A linear with bias whose rows have k weights, and a product whose b has rows of n. */
#define STORED(name_, type, k, n_)                                                                                     \
    {.name = name_ " weights", .n_in = 3, .shape = {S(21, k), S(37, k), S(37)}, TURN(0, 1, ZM_SILU), PACKED(type)},    \
    {                                                                                                                  \
        .name = name_ " weights, not turned", .n_in = 2, .shape = {S(7, 13), S(13, n_)}, PACKED(type)                  \
    }

static const zm_op_case matmul_cases[] = {
    {.name = "1x1x1", .n_in = 2, .shape = {S(1, 1), S(1, 1)}},
    {.name = "plain", .n_in = 2, .shape = {S(5, 7), S(7, 3)}},
    {.name = "a transposed", .n_in = 2, .shape = {S(7, 5), S(7, 3)}, TURN(1, 0, 0)},
    {.name = "b transposed", .n_in = 2, .shape = {S(5, 7), S(3, 7)}, TURN(0, 1, 0)},
    {.name = "both transposed", .n_in = 2, .shape = {S(7, 5), S(3, 7)}, TURN(1, 1, 0)},
    {.name = "row by matrix", .n_in = 2, .shape = {S(1, 33), S(33, 17)}},
    {.name = "matrix by column", .n_in = 2, .shape = {S(19, 33), S(33, 1)}},
    {.name = "long inner", .n_in = 2, .shape = {S(3, 1037), S(1037, 5)}},
    {.name = "long inner, turned", .n_in = 2, .shape = {S(777, 30), S(777, 34)}, TURN(1, 0, 0)},
    {.name = "several blocks", .n_in = 2, .shape = {S(61, 130), S(130, 77)}},
    {.name = "several blocks, b transposed", .n_in = 2, .shape = {S(131, 67), S(65, 67)}, TURN(0, 1, 0)},
    {.name = "wide", .n_in = 2, .shape = {S(2, 9), S(9, 1100)}},
    {.name = "tall", .n_in = 2, .shape = {S(1100, 9), S(9, 2)}},
    {.name = "batch", .n_in = 2, .shape = {S(3, 5, 7), S(3, 7, 4)}},
    {.name = "batch of two dims, b transposed", .n_in = 2, .shape = {S(2, 3, 5, 7), S(2, 3, 4, 7)}, TURN(0, 1, 0)},
    {.name = "batch, a transposed", .n_in = 2, .shape = {S(2, 7, 5), S(2, 7, 4)}, TURN(1, 0, 0)},
    {.name = "batch, both transposed", .n_in = 2, .shape = {S(2, 7, 5), S(2, 4, 7)}, TURN(1, 1, 0)},
    {.name = "leading dims join", .n_in = 2, .shape = {S(2, 3, 5, 7), S(7, 4)}},
    {.name = "leading dims join, b transposed", .n_in = 2, .shape = {S(2, 9, 7), S(4, 7)}, TURN(0, 1, 0)},
    {.name = "bias", .n_in = 3, .shape = {S(5, 7), S(3, 7), S(3)}, TURN(0, 1, 0)},
    {.name = "bias, leading dims", .n_in = 3, .shape = {S(2, 4, 7), S(18, 7), S(18)}, TURN(0, 1, 0)},
    {.name = "bias, batch", .n_in = 3, .shape = {S(2, 4, 7), S(2, 7, 6), S(6)}},
    {.name = "bias absent", .n_in = 3, .shape = {S(4, 7), S(7, 6), {.rank = -1}}},
    {.name = "silu", .n_in = 3, .shape = {S(6, 40), S(35, 40), S(35)}, TURN(0, 1, ZM_SILU)},
    {.name = "gelu_tanh", .n_in = 3, .shape = {S(17, 40), S(35, 40), S(35)}, TURN(0, 1, ZM_GELU_TANH)},
    {.name = "gelu_erf", .n_in = 3, .shape = {S(6, 40), S(35, 40), S(35)}, TURN(0, 1, ZM_GELU_ERF)},
    {.name = "tanh, no bias", .n_in = 2, .shape = {S(6, 24), S(24, 35)}, TURN(0, 0, ZM_TANH)},
    {.name = "sigmoid", .n_in = 3, .shape = {S(2, 3, 24), S(24, 9), S(9)}, TURN(0, 0, ZM_SIGMOID)},
    {.name = "exp", .n_in = 3, .shape = {S(3, 4), S(4, 9), S(9)}, TURN(0, 0, ZM_EXP)},
    {.name = "softplus", .n_in = 2, .shape = {S(3, 4), S(4, 9)}, TURN(0, 0, ZM_SOFTPLUS)},
    {.name = "f16 weights", .n_in = 3, .shape = {S(5, 37), S(19, 37), S(19)}, TURN(0, 1, 0), PACKED(ZM_F16)},
    {.name = "f16 weights, not turned", .n_in = 2, .shape = {S(5, 37), S(37, 19)}, PACKED(ZM_F16)},
    {.name = "bf16 weights", .n_in = 2, .shape = {S(35, 37), S(19, 37)}, TURN(0, 1, 0), PACKED(ZM_BF16)},
    {.name = "bf16 weights, turned a", .n_in = 2, .shape = {S(37, 5), S(37, 19)}, TURN(1, 0, 0), PACKED(ZM_BF16)},
    {.name = "q8_0 weights", .n_in = 3, .shape = {S(5, 96), S(19, 96), S(19)}, TURN(0, 1, 0), PACKED(ZM_Q8_0)},
    {.name = "q8_0 weights, many rows", .n_in = 2, .shape = {S(67, 320), S(70, 320)}, TURN(0, 1, 0), PACKED(ZM_Q8_0)},
    {.name = "q8_0 weights, not turned", .n_in = 2, .shape = {S(2, 5, 9), S(9, 64)}, PACKED(ZM_Q8_0)},
    {.name = "q8_0 weights, gelu",
     .n_in = 3,
     .shape = {S(2, 5, 64), S(33, 64), S(33)},
     TURN(0, 1, ZM_GELU_TANH),
     PACKED(ZM_Q8_0)},
    STORED("q4_0", ZM_Q4_0, 96, 32),
    STORED("q4_1", ZM_Q4_1, 352, 64),
    STORED("q5_0", ZM_Q5_0, 288, 96),
    STORED("q5_1", ZM_Q5_1, 64, 32),
    STORED("q2_k", ZM_Q2_K, 256, 256),
    STORED("q3_k", ZM_Q3_K, 512, 256),
    STORED("q4_k", ZM_Q4_K, 768, 512),
    STORED("q5_k", ZM_Q5_K, 256, 256),
    STORED("q6_k", ZM_Q6_K, 512, 256),
    STORED("f8_e4m3", ZM_F8_E4M3, 75, 33),
    STORED("f8_e5m2", ZM_F8_E5M2, 301, 50),
};

const zm_op zm_op_matmul = {
    .name = "matmul",
    .min_in = 2,
    .max_in = 3,
    .shape = matmul_shape,
    .reference = matmul_reference,
    .gradient = matmul_gradient,
    .tolerance = 1e-5,
    ZM_CASES(matmul_cases),
};

zm_tensor *zm_matmul(zm_graph *g, zm_tensor *a, zm_tensor *b, bool ta, bool tb)
{
    zm_attr attr = {.i = {ta, tb, ZM_IDENTITY}};
    return zm_node(g, &zm_op_matmul, &attr, 2, (zm_tensor *[]){a, b});
}

zm_tensor *zm_linear(zm_graph *g, zm_tensor *x, zm_tensor *w, zm_tensor *bias, zm_unary_kind act)
{
    bool grad = x->needs_grad || w->needs_grad || (bias && bias->needs_grad);
    zm_attr attr = {.i = {0, 1, grad ? ZM_IDENTITY : act}};
    zm_tensor *y = zm_node(g, &zm_op_matmul, &attr, bias ? 3 : 2, (zm_tensor *[]){x, w, bias});
    return grad && act != ZM_IDENTITY ? zm_unary(g, act, y) : y;
}
