/* The table of ops: one row each.
 * SPDX-License-Identifier: MIT */
#include "ops/ops.h"

const zm_op *const zm_ops[] = {
    &zm_op_unary,
    &zm_op_unary_grad,
    &zm_op_affine,
    &zm_op_binary,
    &zm_op_sum_to,
    &zm_op_broadcast,
    &zm_op_view,
    &zm_op_permute,
    &zm_op_slice,
    &zm_op_pad,
    &zm_op_concat,
    &zm_op_matmul,
    &zm_op_conv,
    &zm_op_conv_grad_x,
    &zm_op_conv_grad_w,
    &zm_op_attention,
    &zm_op_attention_grad,
    &zm_op_norm,
    &zm_op_norm_grad,
    &zm_op_norm_modulate,
    &zm_op_norm_modulate_grad,
    &zm_op_gate_add,
    &zm_op_gate_add_grad,
    &zm_op_rope,
    &zm_op_embedding,
    &zm_op_embedding_grad,
    &zm_op_softmax,
    &zm_op_softmax_grad,
    &zm_op_cross_entropy,
    &zm_op_cross_entropy_grad,
    NULL,
};

const zm_grad_ops zm_default_grad_ops = {.add = zm_add};
