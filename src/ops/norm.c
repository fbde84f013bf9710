/* Normalisation over the last axis and the gated residual: shape rules, plain loops, gradients as graphs.
 * SPDX-License-Identifier: MIT */
#include "ops/norm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/layout.h"

/* A row's statistics: norm(x) = (x - mean) * r.  `follows`: r depends on x (an L2 norm below eps does not). */
typedef struct stats {
    double mean, r;
    bool follows;
} stats;

static stats stats_of(const zm_attr *attr, const float *x, int64_t D)
{
    stats s = {.follows = true};
    double sum = 0, square = 0, eps = attr->f[0];
    if (attr->i[0] == ZM_NORM_LAYER) {
        for (int64_t i = 0; i < D; i++)
            sum += x[i];
        s.mean = sum / (double)D;
    }
    for (int64_t i = 0; i < D; i++)
        square += (x[i] - s.mean) * (x[i] - s.mean);
    if (attr->i[0] == ZM_NORM_L2) {
        s.follows = sqrt(square) > eps;
        s.r = sqrt((double)D) / (s.follows ? sqrt(square) : eps);
    } else {
        s.r = 1 / sqrt(square / (double)D + eps);
    }
    return s;
}

/* dx of y = norm(x) for a row: u = d loss / d y read from up.  With n = norm(x):
 * dx = r (u - mean(u) [layer only] - n mean(u n)). */
static void row_grad(const zm_attr *attr, stats s, const float *x, const double *u, float *dx, int64_t D)
{
    double sum = 0, dot = 0;
    for (int64_t i = 0; i < D; i++) {
        sum += u[i];
        dot += u[i] * (x[i] - s.mean) * s.r;
    }
    sum = attr->i[0] == ZM_NORM_LAYER ? sum / (double)D : 0;
    dot = s.follows ? dot / (double)D : 0;
    for (int64_t i = 0; i < D; i++)
        dx[i] = (float)(s.r * (u[i] - sum - (x[i] - s.mean) * s.r * dot));
}

static const zm_tensor *optional(const zm_tensor *node, int i)
{
    return i < node->n_in ? node->in[i] : NULL;
}

static zm_status check_kind(const zm_tensor *node, zm_error *err)
{
    const zm_tensor *x = node->in[0];
    char a[96];
    if (node->attr.i[0] < ZM_NORM_LAYER || node->attr.i[0] > ZM_NORM_L2)
        return zm_fail(err, ZM_E_SHAPE, "%s: unknown kind %lld", node->op->name, (long long)node->attr.i[0]);
    if (x->dtype != ZM_F32 || x->shape.rank < 1)
        return zm_fail(err, ZM_E_SHAPE, "%s: x %s of %s is not f32 [..,D]", node->op->name,
                       zm_shape_text(x->shape, a, sizeof a), zm_dtype_name(x->dtype));
    return ZM_OK;
}

static zm_status check_same(const zm_tensor *node, const zm_tensor *t, const char *what, zm_error *err)
{
    char a[96], b[96];
    if (t && t->dtype == ZM_F32 && zm_shape_equal(t->shape, node->in[0]->shape))
        return ZM_OK;
    return zm_fail(err, ZM_E_SHAPE, "%s: %s %s is not f32 %s", node->op->name, what,
                   t ? zm_shape_text(t->shape, a, sizeof a) : "(absent)",
                   zm_shape_text(node->in[0]->shape, b, sizeof b));
}

static zm_status check_row(const zm_tensor *node, const zm_tensor *t, const char *what, zm_error *err)
{
    char a[96];
    if (!t || (t->dtype == ZM_F32 && zm_shape_elems(t->shape) == zm_dim(node->in[0], -1)))
        return ZM_OK;
    return zm_fail(err, ZM_E_SHAPE, "%s: %s %s of %s is not f32 [%lld]", node->op->name, what,
                   zm_shape_text(t->shape, a, sizeof a), zm_dtype_name(t->dtype), (long long)zm_dim(node->in[0], -1));
}

