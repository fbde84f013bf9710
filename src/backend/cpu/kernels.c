/* The table of CPU kernels: best first for each op; the op's reference stands behind them all.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/kernel.h"

#include "backend/cpu/gemm_kernels.h"
#include "backend/cpu/int8_node.h"
#include "backend/cpu/simd_kernels.h"

#ifdef ZM_HAVE_DNNL
#include "backend/cpu/dnnl_kernels.h"
#endif

const zm_kernel *const zm_cpu_kernels[] = {
    &zm_winograd_source, &zm_winograd_conv,
#ifdef ZM_HAVE_DNNL
    &zm_dnnl_gemm,       &zm_dnnl_conv,     &zm_dnnl_conv_grad_x, &zm_dnnl_conv_grad_w,
#endif
    &zm_gemm_matmul,     &zm_gemm_conv,     &zm_gemm_conv_grad_x, &zm_gemm_conv_grad_w, ZM_SIMD_KERNELS, NULL,
};

const zm_kernel *const zm_cpu_int8_kernels[] = {&zm_int8_matmul, &zm_int8_conv_source, &zm_int8_conv, NULL};
const zm_kernel *const zm_cpu_bf16_kernels[] = {&zm_gemm_matmul_bf16, &zm_cpu_attention_bf16,
                                                &zm_cpu_attention_grad_bf16, NULL};
