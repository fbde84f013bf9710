/* A device for tests: memory that only kernels may touch, and kernels that are loops of the host.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TEST_GPU_HOST_H
#define ZM_TEST_GPU_HOST_H

#include "backend/cuda/device.h"
#include "gpu_host_order.h"

/* Make it the process's CUDA device.  pieces 1: products come from the kernel, and scratch is small, so that scores and
 * windows are done piece by piece; 2: the host may touch its memory, which long tests need. */
void zm_gpu_host_install(int pieces);
/* What its library makes of products of e4m3: nothing, sums whose scales are left to a kernel, or all (the default). */
typedef enum { ZM_GPU_HOST_E4M3_NONE, ZM_GPU_HOST_E4M3_SUMS, ZM_GPU_HOST_E4M3_SCALED } zm_gpu_host_e4m3_kind;
void zm_gpu_host_e4m3(zm_gpu_host_e4m3_kind kind);
/* Its library's convolutions: none (the default), sums whose bias is left to a kernel, all, or one
 * and then none. */
typedef enum {
    ZM_GPU_HOST_CONV_NONE,
    ZM_GPU_HOST_CONV_SUMS,
    ZM_GPU_HOST_CONV_ALL,
    ZM_GPU_HOST_CONV_ONCE
} zm_gpu_host_conv_kind;
void zm_gpu_host_convolves(zm_gpu_host_conv_kind kind);
/* Counts since the start, for tests of who copies and launches when. */
typedef struct zm_gpu_host_counts {
    int launches, products, e4m3_products, convolutions, puts, gets, replays, allocations, copies;
    size_t put_bytes, get_bytes, copy_bytes; /* copies: those beside the computing */
    size_t bytes;                            /* held now */
} zm_gpu_host_counts;
zm_gpu_host_counts zm_gpu_host_count(void);
/* What must hold whoever programs a device: a test program ends with a failed check where it does not.  n_missed: count
 * instead of ending, for tests of the device itself; returned, and counting ends. */
void zm_gpu_host_demand(bool holds, const char *what);
void zm_gpu_host_count_missed(void);
int zm_gpu_host_missed(void);
/* The n-th call from now on that can fail for want of memory does; 0: none. */
void zm_gpu_host_fail(int n);
/* Allocations fail when more than this would be held; 0: no limit. */
void zm_gpu_host_memory(size_t bytes);

/* For the streams (gpu_host_order.h): with the device's memory open. */
bool zm_gpu_host_fails(void);
void zm_gpu_host_copies(const void *to, size_t bytes);
void zm_gpu_host_do(const zm_gpu_host_work *w);
void zm_gpu_host_poison(void *at, size_t bytes);

typedef void (*zm_gpu_host_fn)(const zm_gpu_node *n);
zm_gpu_host_fn zm_gpu_host_kernel(zm_gpu_kernel k);

#endif
