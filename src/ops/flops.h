/* Counting the arithmetic of a graph, for throughput lines and plans.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_OPS_FLOPS_H
#define ZM_OPS_FLOPS_H

#include "tensor/tensor.h"

/* Multiply-adds of matrix products, convolutions and attention, times two; all else counts nothing.  Work that a
 * kernel repeats to save memory is not counted. */
double zm_node_flops(const zm_tensor *t);
double zm_graph_flops(const zm_graph *g);

#endif
