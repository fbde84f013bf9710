/* Clips encoded once: a file of latents and captions that the diffusion stage draws from.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TRAIN_LATENTS_H
#define ZM_TRAIN_LATENTS_H

#include "format/weights.h"
#include "model/vae.h"
#include "train/data.h"

/* One cache file, mapped. */
typedef struct zm_latents {
    zm_weights *file;
    int64_t n;
    int frames, height, width, z; /* of a latent */
    int captions;                 /* per clip */
    const uint16_t *latent;       /* f16 [n,F,H,W,z], normalised per channel */
    const uint8_t *mask;          /* [n,F,H,W]: share of a cell's pixels inside bodies, 255 = all */
    const char *text;
    const int64_t *text_at; /* [n*captions+1] */
} zm_latents;

typedef struct zm_latents_options {
    int64_t n;       /* clips */
    int captions;    /* per clip */
    const char *key; /* what made it; a cache with another key is made anew */
    FILE *report;    /* progress for people; NULL: silent */
} zm_latents_options;

/* Encode n clips of `source` with the parameters as they are, and save them under `path` (beside and renamed).
 * With measure_stats the latents' mean and std per channel are measured on them first and set in v. */
ZM_MUST zm_status zm_latents_make(const char *path, const zm_clip_source *source, zm_vae *v, const zm_params *p,
                                  const zm_latents_options *o, bool measure_stats, zm_error *err);
/* ZM_E_MISSING: no such file; ZM_E_FORMAT: not a cache, or one with another key. */
ZM_MUST zm_status zm_latents_open(zm_latents *out, const char *path, const char *key, zm_error *err);
void zm_latents_close(zm_latents *l);
/* Caption k of clip i into out, NUL-terminated. */
void zm_latents_caption(const zm_latents *l, int64_t i, int k, char out[ZM_CAPTION_MAX]);

#endif
