/* Kernels that stand on our own matrix product; present in every build.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_GEMM_KERNELS_H
#define ZM_BACKEND_CPU_GEMM_KERNELS_H

#include "backend/cpu/kernel.h"

extern const zm_kernel zm_gemm_matmul, zm_gemm_matmul_bf16, zm_gemm_conv, zm_gemm_conv_grad_x, zm_gemm_conv_grad_w,
    zm_winograd_source, zm_winograd_conv;

/* Of a node of matmul: NULL, or why it stays f32 where bf16 is asked for. */
const char *zm_bf16_decline(const zm_tensor *node);

#endif
