/* Teaching few steps: an adapter of a frozen transformer learns to take, in one evaluation without guidance, the steps of
 * paths that the transformer itself walked (train/paths.h).
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TRAIN_DISTILL_STAGE_H
#define ZM_TRAIN_DISTILL_STAGE_H

#include "train/paths.h"
#include "train/trainer.h"

typedef struct zm_distill_options {
    int batch; /* steps of paths */
    uint64_t seed;
} zm_distill_options;

typedef struct zm_distill_stage zm_distill_stage;

/* base: the transformer's parameters, filled and frozen; adapter: declared on it and filled; its parameters are what
 * zm_train trains.  Everything is borrowed and must outlive the stage.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_distill_stage_new(zm_distill_stage **out, const zm_dit *dit, const zm_params *base,
                                       const zm_lora *adapter, const zm_paths *train, const zm_paths *held,
                                       const zm_distill_options *o, zm_error *err);
void zm_distill_stage_free(zm_distill_stage *s);
zm_stage zm_distill_stage_interface(zm_distill_stage *s);

/* How far from the teacher's end the student's own walk over all steps ends, held-out paths: root of the mean square of
 * the difference over that of the teacher's latents.  loss[steps]: mean square of the velocity by step, may be NULL. */
ZM_MUST zm_status zm_distill_measure(zm_distill_stage *s, double *distance, double *loss, zm_error *err);

#endif
