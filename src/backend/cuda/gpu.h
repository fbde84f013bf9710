/* A device that holds memory and runs kernels: what the rest of this folder asks of CUDA, and what a test's device, made
 * of host memory and the kernels' own texts, answers as well.
 *
 * Everything put in order here runs in that order, on one stream; two more run beside it and are put in order with it by
 * marks alone.  Addresses of the device are never read by the host.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CUDA_GPU_H
#define ZM_BACKEND_CUDA_GPU_H

#include "backend/cuda/kernel_table.h"
#include "backend/cuda/node.h"
#include "base/dtype.h"
#include "base/error.h"

typedef struct zm_gpu zm_gpu;
typedef struct zm_gpu_copies zm_gpu_copies;

/* ZM_GPU_MAIN is the one that whatever names no stream is put on. */
typedef enum { ZM_GPU_MAIN, ZM_GPU_STAGE, ZM_GPU_COPY, ZM_GPU_STREAMS } zm_gpu_stream;

/* batch products c [m,n] = alpha a b + beta c, row-major: a [m,k] (turned: [k,m]), b [k,n] (turned: [n,k]). */
typedef struct zm_gpu_product {
    const void *a, *b;
    float *c;
    zm_dtype type; /* of a and b: ZM_F32, ZM_BF16, or ZM_F8_E4M3 (batch 1, b turned); sums and c are f32 */
    bool ta, tb;
    int64_t m, n, k, batch;
    int64_t lda, ldb, ldc;          /* elements from row to row as stored */
    int64_t step_a, step_b, step_c; /* elements from product to product */
    double alpha, beta;
    const float *bias;              /* [n] or NULL: added to every row */
    int act;                        /* zm_unary_kind applied last */
    const float *scale_a, *scale_b; /* of e4m3: [m] and [n], factors of rows and columns of c; scale_b NULL: ones */
} zm_gpu_product;

/* y [batch,out,o] = sums over windows of x [batch,in,c] with w [o,kernel,c], sizes as frames, height, width: out windows
 * of `kernel` begin `stride` apart from x's first place on, and x ends with the last one; nothing is padded. */
typedef struct zm_gpu_convolution {
    const void *x, *w; /* bf16; x NULL: it is only asked whether this can be done */
    float *y;
    int64_t batch, c, o, in[3], out[3], kernel[3], stride[3];
    const float *bias; /* [o] or NULL: added to every place */
} zm_gpu_convolution;

typedef struct zm_gpu_fns {
    zm_status (*alloc)(zm_gpu *g, void **out, size_t bytes, zm_error *err); /* of the device, aligned to 256 bytes */
    void (*release)(zm_gpu *g, void *at);
    zm_status (*host_alloc)(zm_gpu *g, void **out, size_t bytes, zm_error *err); /* pinned memory of the host */
    void (*host_release)(zm_gpu *g, void *at);
    /* `from` may be written again when put returns, unless it is pinned: then after wait. */
    zm_status (*put)(zm_gpu *g, void *to, const void *from, size_t bytes, zm_error *err);
    zm_status (*get)(zm_gpu *g, void *to, const void *from, size_t bytes, zm_error *err); /* has arrived on return */
    zm_status (*launch)(zm_gpu *g, zm_gpu_kernel k, const zm_gpu_node *n, zm_error *err);
    /* *finished: bias, act and scales are done too.  ZM_E_UNSUPPORTED: this one is for zm_gpu_tiles (e4m3: fp8.h). */
    zm_status (*product)(zm_gpu *g, const zm_gpu_product *p, bool *finished, zm_error *err);
    /* *finished: bias is done too.  Sums are f32.  ZM_E_UNSUPPORTED: this one is for windows and products; NULL: all. */
    zm_status (*convolve)(zm_gpu *g, const zm_gpu_convolution *p, bool *finished, zm_error *err);
    zm_status (*wait)(zm_gpu *g, zm_error *err);
    /* What is launched between begin and end is kept instead of run; replay runs it.  ZM_E_UNSUPPORTED: not here. */
    zm_status (*record_begin)(zm_gpu *g, zm_error *err);
    zm_status (*record_end)(zm_gpu *g, void **record, zm_error *err);
    zm_status (*replay)(zm_gpu *g, void *record, zm_error *err);
    void (*record_free)(zm_gpu *g, void *record);
    size_t (*room)(zm_gpu *g); /* bytes of the device that are free */
    /* A mark comes when all that was put on its stream before it is done.  It may be set again: whoever was told to wait
     * waits for the setting before that.  Freed only when no stream waits for it. */
    zm_status (*mark_new)(zm_gpu *g, void **mark, zm_error *err);
    void (*mark_free)(zm_gpu *g, void *mark);
    zm_status (*mark)(zm_gpu *g, zm_gpu_stream on, void *mark, zm_error *err);
    /* What is put on this stream from now on begins after the mark, which was set before. */
    zm_status (*await)(zm_gpu *g, zm_gpu_stream on, void *mark, zm_error *err);
    /* In order of the stream, on a thread of the driver: fn uses nothing of the device. */
    zm_status (*call)(zm_gpu *g, zm_gpu_stream on, void (*fn)(void *user), void *user, zm_error *err);
    /* As put, from pinned memory. */
    zm_status (*put_on)(zm_gpu *g, zm_gpu_stream on, void *to, const void *pinned, size_t bytes, zm_error *err);
} zm_gpu_fns;

struct zm_gpu {
    const zm_gpu_fns *fns;
    char name[128], libraries[64]; /* libraries: what it works with, for reports */
    size_t total_bytes;
    double clock_ghz;
    bool told_no_e4m3;     /* that it has no products of e4m3, once */
    zm_gpu_copies *copies; /* memory.h */
};

/* Open the machine's first NVIDIA device (CUDA_VISIBLE_DEVICES chooses); it stays open until the process ends.
 * ZM_E_UNSUPPORTED: the build has no CUDA, no driver is there or it is too old, no device: one sentence says which. */
ZM_MUST zm_status zm_gpu_open(zm_gpu **out, zm_error *err);

#endif
