/* Counting the arithmetic of a graph.
 * SPDX-License-Identifier: MIT */
#include "ops/flops.h"

#include "ops/ops.h"

static double attention_flops(const zm_tensor *q, const zm_tensor *k, const zm_tensor *v)
{
    double pairs = (double)zm_dim(q, 0) * (double)zm_dim(q, 1) * (double)zm_dim(k, 1) * (double)zm_dim(q, 2);
    return 2 * pairs * (double)(zm_dim(q, 3) + zm_dim(v, 3));
}

double zm_node_flops(const zm_tensor *t)
{
    if (t->op == &zm_op_matmul) {
        double inner = (double)zm_dim(t->in[0], t->attr.i[0] ? -2 : -1);
        return 2 * (double)zm_shape_elems(t->shape) * inner;
    }
    if (t->op == &zm_op_conv)
        return 2 * (double)zm_shape_elems(t->shape) * (double)zm_shape_elems(t->in[1]->shape) /
               (double)zm_dim(t->in[1], 0);
    if (t->op == &zm_op_conv_grad_x)
        return 2 * (double)zm_shape_elems(t->in[1]->shape) * (double)zm_shape_elems(t->in[0]->shape) /
               (double)zm_dim(t->in[0], 0);
    if (t->op == &zm_op_conv_grad_w)
        return 2 * (double)zm_shape_elems(t->in[1]->shape) * (double)zm_shape_elems(t->shape) / (double)zm_dim(t, 0);
    if (t->op == &zm_op_attention)
        return attention_flops(t->in[0], t->in[1], t->in[2]);
    if (t->op == &zm_op_attention_grad) /* dV, dP, dQ, dK: twice the forward; scores are recomputed and not counted */
        return 2 * attention_flops(t->in[0], t->in[1], t->in[2]);
    return 0;
}

double zm_graph_flops(const zm_graph *g)
{
    double sum = 0;
    for (int i = 0; i < zm_graph_size(g); i++)
        sum += zm_node_flops(zm_graph_at(g, i));
    return sum;
}
