/* Newton-Schulz orthogonalisation of many matrices at once, for Muon.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TRAIN_ORTHOGONAL_H
#define ZM_TRAIN_ORTHOGONAL_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct zm_orthogonal zm_orthogonal;
enum { ZM_ORTHOGONAL_STEPS = 5 };

/* Room for `n` matrices of [rows, columns], rows <= columns; bf16: as of zm_newton_schulz.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_orthogonal_new(zm_orthogonal **out, int64_t n, int64_t rows, int64_t columns, bool bf16,
                                    zm_error *err);
void zm_orthogonal_free(zm_orthogonal *o);
/* Where matrix i is written before a run and where its result stands after it: the same place. */
float *zm_orthogonal_in(zm_orthogonal *o, int64_t i);
const float *zm_orthogonal_out(const zm_orthogonal *o, int64_t i);
/* Inputs must have a Frobenius norm of at most 1. */
void zm_orthogonal_run(zm_orthogonal *o);

#endif
