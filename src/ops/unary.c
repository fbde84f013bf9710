/* Elementwise functions of one tensor.
 * SPDX-License-Identifier: MIT */
#include "ops/unary.h"

#include <math.h>

static const char *const names[] = {
#define UNARY_NAME(code, name) name,
    ZM_UNARY_TABLE(UNARY_NAME)
#undef UNARY_NAME
};

static const double GELU_A = 0.7978845608028654, GELU_B = 0.044715; /* sqrt(2/pi) */

const char *zm_unary_name(zm_unary_kind k)
{
    return (unsigned)k < ZM_UNARY_COUNT ? names[k] : "unknown";
}

float zm_unary_value(zm_unary_kind k, float xf)
{
    double x = xf;
    switch (k) {
    case ZM_IDENTITY:
        return xf;
    case ZM_SILU:
        return (float)(x / (1 + exp(-x)));
    case ZM_GELU_TANH:
        return (float)(0.5 * x * (1 + tanh(GELU_A * (x + GELU_B * x * x * x))));
    case ZM_GELU_ERF:
        return (float)(0.5 * x * (1 + erf(x * 0.70710678118654752)));
    case ZM_RELU:
        return xf > 0 ? xf : 0;
    case ZM_SIGMOID:
        return (float)(1 / (1 + exp(-x)));
    case ZM_TANH:
        return (float)tanh(x);
    case ZM_EXP:
        return (float)exp(x);
    case ZM_LOG:
        return (float)log(x);
    case ZM_SQRT:
        return sqrtf(xf);
    case ZM_SQUARE:
        return xf * xf;
    case ZM_ABS:
        return fabsf(xf);
    case ZM_SOFTPLUS:
        return (float)(x > 30 ? x : log1p(exp(x)));
    case ZM_CLAMP1:
        return fminf(1, fmaxf(-1, xf));
    case ZM_UNARY_COUNT:
        break;
    }
    ZM_ASSERT(!"unary kind");
    return 0;
}

float zm_unary_slope(zm_unary_kind k, float xf)
{
    double x = xf, s, t;
    switch (k) {
    case ZM_IDENTITY:
        return 1;
    case ZM_SILU:
        s = 1 / (1 + exp(-x));
        return (float)(s * (1 + x * (1 - s)));
    case ZM_GELU_TANH:
        t = tanh(GELU_A * (x + GELU_B * x * x * x));
        return (float)(0.5 * (1 + t) + 0.5 * x * (1 - t * t) * GELU_A * (1 + 3 * GELU_B * x * x));
    case ZM_GELU_ERF:
        return (float)(0.5 * (1 + erf(x * 0.70710678118654752)) + x * 0.3989422804014327 * exp(-0.5 * x * x));
    case ZM_RELU:
        return xf > 0;
    case ZM_SIGMOID:
        s = 1 / (1 + exp(-x));
        return (float)(s * (1 - s));
    case ZM_TANH:
        t = tanh(x);
        return (float)(1 - t * t);
    case ZM_EXP:
        return (float)exp(x);
    case ZM_LOG:
        return (float)(1 / x);
    case ZM_SQRT:
        return (float)(0.5 / sqrt(x));
    case ZM_SQUARE:
        return 2 * xf;
    case ZM_ABS:
        return (float)((xf > 0) - (xf < 0));
    case ZM_SOFTPLUS:
        return (float)(1 / (1 + exp(-x)));
    case ZM_CLAMP1:
        return xf > -1 && xf < 1;
    case ZM_UNARY_COUNT:
        break;
    }
    ZM_ASSERT(!"unary kind");
    return 0;
}

static zm_status kind_is_known(const zm_tensor *t, zm_error *err)
{
    return t->attr.i[0] >= 0 && t->attr.i[0] < ZM_UNARY_COUNT
               ? ZM_OK
               : zm_fail(err, ZM_E_SHAPE, "%s: unknown function %lld", t->op->name, (long long)t->attr.i[0]);
}

static zm_status unary_shape(const zm_tensor *t, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)dtype;
    *shape = t->in[0]->shape;
    return kind_is_known(t, err);
}

static void unary_reference(const zm_tensor *t)
{
    const float *x = t->in[0]->data;
    float *y = t->data;
    for (int64_t i = 0, n = zm_shape_elems(t->shape); i < n; i++)
        y[i] = zm_unary_value((zm_unary_kind)t->attr.i[0], x[i]);
}

static void unary_gradient(zm_graph *g, zm_tensor *t, zm_tensor *gy, zm_tensor **gin)
{
    gin[0] = zm_node(g, &zm_op_unary_grad, &t->attr, 2, (zm_tensor *[]){t->in[0], gy});
}

static zm_status unary_grad_shape(const zm_tensor *t, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    char a[96], b[96];
    if (!zm_shape_equal(t->in[0]->shape, t->in[1]->shape))
        return zm_fail(err, ZM_E_SHAPE, "unary_grad: x %s and gradient %s differ",
                       zm_shape_text(t->in[0]->shape, a, sizeof a), zm_shape_text(t->in[1]->shape, b, sizeof b));
    return unary_shape(t, shape, dtype, err);
}

