/* The streams of the tests' device: what is put on the side streams waits as long as it may, or runs as soon as it may,
 * and every access that no mark orders is found, whether it went well or not.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TEST_GPU_HOST_ORDER_H
#define ZM_TEST_GPU_HOST_ORDER_H

#include "backend/cuda/gpu.h"

/* Something the device does, with the device's memory open. */
typedef struct zm_gpu_host_work {
    void (*fn)(void *user); /* of the host; NULL: a copy */
    void *user;
    void *to;
    const void *from;
    size_t bytes;
} zm_gpu_host_work;

/* Eager streams run whatever is put on them as soon as its marks have come; others only when somebody waits. */
void zm_gpu_host_eager(bool stage, bool copy);
/* main does its work at once: after this. */
void zm_gpu_host_main(void);
/* main is about to read or write [at, at + bytes): no copy to it may be under way. */
void zm_gpu_host_touches(const void *at, size_t bytes);
/* As zm_gpu_fns has them. */
zm_status zm_gpu_host_mark_new(zm_gpu *g, void **mark, zm_error *err);
void zm_gpu_host_mark_free(zm_gpu *g, void *mark);
zm_status zm_gpu_host_mark(zm_gpu *g, zm_gpu_stream on, void *mark, zm_error *err);
zm_status zm_gpu_host_await(zm_gpu *g, zm_gpu_stream on, void *mark, zm_error *err);
zm_status zm_gpu_host_call(zm_gpu *g, zm_gpu_stream on, void (*fn)(void *user), void *user, zm_error *err);
zm_status zm_gpu_host_put_on(zm_gpu *g, zm_gpu_stream on, void *to, const void *pinned, size_t bytes, zm_error *err);
/* Nothing on a side stream is undone; memory [at, at + bytes) goes: no copy to it may be under way. */
bool zm_gpu_host_idle(void);
void zm_gpu_host_forget(const void *at, size_t bytes);

#endif
