/* Rectified-flow training: which noise levels to practise on.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_SAMPLE_FLOW_H
#define ZM_SAMPLE_FLOW_H

#include <stdbool.h>
#include <stddef.h>

#include "base/rng.h"

typedef enum {
    ZM_FLOW_UNIFORM,     /* sigma = u (Liu et al. 2022) */
    ZM_FLOW_LOGIT_NORMAL /* logit(sigma) ~ N(mean, std^2) (Esser et al. 2024, arXiv:2403.03206, eq. 19) */
} zm_flow_density;

typedef struct zm_flow_times {
    zm_flow_density density;
    double mean, std; /* of the logit; std 0 means 1 */
    double shift;     /* zm_schedule_shift afterwards; 0 means 1 (no shift) */
} zm_flow_times;

/* false when the name ("uniform", "logit-normal") is unknown. */
bool zm_flow_density_parse(zm_flow_density *out, const char *name);
const char *zm_flow_density_name(zm_flow_density d);

/* The noise level below which a share u of the samples lies, 0 < u < 1; the result is inside (0, 1). */
double zm_flow_quantile(const zm_flow_times *t, double u);

/* n noise levels.  Stratified: the k-th strata of [0, 1) each give one level, in random order, which lowers the
 * variance of a batch's loss without changing its mean.  sigma[i] lies in (0, 1). */
void zm_flow_sample(const zm_flow_times *t, zm_rng *rng, float *sigma, size_t n);

/* x = (1 - sigma) * x0 + sigma * noise and target v = noise - x0; n elements, f32; x or v may be NULL. */
void zm_flow_mix(float *x, float *v, const float *x0, const float *noise, float sigma, size_t n);

#endif
