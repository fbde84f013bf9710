/* Linear maps on 8-bit floats: both operands e4m3 with a scale a row, sums f32.
 *
 * y[i,j] = act(scale_a[i] scale_b[j] sum_k a[i,k] b[j,k] + bias[j]).  Activations are rounded on the way, every row by its
 * own largest number; weights once, as long as the host's do not change, and lie on the device in this form only, unless
 * something else of the graph reads them.  Weights stored as e4m3 are used as they are.
 * A map of normal numbers with outliers among the activations is off by 3 % (root mean square, of its own size); half of
 * that where weights are stored as e4m3.  What it does to clips has not been measured.
 * Where no library has the product, both operands are widened to bf16, which holds e4m3 exactly, so that results differ by
 * the order of sums alone.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CUDA_FP8_H
#define ZM_BACKEND_CUDA_FP8_H

#include "backend/cuda/call.h"
#include "backend/cuda/memory.h"

enum { ZM_FP8_K_STEP = 16 }; /* rows of codes are whole vectors of 16 bytes, as products of them want */

/* Whether this node of a graph runs so: c->fp8, the rule (backend/coarse.h), and rows of whole vectors. */
bool zm_fp8_takes(const zm_gpu_call *c, const zm_tensor *t);
size_t zm_fp8_scratch(const zm_gpu_call *c, const zm_tensor *t);
/* p: sizes of the product; n: addresses, in[1] and in[3] as zm_fp8_weights left them. */
void zm_fp8_matmul(zm_gpu_call *c, const zm_tensor *t, const zm_gpu_node *n, const zm_gpu_product *p);

/* Bytes on the device of weights [n,k] as codes and scales; 0: they are stored as e4m3, and used as they are. */
size_t zm_fp8_bytes(const zm_tensor *w);
/* Quantise weights of the host into a copy of that form, unless it is as new as they are.  scratch: what any node that
 * reads them asks for, or more.  ZM_E_IO. */
ZM_MUST zm_status zm_fp8_bring(zm_gpu *g, zm_gpu_copy *copy, const zm_tensor *w, void *scratch, size_t bytes,
                               zm_error *err);
/* Let n's in[1] be the copy's codes and in[3] its scales. */
void zm_fp8_weights(zm_gpu_node *n, const zm_gpu_copy *copy, const zm_tensor *w);

#endif
