/* Elementwise functions of one tensor.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_OPS_UNARY_H
#define ZM_OPS_UNARY_H

#include "tensor/op.h"

/* One row per function f(x): enum, name. */
#define ZM_UNARY_TABLE(X)                                                                                              \
    X(ZM_IDENTITY, "identity")                                                                                         \
    X(ZM_SILU, "silu")           /* x / (1 + exp(-x)) */                                                               \
    X(ZM_GELU_TANH, "gelu_tanh") /* Hendrycks & Gimpel 2016, tanh approximation */                                     \
    X(ZM_GELU_ERF, "gelu_erf")   /* exact, x Phi(x) */                                                                 \
    X(ZM_RELU, "relu")                                                                                                 \
    X(ZM_SIGMOID, "sigmoid")                                                                                           \
    X(ZM_TANH, "tanh")                                                                                                 \
    X(ZM_EXP, "exp")                                                                                                   \
    X(ZM_LOG, "log")                                                                                                   \
    X(ZM_SQRT, "sqrt")                                                                                                 \
    X(ZM_SQUARE, "square")                                                                                             \
    X(ZM_ABS, "abs")           /* derivative 0 at 0 */                                                                 \
    X(ZM_SOFTPLUS, "softplus") /* log(1 + exp(x)) */                                                                   \
    X(ZM_CLAMP1, "clamp1")     /* to [-1, 1]; derivative 0 outside */

typedef enum {
#define ZM_UNARY_ENUM(code, name) code,
    ZM_UNARY_TABLE(ZM_UNARY_ENUM)
#undef ZM_UNARY_ENUM
        ZM_UNARY_COUNT
} zm_unary_kind;

const char *zm_unary_name(zm_unary_kind k);
/* f(x) and f'(x), the plain definitions every kernel is held to. */
float zm_unary_value(zm_unary_kind k, float x);
float zm_unary_slope(zm_unary_kind k, float x);

extern const zm_op zm_op_unary;      /* in: x; attr i[0] kind */
extern const zm_op zm_op_unary_grad; /* in: x, gy -> f'(x) gy; attr i[0] kind */
extern const zm_op zm_op_affine;     /* in: x -> f[0] x + f[1] */

zm_tensor *zm_unary(zm_graph *g, zm_unary_kind k, zm_tensor *x);
zm_tensor *zm_affine(zm_graph *g, zm_tensor *x, double a, double b);

#endif