static void unary_grad_reference(const zm_tensor *t)
{
    const float *x = t->in[0]->data, *gy = t->in[1]->data;
    float *y = t->data;
    for (int64_t i = 0, n = zm_shape_elems(t->shape); i < n; i++)
        y[i] = gy[i] * zm_unary_slope((zm_unary_kind)t->attr.i[0], x[i]);
}

static zm_status affine_shape(const zm_tensor *t, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)dtype;
    (void)err;
    *shape = t->in[0]->shape;
    return ZM_OK;
}

static void affine_reference(const zm_tensor *t)
{
    const float *x = t->in[0]->data;
    float *y = t->data, a = (float)t->attr.f[0], b = (float)t->attr.f[1];
    for (int64_t i = 0, n = zm_shape_elems(t->shape); i < n; i++)
        y[i] = a * x[i] + b;
}

static void affine_gradient(zm_graph *g, zm_tensor *t, zm_tensor *gy, zm_tensor **gin)
{
    gin[0] = zm_affine(g, gy, t->attr.f[0], 0);
}

#define ONE(kind_name, kind)                                                                                           \
    {                                                                                                                  \
        .name = kind_name, .n_in = 1, .shape = {{2, {3, 37}}}, .attr.i[0] = kind, .lo = -3, .hi = 3                    \
    }
#define POSITIVE(kind_name, kind)                                                                                      \
    {                                                                                                                  \
        .name = kind_name, .n_in = 1, .shape = {{2, {3, 37}}}, .attr.i[0] = kind, .lo = 0.3F, .hi = 3                  \
    }
#define TWO(kind_name, kind)                                                                                           \
    {                                                                                                                  \
        .name = kind_name, .n_in = 2, .shape = {{2, {5, 19}}, {2, {5, 19}}}, .attr.i[0] = kind, .lo = -3, .hi = 3      \
    }
static const zm_op_case unary_cases[] = {
    ONE("identity", ZM_IDENTITY),
    ONE("silu", ZM_SILU),
    ONE("gelu_tanh", ZM_GELU_TANH),
    ONE("gelu_erf", ZM_GELU_ERF),
    ONE("sigmoid", ZM_SIGMOID),
    ONE("tanh", ZM_TANH),
    ONE("exp", ZM_EXP),
    POSITIVE("log", ZM_LOG),
    POSITIVE("sqrt", ZM_SQRT),
    ONE("square", ZM_SQUARE),
    POSITIVE("abs", ZM_ABS),
    ONE("softplus", ZM_SOFTPLUS),
    POSITIVE("relu", ZM_RELU),
    {.name = "clamp1", .n_in = 1, .shape = {{1, {70}}}, .attr.i[0] = ZM_CLAMP1, .lo = -0.9F, .hi = 0.9F},
    {.name = "silu long", .n_in = 1, .shape = {{1, {100003}}}, .attr.i[0] = ZM_SILU, .lo = -20, .hi = 20},
};
static const zm_op_case unary_grad_cases[] = {
    TWO("silu", ZM_SILU),         TWO("gelu_tanh", ZM_GELU_TANH),
    TWO("gelu_erf", ZM_GELU_ERF), TWO("sigmoid", ZM_SIGMOID),
    TWO("tanh", ZM_TANH),         TWO("exp", ZM_EXP),
    TWO("square", ZM_SQUARE),     TWO("abs", ZM_ABS),
    TWO("relu", ZM_RELU),         TWO("softplus", ZM_SOFTPLUS),
    TWO("clamp1", ZM_CLAMP1),     TWO("identity", ZM_IDENTITY),
};
static const zm_op_case affine_cases[] = {
    {.name = "scale and shift", .n_in = 1, .shape = {{3, {2, 5, 7}}}, .attr.f = {-1.5, 0.25}},
    {.name = "one element", .n_in = 1, .shape = {{1, {1}}}, .attr.f = {3, 0}},
};

const zm_op zm_op_unary = {.name = "unary",
                           .min_in = 1,
                           .max_in = 1,
                           .shape = unary_shape,
                           .reference = unary_reference,
                           .gradient = unary_gradient,
                           .in_place = true,
                           .tolerance = 2e-6,
                           ZM_CASES(unary_cases)};
const zm_op zm_op_unary_grad = {.name = "unary_grad",
                                .min_in = 2,
                                .max_in = 2,
                                .shape = unary_grad_shape,
                                .reference = unary_grad_reference,
                                .in_place = true,
                                .tolerance = 3e-6,
                                ZM_CASES(unary_grad_cases)};
const zm_op zm_op_affine = {.name = "affine",
                            .min_in = 1,
                            .max_in = 1,
                            .shape = affine_shape,
                            .reference = affine_reference,
                            .gradient = affine_gradient,
                            .in_place = true,
                            .tolerance = 1e-6,
                            ZM_CASES(affine_cases)};

zm_tensor *zm_unary(zm_graph *g, zm_unary_kind k, zm_tensor *x)
{
    return k == ZM_IDENTITY ? x : zm_node(g, &zm_op_unary, &(zm_attr){.i = {k}}, 1, &x);
}

zm_tensor *zm_affine(zm_graph *g, zm_tensor *x, double a, double b)
{
    return zm_node(g, &zm_op_affine, &(zm_attr){.f = {a, b}}, 1, &x);
}
