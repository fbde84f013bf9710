/* Libraries of CUDA that are looked for when the program runs: one binary with and without them.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CUDA_DRIVER_H
#define ZM_BACKEND_CUDA_DRIVER_H

#include "backend/cuda/gpu.h"

typedef struct zm_blas zm_blas;
typedef struct zm_dnn zm_dnn;

/* Open the first of these files that is there; to[0..n) become the addresses of the names in it.  false: none is there, or a name is missing. */
bool zm_library_open(const char *const *file, int files, const char *const *name, void **to, int n);

/* cuBLASLt for the context that is current.  *out NULL and ZM_OK: the library is not there. */
ZM_MUST zm_status zm_blas_open(zm_blas **out, void *workspace, size_t bytes, zm_error *err);
/* On a stream (CUstream).  As zm_gpu_fns.product. */
ZM_MUST zm_status zm_blas_product(zm_blas *b, void *stream, const zm_gpu_product *p, bool *finished, zm_error *err);

/* cuDNN 9, which starts with the first convolution.  *out NULL and ZM_OK: the library is not there. */
ZM_MUST zm_status zm_dnn_open(zm_dnn **out, void *workspace, size_t bytes, zm_error *err);
/* "cuDNN 9.19.0" */
void zm_dnn_version(const zm_dnn *d, char *text, size_t size);
/* On a stream (CUstream).  As zm_gpu_fns.convolve. */
ZM_MUST zm_status zm_dnn_convolve(zm_dnn *d, void *stream, const zm_gpu_convolution *p, bool *finished, zm_error *err);
/* For tests on machines without a card: plan for this one, described as cuDNN describes cards (JSON), and say whether
 * cuDNN understands a convolution and has an engine for it.  ZM_E_UNSUPPORTED: this cuDNN cannot. */
ZM_MUST zm_status zm_dnn_pretend(zm_dnn *d, const char *card, zm_error *err);
bool zm_dnn_plans(zm_dnn *d, const zm_gpu_convolution *p, bool bias, bool *understood);

#endif
