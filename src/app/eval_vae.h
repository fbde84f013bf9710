/* What a model's autoencoder alone makes of pictures: the best that the model could show.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_EVAL_VAE_H
#define ZM_APP_EVAL_VAE_H

#include <stdint.h>

#include "base/error.h"

typedef struct zm_eval_vae zm_eval_vae;
/* Errors as zm_model_open, zm_model_need and zm_vae_stream_open.  On failure *out is NULL. */
ZM_MUST zm_status zm_eval_vae_open(zm_eval_vae **out, const char *model, int width, int height, zm_error *err);
void zm_eval_vae_close(zm_eval_vae *e); /* NULL is fine */
/* Encode rgb [frames,H,W,3] and put in its place what is decoded from that.  Where the frames do not fill the last
 * latent frame the last of them is repeated.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_eval_vae_pass(zm_eval_vae *e, uint8_t *rgb, int frames, zm_error *err);

#endif
