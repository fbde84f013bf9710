/* Kernels built on the loops of simd.h: one for each op they serve.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_SIMD_KERNELS_H
#define ZM_BACKEND_CPU_SIMD_KERNELS_H

#include "backend/cpu/kernel.h"

/* elementwise.c */
extern const zm_kernel zm_cpu_unary, zm_cpu_unary_grad, zm_cpu_affine, zm_cpu_binary;
/* elementwise_sum.c */
extern const zm_kernel zm_cpu_sum_to;
/* elementwise_copy.c */
extern const zm_kernel zm_cpu_broadcast, zm_cpu_permute, zm_cpu_slice, zm_cpu_pad, zm_cpu_concat;
/* norm.c */
extern const zm_kernel zm_cpu_norm, zm_cpu_norm_grad, zm_cpu_norm_modulate, zm_cpu_norm_modulate_grad, zm_cpu_gate_add,
    zm_cpu_gate_add_grad;
/* rope.c, lookup.c */
extern const zm_kernel zm_cpu_rope, zm_cpu_embedding, zm_cpu_embedding_grad, zm_cpu_softmax, zm_cpu_softmax_grad,
    zm_cpu_cross_entropy, zm_cpu_cross_entropy_grad;
/* attention.c */
extern const zm_kernel zm_cpu_attention, zm_cpu_attention_grad, zm_cpu_attention_bf16, zm_cpu_attention_grad_bf16;

/* All of the above in f32, as rows of zm_cpu_kernels. */
#define ZM_SIMD_KERNELS                                                                                                \
    &zm_cpu_unary, &zm_cpu_unary_grad, &zm_cpu_affine, &zm_cpu_binary, &zm_cpu_sum_to, &zm_cpu_broadcast,              \
        &zm_cpu_permute, &zm_cpu_slice, &zm_cpu_pad, &zm_cpu_concat, &zm_cpu_norm, &zm_cpu_norm_grad,                  \
        &zm_cpu_norm_modulate, &zm_cpu_norm_modulate_grad, &zm_cpu_gate_add, &zm_cpu_gate_add_grad, &zm_cpu_rope,      \
        &zm_cpu_embedding, &zm_cpu_embedding_grad, &zm_cpu_softmax, &zm_cpu_softmax_grad, &zm_cpu_cross_entropy,       \
        &zm_cpu_cross_entropy_grad, &zm_cpu_attention, &zm_cpu_attention_grad

#endif
