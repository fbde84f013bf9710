/* The plan of a clip: which latent frames are given and which are asked for, and what goes along with them.
 *
 * One denoising loop runs every plan; a mode of making video is a way of filling this table in:
 *
 *   text to video          every level 1
 *   picture to video       frame 0 at level 0 (or, for networks without a timestep per frame, `channels`)
 *   go on, go back, join   the frames that are known at level 0
 *   change a video         every level the same, between 0 and 1, `latent` the video's
 *   change a part of it    the same, and `keep` where it stays as it is
 *   loop                   every level 1, `circle`
 *
 * Invariants
 *  P1  A frame at level 0 is `latent`'s before the first step, after every step and at the end, bit for bit; the
 *      network is told timestep 0 for it.
 *  P2  All other levels are equal: L.  They start as (1 - s) latent + s noise, where s is the first noise level of the
 *      schedule at or below L (L = 1: the schedule's own start, pure noise, whatever `latent` holds).
 *  P3  A cell of `keep` in such a frame is (1 - s) latent + s noise at every noise level s that the sample passes, with
 *      the noise it began with: `latent`'s at the end (Song et al. 2021, arXiv:2011.13456, appendix I.2).
 *  P4  The frames 1 .. F-1 of a circle follow each other around it: the network sees them from another one on at each
 *      step (Bi et al. 2025, arXiv:2502.20307).  Frame 0 is not of the clip: the network was trained with a first latent
 *      frame that stands for one picture, so in its place it sees what comes before, whose velocity nobody asks for.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_LATENT_PLAN_H
#define ZM_PIPELINE_LATENT_PLAN_H

#include "pipeline/request.h"

typedef struct zm_latent_plan {
    zm_latent_size size;
    float *level;                /* [F] of each latent frame, 0 .. 1 */
    float *latent;               /* [F,H,W,z] normalised; read where level < 1; NULL: every level is 1 */
    float *keep;                 /* [F,H,W] 1: the cell stays `latent`'s (P3), 0: not; NULL: none does */
    float *noise;                /* [F,H,W,z] what P3 mixes in; NULL without `keep` */
    bool circle;                 /* P4 */
    int channels;                /* further input channels of each cell; 0: none */
    float *extra;                /* [F,H,W,channels]; NULL: none yet */
    int image_tokens, image_dim; /* image_dim 0: the network takes no picture features */
    float *image;                /* [image_tokens,image_dim]; NULL: none yet */
} zm_latent_plan;                /* everything owned */

/* Every frame of a resolved request asked for; channels and image_dim as the model has them, their data NULL.
 * ZM_E_NOMEM. */
ZM_MUST zm_status zm_latent_plan_init(zm_latent_plan *p, const zm_request *r, const zm_model *m, zm_error *err);
void zm_latent_plan_release(zm_latent_plan *p); /* {0} afterwards */
/* Give latent frame f: [H,W,z] is copied, its level becomes 0.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_latent_plan_give(zm_latent_plan *p, int f, const float *frame, zm_error *err);
/* The clip that is changed: [F,H,W,z] is copied (p->latent itself is fine), every level becomes `level` (0 excluded).  ZM_E_NOMEM. */
ZM_MUST zm_status zm_latent_plan_change(zm_latent_plan *p, double level, const float *latent, zm_error *err);
/* Of a clip that is changed: keep the cells where repaint [F,H,W] (0 or 1) is 0.  per_frame: frames of such cells alone are given
 * outright.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_latent_plan_keep(zm_latent_plan *p, const uint8_t *repaint, bool per_frame, zm_error *err);
/* L of P2; 1 when every frame is given. */
double zm_latent_plan_level(const zm_latent_plan *p);
/* Whether every frame is asked for. */
bool zm_latent_plan_is_free(const zm_latent_plan *p);
/* Overwrite what x [F,H,W,z], a sample at noise level `sigma`, must have (P1, P3). */
void zm_latent_plan_hold(const zm_latent_plan *p, double sigma, float *x);
/* x [F,H,W,z] holds noise: make it the sample at noise level `sigma` (P2) and hold what is given. */
void zm_latent_plan_start(zm_latent_plan *p, double sigma, float *x);
/* How far the circle is turned at a step (P4): the network sees frame 1 + turn after its first; 0 without one. */
int zm_latent_plan_turn(const zm_latent_plan *p, int step);

#endif
