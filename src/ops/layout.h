/* Moving elements: views, permutation, slices, padding, joining.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_OPS_LAYOUT_H
#define ZM_OPS_LAYOUT_H

#include "tensor/op.h"

extern const zm_op zm_op_view;    /* in: x; attr i[0] element offset, i[1] rank, i[2..] dims */
extern const zm_op zm_op_permute; /* in: x; attr i[k] = source axis of result axis k */
extern const zm_op zm_op_slice;   /* in: x; attr i[0] axis, i[1] start, i[2] length */
extern const zm_op zm_op_pad;     /* in: x; attr i[0] axis, i[1] zeros before, i[2] zeros after */
extern const zm_op zm_op_concat;  /* in: 1..8 tensors; attr i[0] axis */

/* The same bytes under another shape; elements must match. */
zm_tensor *zm_reshape(zm_graph *g, zm_tensor *x, zm_shape shape);
/* Elements offset.. of x as `shape`: no copy.  The range must lie inside x. */
zm_tensor *zm_view(zm_graph *g, zm_tensor *x, int64_t offset, zm_shape shape);
/* result[i0,..] = x with axis k of the result taken from axis order[k] of x. */
zm_tensor *zm_permute(zm_graph *g, zm_tensor *x, const int *order);
/* Elements start..start+length-1 of an axis (a view when nothing larger stands outside that axis). */
zm_tensor *zm_slice(zm_graph *g, zm_tensor *x, int axis, int64_t start, int64_t length);
zm_tensor *zm_pad(zm_graph *g, zm_tensor *x, int axis, int64_t before, int64_t after);
zm_tensor *zm_concat(zm_graph *g, int n, zm_tensor *const *x, int axis);

#endif
