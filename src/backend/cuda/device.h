/* The device that CUDA execs of this process share.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CUDA_DEVICE_H
#define ZM_BACKEND_CUDA_DEVICE_H

#include "backend/cuda/gpu.h"

/* Open the device unless one is open.  bf16: the compute type of execs from now on. */
ZM_MUST zm_status zm_cuda_start(bool bf16, zm_error *err);
/* Take this device instead (tests).  limit: bytes that an op's scratch for scores and windows should not exceed; 0: the
 * default.  NULL: none. */
void zm_cuda_install(zm_gpu *g, bool bf16, size_t limit);
/* NULL when none is open. */
zm_gpu *zm_cuda_device(void);
zm_dtype zm_cuda_compute(void);
size_t zm_cuda_limit(void);
const char *zm_cuda_name(void);
const char *zm_cuda_libraries(void);
size_t zm_cuda_room(void);
/* The host wrote what the device has a copy of. */
void zm_cuda_changed(const void *data);
/* The host's side becomes as new as the device's. */
void zm_cuda_fetch(const void *data);

#endif
