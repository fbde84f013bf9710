/* What a model's autoencoder alone makes of pictures.
 * SPDX-License-Identifier: MIT */
#include "app/eval_vae.h"

#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "pipeline/model.h"
#include "pipeline/vae_stream.h"

struct zm_eval_vae {
    zm_model *model;
    zm_vae_stream *encode, *decode;
    int width, height;
};

zm_status zm_eval_vae_open(zm_eval_vae **out, const char *model, int width, int height, zm_error *err)
{
    *out = NULL;
    zm_eval_vae *e = calloc(1, sizeof *e);
    if (!e)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for an autoencoder");
    e->width = width, e->height = height;
    zm_status s = zm_model_open(&e->model, model, err);
    if (!s)
        s = zm_model_need(e->model, ZM_PART_VAE, err);
    const zm_part *part = s ? NULL : &e->model->part[ZM_PART_VAE];
    if (!s)
        s = zm_vae_stream_open(&e->encode, part->vae, part->params, ZM_VAE_ENCODE, height, width, NULL, err);
    if (!s)
        s = zm_vae_stream_open(&e->decode, part->vae, part->params, ZM_VAE_DECODE, height, width, NULL, err);
    if (s)
        zm_eval_vae_close(e);
    else
        *out = e;
    return s;
}

void zm_eval_vae_close(zm_eval_vae *e)
{
    if (!e)
        return;
    zm_vae_stream_close(e->encode);
    zm_vae_stream_close(e->decode);
    zm_model_close(e->model);
    free(e);
}

zm_status zm_eval_vae_pass(zm_eval_vae *e, uint8_t *rgb, int frames, zm_error *err)
{
    const zm_model *m = e->model;
    size_t each = (size_t)e->width * (size_t)e->height * 3;
    int64_t latents = 1 + (frames - 1 + m->time_stride - 1) / m->time_stride, all = 1 + (latents - 1) * m->time_stride,
            cells = (int64_t)(e->width / m->stride) * (e->height / m->stride) * m->z_dim;
    float *video = zm_aligned_alloc((size_t)all * each * sizeof *video),
          *latent = zm_aligned_alloc((size_t)(latents * cells) * sizeof *latent);
    zm_status s = video && latent ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for %d frames", frames);
    for (int64_t f = 0; !s && f < all; f++)
        for (size_t i = 0; i < each; i++)
            video[(size_t)f * each + i] =
                (float)rgb[(size_t)(f < frames ? f : frames - 1) * each + i] * (2.0F / 255) - 1;
    if (!s) {
        zm_vae_stream_restart(e->encode);
        zm_vae_stream_restart(e->decode);
        s = zm_vae_encode_clip(e->encode, video, all, latent, err);
    }
    if (!s)
        s = zm_vae_decode_clip(e->decode, latent, latents, video, err);
    for (size_t i = 0; !s && i < (size_t)frames * each; i++)
        rgb[i] = (uint8_t)lrintf(fminf(fmaxf((video[i] + 1) * 127.5F, 0), 255));
    free(video);
    free(latent);
    return s;
}
