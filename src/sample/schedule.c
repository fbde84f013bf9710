/* Noise levels of a denoising run.
 * SPDX-License-Identifier: MIT */
#include "sample/schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double zm_schedule_shift(double sigma, double shift)
{
    return shift * sigma / (1 + (shift - 1) * sigma);
}

/* numpy's linspace: start + i * step, so that the last bits agree. */
static double linspace(double start, double stop, int i, int intervals)
{
    return intervals > 0 ? i * ((stop - start) / intervals) + start : start;
}

/* Starts one training step below pure noise; upstream keeps that first value in f32. */
static double sigma_unipc(int i, int n, double shift)
{
    return zm_schedule_shift(linspace((double)0.999f, 0, i, n), shift);
}

static double sigma_linear(int i, int n, double shift)
{
    return zm_schedule_shift(linspace(1, 0, i, n), shift);
}

/* The endpoints are shifted values already and the points between them are shifted again, as upstream does. */
static double sigma_diffusers(int i, int n, double shift)
{
    double lowest = (double)(float)zm_schedule_shift((double)0.001f, shift);
    return zm_schedule_shift(linspace(1000, lowest * 1000, i, n - 1) / 1000, shift);
}

const zm_schedule_kind zm_schedule_kinds[] = {
    {"unipc", "from 0.999, whole timesteps: Wan with UniPC", sigma_unipc, true},
    {"linear-int", "from 1, whole timesteps: Wan with DPM-Solver++", sigma_linear, true},
    {"linear", "from 1, fractional timesteps", sigma_linear, false},
    {"unipc-real", "from 0.999, fractional timesteps", sigma_unipc, false},
    {"diffusers", "from 1 to one training step, shifted twice: FlowMatchEulerDiscreteScheduler", sigma_diffusers,
     false},
};
const size_t zm_schedule_kind_count = sizeof zm_schedule_kinds / sizeof *zm_schedule_kinds;

const zm_schedule_kind *zm_schedule_find(const char *name)
{
    for (size_t i = 0; i < zm_schedule_kind_count; i++)
        if (!strcmp(zm_schedule_kinds[i].name, name))
            return &zm_schedule_kinds[i];
    return NULL;
}

static zm_status allocate(zm_schedule *out, int steps, zm_error *err)
{
    *out = (zm_schedule){0};
    if (steps < 1 || steps > ZM_SCHEDULE_MAX_STEPS)
        return zm_fail(err, ZM_E_USAGE, "A run takes 1 to %d steps, not %d.", ZM_SCHEDULE_MAX_STEPS, steps);
    out->sigma = calloc((size_t)steps + 1, sizeof *out->sigma);
    out->timestep = calloc((size_t)steps, sizeof *out->timestep);
    if (!out->sigma || !out->timestep) {
        zm_schedule_release(out);
        return zm_fail(err, ZM_E_NOMEM, "There is no memory for a schedule of %d steps.", steps);
    }
    out->steps = steps;
    return ZM_OK;
}

/* The whole timestep is cut from the unrounded sigma: cutting 1000 * f32(sigma) is off by one at some steps. */
static double timestep_of(double sigma, bool integer)
{
    return integer ? trunc(1000 * sigma) : (double)((float)sigma * 1000.0f);
}

zm_status zm_schedule_build(zm_schedule *out, const zm_schedule_kind *kind, int steps, double shift, zm_error *err)
{
    *out = (zm_schedule){0};
    if (!(shift > 0 && shift <= 1000))
        return zm_fail(err, ZM_E_USAGE, "The schedule shift must lie in (0, 1000], not %g.", shift);
    zm_status st = allocate(out, steps, err);
    if (st)
        return st;
    for (int i = 0; i < steps; i++) {
        double sigma = kind->sigma(i, steps, shift);
        out->sigma[i] = (double)(float)sigma;
        out->timestep[i] = timestep_of(sigma, kind->integer_timesteps);
        if (i && !(out->sigma[i] < out->sigma[i - 1])) {
            double both = out->sigma[i];
            zm_schedule_release(out);
            return zm_fail(err, ZM_E_USAGE, "%d steps with shift %g are too fine: two steps share sigma %.9g.", steps,
                           shift, both);
        }
    }
    out->sigma[steps] = 0;
    return ZM_OK;
}

zm_status zm_schedule_from_sigmas(zm_schedule *out, const double *sigma, int n, bool integer_timesteps, zm_error *err)
{
    zm_status st = allocate(out, n, err);
    if (st)
        return st;
    for (int i = 0; i <= n; i++) {
        out->sigma[i] = (double)(float)sigma[i];
        if (i < n)
            out->timestep[i] = timestep_of(sigma[i], integer_timesteps);
        if (!(sigma[i] >= 0 && sigma[i] <= 1) || (i && !(out->sigma[i] < out->sigma[i - 1]))) {
            zm_schedule_release(out);
            return zm_fail(err, ZM_E_USAGE, "Sigma %d of the list is %g; sigmas must fall strictly inside [0, 1].", i,
                           sigma[i]);
        }
    }
    return ZM_OK;
}

int zm_schedule_first(const zm_schedule *s, double strength)
{
    int i = 0;
    if (strength >= 1)
        return 0;
    while (i < s->steps - 1 && s->sigma[i] > strength)
        i++;
    return i;
}

void zm_schedule_release(zm_schedule *s)
{
    free(s->sigma);
    free(s->timestep);
    *s = (zm_schedule){0};
}
