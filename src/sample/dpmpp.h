/* DPM-Solver++ 2M, the midpoint multistep form on denoised predictions.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_SAMPLE_DPMPP_H
#define ZM_SAMPLE_DPMPP_H

#include "sample/solver.h"

extern const zm_solver zm_solver_dpmpp;

#endif
