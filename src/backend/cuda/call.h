/* The contract of an op on the device, and what its host code calls.  Errors are sticky: after the first one nothing is
 * launched any more, and the exec reports it.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CUDA_CALL_H
#define ZM_BACKEND_CUDA_CALL_H

#include "backend/backend.h"
#include "backend/cuda/gpu.h"
#include "tensor/op.h"

/* One exec's way to its device. */
typedef struct zm_gpu_call {
    zm_gpu *gpu;
    zm_dtype compute; /* ZM_F32, or ZM_BF16: operands of products are rounded, sums are f32 */
    bool fp8;         /* linear maps that fp8.h takes run on e4m3 */
    char *scratch;    /* of the node that runs */
    size_t limit;     /* bytes that scratch for scores and windows should not exceed; work is then done in pieces */
    const zm_tensor *cast; /* whose copy lies at the beginning of scratch, or NULL */
    zm_dtype cast_as;      /* ZM_BF16, or ZM_F8_E4M3 with its scales behind it */
    zm_status status;
    zm_error *err;
} zm_gpu_call;

typedef struct zm_gpu_op {
    const char *op, *name;
    size_t (*scratch)(const zm_gpu_call *c, const zm_tensor *t); /* NULL: none */
    /* n: views with addresses and attr, count the elements of the result. */
    void (*run)(zm_gpu_call *c, const zm_tensor *t, zm_gpu_node *n);
    int writes; /* 1 + the input that is overwritten; 0: none */
} zm_gpu_op;

/* NULL: this op has no kernel. */
const zm_gpu_op *zm_gpu_op_find(const zm_op *op);

void zm_gpu_launch(zm_gpu_call *c, zm_gpu_kernel k, zm_gpu_node *n, int64_t count);
/* With bias and act, by the device's library or by zm_gpu_tiles. */
void zm_gpu_multiply(zm_gpu_call *c, const zm_gpu_product *p);
/* A flat view of `elems` elements. */
zm_gpu_view zm_gpu_flat(void *data, zm_dtype t, int64_t elems);
size_t zm_gpu_compute_bytes(const zm_gpu_call *c, int64_t elems); /* in the compute type, rounded up to 256 */
size_t zm_gpu_f32_bytes(int64_t elems);                           /* rounded up to 256 */

extern const zm_gpu_op zm_gpu_op_matmul, zm_gpu_op_conv, zm_gpu_op_conv_grad_x, zm_gpu_op_conv_grad_w,
    zm_gpu_op_attention, zm_gpu_op_attention_grad;

#endif
