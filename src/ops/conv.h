/* Convolution over frames, height and width, channels last.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_OPS_CONV_H
#define ZM_OPS_CONV_H

#include "tensor/op.h"

typedef struct zm_conv_shape { /* order: frames, height, width; zeros of padding before and after */
    int stride[3], before[3], after[3];
} zm_conv_shape;

/* in: x [B,F,H,W,C], w [O,C,kf,kh,kw] (the checkpoints' order), optional bias [O]; out [B,F',H',W',O].
 * attr i[0..2] stride, i[3..5] before, i[6..8] after; grad_x also i[9..11] = F,H,W of x; grad_w i[9..11] = kf,kh,kw. */
extern const zm_op zm_op_conv;
extern const zm_op zm_op_conv_grad_x; /* in: w, gy -> [B,F,H,W,C] */
extern const zm_op zm_op_conv_grad_w; /* in: x, gy -> [O,C,kf,kh,kw] */

/* Cross-correlation, as the field's frameworks mean it.  A causal video convolution pads kf-1 before, 0 after. */
zm_tensor *zm_conv(zm_graph *g, zm_tensor *x, zm_tensor *w, zm_tensor *bias, const zm_conv_shape *shape);

#endif
