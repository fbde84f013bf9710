/* What a kernel on the device is told: one node of the graph, by value, with addresses of the device.
 *
 * Included by the host's C and by .cu files alike: plain types of a fixed size only.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CUDA_NODE_H
#define ZM_BACKEND_CUDA_NODE_H

#ifdef __CUDACC_RTC__
typedef long long int64_t;
#else
#include <stdint.h>
#endif

/* A tensor on the device; absent inputs have data NULL and rank -1. */
typedef struct zm_gpu_view {
    void *data;
    int64_t elems;
    int64_t dim[8];
    int rank, dtype; /* dtype: zm_dtype */
} zm_gpu_view;

/* count: items a kernel walks; its comment says of what.  scratch: memory of this node alone while it runs. */
typedef struct zm_gpu_node {
    zm_gpu_view in[8], out;
    int64_t i[16]; /* zm_attr, or what a kernel's comment says */
    double f[4];
    int64_t count;
    void *scratch;
} zm_gpu_node;

#endif
