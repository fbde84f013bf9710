/* Rows of a table, softmax, cross entropy: shape rules, plain loops, gradients as graphs.
 * SPDX-License-Identifier: MIT */
#include "ops/lookup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static zm_status embedding_shape(const zm_tensor *node, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)dtype;
    const zm_tensor *table = node->in[0], *ids = node->in[1];
    char a[96];
    if (table->shape.rank != 2 || !zm_dtype_is_weight(table->dtype))
        return zm_fail(err, ZM_E_SHAPE, "embedding: table %s of %s is not [V,D] of a type of weights",
                       zm_shape_text(table->shape, a, sizeof a), zm_dtype_name(table->dtype));
    if (zm_dim(table, 1) % (int64_t)zm_dtype_block_elems(table->dtype))
        return zm_fail(err, ZM_E_SHAPE, "embedding: rows of table %s are not whole %s blocks of %zu",
                       zm_shape_text(table->shape, a, sizeof a), zm_dtype_name(table->dtype),
                       zm_dtype_block_elems(table->dtype));
    if (ids->dtype != ZM_I32 || ids->shape.rank >= ZM_MAX_RANK)
        return zm_fail(err, ZM_E_SHAPE, "embedding: ids %s of %s are not i32 of rank below %d",
                       zm_shape_text(ids->shape, a, sizeof a), zm_dtype_name(ids->dtype), ZM_MAX_RANK);
    *shape = ids->shape;
    shape->dim[shape->rank++] = zm_dim(table, 1);
    return ZM_OK;
}

static void embedding_reference(const zm_tensor *node)
{
    const zm_tensor *table = node->in[0];
    const int32_t *id = node->in[1]->data;
    float *y = node->data;
    int64_t V = zm_dim(table, 0), D = zm_dim(table, 1), n = zm_shape_elems(node->in[1]->shape);
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0; c < D; c++)
            y[r * D + c] = id[r] >= 0 && id[r] < V ? zm_read_f32(table, id[r] * D + c) : 0;
}

static void embedding_gradient(zm_graph *g, zm_tensor *node, zm_tensor *gy, zm_tensor **gin)
{
    zm_attr attr = {.i = {zm_dim(node->in[0], 0)}};
    if (node->in[0]->needs_grad)
        gin[0] = zm_node(g, &zm_op_embedding_grad, &attr, 2, (zm_tensor *[]){node->in[1], gy});
}

static zm_status embedding_grad_shape(const zm_tensor *node, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)dtype;
    const zm_tensor *ids = node->in[0], *gy = node->in[1];
    char a[96], b[96];
    int64_t n = zm_shape_elems(ids->shape);
    if (ids->dtype != ZM_I32 || gy->dtype != ZM_F32 || gy->shape.rank < 1 ||
        zm_shape_elems(gy->shape) != n * zm_dim(gy, -1))
        return zm_fail(err, ZM_E_SHAPE, "embedding_grad: gradient %s is not one f32 row for each i32 id of %s",
                       zm_shape_text(gy->shape, a, sizeof a), zm_shape_text(ids->shape, b, sizeof b));
    *shape = ZM_SHAPE(node->attr.i[0], zm_dim(gy, -1));
    return ZM_OK;
}

static void embedding_grad_reference(const zm_tensor *node)
{
    const int32_t *id = node->in[0]->data;
    const float *gy = node->in[1]->data;
    float *y = node->data;
    int64_t V = zm_dim(node, 0), D = zm_dim(node, 1), n = zm_shape_elems(node->in[0]->shape);
    memset(y, 0, zm_tensor_bytes(node));
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0; c < D && id[r] >= 0 && id[r] < V; c++)
            y[id[r] * D + c] += gy[r * D + c];
}