/* t holds one row of D for each of G groups, and G divides the rows of x. */
static zm_status check_groups(const zm_tensor *node, const zm_tensor *t, const char *what, zm_error *err)
{
    const zm_tensor *x = node->in[0];
    char a[96], b[96];
    int64_t D = zm_dim(x, -1), rows = zm_shape_elems(x->shape) / D, n = zm_shape_elems(t->shape);
    if (t->dtype == ZM_F32 && n % D == 0 && rows % (n / D) == 0)
        return ZM_OK;
    return zm_fail(err, ZM_E_SHAPE, "%s: %s %s of %s is not f32 with a row for each equal group of the rows of %s",
                   node->op->name, what, zm_shape_text(t->shape, a, sizeof a), zm_dtype_name(t->dtype),
                   zm_shape_text(x->shape, b, sizeof b));
}

static zm_status norm_shape(const zm_tensor *node, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)dtype;
    *shape = node->in[0]->shape;
    zm_status s = check_kind(node, err);
    s = s ? s : check_row(node, optional(node, 1), "weight", err);
    return s ? s : check_row(node, optional(node, 2), "bias", err);
}

static void norm_reference(const zm_tensor *node)
{
    const zm_tensor *weight = optional(node, 1), *bias = optional(node, 2);
    const float *x = node->in[0]->data, *w = weight ? weight->data : NULL, *b = bias ? bias->data : NULL;
    float *y = node->data;
    int64_t D = zm_dim(node, -1), n = zm_shape_elems(node->shape);
    for (int64_t r = 0; r < n; r += D) {
        stats s = stats_of(&node->attr, x + r, D);
        for (int64_t i = 0; i < D; i++)
            y[r + i] = (float)((x[r + i] - s.mean) * s.r * (w ? w[i] : 1) + (b ? b[i] : 0));
    }
}

static void norm_gradient(zm_graph *g, zm_tensor *node, zm_tensor *gy, zm_tensor **gin)
{
    zm_tensor *x = node->in[0], *weight = node->n_in > 1 ? node->in[1] : NULL,
              *bias = node->n_in > 2 ? node->in[2] : NULL;
    zm_attr attr = node->attr;
    attr.i[1] = bias != NULL;
    zm_tensor *flat = zm_node(g, &zm_op_norm_grad, &attr, 3, (zm_tensor *[]){x, weight, gy});
    int64_t n = zm_shape_elems(x->shape), D = zm_dim(x, -1);
    if (x->needs_grad)
        gin[0] = zm_view(g, flat, 0, x->shape);
    if (weight && weight->needs_grad)
        gin[1] = zm_view(g, flat, n, weight->shape);
    if (bias && bias->needs_grad)
        gin[2] = zm_view(g, flat, n + (weight ? D : 0), bias->shape);
}

static zm_status norm_grad_shape(const zm_tensor *node, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)dtype;
    const zm_tensor *x = node->in[0];
    zm_status s = check_kind(node, err);
    s = s ? s : check_row(node, optional(node, 1), "weight", err);
    s = s ? s : check_same(node, optional(node, 2), "gradient", err);
    if (!s)
        *shape = ZM_SHAPE(zm_shape_elems(x->shape) + zm_dim(x, -1) * ((node->in[1] != NULL) + (node->attr.i[1] != 0)));
    return s;
}

static void norm_grad_reference(const zm_tensor *node)
{
    const zm_tensor *t = node->in[0], *weight = node->in[1];
    const float *x = t->data, *w = weight ? weight->data : NULL, *gy = node->in[2]->data;
    int64_t D = zm_dim(t, -1), n = zm_shape_elems(t->shape);
    float *dx = node->data, *dw = dx + n, *db = dw + (w ? D : 0);
    double *u = zm_aligned_alloc((size_t)(3 * D) * sizeof *u), *sw = u + D, *sb = u + 2 * D;
    ZM_ASSERT(u);
    memset(u, 0, (size_t)(3 * D) * sizeof *u);
    for (int64_t r = 0; r < n; r += D) {
        stats s = stats_of(&node->attr, x + r, D);
        for (int64_t i = 0; i < D; i++) {
            u[i] = gy[r + i] * (w ? w[i] : 1.0);
            sw[i] += gy[r + i] * (x[r + i] - s.mean) * s.r;
            sb[i] += gy[r + i];
        }
        row_grad(&node->attr, s, x + r, u, dx + r, D);
    }
    for (int64_t i = 0; i < D && w; i++)
        dw[i] = (float)sw[i];
    for (int64_t i = 0; i < D && node->attr.i[1]; i++)
        db[i] = (float)sb[i];
    free(u);
}

