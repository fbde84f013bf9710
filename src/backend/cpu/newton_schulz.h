/* Newton-Schulz orthogonalisation of one matrix, on one thread and in its cache; callers spread matrices over threads.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_NEWTON_SCHULZ_H
#define ZM_BACKEND_CPU_NEWTON_SCHULZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of scratch for a matrix of these sizes; rows <= columns. */
size_t zm_newton_schulz_scratch(int64_t rows, int64_t columns, bool bf16);
/* X [rows,columns] in place, `steps` times (Jordan et al. 2024, Muon):  X <- a X + (b A + c A A) X,  A = X X^T,
 * with a, b, c = 3.4445, -4.7750, 2.0315: singular values below 1 end in about [0.7, 1.2].  A and A A are symmetric
 * and computed by halves.  The Frobenius norm of X is at most 1.  bf16: operands of products are rounded to it. */
void zm_newton_schulz(float *x, int64_t rows, int64_t columns, int steps, bool bf16, void *scratch);

#endif
