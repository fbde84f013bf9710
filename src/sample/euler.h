/* The explicit Euler step: x moves along v.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_SAMPLE_EULER_H
#define ZM_SAMPLE_EULER_H

#include "sample/solver.h"

extern const zm_solver zm_solver_euler;

#endif