static zm_status norm_modulate_shape(const zm_tensor *node, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)dtype;
    char a[96], b[96];
    *shape = node->in[0]->shape;
    zm_status s = check_kind(node, err);
    s = s ? s : check_groups(node, node->in[1], "scale", err);
    if (!s &&
        (node->in[2]->dtype != ZM_F32 || zm_shape_elems(node->in[1]->shape) != zm_shape_elems(node->in[2]->shape)))
        s = zm_fail(err, ZM_E_SHAPE, "norm_modulate: scale %s and shift %s differ in size",
                    zm_shape_text(node->in[1]->shape, a, sizeof a), zm_shape_text(node->in[2]->shape, b, sizeof b));
    return s;
}

static void norm_modulate_reference(const zm_tensor *node)
{
    const float *x = node->in[0]->data, *scale = node->in[1]->data, *shift = node->in[2]->data;
    float *y = node->data;
    int64_t D = zm_dim(node, -1), rows = zm_shape_elems(node->shape) / D, G = zm_shape_elems(node->in[1]->shape) / D;
    for (int64_t r = 0; r < rows; r++) {
        int64_t at = r / (rows / G) * D;
        stats s = stats_of(&node->attr, x + r * D, D);
        for (int64_t i = 0; i < D; i++)
            y[r * D + i] = (float)((x[r * D + i] - s.mean) * s.r * (1.0 + scale[at + i]) + shift[at + i]);
    }
}

static void norm_modulate_gradient(zm_graph *g, zm_tensor *node, zm_tensor *gy, zm_tensor **gin)
{
    zm_tensor **in = node->in;
    zm_tensor *flat = zm_node(g, &zm_op_norm_modulate_grad, &node->attr, 3, (zm_tensor *[]){in[0], in[1], gy});
    int64_t n = zm_shape_elems(in[0]->shape), m = zm_shape_elems(in[1]->shape);
    if (in[0]->needs_grad)
        gin[0] = zm_view(g, flat, 0, in[0]->shape);
    if (in[1]->needs_grad)
        gin[1] = zm_view(g, flat, n, in[1]->shape);
    if (in[2]->needs_grad)
        gin[2] = zm_view(g, flat, n + m, in[2]->shape);
}

static zm_status norm_modulate_grad_shape(const zm_tensor *node, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)dtype;
    zm_status s = check_kind(node, err);
    s = s ? s : check_groups(node, node->in[1], "scale", err);
    s = s ? s : check_same(node, node->in[2], "gradient", err);
    if (!s)
        *shape = ZM_SHAPE(zm_shape_elems(node->in[0]->shape) + 2 * zm_shape_elems(node->in[1]->shape));
    return s;
}

static void norm_modulate_grad_reference(const zm_tensor *node)
{
    const zm_tensor *t = node->in[0];
    const float *x = t->data, *scale = node->in[1]->data, *gy = node->in[2]->data;
    int64_t D = zm_dim(t, -1), rows = zm_shape_elems(t->shape) / D, G = zm_shape_elems(node->in[1]->shape) / D;
    float *dx = node->data, *dscale = dx + rows * D, *dshift = dscale + G * D;
    double *u = zm_aligned_alloc((size_t)(3 * D) * sizeof *u), *a = u + D, *b = u + 2 * D;
    ZM_ASSERT(u);
    for (int64_t k = 0; k < G; k++) {
        memset(u, 0, (size_t)(3 * D) * sizeof *u);
        for (int64_t r = k * (rows / G); r < (k + 1) * (rows / G); r++) {
            stats s = stats_of(&node->attr, x + r * D, D);
            for (int64_t i = 0; i < D; i++) {
                u[i] = gy[r * D + i] * (1.0 + scale[k * D + i]);
                a[i] += gy[r * D + i] * (x[r * D + i] - s.mean) * s.r;
                b[i] += gy[r * D + i];
            }
            row_grad(&node->attr, s, x + r * D, u, dx + r * D, D);
        }
        for (int64_t i = 0; i < D; i++) {
            dscale[k * D + i] = (float)a[i];
            dshift[k * D + i] = (float)b[i];
        }
    }
    free(u);
}

