/* What the input of a convolution was made from, for kernels that can read that instead.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_CONV_SOURCE_H
#define ZM_BACKEND_CPU_CONV_SOURCE_H

#include "ops/conv_shape.h"

enum { ZM_CONV_PAST_MAX = 3 };

typedef struct zm_conv_source {
    const zm_tensor *made; /* the node whose result need not be there; NULL: the input is read as it lies */
    const zm_tensor *x;    /* [batch,F,H,W,C], or half of H and W */
    const zm_tensor *past[ZM_CONV_PAST_MAX]; /* before[0] frames before x's first, [batch,1,H,W,C] each */
    bool doubled;                            /* each place of x stands for 2x2 of the input's */
    zm_conv_sizes size;                      /* of the node, in[0] counting x's frames and before[0] past's */
} zm_conv_source;

/* Frames joined in front of the input, fewer than the kernel has, or every pixel of it repeated twice each way. */
zm_conv_source zm_conv_source_of(const zm_tensor *conv);

#endif