static zm_status same_shape(const zm_tensor *node, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)dtype;
    char a[96], b[96];
    if (node->in[0]->shape.rank < 1)
        return zm_fail(err, ZM_E_SHAPE, "%s: the input has no axis", node->op->name);
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i]->dtype != ZM_F32 || !zm_shape_equal(node->in[i]->shape, node->in[0]->shape))
            return zm_fail(err, ZM_E_SHAPE, "%s: input %d is %s of %s, not f32 %s", node->op->name, i,
                           zm_shape_text(node->in[i]->shape, a, sizeof a), zm_dtype_name(node->in[i]->dtype),
                           zm_shape_text(node->in[0]->shape, b, sizeof b));
    *shape = node->in[0]->shape;
    return ZM_OK;
}

/* log of the sum of exp(x); *top is the largest x. */
static double log_sum(const float *x, int64_t n, double *top)
{
    double sum = 0;
    *top = -INFINITY;
    for (int64_t i = 0; i < n; i++)
        *top = x[i] > *top ? x[i] : *top;
    for (int64_t i = 0; i < n; i++)
        sum += exp(x[i] - *top);
    return log(sum) + *top;
}

static void softmax_reference(const zm_tensor *node)
{
    const float *x = node->in[0]->data;
    float *y = node->data;
    int64_t D = zm_dim(node, -1), n = zm_shape_elems(node->shape);
    for (int64_t r = 0; r < n; r += D) {
        double top, lse = log_sum(x + r, D, &top);
        for (int64_t i = 0; i < D; i++)
            y[r + i] = (float)exp(x[r + i] - lse);
    }
}

static void softmax_gradient(zm_graph *g, zm_tensor *node, zm_tensor *gy, zm_tensor **gin)
{
    gin[0] = zm_node(g, &zm_op_softmax_grad, NULL, 2, (zm_tensor *[]){node, gy});
}

static void softmax_grad_reference(const zm_tensor *node)
{
    const float *y = node->in[0]->data, *gy = node->in[1]->data;
    float *dx = node->data;
    int64_t D = zm_dim(node, -1), n = zm_shape_elems(node->shape);
    for (int64_t r = 0; r < n; r += D) {
        double dot = 0;
        for (int64_t i = 0; i < D; i++)
            dot += (double)y[r + i] * gy[r + i];
        for (int64_t i = 0; i < D; i++)
            dx[r + i] = (float)(y[r + i] * (gy[r + i] - dot));
    }
}

static zm_status check_labels(const zm_tensor *node, zm_error *err)
{
    const zm_tensor *x = node->in[0], *label = node->in[1];
    char a[96], b[96];
    if (x->shape.rank != 2 || x->dtype != ZM_F32 || label->dtype != ZM_I32 ||
        zm_shape_elems(label->shape) != zm_dim(x, 0))
        return zm_fail(err, ZM_E_SHAPE, "%s: logits %s of %s and labels %s of %s are not f32 [R,C] and i32 [R]",
                       node->op->name, zm_shape_text(x->shape, a, sizeof a), zm_dtype_name(x->dtype),
                       zm_shape_text(label->shape, b, sizeof b), zm_dtype_name(label->dtype));
    return ZM_OK;
}

static zm_status cross_entropy_shape(const zm_tensor *node, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)dtype;
    *shape = ZM_SHAPE(zm_dim(node->in[0], 0));
    return check_labels(node, err);
}

static void cross_entropy_reference(const zm_tensor *node)
{
    const float *x = node->in[0]->data;
    const int32_t *label = node->in[1]->data;
    float *y = node->data;
    int64_t R = zm_dim(node->in[0], 0), C = zm_dim(node->in[0], 1);
    for (int64_t r = 0; r < R; r++) {
        double top, lse = log_sum(x + r * C, C, &top);
        y[r] = label[r] >= 0 && label[r] < C ? (float)(lse - x[r * C + label[r]]) : 0;
    }
}

static void cross_entropy_gradient(zm_graph *g, zm_tensor *node, zm_tensor *gy, zm_tensor **gin)
{
    if (node->in[0]->needs_grad)
        gin[0] = zm_node(g, &zm_op_cross_entropy_grad, NULL, 3, (zm_tensor *[]){node->in[0], node->in[1], gy});
}