static zm_status gate_add_shape(const zm_tensor *node, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)dtype;
    const zm_tensor *x = node->in[0];
    char a[96];
    *shape = x->shape;
    if (x->dtype != ZM_F32 || x->shape.rank < 1)
        return zm_fail(err, ZM_E_SHAPE, "gate_add: x %s of %s is not f32 [..,D]", zm_shape_text(x->shape, a, sizeof a),
                       zm_dtype_name(x->dtype));
    zm_status s = check_same(node, node->in[1], "h", err);
    return s ? s : check_groups(node, node->in[2], "gate", err);
}

static void gate_add_reference(const zm_tensor *node)
{
    const float *x = node->in[0]->data, *h = node->in[1]->data, *gate = node->in[2]->data;
    float *y = node->data;
    int64_t D = zm_dim(node, -1), rows = zm_shape_elems(node->shape) / D, G = zm_shape_elems(node->in[2]->shape) / D;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < D; i++)
            y[r * D + i] = (float)(x[r * D + i] + (double)h[r * D + i] * gate[r / (rows / G) * D + i]);
}

static void gate_add_gradient(zm_graph *g, zm_tensor *node, zm_tensor *gy, zm_tensor **gin)
{
    zm_tensor *h = node->in[1], *gate = node->in[2];
    if (node->in[0]->needs_grad)
        gin[0] = gy;
    if (!h->needs_grad && !gate->needs_grad)
        return;
    zm_tensor *flat = zm_node(g, &zm_op_gate_add_grad, NULL, 3, (zm_tensor *[]){h, gate, gy});
    if (h->needs_grad)
        gin[1] = zm_view(g, flat, 0, h->shape);
    if (gate->needs_grad)
        gin[2] = zm_view(g, flat, zm_shape_elems(h->shape), gate->shape);
}

static zm_status gate_add_grad_shape(const zm_tensor *node, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)dtype;
    zm_status s = check_groups(node, node->in[1], "gate", err);
    s = s ? s : check_same(node, node->in[2], "gradient", err);
    if (!s)
        *shape = ZM_SHAPE(zm_shape_elems(node->in[0]->shape) + zm_shape_elems(node->in[1]->shape));
    return s;
}

static void gate_add_grad_reference(const zm_tensor *node)
{
    const zm_tensor *t = node->in[0];
    const float *h = t->data, *gate = node->in[1]->data, *gy = node->in[2]->data;
    int64_t D = zm_dim(t, -1), rows = zm_shape_elems(t->shape) / D, G = zm_shape_elems(node->in[1]->shape) / D;
    float *dh = node->data, *dgate = dh + rows * D;
    for (int64_t k = 0; k < G; k++)
        for (int64_t i = 0; i < D; i++) {
            double sum = 0;
            for (int64_t r = k * (rows / G); r < (k + 1) * (rows / G); r++) {
                sum += (double)gy[r * D + i] * h[r * D + i];
                dh[r * D + i] = gy[r * D + i] * gate[k * D + i];
            }
            dgate[k * D + i] = (float)sum;
        }
}

#define KIND(kind, eps)      .attr = {.i = {kind}, .f = {eps}}
#define KIND_BIAS(kind, eps) .attr = {.i = {kind, 1}, .f = {eps}}
#define S2(a, b)                                                                                                       \
    {                                                                                                                  \
        2,                                                                                                             \
        {                                                                                                              \
            a, b                                                                                                       \
        }                                                                                                              \
    }
#define NONE                                                                                                           \
    {                                                                                                                  \
        .rank = -1                                                                                                     \
    }
