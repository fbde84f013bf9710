/* Clips encoded once.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "train/latents.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "base/clock.h"
#include "format/safetensors_write.h"
#include "ops/ops.h"

enum { BATCH = 8, CHUNK = 256 };

typedef struct encoder {
    zm_graph *g;
    zm_exec *x;
    zm_tensor *video, *mean;
} encoder;

static void encoder_free(encoder *e)
{
    zm_exec_free(e->x);
    zm_graph_free(e->g);
}

static zm_status encoder_new(encoder *e, const zm_clip_source *source, const zm_vae *v, const zm_params *p,
                             zm_error *err)
{
    *e = (encoder){.g = zm_graph_new()};
    if (!e->g)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a graph");
    zm_build b = zm_build_begin(e->g, p, false, false);
    e->video = zm_input(e->g, ZM_F32, ZM_SHAPE(BATCH, source->frames, source->height, source->width, 3), "video");
    e->mean = zm_output(e->g, zm_vae_build_mean(&b, v, zm_vae_build_encode(&b, v, e->video)));
    zm_status s = zm_graph_finish(e->g, err);
    return s ? s : zm_exec_new(&e->x, e->g, NULL, err);
}

/* The cache while it is made. */
typedef struct maker {
    const zm_clip_source *source;
    zm_vae *v;
    const zm_latents_options *o;
    encoder e;
    int frames, height, width, z;
    int64_t each; /* numbers in one latent */
    uint16_t *latent;
    uint8_t *mask;
    char *text;
    size_t text_bytes, text_cap;
    int64_t *text_at;
} maker;

static void mask_cells(const maker *m, const zm_pool *pool, int64_t clip, uint8_t *out)
{
    int sx = pool->width / m->width, st = zm_vae_temporal_stride(m->v), frame = pool->width * pool->height;
    const uint8_t *mask = pool->mask + clip * pool->frames * frame;
    for (int f = 0; f < m->frames; f++)
        for (int y = 0; y < m->height; y++)
            for (int x = 0; x < m->width; x++) {
                int first = f ? st * (f - 1) + 1 : 0, last = st * f, inside = 0;
                for (int t = first; t <= last; t++)
                    for (int k = 0; k < sx * sx; k++)
                        inside += mask[t * frame + (y * sx + k / sx) * pool->width + x * sx + k % sx] != 0;
                *out++ = (uint8_t)(255 * inside / (sx * sx * (last - first + 1)));
            }
}

static zm_status append_text(maker *m, int64_t place, const char *line, zm_error *err)
{
    size_t n = strlen(line);
    if (m->text_bytes + n > m->text_cap) {
        size_t cap = 2 * m->text_cap + ZM_CAPTION_MAX;
        char *grown = realloc(m->text, cap);
        if (!grown)
            return zm_fail(err, ZM_E_NOMEM, "out of memory for captions");
        m->text = grown;
        m->text_cap = cap;
    }
    memcpy(m->text + m->text_bytes, line, n);
    m->text_bytes += n;
    m->text_at[place + 1] = (int64_t)m->text_bytes;
    return ZM_OK;
}

/* Captions of clips first .. first+n-1: asked for in parallel, kept in order. */
static zm_status add_captions(maker *m, int64_t first, int64_t n, zm_error *err)
{
    int64_t lines = n * m->o->captions;
    char(*line)[ZM_CAPTION_MAX] = calloc((size_t)lines, sizeof *line);
    zm_error e = {0};
    if (!line)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for captions");
#pragma omp parallel for schedule(dynamic, 8)
    for (int64_t i = 0; i < lines; i++) {
        zm_error mine = {0};
        if (m->source->caption(m->source->user, first + i / m->o->captions, (int)(i % m->o->captions), line[i],
                               &mine)) {
#pragma omp critical(zm_latents_caption)
            e = mine;
        }
    }
    zm_status s = e.code ? zm_fail(err, e.code, "%s", e.text) : ZM_OK;
    for (int64_t i = 0; !s && i < lines; i++)
        s = append_text(m, first * m->o->captions + i, line[i], err);
    free(line);
    return s;
}

