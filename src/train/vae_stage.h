/* Training the video autoencoder on windows of clips.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TRAIN_VAE_STAGE_H
#define ZM_TRAIN_VAE_STAGE_H

#include "model/vae.h"
#include "train/data.h"
#include "train/trainer.h"

typedef struct zm_vae_stage_options {
    int batch, frames; /* windows of `frames` (4n+1) in a batch */
    int64_t pool;      /* training clips kept in memory */
    int64_t held_out;  /* clips of `held` used to validate */
    double inside;     /* weight of pixels inside bodies; outside is 1 */
    double kl;
    uint64_t seed;
} zm_vae_stage_options;

typedef struct zm_vae_stage zm_vae_stage;

/* train and held: clips to learn from and clips to measure on; borrowed during the call only.  v is borrowed. */
ZM_MUST zm_status zm_vae_stage_new(zm_vae_stage **out, zm_vae *v, const zm_params *p, const zm_clip_source *train,
                                   const zm_clip_source *held, const zm_vae_stage_options *o, zm_error *err);
void zm_vae_stage_free(zm_vae_stage *s);
zm_stage zm_vae_stage_interface(zm_vae_stage *s);

typedef struct zm_vae_score {
    double psnr, psnr_inside,
        psnr_worst_frame; /* dB, over all held-out pixels; inside bodies; of the worst frame place */
} zm_vae_score;
/* Reconstruction of the held-out clips with the parameters as they are. */
ZM_MUST zm_status zm_vae_stage_score(zm_vae_stage *s, zm_vae_score *out, zm_error *err);

/* Held-out clip i and its reconstruction, u8 [F,H,W,3] each; i < held_out. */
ZM_MUST zm_status zm_vae_stage_pair(zm_vae_stage *s, int64_t i, uint8_t *original, uint8_t *reconstruction,
                                    zm_error *err);

#endif
