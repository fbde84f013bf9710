/* The device that CUDA execs of this process share.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/device.h"

#include "backend/cuda/memory.h"
#include "base/log.h"

enum { LIMIT_BYTES = 256 << 20 };

static struct {
    zm_gpu *gpu;
    zm_dtype compute;
    size_t limit;
} shared = {.limit = LIMIT_BYTES};

zm_status zm_cuda_start(bool bf16, zm_error *err)
{
    zm_status s = shared.gpu ? ZM_OK : zm_gpu_open(&shared.gpu, err);
    shared.compute = bf16 ? ZM_BF16 : ZM_F32;
    return s;
}

void zm_cuda_install(zm_gpu *g, bool bf16, size_t limit)
{
    shared.gpu = g;
    shared.compute = bf16 ? ZM_BF16 : ZM_F32;
    shared.limit = limit ? limit : LIMIT_BYTES;
}

zm_gpu *zm_cuda_device(void)
{
    return shared.gpu;
}

zm_dtype zm_cuda_compute(void)
{
    return shared.compute;
}

size_t zm_cuda_limit(void)
{
    return shared.limit;
}

const char *zm_cuda_name(void)
{
    return shared.gpu ? shared.gpu->name : "cuda";
}

const char *zm_cuda_libraries(void)
{
    return shared.gpu ? shared.gpu->libraries : "";
}

size_t zm_cuda_room(void)
{
    return shared.gpu ? shared.gpu->fns->room(shared.gpu) : 0;
}

void zm_cuda_changed(const void *data)
{
    if (shared.gpu && data)
        zm_gpu_copies_changed(shared.gpu, data);
}

void zm_cuda_fetch(const void *data)
{
    zm_error err = {0};
    zm_gpu_copy *c = shared.gpu && data ? zm_gpu_copy_of(shared.gpu, data) : NULL;
    if (c && zm_gpu_copy_out(shared.gpu, c, &err))
        zm_log(ZM_LOG_WARN, "%s", err.text);
}
