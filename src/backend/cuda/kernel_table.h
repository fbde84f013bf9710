/* Every kernel of the device: its name, and how many threads make a block (0: one item a thread).
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CUDA_KERNEL_TABLE_H
#define ZM_BACKEND_CUDA_KERNEL_TABLE_H

#define ZM_GPU_KERNEL_TABLE(X)                                                                                         \
    X(zm_gpu_unary, 0)                                                                                                 \
    X(zm_gpu_unary_grad, 0)                                                                                            \
    X(zm_gpu_affine, 0)                                                                                                \
    X(zm_gpu_binary, 0)                                                                                                \
    X(zm_gpu_binary_rows, 0)                                                                                           \
    X(zm_gpu_broadcast, 0)                                                                                             \
    X(zm_gpu_sum_to, 256)                                                                                              \
    X(zm_gpu_sum_rows, 256)                                                                                            \
    X(zm_gpu_permute, 0)                                                                                               \
    X(zm_gpu_copy_rows, 0)                                                                                             \
    X(zm_gpu_pad, 0)                                                                                                   \
    X(zm_gpu_zero, 0)                                                                                                  \
    X(zm_gpu_keep_frames, 0)                                                                                           \
    X(zm_gpu_norm, 256)                                                                                                \
    X(zm_gpu_norm_modulate, 256)                                                                                       \
    X(zm_gpu_norm_grad_rows, 256)                                                                                      \
    X(zm_gpu_gate_add, 0)                                                                                              \
    X(zm_gpu_gate_grad, 0)                                                                                             \
    X(zm_gpu_sum_groups, 256)                                                                                          \
    X(zm_gpu_embedding, 0)                                                                                             \
    X(zm_gpu_embedding_grad, 0)                                                                                        \
    X(zm_gpu_softmax, 256)                                                                                             \
    X(zm_gpu_softmax_grad, 256)                                                                                        \
    X(zm_gpu_cross_entropy, 256)                                                                                       \
    X(zm_gpu_cross_entropy_grad, 256)                                                                                  \
    X(zm_gpu_rope, 0)                                                                                                  \
    X(zm_gpu_widen, 0)                                                                                                 \
    X(zm_gpu_quantise_rows, 256)                                                                                       \
    X(zm_gpu_scale_act, 0)                                                                                             \
    X(zm_gpu_cast, 0)                                                                                                  \
    X(zm_gpu_tiles, 256)                                                                                               \
    X(zm_gpu_bias_act, 0)                                                                                              \
    X(zm_gpu_heads_in, 0)                                                                                              \
    X(zm_gpu_heads_out, 0)                                                                                             \
    X(zm_gpu_pack_heads, 0)                                                                                            \
    X(zm_gpu_flash_64, 128)                                                                                            \
    X(zm_gpu_flash_128, 128)                                                                                           \
    X(zm_gpu_scores, 256)                                                                                              \
    X(zm_gpu_scores_grad, 256)                                                                                         \
    X(zm_gpu_key_bias_grad, 0)                                                                                         \
    X(zm_gpu_pad_lines, 256)                                                                                           \
    X(zm_gpu_gather, 0)                                                                                                \
    X(zm_gpu_gather_back, 0)                                                                                           \
    X(zm_gpu_conv_weights, 0)                                                                                          \
    X(zm_gpu_conv_weights_back, 0)                                                                                     \
    X(zm_gpu_conv_weights_grad, 0)                                                                                     \
    X(zm_gpu_adamw, 0)                                                                                                 \
    X(zm_gpu_momentum, 0)                                                                                              \
    X(zm_gpu_unit, 0)                                                                                                  \
    X(zm_gpu_axpby, 0)                                                                                                 \
    X(zm_gpu_sum_squares, 256)                                                                                         \
    X(zm_gpu_draw, 0)                                                                                                  \
    X(zm_gpu_footprint, 256)

typedef enum {
#define ZM_GPU_KERNEL_ENUM(name, threads) ZM_K_##name,
    ZM_GPU_KERNEL_TABLE(ZM_GPU_KERNEL_ENUM)
#undef ZM_GPU_KERNEL_ENUM
        ZM_GPU_KERNEL_COUNT
} zm_gpu_kernel;

#endif
