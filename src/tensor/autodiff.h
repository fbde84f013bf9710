/* Gradients as graphs: reverse-mode differentiation that appends nodes to the same graph.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TENSOR_AUTODIFF_H
#define ZM_TENSOR_AUTODIFF_H

#include "tensor/tensor.h"

/* What differentiation needs from the ops room, handed in so that the tensor room stays below it. */
typedef struct zm_grad_ops {
    zm_tensor *(*add)(zm_graph *g, zm_tensor *a, zm_tensor *b);
} zm_grad_ops;

/* Ask for a leaf's gradient; call before nodes that use it are built.  Returns t. */
zm_tensor *zm_want_grad(zm_tensor *t);

/* Append d loss/d wrt[i] for i < n into grad[i] (NULL where loss does not depend on wrt[i]).  `loss_grad` has
 * loss's shape (a tensor of ones for a scalar loss).  Nodes of a segment are recomputed right before their own
 * backward pass (Chen et al. 2016, "Training deep nets with sublinear memory cost"). */
void zm_gradient(zm_graph *g, const zm_grad_ops *ops, zm_tensor *loss, zm_tensor *loss_grad, int n,
                 zm_tensor *const *wrt, zm_tensor **grad);

#endif
