/* A model in memory: its networks bound to their weights, its tokenizer, its defaults.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_MODEL_H
#define ZM_PIPELINE_MODEL_H

#include "model/models.h"
#include "model/vae.h"
#include "text/unigram.h"

/* One network and where its weights live. */
typedef struct zm_part {
    zm_params *params;
    zm_weights *file; /* mapped; NULL when the values are random */
} zm_part;

typedef struct zm_model {
    zm_model_config config;
    zm_part dit_part, text_part, vae_part;
    zm_dit *dit;
    zm_text_encoder *text;
    zm_vae *vae;
    zm_tokenizer *tokenizer;
} zm_model;

/* The directory of the bundled model: $ZOUMA_MODEL, models/toybox beside or above the program, or where it was
 * installed; NULL when there is none.  malloc'd. */
char *zm_model_bundled(void);

/* Load every part of a model directory.  Networks whose f32 values fit in 1 GiB are expanded to f32 once; larger ones
 * stay mapped in the file's dtype.  ZM_E_MISSING (names the part), ZM_E_FORMAT, ZM_E_SHAPE, ZM_E_UNSUPPORTED,
 * ZM_E_NOMEM.  On failure *out is NULL. */
ZM_MUST zm_status zm_model_open(zm_model **out, const char *path, zm_error *err);
/* As above with untrained random weights instead of the files' (the tokenizer and sizes are the model's): the
 * baseline of scores. */
ZM_MUST zm_status zm_model_open_untrained(zm_model **out, const char *path, uint64_t seed, zm_error *err);
void zm_model_close(zm_model *m);

#endif
