/* Stored weights to f32, compiled once per instruction set: what zm_dtype_to_f32 does, to the same bits, but fast.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_WIDEN_H
#define ZM_BACKEND_CPU_WIDEN_H

#include "base/dtype.h"

/* n elements of weight type t (zm_dtype_is_weight, asserted), whole blocks, at any alignment; one thread. */
typedef void zm_widen_fn(float *out, const void *in, zm_dtype t, size_t n);

/* The best one this processor can run (simd.h). */
zm_widen_fn *zm_widen(void);

extern zm_widen_fn zm_widen_base;
#if defined(__x86_64__)
extern zm_widen_fn zm_widen_avx2, zm_widen_avx512;
#endif

#endif
