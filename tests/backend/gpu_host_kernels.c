/* The device's kernels as functions of the host: their own texts, compiled as C (backend/cuda/kernel.h).
 * SPDX-License-Identifier: MIT */
#include "gpu_host.h"

#include "backend/cuda/attention.cu"
#include "backend/cuda/conv.cu"
#include "backend/cuda/draw.cu"
#include "backend/cuda/elementwise.cu"
#include "backend/cuda/flash.cu"
#include "backend/cuda/fp8.cu"
#include "backend/cuda/layout.cu"
#include "backend/cuda/lookup.cu"
#include "backend/cuda/norm.cu"
#include "backend/cuda/optim.cu"
#include "backend/cuda/product.cu"

zm_gpu_host_fn zm_gpu_host_kernel(zm_gpu_kernel k)
{
    static const zm_gpu_host_fn table[] = {
#define KERNEL(name, threads) name,
        ZM_GPU_KERNEL_TABLE(KERNEL)
#undef KERNEL
    };
    return table[k];
}
