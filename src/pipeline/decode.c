/* Latents into pictures.
 * SPDX-License-Identifier: MIT */
#include "pipeline/decode.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/spool.h"

struct zm_latent_decoder {
    zm_model *m;
    zm_exec_options opt;
    int width, height, bands;
    int64_t cells; /* numbers of a latent frame */
    zm_vae_stream *clip, *single;
    float *pixels; /* as many frames as a push gives */
    zm_frame picture;
};

zm_status zm_latent_decoder_new(zm_latent_decoder **out, zm_model *m, int width, int height, int bands,
                                const zm_exec_options *opt, zm_error *err)
{
    *out = NULL;
    zm_latent_decoder *d = calloc(1, sizeof *d);
    if (!d)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a decoder");
    *d = (zm_latent_decoder){.m = m,
                             .opt = *opt,
                             .width = width,
                             .height = height,
                             .bands = bands,
                             .cells = (int64_t)(width / m->stride) * (height / m->stride) * m->z_dim};
    size_t most = (size_t)m->time_stride, bytes;
    bool fits = zm_size_mul(&bytes, most * 3 * sizeof(float), (size_t)width * (size_t)height);
    d->pixels = fits ? zm_aligned_alloc(bytes) : NULL;
    zm_status s = d->pixels ? zm_frame_init(&d->picture, width, height, err)
                            : zm_fail(err, ZM_E_NOMEM, "no memory for frames of %dx%d pixels", width, height);
    if (!s)
        s = zm_model_need(m, ZM_PART_VAE, err);
    if (s)
        zm_latent_decoder_free(d);
    else
        *out = d;
    return s;
}

void zm_latent_decoder_free(zm_latent_decoder *d)
{
    if (!d)
        return;
    zm_vae_stream_close(d->clip);
    zm_vae_stream_close(d->single);
    zm_model_drop(d->m, ZM_PART_VAE);
    free(d->pixels);
    zm_frame_release(&d->picture);
    free(d);
}

/* Values are left as decoded: rounding to bytes limits them, and a probe wants them as they come. */
static zm_status stream(zm_latent_decoder *d, zm_vae_stream **s, bool keep_graphs, zm_error *err)
{
    const zm_part *part = &d->m->part[ZM_PART_VAE];
    zm_vae_stream_options o = {.unclamped = true, .keep_graphs = keep_graphs, .exec = d->opt};
    if (!*s)
        return zm_vae_stream_open(s, part->vae, part->params, ZM_VAE_DECODE, d->height, d->width, &o, err);
    zm_vae_stream_restart(*s);
    return ZM_OK;
}

/* ---- what lies between two calls ---- */

void zm_decode_state_release(zm_decode_state *s)
{
    for (int i = 0; i < s->bands; i++)
        free(s->at[i]);
    *s = (zm_decode_state){0};
}

zm_status zm_decode_state_add(zm_decode_state *s, size_t floats, zm_error *err)
{
    if (s->bands == ZM_DECODE_BANDS_MAX)
        return zm_fail(err, ZM_E_UNSUPPORTED, "a decoder that goes on has %d bands at most", ZM_DECODE_BANDS_MAX);
    float *at = zm_aligned_alloc((floats + 1) * sizeof *at);
    if (!at)
        return zm_fail(err, ZM_E_NOMEM, "no memory for %zu numbers of a decoder's states", floats);
    s->floats[s->bands] = floats;
    s->at[s->bands++] = at;
    return ZM_OK;
}

/* Where band k was when the frames before ended. */
static zm_status take_up(zm_vae_stream *s, const zm_decode_state *between, int k, int bands, zm_error *err)
{
    size_t floats = zm_vae_stream_state(s);
    if (k >= between->bands || between->floats[k] != floats)
        return zm_fail(err, ZM_E_FORMAT,
                       "the decoder's states of the frames before are of %d bands, %zu numbers in this one; "
                       "%zu numbers in %d bands are needed",
                       between->bands, k < between->bands ? between->floats[k] : 0, floats, bands);
    zm_vae_stream_resume(s, between->at[k]);
    return ZM_OK;
}