static const zm_op_case norm_cases[] = {
    {.name = "layer", .n_in = 1, .shape = {S2(5, 37)}, KIND(ZM_NORM_LAYER, 1e-5)},
    {.name = "layer, weight and bias",
     .n_in = 3,
     .shape = {S2(7, 20), {1, {20}}, {1, {20}}},
     KIND(ZM_NORM_LAYER, 1e-5)},
    {.name = "layer, bias alone", .n_in = 3, .shape = {S2(3, 28), NONE, {1, {28}}}, KIND(ZM_NORM_LAYER, 1e-6)},
    {.name = "layer, many rows", .n_in = 2, .shape = {{3, {4, 75, 64}}, {1, {64}}}, KIND(ZM_NORM_LAYER, 1e-6)},
    {.name = "rms", .n_in = 1, .shape = {S2(5, 40)}, KIND(ZM_NORM_RMS, 1e-6)},
    {.name = "rms, weight", .n_in = 2, .shape = {{4, {2, 3, 2, 31}}, {1, {31}}}, KIND(ZM_NORM_RMS, 1e-6)},
    {.name = "l2, weight", .n_in = 2, .shape = {{3, {2, 3, 48}}, {1, {48}}}, KIND(ZM_NORM_L2, 1e-12)},
    {.name = "l2, weight and bias", .n_in = 3, .shape = {S2(3, 130), {1, {130}}, {1, {130}}}, KIND(ZM_NORM_L2, 1e-12)},
    {.name = "l2 below eps", .n_in = 1, .shape = {S2(4, 6)}, KIND(ZM_NORM_L2, 100)},
    {.name = "layer, one column", .n_in = 1, .shape = {S2(4, 1)}, KIND(ZM_NORM_LAYER, 1e-2)},
};
static const zm_op_case norm_grad_cases[] = {
    {.name = "layer", .n_in = 3, .shape = {S2(5, 37), NONE, S2(5, 37)}, KIND(ZM_NORM_LAYER, 1e-5)},
    {.name = "layer, weight and bias",
     .n_in = 3,
     .shape = {S2(7, 20), {1, {20}}, S2(7, 20)},
     KIND_BIAS(ZM_NORM_LAYER, 1e-5)},
    {.name = "layer, bias alone", .n_in = 3, .shape = {S2(7, 20), NONE, S2(7, 20)}, KIND_BIAS(ZM_NORM_LAYER, 1e-5)},
    {.name = "rms, many rows", .n_in = 3, .shape = {S2(501, 31), {1, {31}}, S2(501, 31)}, KIND(ZM_NORM_RMS, 1e-6)},
    {.name = "l2", .n_in = 3, .shape = {S2(67, 48), {1, {48}}, S2(67, 48)}, KIND(ZM_NORM_L2, 1e-12)},
    {.name = "l2 below eps", .n_in = 3, .shape = {S2(4, 6), NONE, S2(4, 6)}, KIND(ZM_NORM_L2, 100)},
};
static const zm_op_case norm_modulate_cases[] = {
    {.name = "one group", .n_in = 3, .shape = {S2(5, 37), {1, {37}}, {1, {37}}}, KIND(ZM_NORM_LAYER, 1e-6)},
    {.name = "a group for each row", .n_in = 3, .shape = {S2(5, 20), S2(5, 20), S2(5, 20)}, KIND(ZM_NORM_LAYER, 1e-6)},
    {.name = "frames",
     .n_in = 3,
     .shape = {{3, {2, 12, 28}}, {4, {2, 3, 1, 28}}, S2(6, 28)},
     KIND(ZM_NORM_LAYER, 1e-6)},
    {.name = "rms", .n_in = 3, .shape = {{3, {2, 70, 32}}, S2(2, 32), S2(2, 32)}, KIND(ZM_NORM_RMS, 1e-6)},
    {.name = "l2", .n_in = 3, .shape = {S2(6, 40), S2(3, 40), S2(3, 40)}, KIND(ZM_NORM_L2, 1e-12)},
};
static const zm_op_case norm_modulate_grad_cases[] = {
    {.name = "one group", .n_in = 3, .shape = {S2(5, 37), {1, {37}}, S2(5, 37)}, KIND(ZM_NORM_LAYER, 1e-6)},
    {.name = "one group, many rows",
     .n_in = 3,
     .shape = {S2(333, 37), {1, {37}}, S2(333, 37)},
     KIND(ZM_NORM_LAYER, 1e-6)},
    {.name = "a group for each row", .n_in = 3, .shape = {S2(5, 20), S2(5, 20), S2(5, 20)}, KIND(ZM_NORM_LAYER, 1e-6)},
    {.name = "frames",
     .n_in = 3,
     .shape = {{3, {2, 120, 28}}, {3, {2, 5, 28}}, {3, {2, 120, 28}}},
     KIND(ZM_NORM_LAYER, 1e-6)},
    {.name = "rms", .n_in = 3, .shape = {S2(140, 64), S2(2, 64), S2(140, 64)}, KIND(ZM_NORM_RMS, 1e-6)},
};
#define GATE(text, R, G, D)                                                                                            \
    {                                                                                                                  \
        .name = text, .n_in = 3, .shape = { S2(R, D), S2(R, D), S2(G, D) }                                             \
    }
