/* Operands of products in the compute type.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CUDA_OPERAND_H
#define ZM_BACKEND_CUDA_OPERAND_H

#include "backend/cuda/call.h"

/* x itself when it has the compute type, else its copy in it, written to room (zm_gpu_compute_bytes of elems). */
zm_gpu_view zm_gpu_operand(zm_gpu_call *c, const zm_gpu_view *x, int64_t elems, void *room);

#endif
