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
    zm_flow_times times;
    uint64_t seed;
} zm_dit_stage_options;

typedef struct zm_dit_stage zm_dit_stage;

/* Everything is borrowed and must outlive the stage; p holds the parameters of both networks.
 * ZM_E_SHAPE: the latents' channels are not the network's. */
ZM_MUST zm_status zm_dit_stage_new(zm_dit_stage **out, const zm_dit *dit, const zm_text_encoder *text,
                                   const zm_params *p, const zm_tokenizer *tokenizer, const zm_latents *train,
                                   const zm_latents *held, const zm_dit_stage_options *o, zm_error *err);
void zm_dit_stage_free(zm_dit_stage *s);
zm_stage zm_dit_stage_interface(zm_dit_stage *s);

#endif
