/* Rectified-flow training: which noise levels to practise on.
 * SPDX-License-Identifier: MIT */
#include "sample/flow.h"

#include <math.h>
#include <string.h>

#include "sample/schedule.h"

static const char *const density_names[] = {[ZM_FLOW_UNIFORM] = "uniform", [ZM_FLOW_LOGIT_NORMAL] = "logit-normal"};

bool zm_flow_density_parse(zm_flow_density *out, const char *name)
{
    for (size_t i = 0; i < sizeof density_names / sizeof *density_names; i++)
        if (!strcmp(density_names[i], name)) {
            *out = (zm_flow_density)i;
            return true;
        }
    return false;
}

const char *zm_flow_density_name(zm_flow_density d)
{
    return density_names[d];
}

/* Inverse of the standard normal distribution function, by bisection: 60 halvings of [-9, 9] leave 2e-17. */
static double probit(double u)
{
    double lo = -9, hi = 9;
    for (int i = 0; i < 60; i++) {
        double mid = 0.5 * (lo + hi);
        if (0.5 * erfc(-mid / sqrt(2.0)) < u)
            lo = mid;
        else
            hi = mid;
    }
    return 0.5 * (lo + hi);
}

double zm_flow_quantile(const zm_flow_times *t, double u)
{
    if (t->density == ZM_FLOW_LOGIT_NORMAL)
        u = 1 / (1 + exp(-(t->mean + (t->std > 0 ? t->std : 1) * probit(u))));
    u = t->shift > 0 ? zm_schedule_shift(u, t->shift) : u;
    return fmin(fmax(u, 1e-6), 1 - 1e-6);
}

void zm_flow_sample(const zm_flow_times *t, zm_rng *rng, float *sigma, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double within = ((double)zm_rng_u32(rng) + 0.5) / 4294967296.0;
        sigma[i] = (float)zm_flow_quantile(t, ((double)i + within) / (double)n);
    }
    for (size_t i = n; i > 1; i--) { /* Fisher-Yates */
        size_t j = zm_rng_below(rng, (uint32_t)i);
        float swap = sigma[i - 1];
        sigma[i - 1] = sigma[j];
        sigma[j] = swap;
    }
}

void zm_flow_mix(float *x, float *v, const float *x0, const float *noise, float sigma, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float clean = x0[i], e = noise[i]; /* read first: x or v may be one of the inputs */
        if (x)
            x[i] = (1 - sigma) * clean + sigma * e;
        if (v)
            v[i] = e - clean;
    }
}
