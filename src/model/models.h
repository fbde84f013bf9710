/* Model families and model directories: which networks a directory holds, their sizes, and how they are best sampled.
 *
 * A model directory has a config.json naming its parts, in our form
 *   {"family": "wan22-ti2v", "name": "...", "dit": {official keys}, "text_encoder": {official keys}, "vae": {...},
 *    "files": {"dit": "dit.gguf", "text_encoder": "text.gguf", "vae": "vae.gguf", "tokenizer": "tokenizer.json"},
 *    "sampling": {"steps", "guidance", "shift", "solver", "negative"}, "video": {"width", "height", "frames", "fps"}}
 * or is an official checkpoint directory, whose config.json holds the transformer's keys at its root.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MODEL_MODELS_H
#define ZM_MODEL_MODELS_H

#include "model/dit.h"
#include "model/text_encoder.h"

/* How a family is sampled unless the user says otherwise. */
typedef struct zm_model_sampling {
    int steps;
    double guidance; /* classifier-free guidance scale; 1 is none */
    double shift;    /* of the noise schedule */
    char solver[32]; /* name in the sample room's table */
    char *negative;  /* default negative prompt; owned by the config, NULL: empty */
} zm_model_sampling;

typedef struct zm_model_video {
    int width, height; /* pixels */
    int frames;
    double fps;
} zm_model_video;

typedef struct zm_model_family {
    const char *name;
    const char *summary;
    /* Whether a transformer of these sizes is of this family. */
    bool (*detect)(const zm_dit_config *c);
    /* Defaults that a config overrides. */
    zm_model_sampling sampling;
    zm_model_video video;
    bool frame_timesteps; /* one timestep per latent frame: every plan of the pipeline is possible */
    const char *paper;
} zm_model_family;

extern const zm_model_family zm_model_families[];
extern const size_t zm_model_family_count;
/* NULL when there is none. */
const zm_model_family *zm_model_family_find(const char *name);
const zm_model_family *zm_model_family_detect(const zm_dit_config *c);

typedef struct zm_model_config {
    const zm_model_family *family;
    char name[64];
    zm_dit_config dit;
    zm_text_config text; /* when has_text */
    bool has_text, has_vae;
    zm_json json;   /* the whole config.json; the "vae" object is read from it by zm_vae_config_read(.., "vae", ..) */
    char *dit_path; /* full paths; NULL where the directory has no such part */
    char *text_path;
    char *vae_path;
    char *tokenizer_path;
    zm_model_sampling sampling;
    zm_model_video video;
} zm_model_config;

/* Read DIR/config.json, or the shapes of the one weight file `path` when it is no directory.  Paths inside the config
 * must be plain file names in the directory.  ZM_E_MISSING, ZM_E_FORMAT, ZM_E_UNSUPPORTED (unknown family) and ZM_E_IO
 * name file and key.  On failure *out is {0}. */
ZM_MUST zm_status zm_model_config_open(zm_model_config *out, const char *path, zm_error *err);
void zm_model_config_close(zm_model_config *c);

#endif