static zm_status cross_entropy_grad_shape(const zm_tensor *node, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)dtype;
    char a[96];
    zm_status s = check_labels(node, err);
    if (!s && (zm_shape_elems(node->in[2]->shape) != zm_dim(node->in[0], 0) || node->in[2]->dtype != ZM_F32))
        s = zm_fail(err, ZM_E_SHAPE, "cross_entropy_grad: gradient %s is not f32 [%lld]",
                    zm_shape_text(node->in[2]->shape, a, sizeof a), (long long)zm_dim(node->in[0], 0));
    *shape = node->in[0]->shape;
    return s;
}

static void cross_entropy_grad_reference(const zm_tensor *node)
{
    const float *x = node->in[0]->data, *gy = node->in[2]->data;
    const int32_t *label = node->in[1]->data;
    float *dx = node->data;
    int64_t R = zm_dim(node, 0), C = zm_dim(node, 1);
    for (int64_t r = 0; r < R; r++) {
        bool counts = label[r] >= 0 && label[r] < C;
        double top, lse = log_sum(x + r * C, C, &top);
        for (int64_t c = 0; c < C; c++)
            dx[r * C + c] = counts ? (float)(gy[r] * (exp(x[r * C + c] - lse) - (c == label[r]))) : 0;
    }
}

#define IDS                                                                                                            \
    {                                                                                                                  \
        [1] = ZM_I32                                                                                                   \
    }
#define PAIR(a, b)                                                                                                     \
    {                                                                                                                  \
        {2, {a, b}},                                                                                                   \
        {                                                                                                              \
            2,                                                                                                         \
            {                                                                                                          \
                a, b                                                                                                   \
            }                                                                                                          \
        }                                                                                                              \
    }
#define STORED(name_, type, D)                                                                                         \
    {                                                                                                                  \
        .name = name_, .n_in = 2, .shape = {{2, {11, D}}, {1, {5}}}, .dtype = {type, ZM_I32}, .below = 11              \
    }
static const zm_op_case embedding_cases[] = {
    {.name = "rows", .n_in = 2, .shape = {{2, {11, 7}}, {1, {5}}}, .dtype = IDS, .below = 11},
    {.name = "batch", .n_in = 2, .shape = {{2, {9, 20}}, {2, {3, 4}}}, .dtype = IDS, .below = 9},
    {.name = "ids past the table", .n_in = 2, .shape = {{2, {3, 5}}, {1, {40}}}, .dtype = IDS, .below = 6},
    {.name = "f16", .n_in = 2, .shape = {{2, {11, 7}}, {1, {5}}}, .dtype = {ZM_F16, ZM_I32}, .below = 11},
    {.name = "bf16", .n_in = 2, .shape = {{2, {11, 7}}, {1, {5}}}, .dtype = {ZM_BF16, ZM_I32}, .below = 11},
    STORED("q8_0", ZM_Q8_0, 64),
    STORED("q4_0", ZM_Q4_0, 96),
    STORED("q4_1", ZM_Q4_1, 64),
    STORED("q5_0", ZM_Q5_0, 32),
    STORED("q5_1", ZM_Q5_1, 96),
    STORED("q2_k", ZM_Q2_K, 256),
    STORED("q3_k", ZM_Q3_K, 256),
    STORED("q4_k", ZM_Q4_K, 512),
    STORED("q5_k", ZM_Q5_K, 256),
    STORED("q6_k", ZM_Q6_K, 512),
    STORED("f8_e4m3", ZM_F8_E4M3, 19),
    STORED("f8_e5m2", ZM_F8_E5M2, 7),
};
static const zm_op_case embedding_grad_cases[] = {
    {.name = "rows", .n_in = 2, .shape = {{1, {40}}, {2, {40, 7}}}, .dtype = {ZM_I32}, .attr.i = {11}, .below = 13},
    {.name = "batch", .n_in = 2, .shape = {{2, {3, 4}}, {3, {3, 4, 20}}}, .dtype = {ZM_I32}, .attr.i = {5}, .below = 5},
};
static const zm_op_case softmax_cases[] = {
    {.name = "one", .n_in = 1, .shape = {{1, {1}}}, .lo = -3, .hi = 3},
    {.name = "rows", .n_in = 1, .shape = {{2, {5, 37}}}, .lo = -5, .hi = 5},
    {.name = "large", .n_in = 1, .shape = {{3, {2, 3, 130}}}, .lo = -90, .hi = 90, .tolerance = 1e-5},
};
static const zm_op_case softmax_grad_cases[] = {
    {.name = "rows", .n_in = 2, .shape = PAIR(5, 37), .lo = 0, .hi = 1},
    {.name = "wide", .n_in = 2, .shape = PAIR(3, 401), .lo = 0, .hi = 0.1F},
};
static const zm_op_case cross_entropy_cases[] = {
    {.name = "rows", .n_in = 2, .shape = {{2, {6, 37}}, {1, {6}}}, .dtype = IDS, .lo = -4, .hi = 4, .below = 37},
    {.name = "labels without a class", .n_in = 2, .shape = {{2, {30, 5}}, {1, {30}}}, .dtype = IDS, .below = 9},
};
static const zm_op_case cross_entropy_grad_cases[] = {
    {.name = "rows",
     .n_in = 3,
     .shape = {{2, {6, 37}}, {1, {6}}, {1, {6}}},
     .dtype = IDS,
     .lo = -4,
     .hi = 4,
     .below = 37},
    {.name = "labels without a class",
     .n_in = 3,
     .shape = {{2, {30, 5}}, {1, {30}}, {1, {30}}},
     .dtype = IDS,
     .below = 9},
};

