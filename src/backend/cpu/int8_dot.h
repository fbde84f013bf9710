/* What the files of products on bytes begin with: vectors of LANES numbers.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_INT8_DOT_H
#define ZM_BACKEND_CPU_INT8_DOT_H

#include "backend/cpu/gemm_act.h"
#include "backend/cpu/int8.h"

typedef int32_t loose_ivec __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

/* The compiler forgets what it knows about a pointer: a panel's vectors are operands in memory for each row anew, not
 * kept in registers that the sums need. */
#define KEEP_IN_MEMORY(pointer) __asm__ volatile("" : "+r"(pointer))

/* Each file defines either
 *   left                                   one step of one row of A
 *   left left_of(const uint8_t *a)
 *   ivec dot_step(ivec acc, const left *l, const int8_t *b, int64_t line)
 *                                          acc + its products with four lines of a panel, `line` bytes apart
 * or, where an instruction adds up four products, FOURS and
 *   void add_step(rows, vectors, ivec acc[ROWS][VECTORS], const uint8_t *const *a, int64_t k, const int8_t *b)
 *                                          a step of every row, from a[i] + k, with four lines of a panel */

#endif
