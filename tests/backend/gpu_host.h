/* A device for tests: memory that only kernels may touch, and kernels that are loops of the host.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TEST_GPU_HOST_H
#define ZM_TEST_GPU_HOST_H

#include "backend/cuda/device.h"

/* Make it the process's CUDA device.  pieces 1: products come from the kernel, and scratch is small, so that scores and
 * windows are done piece by piece; 2: the host may touch its memory, which long tests need. */
void zm_gpu_host_install(int pieces);
/* Counts since the start, for tests of who copies and launches when. */
typedef struct zm_gpu_host_counts {
    int launches, products, puts, gets, replays, allocations;
    size_t put_bytes, get_bytes;
} zm_gpu_host_counts;
zm_gpu_host_counts zm_gpu_host_count(void);
/* Allocations fail when more than this would be held; 0: no limit. */
void zm_gpu_host_memory(size_t bytes);

typedef void (*zm_gpu_host_fn)(const zm_gpu_node *n);
zm_gpu_host_fn zm_gpu_host_kernel(zm_gpu_kernel k);

#endif
