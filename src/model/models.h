/* Model families and models on disk: which networks are there, their sizes, and how they are best sampled.
 *
 * A directory of ours has a config.json naming its parts,
 *   {"family": "wan22-ti2v", "name": "...", "dit": {official keys}, "text_encoder": {official keys}, "vae": {...},
 *    "files": {"dit": "dit.gguf", "text_encoder": "text.gguf", "vae": "vae.gguf", "tokenizer": "tokenizer.json"},
 *    "sampling": {"steps", "guidance", "guidance_low", "shift", "solver", "negative"},
 *    "fast": {"adapter": "fast.gguf", "steps", "guidance", "shift", "solver"},
 *    "video": {"width", "height", "frames", "fps", "given", "stills"}}.
 * An official directory has a config.json with the transformer's keys at its root, or high_noise_model/ and
 * low_noise_model/ with one each (Wan 2.2 A14B); sizes that it does not tell are read from the tensors.
 * A directory of diffusers has a model_index.json.  Any other directory, and what lies around one weight file, is
 * looked through for files that hold a network (model/files.h).
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MODEL_MODELS_H
#define ZM_MODEL_MODELS_H

#include "model/clip.h"
#include "model/dit.h"
#include "model/names.h"
#include "model/text_encoder.h"
#include "model/vae.h"

/* How a family is sampled unless the user says otherwise. */
typedef struct zm_model_sampling {
    int steps;
    double guidance;     /* classifier-free guidance scale; 1 is none; of the high-noise expert where there are two */
    double guidance_low; /* of the low-noise expert; in a config always set: the same as guidance for one network */
    double shift;        /* of the noise schedule */
    char solver[32];     /* name in the sample room's table */
    char *negative;      /* default negative prompt; owned by the config, NULL: empty */
} zm_model_sampling;

/* How the model is sampled in few steps: an adapter of its transformer that was taught them (zouma train, stage
 * distill), and the settings it was taught for. */
typedef struct zm_model_fast {
    char *adapter; /* path; NULL: the model has none */
    int steps;     /* 4 unless told */
    double guidance, shift;
    char solver[32];
} zm_model_fast;

typedef struct zm_model_video {
    int width, height; /* pixels */
    int frames;
    double fps;
    int given;   /* latent frames at its beginning that a clip may have been given in training; 0: none */
    bool stills; /* clips of one frame were trained on */
} zm_model_video;

typedef struct zm_model_family {
    const char *name;
    const char *summary;
    /* Whether a transformer of these sizes, alone or one of two experts, is of this family. */
    bool (*detect)(const zm_dit_config *c, bool experts);
    /* Defaults that a config overrides. */
    zm_model_sampling sampling;
    zm_model_video video;
    double boundary;      /* of two experts: noise levels at and above it are the first one's; 0: one network */
    bool frame_timesteps; /* one timestep per latent frame: every plan of the pipeline is possible */
    const char *negative; /* what official checkpoints are steered away from by default; NULL: nothing */
    const char *paper;
} zm_model_family;

extern const zm_model_family zm_model_families[];
extern const size_t zm_model_family_count;
/* NULL when there is none. */
const zm_model_family *zm_model_family_find(const char *name);
const zm_model_family *zm_model_family_detect(const zm_dit_config *c, bool experts);

/* "diffusion transformer", "low-noise transformer", "text encoder", "video autoencoder", "image encoder". */
const char *zm_model_part_name(zm_model_part_kind part);

typedef struct zm_model_config {
    const zm_model_family *family;
    char name[64];
    zm_dit_config dit;   /* of both experts */
    zm_text_config text; /* when has_text */
    zm_vae_config vae;   /* when has_vae */
    zm_clip_config clip; /* when has_clip */
    bool has_text, has_vae, has_clip;
    double boundary; /* timesteps >= 1000 * boundary are dit_path's, lower ones dit_low_path's; 0: one network */
    zm_json json;    /* the whole config.json */
    /* Paths; NULL where the directory has no such part.  Two parts may be in one file. */
    char *dit_path;     /* the transformer; of two experts the one for high noise */
    char *dit_low_path; /* the expert for low noise; NULL: one network */
    char *text_path, *vae_path, *clip_path;
    char *tokenizer_path;
    zm_model_sampling sampling;
    zm_model_fast fast;
    zm_model_video video;
} zm_model_config;

/* Files of parts that the user names instead of those that would be found; NULL: look for it. */
typedef struct zm_model_files {
    const char *low_noise, *text_encoder, *vae, *image_encoder, *tokenizer;
} zm_model_files;

/* Read what the directory or the one weight file at `path` holds.  Paths inside a config must be plain file names in
 * the directory.  Sizes that no config tells are read from the tensors' shapes, for which headers are read, no values.
 * A part that is not there is not an error here.  ZM_E_MISSING, ZM_E_FORMAT, ZM_E_UNSUPPORTED (unknown family) and
 * ZM_E_IO name file and key.  On failure *out is {0}. */
ZM_MUST zm_status zm_model_config_open(zm_model_config *out, const char *path, zm_error *err);
/* The same with `told` (NULL: nothing) in place of what lies there. */
ZM_MUST zm_status zm_model_config_open_with(zm_model_config *out, const char *path, const zm_model_files *told,
                                            zm_error *err);
void zm_model_config_close(zm_model_config *c);
/* Where a part's weights are; NULL when there are none. */
const char *zm_model_part_path(const zm_model_config *c, zm_model_part_kind part);
/* Open the weights of a part: every tensor has its official name, whatever names and container are on disk.  No
 * prefix, but for the image encoder: "visual.", as published.
 * ZM_E_MISSING names the part; other errors as of zm_weights_open.  The caller frees *out. */
ZM_MUST zm_status zm_model_part_open(zm_weights **out, const zm_model_config *c, zm_model_part_kind part,
                                     zm_error *err);

#endif
