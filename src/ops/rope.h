/* Rotary position embedding on interleaved pairs.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_OPS_ROPE_H
#define ZM_OPS_ROPE_H

#include "tensor/op.h"

/* in: x [B,N,H,d], cos [N,d/2], sin [N,d/2]; attr i[0] = 1 rotates backwards (the gradient). */
extern const zm_op zm_op_rope;

/* (x[2i], x[2i+1]) turned by the angle whose cosine and sine stand in the tables at [n,i] (Su et al. 2021, RoFormer). */
zm_tensor *zm_rope(zm_graph *g, zm_tensor *x, zm_tensor *cos, zm_tensor *sin);

#endif