static zm_status put_down(const zm_vae_stream *s, zm_decode_state *between, int k, zm_error *err)
{
    zm_status st = !between || k < between->bands ? ZM_OK : zm_decode_state_add(between, zm_vae_stream_state(s), err);
    if (!st && between)
        zm_vae_stream_save(s, between->at[k]);
    return st;
}

/* ---- pictures ---- */

static void to_bytes(uint8_t *rgb, const float *hwc, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float x = (hwc[i] + 1) * 127.5F;
        rgb[i] = (uint8_t)(x > 0 ? x < 255 ? lrintf(x) : 255 : 0);
    }
}

static void to_picture(zm_latent_decoder *d, const float *hwc)
{
    to_bytes(d->picture.rgb, hwc, (int64_t)d->width * d->height * 3);
}

/* In which order latent frames go through the decoder.  Around a circle everything passes twice, and what comes the
 * first time is not seen: the states then are those of a film that has always been going on. */
typedef struct passage {
    int frames, unseen, pushes;
    bool circle;
    zm_decode_state *between; /* NULL: nothing comes before or after */
    bool goes_on;             /* something came before */
} passage;

static passage order_of(int latent_frames, bool circle, zm_decode_state *between)
{
    int unseen = circle ? latent_frames : 0;
    return (passage){latent_frames, unseen,  latent_frames + unseen - circle,
                     circle,        between, between && between->bands};
}

/* The latent frame of push i; in a circle the last one stands before the first. */
static int frame_of(const passage *o, int i)
{
    int circled = o->frames - 1;
    return o->circle ? 1 + (i + circled - 1) % circled : i;
}

/* Rows of pictures that wait for the bands below them: [frames,height,width,3] bytes. */
typedef struct waiting {
    FILE *file;
    int64_t line; /* bytes of a row */
    int frames;
} waiting;

static zm_status wait_failed(const zm_decode_hooks *hooks, zm_error *err)
{
    return zm_fail(err, ZM_E_IO, "%s%spictures that wait for their last band cannot be kept on disk: %s",
                   hooks->spool ? hooks->spool : "", hooks->spool ? ": " : "", strerror(errno));
}

/* A band of frame f, already in the picture: kept, or with the last band shown after the rows above it are back. */
static zm_status put_band(zm_latent_decoder *d, const waiting *w, const zm_vae_stream_options *band, int f,
                          const zm_decode_hooks *hooks, zm_error *err)
{
    int64_t first = band->first_row * d->m->stride, last = band->last_row * d->m->stride;
    int64_t start = (int64_t)f * d->height * w->line;
    errno = 0;
    if (last < d->height) {
        size_t bytes = (size_t)((last - first) * w->line);
        bool kept = !fseeko(w->file, (off_t)(start + first * w->line), SEEK_SET) &&
                    fwrite(d->picture.rgb + first * w->line, 1, bytes, w->file) == bytes && !fflush(w->file);
        return kept ? ZM_OK : wait_failed(hooks, err);
    }
    size_t above = (size_t)(first * w->line);
    if (fseeko(w->file, (off_t)start, SEEK_SET) || fread(d->picture.rgb, 1, above, w->file) != above)
        return wait_failed(hooks, err);
    return hooks->frame(hooks->user, &d->picture, err);
}

