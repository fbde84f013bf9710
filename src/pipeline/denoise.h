/* The one denoising loop: every model family, solver and plan goes through it.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_DENOISE_H
#define ZM_PIPELINE_DENOISE_H

#include <signal.h>

#include "pipeline/network.h"
#include "sample/skip.h"
#include "sample/solver.h"

/* What leaving out evaluations remembers: two velocities, the later one's sample, and the sample one step ago. */
typedef enum { ZM_SEEN_V1, ZM_SEEN_V2, ZM_SEEN_X1, ZM_SEEN_BEFORE, ZM_SEEN_COUNT } zm_seen;

/* The whole state of a run: which step comes next, and the solver's tensors (invariant 1 of sample/solver.h). */
typedef struct zm_denoise {
    const zm_solver *solver;
    zm_schedule schedule;
    int first, next; /* steps: the run's first, and the one that comes next; schedule.steps: finished */
    zm_latent_size size;
    float *slot[ZM_SLOT_COUNT];                                /* [F,H,W,z]; NULL where the solver has no use for it */
    double guidance, guidance_low, guidance_from, guidance_to; /* as in zm_request */
    zm_skip skip;
    float *seen[ZM_SEEN_COUNT]; /* [F,H,W,z]; NULL where every step is evaluated */
    float *turned;              /* [2,F,H,W,z] of a loop: sample and velocity as the network has them; else NULL */
} zm_denoise;

/* Look on, and put in, for comparisons; every member may be NULL.  d->next is the step. */
typedef struct zm_probe {
    void *user;
    void (*input)(void *user, const zm_denoise *d, float *x);          /* before a step; may change x */
    void (*velocity)(void *user, const zm_denoise *d, const float *v); /* guidance applied */
    void (*latent)(void *user, const zm_denoise *d, const float *x);   /* stepped; given frames not yet put back */
    void (*video)(void *user, const float *rgb, int frames); /* [frames,H,W,3] as decoded, not limited to -1..1 */
} zm_probe;

/* What happens around a step; every member may be NULL. */
typedef struct zm_denoise_hooks {
    void *user;
    const zm_probe *probe;
    /* A step is finished (d->next moved on); x0 [F,H,W,z]: what the clip would be by this step's
     * prediction, NULL where the solver has none. */
    zm_status (*stepped)(void *user, const zm_denoise *d, const float *x0, zm_error *err);
    const volatile sig_atomic_t *stop;
} zm_denoise_hooks;

/* r: resolved.  ZM_E_USAGE: a schedule too fine; ZM_E_NOMEM. */
ZM_MUST zm_status zm_denoise_open(zm_denoise *d, const zm_request *r, const zm_latent_size *size, zm_error *err);
void zm_denoise_release(zm_denoise *d); /* {0} afterwards */
/* The step that a plan's level lets a run begin with. */
int zm_denoise_first(const zm_denoise *d, const zm_latent_plan *plan);
/* Draw the noise of the request's seed (or take the supplied one) and begin as the plan says. */
void zm_denoise_begin(zm_denoise *d, const zm_request *r, zm_latent_plan *plan);
/* From d->next to the end.  ZM_E_INTERRUPTED between steps; d is at a step's boundary then and can go on. */
ZM_MUST zm_status zm_denoise_run(zm_denoise *d, zm_network *n, const zm_latent_plan *plan, const zm_contexts *contexts,
                                 const zm_denoise_hooks *hooks, zm_error *err);

#endif