/* Encode pool clips into out (f32, not normalised), `each` numbers a clip. */
static zm_status encode_pool(maker *m, const zm_pool *pool, float *out, zm_error *err)
{
    int64_t video = zm_shape_elems(m->e.video->shape) / BATCH;
    for (int64_t at = 0; at < pool->n; at += BATCH) {
#pragma omp parallel for
        for (int i = 0; i < BATCH; i++)
            if (at + i < pool->n)
                zm_pool_window(pool, at + i, 0, pool->frames, 1, (float *)m->e.video->data + i * video, NULL);
        zm_status s = zm_exec_run(m->e.x, err);
        if (s)
            return s;
        int64_t n = pool->n - at < BATCH ? pool->n - at : BATCH;
        memcpy(out + at * m->each, m->e.mean->data, (size_t)(n * m->each) * sizeof *out);
    }
    return ZM_OK;
}

static void set_stats(maker *m, const float *z, int64_t vectors)
{
    float mean[ZM_VAE_Z_MAX], std[ZM_VAE_Z_MAX];
    for (int c = 0; c < m->z; c++) {
        double sum = 0, square = 0;
        for (int64_t i = 0; i < vectors; i++) {
            double x = (double)z[i * m->z + c];
            sum += x;
            square += x * x;
        }
        double mu = sum / (double)vectors, var = square / (double)vectors - mu * mu;
        mean[c] = (float)mu;
        std[c] = (float)sqrt(var > 1e-8 ? var : 1e-8);
    }
    zm_vae_set_stats(m->v, mean, std);
}

static zm_status make_all(maker *m, bool measure_stats, zm_error *err)
{
    int64_t n = m->o->n, cells = (int64_t)m->frames * m->height * m->width;
    float *z = malloc((size_t)(CHUNK * m->each) * sizeof *z);
    zm_status s = z ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for latents");
    double started = zm_now();
    for (int64_t at = 0; !s && at < n; at += CHUNK) {
        zm_pool pool;
        int64_t count = n - at < CHUNK ? n - at : CHUNK;
        s = zm_pool_fill(&pool, m->source, at, count, err);
        if (s)
            break;
        s = encode_pool(m, &pool, z, err);
        if (!s && !at && measure_stats)
            set_stats(m, z, count * cells);
        if (!s)
            zm_vae_normalise(m->v, z, (size_t)(count * cells));
        for (int64_t i = 0; !s && i < count; i++) {
            zm_dtype_from_f32(m->latent + (at + i) * m->each, z + i * m->each, ZM_F16, (size_t)m->each);
            mask_cells(m, &pool, i, m->mask + (at + i) * cells);
        }
        if (!s)
            s = add_captions(m, at, count, err);
        zm_pool_release(&pool);
        if (!s && m->o->report && (at / CHUNK) % 8 == 0) {
            double each = (zm_now() - started) / (double)(at + count);
            fprintf(m->o->report, "latents %" PRId64 "/%" PRId64 "  %.0f clips/s  %.0f s left\n", at + count, n,
                    1 / each, each * (double)(n - at - count));
            fflush(m->o->report);
        }
    }
    free(z);
    return s;
}

static zm_status save(const char *path, const maker *m, zm_error *err)
{
    int64_t n = m->o->n;
    size_t cells = (size_t)n * (size_t)(m->frames * m->height * m->width), ends = (size_t)(n * m->o->captions) + 1;
    zm_weight w[] = {
        /* widest elements first: each tensor stays aligned */
        {.name = "caption_ends",
         .dtype = ZM_I64,
         .rank = 1,
         .dim = {(int64_t)ends},
         .data = m->text_at,
         .bytes = ends * 8},
        {.name = "latents",
         .dtype = ZM_F16,
         .rank = 5,
         .dim = {n, m->frames, m->height, m->width, m->z},
         .data = m->latent,
         .bytes = cells * (size_t)m->z * 2},
        {.name = "mask",
         .dtype = ZM_U8,
         .rank = 4,
         .dim = {n, m->frames, m->height, m->width},
         .data = m->mask,
         .bytes = cells},
        {.name = "captions",
         .dtype = ZM_U8,
         .rank = 1,
         .dim = {(int64_t)m->text_bytes},
         .data = m->text,
         .bytes = m->text_bytes},
    };
    zm_meta meta[] = {{.key = "key", .type = ZM_META_STR, .str = m->o->key, .n = strlen(m->o->key)}};
    return zm_safetensors_write(path, w, sizeof w / sizeof *w, meta, 1, err);
}

