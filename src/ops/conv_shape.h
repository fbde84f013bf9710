/* Sizes of a convolution, shared by its op, its two gradients and the kernels.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_OPS_CONV_SHAPE_H
#define ZM_OPS_CONV_SHAPE_H

#include "tensor/op.h"

/* x [batch,in[0..2],c], w [o,c,kernel[0..2]], y [batch,out[0..2],o]; order frames, height, width. */
typedef struct zm_conv_sizes {
    int64_t batch, c, o;
    int64_t in[3], out[3], kernel[3], stride[3], before[3];
} zm_conv_sizes;

/* Of a node of conv, conv_grad_x or conv_grad_w. */
zm_conv_sizes zm_conv_sizes_of(const zm_tensor *node);
/* Strides positive, padding not negative, all small enough to add up without overflow. */
bool zm_conv_window_sane(const zm_attr *attr);
/* Fill stride, before and out from attr, given in and kernel.  ZM_E_SHAPE: the kernel does not fit. */
zm_status zm_conv_window(zm_conv_sizes *c, const zm_attr *attr, const char *op, zm_error *err);

#endif
