/* Pictures and known frames into plans: brought to size, encoded, and put where the model takes them.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_CONDITION_H
#define ZM_PIPELINE_CONDITION_H

#include <signal.h>

#include "backend/backend.h"
#include "pipeline/latent_plan.h"

typedef struct zm_condition_options {
    zm_exec_options encode, picture; /* of the autoencoder and of the picture encoder */
    const volatile sig_atomic_t *stop;
} zm_condition_options;

/* Fill in what the request's pictures and known frames mean for this model; p: initialised, of the request's size.
 * Nothing happens without any.  Opens the autoencoder (and the picture encoder) and drops them again.
 *  - ZM_IMAGE_FRAMES (Wan 2.2 TI2V): pictures are resized to cover the size and cut about their centre; what the clip
 *    begins with is encoded by itself: its first latent frames.  What it ends with is encoded after a still of its first
 *    frame: the last ones.  A clip that is changed is the plan's `latent`.
 *  - ZM_IMAGE_CHANNELS (Wan 2.1 and 2.2 image to video): a clip that holds the pictures and is 0 elsewhere is encoded;
 *    each cell gets a mask of as many channels as a latent frame has frames (1: known), then that latent.
 *  - ZM_IMAGE_NONE: only a clip that is changed; frames that stay are kept as cells are (P3).
 *  - Networks with picture features get those of the first picture, or of both with their learnt positions.
 * ZM_E_INTERRUPTED; ZM_E_SHAPE; otherwise as opening the parts. */
ZM_MUST zm_status zm_condition(zm_latent_plan *p, zm_model *m, const zm_request *r, const zm_condition_options *opt,
                               zm_error *err);

#endif
