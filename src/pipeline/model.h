/* A model: what is on disk, its tokenizer, and its networks, each opened when it is needed.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_MODEL_H
#define ZM_PIPELINE_MODEL_H

#include "model/adapter.h"
#include "model/clip.h"
#include "model/models.h"
#include "model/vae.h"
#include "text/unigram.h"

/* One network and where its weights live.  Of the handles the one of its kind is set while the part is open. */
typedef struct zm_part {
    zm_params *params;
    zm_weights *file; /* mapped; NULL when the values are random */
    zm_dit *dit;      /* of both experts */
    zm_text_encoder *text;
    zm_vae *vae;
    zm_clip *clip;
    zm_adapter *adapter;     /* NULL: none */
    const zm_lora *attached; /* what graphs of this part must attach; NULL: nothing */
    bool open;               /* declared and filled */
} zm_part;

/* Adapters of the transformer, applied whenever it is opened. */
typedef struct zm_model_lora {
    char *path;
    float strength;
} zm_model_lora;

enum { ZM_MODEL_LORAS_MAX = 8 };

typedef struct zm_model {
    zm_model_config config;
    zm_tokenizer *tokenizer; /* NULL: none on disk */
    /* Of the autoencoder, known before it is opened: pixels a latent cell spans each way, frames a latent frame spans,
     * latent channels. */
    int stride, time_stride, z_dim;
    bool keep; /* parts stay open: all of them together are small (or the caller knows that they fit) */
    zm_part part[ZM_PART_COUNT];
    bool untrained; /* random values instead of the files' */
    uint64_t seed;
    zm_model_lora lora[ZM_MODEL_LORAS_MAX];
    int n_lora;
    bool fast; /* the adapter for few steps is applied, too */
} zm_model;

/* The directory of the bundled model: $ZOUMA_MODEL, models/toybox beside or above the program, or where it was
 * installed; NULL when there is none.  malloc'd. */
char *zm_model_bundled(void);

/* Read what is on disk at `path` and the tokenizer; no weights yet.  A model whose f32 values fit in 1 GiB keeps its
 * parts once they are opened.  ZM_E_MISSING (no transformer or autoencoder), ZM_E_FORMAT, ZM_E_SHAPE (parts that do
 * not fit together), ZM_E_UNSUPPORTED, ZM_E_NOMEM.  On failure *out is NULL. */
ZM_MUST zm_status zm_model_open(zm_model **out, const char *path, zm_error *err);
/* The same with files that the user names for single parts; NULL: none. */
ZM_MUST zm_status zm_model_open_with(zm_model **out, const char *path, const zm_model_files *told, zm_error *err);
/* As above with untrained random weights for prompt and velocity instead of the files': the baseline of scores. */
ZM_MUST zm_status zm_model_open_untrained(zm_model **out, const char *path, uint64_t seed, zm_error *err);
/* The same from a config that is not read from one directory; *c is moved, also on failure. */
ZM_MUST zm_status zm_model_open_config(zm_model **out, zm_model_config *c, zm_error *err);
void zm_model_close(zm_model *m);

/* Apply an adapter file to the transformers from their next opening on; strength 1 as trained.  ZM_E_USAGE: too many;
 * ZM_E_NOMEM. */
ZM_MUST zm_status zm_model_add_lora(zm_model *m, const char *path, float strength, zm_error *err);

/* Whether the transformers have the model's adapter for few steps (config.fast, which is there when `fast`) from now on.
 * An open transformer that has it otherwise is closed; its graphs must be gone. */
void zm_model_use_fast(zm_model *m, bool fast);

/* Open a part unless it is: declared from its config, weights mapped, or expanded to f32 when they fit in 1 GiB.
 * ZM_E_MISSING names the part. */
ZM_MUST zm_status zm_model_need(zm_model *m, zm_model_part_kind part, zm_error *err);
/* Close a part and give its memory back; a model that keeps its parts does nothing.  Graphs of the part must be gone. */
void zm_model_drop(zm_model *m, zm_model_part_kind part);

/* A number that changes with the weights of the part: tensors' names, dtypes and shapes, and samples of their values.
 * Reads headers and some pages of the files.  0 for a part that is not there. */
ZM_MUST zm_status zm_model_part_key(uint64_t *out, const zm_model *m, zm_model_part_kind part, zm_error *err);

#endif