static zm_status decode_band(zm_latent_decoder *d, int k, const float *latent, const passage *order, const waiting *w,
                             const zm_decode_hooks *hooks, zm_error *err)
{
    const zm_part *part = &d->m->part[ZM_PART_VAE];
    zm_vae_stream_options o = {.unclamped = true, .exec = d->opt};
    zm_vae_stream *band = NULL;
    int done = 0;
    zm_vae_stream_band(&o, k, d->bands, d->height / d->m->stride);
    int64_t first = o.first_row * d->m->stride * w->line, size = (o.last_row - o.first_row) * d->m->stride * w->line;
    zm_status s = zm_vae_stream_open(&band, part->vae, part->params, ZM_VAE_DECODE, d->height, d->width, &o, err);
    if (!s && order->goes_on)
        s = take_up(band, order->between, k, d->bands, err);
    for (int i = 0; !s && i < order->pushes && done < w->frames; i++) {
        int n = zm_vae_stream_gives(band);
        if (hooks->stop && *hooks->stop)
            s = zm_fail(err, ZM_E_INTERRUPTED, "stopped in band %d of %d", k + 1, d->bands);
        else
            s = zm_vae_stream_push(band, latent + frame_of(order, i) * d->cells, d->pixels, err);
        for (int f = 0; !s && i >= order->unseen && f < n && done < w->frames; f++, done++) {
            to_bytes(d->picture.rgb + first, d->pixels + f * size, size);
            s = put_band(d, w, &o, done, hooks, err);
            if (!s && hooks->step && k + 1 < d->bands)
                hooks->step(hooks->user, done + 1, w->frames);
        }
    }
    if (!s)
        s = put_down(band, order->between, k, err);
    zm_vae_stream_close(band);
    return s;
}

static zm_status decode_in_bands(zm_latent_decoder *d, const float *latent, const passage *order, int frames,
                                 const zm_decode_hooks *hooks, zm_error *err)
{
    waiting w = {.line = (int64_t)d->width * 3, .frames = frames};
    zm_status s = zm_spool_open(&w.file, hooks->spool, err);
    for (int k = 0; !s && k < d->bands; k++) {
        char what[40];
        snprintf(what, sizeof what, "decode band %d/%d", k + 1, d->bands);
        if (hooks->phase)
            hooks->phase(hooks->user, what, frames);
        s = decode_band(d, k, latent, order, &w, hooks, err);
    }
    if (w.file)
        fclose(w.file);
    return s;
}

static zm_status decode(zm_latent_decoder *d, const float *latent, const passage *order, int frames,
                        const zm_decode_hooks *hooks, zm_error *err)
{
    int64_t pixels = (int64_t)d->width * d->height * 3;
    int done = 0;
    bool all = hooks->probe && hooks->probe->video;
    if (d->bands > 1 && !all)
        return decode_in_bands(d, latent, order, frames, hooks, err);
    zm_status s = stream(d, &d->clip, d->m->keep, err);
    if (!s && order->goes_on)
        s = take_up(d->clip, order->between, 0, 1, err);
    for (int i = 0; !s && i < order->pushes && (all || done < frames); i++) {
        int n = zm_vae_stream_gives(d->clip);
        if (hooks->stop && *hooks->stop)
            return zm_fail(err, ZM_E_INTERRUPTED, "stopped at frame %d of %d", done, frames);
        s = zm_vae_stream_push(d->clip, latent + frame_of(order, i) * d->cells, d->pixels, err);
        if (!s && i < order->unseen)
            continue;
        if (!s && all)
            hooks->probe->video(hooks->probe->user, d->pixels, n);
        for (int k = 0; !s && k < n && done < frames; k++, done++) {
            to_picture(d, d->pixels + k * pixels);
            s = hooks->frame(hooks->user, &d->picture, err);
        }
    }
    return s ? s : put_down(d->clip, order->between, 0, err);
}

zm_status zm_latent_decode(zm_latent_decoder *d, const float *latent, int latent_frames, bool circle, int frames,
                           const zm_decode_hooks *hooks, zm_error *err)
{
    passage order = order_of(latent_frames, circle, NULL);
    return decode(d, latent, &order, frames, hooks, err);
}

zm_status zm_latent_decode_on(zm_latent_decoder *d, zm_decode_state *state, const float *latent, int latent_frames,
                              int frames, const zm_decode_hooks *hooks, zm_error *err)
{
    passage order = order_of(latent_frames, false, state);
    return decode(d, latent, &order, frames, hooks, err);
}

zm_status zm_latent_sketch(zm_latent_decoder *d, const float *latent, const zm_frame **out, zm_error *err)
{
    zm_status s = stream(d, &d->single, true, err);
    if (!s)
        s = zm_vae_stream_push(d->single, latent, d->pixels, err);
    if (!s)
        to_picture(d, d->pixels);
    *out = &d->picture;
    return s;
}
