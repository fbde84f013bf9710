/* Which linear maps of a graph may be made of 8-bit numbers when it is asked for: one rule, for bytes on the CPU
 * (cpu/int8_node.h) and for 8-bit floats on a card (cuda/fp8.h).
 *
 * By size and place alone, so that it needs no names:
 *  - weights are a leaf of the graph that no gradient is asked of;
 *  - 256 channels or more on both sides: first and last layers turn few numbers into many or many into few;
 *  - 64 rows or more: maps of fewer tell of time and modulate every token.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_COARSE_H
#define ZM_BACKEND_COARSE_H

#include "tensor/tensor.h"

/* Of a node of matmul: NULL, or which part of the rule leaves it as it is. */
const char *zm_coarse_linear(const zm_tensor *node);

#endif
