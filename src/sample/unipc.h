/* UniPC of order two (bh2, data prediction): a corrector that costs no network call, then a predictor.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_SAMPLE_UNIPC_H
#define ZM_SAMPLE_UNIPC_H

#include "sample/solver.h"

extern const zm_solver zm_solver_unipc;

#endif
