/* The one denoising loop.
 * SPDX-License-Identifier: MIT */
#include "pipeline/denoise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

zm_status zm_denoise_open(zm_denoise *d, const zm_request *r, const zm_latent_size *size, zm_error *err)
{
    *d = (zm_denoise){.solver = zm_solver_find(r->solver),
                      .size = *size,
                      .guidance = r->guidance,
                      .guidance_low = r->guidance_low,
                      .guidance_from = r->guidance_from,
                      .guidance_to = r->guidance_to};
    zm_skip_begin(&d->skip, zm_quality_find(r->quality));
    zm_status s = zm_schedule_build(&d->schedule, zm_schedule_find(d->solver->schedule), r->steps, r->shift, err);
    if (s)
        return s;
    bool there = true;
    for (int i = 0; i < ZM_SLOT_COUNT; i++)
        if (d->solver->slots & 1u << i)
            there &= (d->slot[i] = zm_aligned_alloc((size_t)d->size.each * sizeof(float))) != NULL;
    for (int i = 0; i < ZM_SEEN_COUNT; i++)
        if (d->skip.quality->threshold > 0)
            there &= (d->seen[i] = calloc((size_t)d->size.each, sizeof(float))) != NULL;
    if (r->loop)
        there &= (d->turned = calloc(2 * (size_t)d->size.each, sizeof(float))) != NULL;
    if (there)
        return ZM_OK;
    zm_denoise_release(d);
    return zm_fail(err, ZM_E_NOMEM, "no memory for latents of %d x %d x %d", size->frames, size->height, size->width);
}

void zm_denoise_release(zm_denoise *d)
{
    zm_schedule_release(&d->schedule);
    for (int i = 0; i < ZM_SLOT_COUNT; i++)
        free(d->slot[i]);
    for (int i = 0; i < ZM_SEEN_COUNT; i++)
        free(d->seen[i]);
    free(d->turned);
    *d = (zm_denoise){0};
}

int zm_denoise_first(const zm_denoise *d, const zm_latent_plan *plan)
{
    return zm_schedule_first(&d->schedule, zm_latent_plan_level(plan));
}

void zm_denoise_begin(zm_denoise *d, const zm_request *r, zm_latent_plan *plan)
{
    float *x = d->slot[ZM_SLOT_X];
    int64_t each = d->size.each / d->size.frames;
    if (r->supplied && r->supplied->noise)
        memcpy(x, r->supplied->noise, (size_t)d->size.each * sizeof *x);
    else
        for (int f = 0; f < d->size.frames; f++) { /* a stream per frame: a longer clip begins with the same noise */
            zm_rng rng = zm_rng_init(r->seed, (uint64_t)(r->at + f));
            zm_rng_normals(&rng, x + f * each, (size_t)each);
        }
    d->next = d->first = zm_denoise_first(d, plan);
    zm_latent_plan_start(plan, d->schedule.sigma[d->first], x);
}

/* Sum of |a - b|; b NULL: of |a|. */
static double distance(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += fabs((double)a[i] - (b ? (double)b[i] : 0));
    return sum;
}

/* The circle (frames 1..) turned by so many frames; frame 0 becomes the last of them. */
static void turn(float *out, const float *in, int by, const zm_latent_size *z)
{
    int64_t each = z->each / z->frames;
    int n = z->frames - 1;
    for (int f = 0; f < n; f++)
        memcpy(out + (1 + f) * each, in + (1 + (f + by) % n) * each, (size_t)each * sizeof *out);
    memcpy(out, out + n * each, (size_t)each * sizeof *out);
}

/* The guidance scale at a timestep: 1, none, beyond its interval. */
static double guidance_at(const zm_denoise *d, const zm_network *n, double t)
{
    if (t < 1000 * d->guidance_from || t > 1000 * d->guidance_to)
        return 1;
    return zm_network_is_high(n, t) ? d->guidance : d->guidance_low;
}

/* What the network answers at this step. */
static zm_status ask(zm_denoise *d, zm_network *n, const zm_latent_plan *plan, double t, float *v, zm_error *err)
{
    double guidance = guidance_at(d, n, t);
    const float *x = d->slot[ZM_SLOT_X];
    int by = zm_latent_plan_turn(plan, d->next), around = d->size.frames - 1;
    if (!d->turned)
        return zm_network_velocity(n, plan, x, t, guidance, v, err);
    turn(d->turned, x, by, &d->size);
    zm_status s = zm_network_velocity(n, plan, d->turned, t, guidance, d->turned + d->size.each, err);
    if (!s)
        turn(v, d->turned + d->size.each, (around - by) % around, &d->size);
    return s;
}

/* The velocity of this step: the network's, or told from the last ones. */
static zm_status velocity(zm_denoise *d, zm_network *n, const zm_latent_plan *plan, zm_error *err)
{
    float *x = d->slot[ZM_SLOT_X], *v = d->slot[ZM_SLOT_V], **seen = d->seen;
    double t = d->schedule.timestep[d->next];
    int64_t each = d->size.each;
    size_t bytes = (size_t)each * sizeof *v;
    if (!seen[0])
        return ask(d, n, plan, t, v, err);
    double before = d->skip.timestep[0];
    if (d->skip.seen && (zm_network_is_high(n, t) != zm_network_is_high(n, before) ||
                         guidance_at(d, n, t) != guidance_at(d, n, before)))
        zm_skip_begin(&d->skip, d->skip.quality); /* another expert or guidance: the answers before say nothing */
    bool skip = zm_skip_step(&d->skip, d->next - d->first, d->schedule.steps - d->first,
                             distance(x, seen[ZM_SEEN_BEFORE], each), distance(seen[ZM_SEEN_V1], NULL, each));
    memcpy(seen[ZM_SEEN_BEFORE], x, bytes);
    if (skip) {
        float slope = (float)zm_skip_slope(&d->skip, t);
        for (int64_t i = 0; i < each; i++)
            v[i] = seen[ZM_SEEN_V1][i] + slope * (seen[ZM_SEEN_V1][i] - seen[ZM_SEEN_V2][i]);
        return ZM_OK;
    }
    zm_status s = ask(d, n, plan, t, v, err);
    if (s)
        return s;
    zm_skip_saw(&d->skip, t, distance(v, seen[ZM_SEEN_V1], each), distance(x, seen[ZM_SEEN_X1], each));
    float *last = seen[ZM_SEEN_V2];
    seen[ZM_SEEN_V2] = seen[ZM_SEEN_V1];
    seen[ZM_SEEN_V1] = last;
    memcpy(seen[ZM_SEEN_V1], v, bytes);
    memcpy(seen[ZM_SEEN_X1], x, bytes);
    return ZM_OK;
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
        if (hooks->stop && *hooks->stop)
            return zm_fail(err, ZM_E_INTERRUPTED, "stopped at step %d of %d", i, d->schedule.steps);
        if (probe->input)
            probe->input(probe->user, d, x);
        s = velocity(d, n, plan, err);
        if (s)
            return s;
        if (probe->velocity)
            probe->velocity(probe->user, d, v);
        zm_step step = zm_solver_step(d->solver, &d->schedule, i, d->first);
        for (int k = 0; k < step.n; k++)
            zm_combine(&step.set[k], d->slot, d->size.each);
        if (probe->latent)
            probe->latent(probe->user, d, x);
        zm_latent_plan_hold(plan, d->schedule.sigma[i + 1], x);
        d->next = i + 1;
        if (hooks->stepped)
            s = hooks->stepped(hooks->user, d, step.x0_set >= 0 ? d->slot[step.set[step.x0_set].out] : NULL, err);
    }
    return s;
}
