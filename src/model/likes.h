/* Sizes of public models by name, for plans and trials without their files.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MODEL_LIKES_H
#define ZM_MODEL_LIKES_H

#include "model/clip.h"
#include "model/dit.h"
#include "model/models.h"
#include "model/text_encoder.h"
#include "model/vae.h"

typedef struct zm_like {
    const char *name; /* "wan2.1-t2v-1.3b" */
    const char *summary;
    zm_dit_config dit;
    zm_vae_kind vae;
    bool experts, clip;
} zm_like;

extern const zm_like zm_likes[];
extern const size_t zm_like_count;
/* NULL when there is none of that name. */
const zm_like *zm_like_find(const char *name);

/* The other networks' published sizes: umT5-XXL, the autoencoders, ViT-H/14. */
zm_text_config zm_like_text(void);
zm_vae_config zm_like_vae(zm_vae_kind kind);
zm_clip_config zm_like_clip(void);

/* A configuration as of a directory of this model, without files.  Closed with zm_model_config_close.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_like_config(zm_model_config *out, const zm_like *like, zm_error *err);

#endif
