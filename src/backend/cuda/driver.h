/* Libraries of CUDA that are looked for when the program runs: one binary with and without them.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CUDA_DRIVER_H
#define ZM_BACKEND_CUDA_DRIVER_H

#include "backend/cuda/gpu.h"

typedef struct zm_blas zm_blas;

/* Fill to[0..n) with the addresses of these names; false: one is missing. */
bool zm_library_names(void *library, const char *const *name, void **to, int n);

/* cuBLASLt for the context that is current.  *out NULL and ZM_OK: the library is not there. */
ZM_MUST zm_status zm_blas_open(zm_blas **out, void *workspace, size_t bytes, zm_error *err);
/* On a stream (CUstream).  As zm_gpu_fns.product. */
ZM_MUST zm_status zm_blas_product(zm_blas *b, void *stream, const zm_gpu_product *p, bool *finished, zm_error *err);

#endif
