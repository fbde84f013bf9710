/* The one denoising loop.
 * SPDX-License-Identifier: MIT */
#include "pipeline/denoise.h"

#include <stdlib.h>
#include <string.h>

zm_status zm_denoise_open(zm_denoise *d, const zm_request *r, const zm_latent_size *size, zm_error *err)
{
    *d = (zm_denoise){
        .solver = zm_solver_find(r->solver), .size = *size, .guidance = r->guidance, .guidance_low = r->guidance_low};
    zm_status s = zm_schedule_build(&d->schedule, zm_schedule_find(d->solver->schedule), r->steps, r->shift, err);
    if (s)
        return s;
    for (int i = 0; i < ZM_SLOT_COUNT; i++)
        if (d->solver->slots & 1u << i && !(d->slot[i] = zm_aligned_alloc((size_t)d->size.each * sizeof(float)))) {
            zm_denoise_release(d);
            return zm_fail(err, ZM_E_NOMEM, "no memory for latents of %d x %d x %d", size->frames, size->height,
                           size->width);
        }
    return ZM_OK;
}

void zm_denoise_release(zm_denoise *d)
{
    zm_schedule_release(&d->schedule);
    for (int i = 0; i < ZM_SLOT_COUNT; i++)
        free(d->slot[i]);
    *d = (zm_denoise){0};
}

int zm_denoise_first(const zm_denoise *d, const zm_latent_plan *plan)
{
    return zm_schedule_first(&d->schedule, zm_latent_plan_level(plan));
}

void zm_denoise_begin(zm_denoise *d, const zm_request *r, const zm_latent_plan *plan)
{
    float *x = d->slot[ZM_SLOT_X];
    int64_t each = d->size.each / d->size.frames;
    if (r->supplied && r->supplied->noise)
        memcpy(x, r->supplied->noise, (size_t)d->size.each * sizeof *x);
    else
        for (int f = 0; f < d->size.frames; f++) { /* a stream per frame: a longer clip begins with the same noise */
            zm_rng rng = zm_rng_init(r->seed, (uint64_t)f);
            zm_rng_normals(&rng, x + f * each, (size_t)each);
        }
    d->next = d->first = zm_denoise_first(d, plan);
    zm_latent_plan_start(plan, d->schedule.sigma[d->first], x);
}

static void combine(zm_denoise *d, const zm_combination *c)
{
    float *out = d->slot[c->out];
    const float *in[ZM_SOLVER_MAX_TERMS];
    for (int k = 0; k < c->n; k++)
        in[k] = d->slot[c->term[k].slot];
    for (int64_t i = 0; i < d->size.each; i++) {
        double sum = 0;
        for (int k = 0; k < c->n; k++)
            sum += c->term[k].coefficient * (double)in[k][i];
        out[i] = (float)sum;
    }
}

zm_status zm_denoise_run(zm_denoise *d, zm_network *n, const zm_latent_plan *plan, const zm_contexts *contexts,
                         const zm_denoise_hooks *hooks, zm_error *err)
{
    static const zm_probe no_probe;
    const zm_probe *probe = hooks->probe ? hooks->probe : &no_probe;
    float *x = d->slot[ZM_SLOT_X], *v = d->slot[ZM_SLOT_V];
    zm_status s = zm_network_begin(n, contexts, err);
    while (!s && d->next < d->schedule.steps) {
        int i = d->next;
        double t = d->schedule.timestep[i];
        if (hooks->stop && *hooks->stop)
            return zm_fail(err, ZM_E_INTERRUPTED, "stopped at step %d of %d", i, d->schedule.steps);
        if (probe->input)
            probe->input(probe->user, d, x);
        s = zm_network_velocity(n, plan, x, t, zm_network_is_high(n, t) ? d->guidance : d->guidance_low, v, err);
        if (s)
            return s;
        if (probe->velocity)
            probe->velocity(probe->user, d, v);
        zm_step step = zm_solver_step(d->solver, &d->schedule, i, d->first);
        for (int k = 0; k < step.n; k++)
            combine(d, &step.set[k]);
        if (probe->latent)
            probe->latent(probe->user, d, x);
        zm_latent_plan_hold(plan, x);
        d->next = i + 1;
        if (hooks->stepped)
            s = hooks->stepped(hooks->user, d, step.x0_set >= 0 ? d->slot[step.set[step.x0_set].out] : NULL, err);
    }
    return s;
}
