/* The device that graphs run on: chosen once for the process, or for one exec by its options.
 * SPDX-License-Identifier: MIT */
#include "backend/exec.h"

#include "backend/cpu/gemm_isa.h"
#include "backend/cuda/device.h"

static zm_device standing = ZM_DEVICE_CPU;

static const zm_exec_fns *fns_of(const zm_exec_options *opt)
{
    zm_device d = opt && opt->device != ZM_DEVICE_DEFAULT ? opt->device : standing;
    return d == ZM_DEVICE_CUDA && !(opt && opt->reference_only) ? &zm_cuda_exec : &zm_cpu_exec;
}

zm_status zm_backend_use(zm_device device, bool bf16, zm_error *err)
{
    zm_status s = device == ZM_DEVICE_CUDA ? zm_cuda_start(bf16, err) : ZM_OK;
    if (!s)
        standing = device == ZM_DEVICE_DEFAULT ? ZM_DEVICE_CPU : device;
    return s;
}

zm_device zm_backend_device(void)
{
    return standing;
}

const char *zm_backend_name(void)
{
    return standing == ZM_DEVICE_CUDA ? zm_cuda_name() : "cpu";
}

const char *zm_backend_libraries(void)
{
    return standing == ZM_DEVICE_CUDA ? zm_cuda_libraries() : "";
}

const char *zm_backend_arithmetic(void)
{
    return standing == ZM_DEVICE_CUDA && zm_cuda_compute() == ZM_BF16 ? "bf16" : "f32";
}

zm_status zm_precision_check(zm_precision p, zm_error *err)
{
    bool card = standing == ZM_DEVICE_CUDA;
    if (p == ZM_PRECISION_BF16 && card)
        return zm_fail(err, ZM_E_UNSUPPORTED,
                       "--precision bf16 is the CPU's; on a card it is --device cuda, by itself");
    if (p == ZM_PRECISION_INT8 && card)
        return zm_fail(err, ZM_E_UNSUPPORTED,
                       "%s runs on the CPU only; on a card products are of bf16 (--device cuda), f32 (cuda-f32) or "
                       "8-bit floats (cuda-fp8)",
                       zm_precision_name(p));
    if (p == ZM_PRECISION_FP8 && !(card && zm_cuda_compute() == ZM_BF16))
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s runs on a card only, beside bf16: --device cuda-fp8%s",
                       zm_precision_name(p), card ? "" : "; the CPU's own is int8");
    return ZM_OK;
}

const char *zm_precision_caution(zm_precision p)
{
    if (p != ZM_PRECISION_BF16 || zm_gemm_bf16_fast())
        return NULL;
    return "this processor has no products of bf16 (AVX512_BF16): plain loops give its numbers here, slower than f32";
}

bool zm_precision_runs(zm_precision p)
{
    return !zm_precision_check(p, NULL);
}

size_t zm_backend_room(void)
{
    return standing == ZM_DEVICE_CUDA ? zm_cuda_room() : 0;
}

void zm_backend_changed(const void *data)
{
    zm_cuda_changed(data);
}

void zm_backend_fetch(const void *data)
{
    zm_cuda_fetch(data);
}

zm_status zm_exec_measure(zm_exec_size *out, zm_graph *g, const zm_exec_options *opt, zm_error *err)
{
    return fns_of(opt)->measure(out, g, opt, err);
}

zm_status zm_exec_new(zm_exec **out, zm_graph *g, const zm_exec_options *opt, zm_error *err)
{
    return fns_of(opt)->create(out, g, opt, err);
}

void zm_exec_free(zm_exec *x)
{
    if (x)
        x->fns->free(x);
}

zm_status zm_exec_run(zm_exec *x, zm_error *err)
{
    return x->fns->run(x, err);
}

void zm_exec_write(zm_exec *x, zm_tensor *t, const void *host)
{
    x->fns->write(x, t, host);
}

void zm_exec_read(zm_exec *x, const zm_tensor *t, void *host)
{
    x->fns->read(x, t, host);
}

size_t zm_exec_bytes(const zm_exec *x)
{
    return x->fns->bytes(x);
}

const char *zm_exec_kernel(const zm_exec *x, int id)
{
    return x->fns->kernel(x, id);
}

void zm_exec_profile(zm_exec *x, double *seconds)
{
    x->fns->profile(x, seconds);
}