const zm_op zm_op_embedding = {.name = "embedding",
                               .min_in = 2,
                               .max_in = 2,
                               .shape = embedding_shape,
                               .reference = embedding_reference,
                               .gradient = embedding_gradient,
                               ZM_CASES(embedding_cases)};
const zm_op zm_op_embedding_grad = {.name = "embedding_grad",
                                    .min_in = 2,
                                    .max_in = 2,
                                    .shape = embedding_grad_shape,
                                    .reference = embedding_grad_reference,
                                    .tolerance = 1e-6,
                                    ZM_CASES(embedding_grad_cases)};
const zm_op zm_op_softmax = {.name = "softmax",
                             .min_in = 1,
                             .max_in = 1,
                             .shape = same_shape,
                             .reference = softmax_reference,
                             .gradient = softmax_gradient,
                             .in_place = true,
                             .tolerance = 2e-6,
                             ZM_CASES(softmax_cases)};
const zm_op zm_op_softmax_grad = {.name = "softmax_grad",
                                  .min_in = 2,
                                  .max_in = 2,
                                  .shape = same_shape,
                                  .reference = softmax_grad_reference,
                                  .in_place = true,
                                  .tolerance = 2e-6,
                                  ZM_CASES(softmax_grad_cases)};
const zm_op zm_op_cross_entropy = {.name = "cross_entropy",
                                   .min_in = 2,
                                   .max_in = 2,
                                   .shape = cross_entropy_shape,
                                   .reference = cross_entropy_reference,
                                   .gradient = cross_entropy_gradient,
                                   .tolerance = 3e-6,
                                   ZM_CASES(cross_entropy_cases)};
const zm_op zm_op_cross_entropy_grad = {.name = "cross_entropy_grad",
                                        .min_in = 3,
                                        .max_in = 3,
                                        .shape = cross_entropy_grad_shape,
                                        .reference = cross_entropy_grad_reference,
                                        .in_place = true,
                                        .tolerance = 3e-6,
                                        ZM_CASES(cross_entropy_grad_cases)};

zm_tensor *zm_embedding(zm_graph *g, zm_tensor *table, zm_tensor *ids)
{
    return zm_node(g, &zm_op_embedding, NULL, 2, (zm_tensor *[]){table, ids});
}

zm_tensor *zm_softmax(zm_graph *g, zm_tensor *x)
{
    return zm_node(g, &zm_op_softmax, NULL, 1, &x);
}

zm_tensor *zm_cross_entropy(zm_graph *g, zm_tensor *logits, zm_tensor *labels)
{
    return zm_node(g, &zm_op_cross_entropy, NULL, 2, (zm_tensor *[]){logits, labels});
}
