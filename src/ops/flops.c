/* Counting the arithmetic of a graph.
 * SPDX-License-Identifier: MIT */
#include "ops/flops.h"

#include "ops/ops.h"

/* Pairs of queries and keys they may see; lengths of keys are not known here and count as full. */
static double visible_pairs(const zm_tensor *t)
{
    int64_t Nq = zm_dim(t->in[0], 1), Nk = zm_dim(t->in[1], 1);
    zm_block_causal m = zm_block_causal_of(t);
    double pairs = 0;
    int64_t step = m.block ? m.block : Nq;
    for (int64_t i = 0; i < Nq; i += step) {
        zm_key_spans s = zm_block_causal_keys(&m, i, i, Nk);
        pairs += (double)(Nq - i < step ? Nq - i : step) * (double)(s.sink + s.to - s.from);
    }
    return pairs;
}

static double attention_flops(const zm_tensor *t)
{
    const zm_tensor *q = t->in[0], *v = t->in[2];
    double heads = (double)zm_dim(q, 0) * (double)zm_dim(q, 2);
    return 2 * heads * visible_pairs(t) * (double)(zm_dim(q, 3) + zm_dim(v, 3));
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
        return attention_flops(t);
    if (t->op == &zm_op_attention_grad) /* dV, dP, dQ, dK: twice the forward; scores are recomputed and not counted */
        return 2 * attention_flops(t);
    return 0;
}

double zm_graph_flops(const zm_graph *g)
{
    double sum = 0;
    for (int i = 0; i < zm_graph_size(g); i++)
        sum += zm_node_flops(zm_graph_at(g, i));
    return sum;
}
