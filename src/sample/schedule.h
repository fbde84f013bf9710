/* Noise levels of a denoising run: which sigmas it visits and which timestep the network is told.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_SAMPLE_SCHEDULE_H
#define ZM_SAMPLE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Terms.  Rectified flow (Liu et al. 2022, arXiv:2209.03003; Lipman et al. 2022, arXiv:2210.02747) mixes clean data
 * x0 with noise e as  x = (1 - sigma) * x0 + sigma * e,  sigma in [0, 1], and learns the velocity v = e - x0.
 * Hence x0 = x - sigma * v, and in diffusion terms alpha = 1 - sigma, lambda = log(alpha / sigma). */

#define ZM_SCHEDULE_MAX_STEPS 1000

/* Owned arrays; {0} is empty.  sigma[0] > sigma[1] > ... > sigma[steps], the last one usually 0.  sigma[i] is rounded
 * to f32 (as upstream stores it); timestep[i], in [0, 1000], is what the network is told before step i. */
typedef struct zm_schedule {
    int steps;
    double *sigma;    /* [steps + 1] */
    double *timestep; /* [steps] */
} zm_schedule;

/* One row of the table of schedules. */
typedef struct zm_schedule_kind {
    const char *name;
    const char *summary; /* one line for help texts */
    /* Unrounded sigma of point i of n (0 <= i < n), shift applied. */
    double (*sigma)(int i, int n, double shift);
    bool integer_timesteps; /* timestep = trunc(1000 sigma) instead of 1000 sigma */
} zm_schedule_kind;

extern const zm_schedule_kind zm_schedule_kinds[];
extern const size_t zm_schedule_kind_count;
/* NULL when there is no schedule of that name. */
const zm_schedule_kind *zm_schedule_find(const char *name);

/* sigma' = shift * sigma / (1 + (shift - 1) * sigma): more steps at high noise for larger latents (Esser et al. 2024,
 * arXiv:2403.03206, eq. 23).  shift 1 changes nothing. */
double zm_schedule_shift(double sigma, double shift);

/* Fill *out with `steps` steps and a final sigma of 0.  ZM_E_USAGE: steps outside 1..1000, shift not finite or
 * outside (0, 1000]; ZM_E_NOMEM.  On failure *out is {0}. */
ZM_MUST zm_status zm_schedule_build(zm_schedule *out, const zm_schedule_kind *kind, int steps, double shift,
                                    zm_error *err);

/* A schedule from a list of n + 1 sigmas (copied), for few-step models and tests.  ZM_E_USAGE: not strictly
 * decreasing or outside [0, 1]. */
ZM_MUST zm_status zm_schedule_from_sigmas(zm_schedule *out, const double *sigma, int n, bool integer_timesteps,
                                          zm_error *err);

/* The first step of a run that starts from data noised to at most `strength` (1 = pure noise, all steps): the
 * smallest i with sigma[i] <= strength, at most steps - 1. */
int zm_schedule_first(const zm_schedule *s, double strength);

void zm_schedule_release(zm_schedule *s);

#endif
