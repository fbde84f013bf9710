/* Copies on the device of memory that somebody else owns on the host: weights, states, caches.
 *
 * A copy lives while somebody holds it; graphs that share weights share the copy.  Either side may be newer, never both.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CUDA_MEMORY_H
#define ZM_BACKEND_CUDA_MEMORY_H

#include "backend/cuda/gpu.h"

/* What a copy holds: the host's bytes, or weights quantised by fp8.h. */
typedef enum { ZM_GPU_AS_IS, ZM_GPU_AS_E4M3 } zm_gpu_form;

typedef struct zm_gpu_copy {
    void *host, *device;
    size_t bytes; /* of the host */
    zm_gpu_form form;
    int held;
    bool host_newer, device_newer;
    struct zm_gpu_copy *next;
} zm_gpu_copy;

/* Find or make the copy of `bytes` at `host`; nothing is uploaded yet.  ZM_E_NOMEM: the device is full. */
ZM_MUST zm_status zm_gpu_hold(zm_gpu_copy **out, zm_gpu *g, void *host, size_t bytes, zm_error *err);
/* The same in another form, of device_bytes; whoever holds it fills it while host_newer, and never sets device_newer. */
ZM_MUST zm_status zm_gpu_hold_as(zm_gpu_copy **out, zm_gpu *g, void *host, size_t bytes, zm_gpu_form form,
                                 size_t device_bytes, zm_error *err);
/* The last one to let go brings home what the device has newer, and frees. */
void zm_gpu_let_go(zm_gpu *g, zm_gpu_copy *c);
/* Make the device's side, or the host's, as new as the other. */
ZM_MUST zm_status zm_gpu_copy_in(zm_gpu *g, zm_gpu_copy *c, zm_error *err);
ZM_MUST zm_status zm_gpu_copy_out(zm_gpu *g, zm_gpu_copy *c, zm_error *err);
/* The copy as is that begins at `host`, or NULL. */
zm_gpu_copy *zm_gpu_copy_of(const zm_gpu *g, const void *host);
/* The host wrote there: every copy is old. */
void zm_gpu_copies_changed(zm_gpu *g, const void *host);
void zm_gpu_copies_free(zm_gpu *g);

#endif
