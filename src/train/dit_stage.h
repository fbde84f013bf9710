/* Training the diffusion transformer and its text encoder together on cached latents, by flow matching.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TRAIN_DIT_STAGE_H
#define ZM_TRAIN_DIT_STAGE_H

#include "model/dit.h"
#include "model/text_encoder.h"
#include "sample/flow.h"
#include "text/unigram.h"
#include "train/latents.h"
#include "train/trainer.h"

typedef struct zm_dit_stage_options {
    int batch;
    double inside;         /* loss weight of cells wholly inside bodies; outside is 1 */
    double prompt_dropout; /* share of clips whose prompt is empty */
    double common, given;  /* shares of clips with one noise level, and with clean first frames */
    int frames;            /* latent frames of a training clip; 0: all of a cached one */
    int level_frames;      /* latent frames of a block; 0: the network's causal block, or there are none */
    /* Of a network trained both ways: the share of each batch that looks back only, and `common` and `given` of these
     * clips, whose levels go by blocks; all others have levels as if there were no blocks. */
    double back, back_common, back_given;
    zm_flow_times times;
    uint64_t seed;
} zm_dit_stage_options;

/* Noise levels of the latent frames of one clip; returns how many first frames are clean (level 0).  Of the clips a
 * share `common` has one level for all frames and a share `given` clean first frames: one or two, or, where there are
 * blocks, any number of those but all.  The rest has independent levels, one for each frame or block (Chen et al. 2024,
 * Diffusion Forcing, arXiv:2407.01392; of blocks: Yin et al. 2024, CausVid, arXiv:2412.07772, 4.2): what a block of a
 * film sees before it may then have any level, 0 among them. */
int zm_dit_stage_levels(const zm_dit_stage_options *o, zm_rng *r, float *sigma, int frames);

/* Which latent frames of a cached clip of `cached` a training clip of `frames` takes, into from[frames].  One that looks
 * back only sees what a film's later block sees: the first blocks, the sink, and as many blocks in a row from anywhere
 * behind them; c NULL, or nothing to spare: the first frames.  cached >= frames. */
void zm_dit_stage_cut(const zm_dit_causal *c, zm_rng *r, int frames, int cached, int *from);

typedef struct zm_dit_stage zm_dit_stage;

/* Everything is borrowed and must outlive the stage; p holds the parameters of both networks.
 * ZM_E_SHAPE: the latents' channels are not the network's, or they have fewer frames than a training clip. */
ZM_MUST zm_status zm_dit_stage_new(zm_dit_stage **out, const zm_dit *dit, const zm_text_encoder *text,
                                   const zm_params *p, const zm_tokenizer *tokenizer, const zm_latents *train,
                                   const zm_latents *held, const zm_dit_stage_options *o, zm_error *err);
void zm_dit_stage_free(zm_dit_stage *s);
zm_stage zm_dit_stage_interface(zm_dit_stage *s);

#endif