zm_status zm_latents_make(const char *path, const zm_clip_source *source, zm_vae *v, const zm_params *p,
                          const zm_latents_options *o, bool measure_stats, zm_error *err)
{
    int stride = zm_vae_spatial_stride(v);
    maker m = {.source = source,
               .v = v,
               .o = o,
               .frames = (source->frames - 1) / zm_vae_temporal_stride(v) + 1,
               .height = source->height / stride,
               .width = source->width / stride,
               .z = zm_vae_z_dim(v)};
    size_t cells = (size_t)o->n * (size_t)(m.frames * m.height * m.width);
    m.each = (int64_t)m.frames * m.height * m.width * m.z;
    m.latent = malloc(cells * (size_t)m.z * 2);
    m.mask = malloc(cells);
    m.text_at = calloc((size_t)(o->n * o->captions) + 1, sizeof *m.text_at);
    zm_status s = m.latent && m.mask && m.text_at
                      ? encoder_new(&m.e, source, v, p, err)
                      : zm_fail(err, ZM_E_NOMEM, "%s: out of memory for %" PRId64 " latents", path, o->n);
    if (!s)
        s = make_all(&m, measure_stats, err);
    if (!s)
        s = save(path, &m, err);
    encoder_free(&m.e);
    free(m.latent);
    free(m.mask);
    free(m.text);
    free(m.text_at);
    return s;
}

static zm_status check(zm_latents *l, const char *path, const char *key, zm_error *err)
{
    const zm_weight *latent, *mask, *ends, *text;
    const char *made_by = zm_weights_meta_str(l->file, "key");
    if (!made_by || strcmp(made_by, key))
        return zm_fail(err, ZM_E_FORMAT, "%s: a cache of other clips or another autoencoder", path);
    zm_status s = zm_weights_find(&latent, l->file, "latents", err);
    if (!s)
        s = zm_weights_find(&mask, l->file, "mask", err);
    if (!s)
        s = zm_weights_find(&ends, l->file, "caption_ends", err);
    if (!s)
        s = zm_weights_find(&text, l->file, "captions", err);
    if (s)
        return s;
    bool fits = latent->dtype == ZM_F16 && latent->rank == 5 && mask->rank == 4 && mask->dtype == ZM_U8 &&
                ends->dtype == ZM_I64 && text->dtype == ZM_U8;
    for (int i = 0; fits && i < 4; i++)
        fits = latent->dim[i] == mask->dim[i] && latent->dim[i] > 0 && (i == 0 || latent->dim[i] <= 65536);
    fits = fits && latent->dim[4] <= ZM_VAE_Z_MAX && (uintptr_t)ends->data % 8 == 0 &&
           (uintptr_t)latent->data % 2 == 0 && (zm_weight_elems(ends) - 1) % (size_t)latent->dim[0] == 0 &&
           zm_weight_elems(ends) > (size_t)latent->dim[0];
    if (!fits)
        return zm_fail(err, ZM_E_FORMAT, "%s: tensors of a cache do not fit together", path);
    *l = (zm_latents){.file = l->file,
                      .n = latent->dim[0],
                      .frames = (int)latent->dim[1],
                      .height = (int)latent->dim[2],
                      .width = (int)latent->dim[3],
                      .z = (int)latent->dim[4],
                      .latent = latent->data,
                      .mask = mask->data,
                      .text = text->data,
                      .text_at = ends->data,
                      .captions = (int)((zm_weight_elems(ends) - 1) / (size_t)latent->dim[0])};
    for (size_t i = 0; i + 1 < zm_weight_elems(ends); i++)
        if (l->text_at[i] < 0 || l->text_at[i] > l->text_at[i + 1] || l->text_at[i + 1] > (int64_t)text->bytes)
            return zm_fail(err, ZM_E_FORMAT, "%s: caption %zu ends outside of its text", path, i);
    return ZM_OK;
}

zm_status zm_latents_open(zm_latents *out, const char *path, const char *key, zm_error *err)
{
    *out = (zm_latents){0};
    zm_status s = zm_weights_open(&out->file, path, err);
    if (!s)
        s = check(out, path, key, err);
    if (s)
        zm_latents_close(out);
    return s;
}

void zm_latents_close(zm_latents *l)
{
    zm_weights_free(l->file);
    *l = (zm_latents){0};
}

void zm_latents_caption(const zm_latents *l, int64_t i, int k, char out[ZM_CAPTION_MAX])
{
    const int64_t *at = l->text_at + i * l->captions + k;
    size_t n = (size_t)(at[1] - at[0]);
    n = n < ZM_CAPTION_MAX ? n : ZM_CAPTION_MAX - 1;
    memcpy(out, l->text + at[0], n);
    out[n] = 0;
}
