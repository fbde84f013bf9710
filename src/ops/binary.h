/* Elementwise arithmetic of two tensors with numpy broadcasting, and its inverse: sums back to a shape.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_OPS_BINARY_H
#define ZM_OPS_BINARY_H

#include "tensor/op.h"

typedef enum { ZM_ADD, ZM_SUB, ZM_MUL, ZM_DIV } zm_binary_kind;

extern const zm_op zm_op_binary; /* in: a, b; attr i[0] kind; shapes aligned at the right, dims equal or 1 */
extern const zm_op
    zm_op_sum_to; /* in: x; attr i[0] rank, i[1..] dims: sum x over the dims that broadcasting would add */
extern const zm_op zm_op_broadcast; /* in: x; attr as sum_to: repeat x to that shape */

zm_tensor *zm_add(zm_graph *g, zm_tensor *a, zm_tensor *b);
zm_tensor *zm_sub(zm_graph *g, zm_tensor *a, zm_tensor *b);
zm_tensor *zm_mul(zm_graph *g, zm_tensor *a, zm_tensor *b);
zm_tensor *zm_div(zm_graph *g, zm_tensor *a, zm_tensor *b);
zm_tensor *zm_sum_to(zm_graph *g, zm_tensor *x, zm_shape shape);
zm_tensor *zm_broadcast(zm_graph *g, zm_tensor *x, zm_shape shape);
/* Sum or mean of all elements -> [1]. */
zm_tensor *zm_sum(zm_graph *g, zm_tensor *x);
zm_tensor *zm_mean(zm_graph *g, zm_tensor *x);

#endif
