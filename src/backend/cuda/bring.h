/* What a CUDA exec (exec.c) holds, and what brings leaves and inputs to the device before its nodes run.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CUDA_BRING_H
#define ZM_BACKEND_CUDA_BRING_H

#include "backend/cuda/call.h"
#include "backend/cuda/memory.h"
#include "backend/cuda/ring.h"
#include "backend/exec.h"
#include "tensor/plan.h"

typedef struct zm_cuda_node {
    const zm_gpu_op *op; /* NULL: a leaf, a view, or an op that only the host knows */
    char *at;            /* address of the device */
    void *host;          /* of inputs and outputs: their memory of the host */
    zm_gpu_copy *copy;   /* of external leaves */
    zm_gpu_copy *codes;  /* of leaves that fp8.h quantises */
    bool quantised;      /* leaf: some node reads codes */
    bool read;           /* leaf: some node reads it as it is */
    bool written;        /* input: written by zm_exec_write, and only so */
    bool dirty;          /* input: not on the device yet */
} zm_cuda_node;

typedef struct zm_cuda_state {
    zm_exec base;
    zm_graph *g;
    zm_plan plan;
    zm_gpu *gpu;
    zm_gpu_call call;
    char *block, *scratch;
    size_t scratch_bytes, host_bytes;
    char *host; /* pinned, of all inputs and outputs */
    zm_cuda_node *node;
    bool outputs_stay, host_ops;
    size_t resident_bytes;
    bool chosen;       /* which weights pass: in the first run, when other graphs have made room */
    zm_gpu_ring *ring; /* NULL: none */
    void *record;
    int64_t runs;
    double *seconds;
} zm_cuda_state;

/* Everything that a run reads: codes and copies of weights, or the decision that they pass, inputs, places of views.
 * ZM_E_MISSING: an external leaf without data; ZM_E_NOMEM: the device is full. */
ZM_MUST zm_status zm_cuda_bring(zm_cuda_state *x, zm_error *err);
/* Where t lies on the device, for the node that runs. */
char *zm_cuda_place(const zm_cuda_state *x, const zm_tensor *t);
/* By id, whether a leaf lies on the device as codes only: the ring need not know of it; malloc'd, NULL when out of
 * memory. */
bool *zm_cuda_codes_only(const zm_cuda_state *x);
/* An address changed: what was recorded is no longer true. */
void zm_cuda_forget(zm_cuda_state *x);

#endif
