/* Kernels that oneDNN runs; present only in builds with oneDNN.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_DNNL_KERNELS_H
#define ZM_BACKEND_CPU_DNNL_KERNELS_H

#include "backend/cpu/kernel.h"
#include "ops/unary.h"

/* Lanes of a register that oneDNN 2.6 is tuned for: with fewer our own loops are ahead on some products and kernels
 * (measurements in dnnl_gemm.c and dnnl_conv.c). */
enum { ZM_DNNL_WIDE_LANES = 16 };

extern const zm_kernel zm_dnnl_gemm, zm_dnnl_conv, zm_dnnl_conv_grad_x, zm_dnnl_conv_grad_w;

/* y [rows,n] = act(y + bias); bias NULL: none. */
void zm_dnnl_finish(float *y, int64_t rows, int64_t n, const float *bias, zm_unary_kind act);

#endif