#define GATE_GRAD(text, R, G, D)                                                                                       \
    {                                                                                                                  \
        .name = text, .n_in = 3, .shape = { S2(R, D), S2(G, D), S2(R, D) }                                             \
    }
static const zm_op_case gate_add_cases[] = {
    GATE("one group", 5, 1, 37),
    GATE("a group for each row", 5, 5, 20),
    GATE("groups", 24, 3, 28),
    GATE("many rows", 600, 4, 64),
};
static const zm_op_case gate_add_grad_cases[] = {
    GATE_GRAD("one group", 5, 1, 37),   GATE_GRAD("a group for each row", 5, 5, 20),   GATE_GRAD("groups", 24, 3, 28),
    GATE_GRAD("many rows", 600, 4, 64), GATE_GRAD("one group, many rows", 601, 1, 19),
};

const zm_op zm_op_norm = {.name = "norm",
                          .min_in = 1,
                          .max_in = 3,
                          .shape = norm_shape,
                          .reference = norm_reference,
                          .gradient = norm_gradient,
                          .in_place = true,
                          .tolerance = 3e-6,
                          ZM_CASES(norm_cases)};
const zm_op zm_op_norm_grad = {.name = "norm_grad",
                               .min_in = 1,
                               .max_in = 3,
                               .shape = norm_grad_shape,
                               .reference = norm_grad_reference,
                               .tolerance = 1e-5,
                               ZM_CASES(norm_grad_cases)};
const zm_op zm_op_norm_modulate = {.name = "norm_modulate",
                                   .min_in = 3,
                                   .max_in = 3,
                                   .shape = norm_modulate_shape,
                                   .reference = norm_modulate_reference,
                                   .gradient = norm_modulate_gradient,
                                   .in_place = true,
                                   .tolerance = 3e-6,
                                   ZM_CASES(norm_modulate_cases)};
const zm_op zm_op_norm_modulate_grad = {.name = "norm_modulate_grad",
                                        .min_in = 3,
                                        .max_in = 3,
                                        .shape = norm_modulate_grad_shape,
                                        .reference = norm_modulate_grad_reference,
                                        .tolerance = 1e-5,
                                        ZM_CASES(norm_modulate_grad_cases)};
const zm_op zm_op_gate_add = {.name = "gate_add",
                              .min_in = 3,
                              .max_in = 3,
                              .shape = gate_add_shape,
                              .reference = gate_add_reference,
                              .gradient = gate_add_gradient,
                              .in_place = true,
                              .tolerance = 1e-6,
                              ZM_CASES(gate_add_cases)};
const zm_op zm_op_gate_add_grad = {.name = "gate_add_grad",
                                   .min_in = 3,
                                   .max_in = 3,
                                   .shape = gate_add_grad_shape,
                                   .reference = gate_add_grad_reference,
                                   .tolerance = 5e-6,
                                   ZM_CASES(gate_add_grad_cases)};

zm_tensor *zm_norm(zm_graph *g, zm_norm_kind kind, zm_tensor *x, zm_tensor *weight, zm_tensor *bias, double eps)
{
    zm_attr attr = {.i = {kind}, .f = {eps}};
    return zm_node(g, &zm_op_norm, &attr, bias ? 3 : weight ? 2 : 1, (zm_tensor *[]){x, weight, bias});
}

zm_tensor *zm_norm_modulate(zm_graph *g, zm_norm_kind kind, zm_tensor *x, zm_tensor *scale, zm_tensor *shift,
                            double eps)
{
    zm_attr attr = {.i = {kind}, .f = {eps}};
    return zm_node(g, &zm_op_norm_modulate, &attr, 3, (zm_tensor *[]){x, scale, shift});
}

zm_tensor *zm_gate_add(zm_graph *g, zm_tensor *x, zm_tensor *h, zm_tensor *gate)
{
    return zm_node(g, &zm_op_gate_add, NULL, 3, (zm_tensor *[]){x, h, gate});
}
