/* The explicit Euler step: x moves along v.
 * SPDX-License-Identifier: MIT */
#include "sample/euler.h"

static zm_step euler_step(const zm_schedule *s, int i, int first)
{
    (void)first;
    zm_step st = {.order = 1, .x0_set = -1};
    zm_combination *c = zm_step_set(&st, ZM_SLOT_X);
    zm_step_term(c, ZM_SLOT_X, 1);
    zm_step_term(c, ZM_SLOT_V, s->sigma[i + 1] - s->sigma[i]);
    return st;
}

const zm_solver zm_solver_euler = {
    .name = "euler",
    .order = 1,
    .slots = 1u << ZM_SLOT_X | 1u << ZM_SLOT_V,
    .schedule = "linear",
    .paper = "Liu et al. 2022, Flow Straight and Fast (arXiv:2209.03003), Algorithm 1",
    .step = euler_step,
};
