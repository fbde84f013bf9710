/* Matrix products with fused bias and activation.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_OPS_MATMUL_H
#define ZM_OPS_MATMUL_H

#include "ops/unary.h"
#include "tensor/op.h"

/* Inputs: a, b, optional bias [N].  attr: i[0] transpose a, i[1] transpose b, i[2] zm_unary_kind applied last (0 none). */
extern const zm_op zm_op_matmul;

/* a [..,M,K] (or [..,K,M] when ta) times b [..,K,N] (or [..,N,K] when tb) -> [..,M,N].  Leading dims are equal, or
 * b has rank 2 and a's leading dims (ta false) join M. */
zm_tensor *zm_matmul(zm_graph *g, zm_tensor *a, zm_tensor *b, bool ta, bool tb);
/* y[..,N] = act(x[..,K] w[N,K]^T + bias[N]); bias NULL: none; act ZM_IDENTITY: none.  w may be of any weight type (zm_dtype_is_weight).
 * When a gradient is wanted the activation becomes a node of its own, so that its input is kept. */
zm_tensor *zm_linear(zm_graph *g, zm_tensor *x, zm_tensor *w, zm_tensor *bias, zm_unary_kind act);

#endif
