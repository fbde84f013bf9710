/* Pictures into plans.
 * SPDX-License-Identifier: MIT */
#include "pipeline/condition.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/resample.h"
#include "pipeline/vae_stream.h"

static float *pixels_new(int width, int height, zm_error *err)
{
    float *p = zm_aligned_alloc((size_t)width * (size_t)height * 3 * sizeof(float));
    if (!p)
        (void)zm_fail(err, ZM_E_NOMEM, "no memory for a picture of %dx%d", width, height);
    return p;
}

/* The part of `in` from (x, y) of out's size; pixels as they are. */
static void cut(float *out, int width, int height, const float *in, int in_width, int x, int y)
{
    for (int row = 0; row < height; row++)
        memcpy(out + (size_t)row * (size_t)width * 3, in + 3 * ((size_t)(y + row) * (size_t)in_width + (size_t)x),
               (size_t)width * 3 * sizeof *out);
}

static void to_bytes(zm_frame *out, const zm_image *in)
{
    for (size_t i = 0, n = (size_t)in->width * (size_t)in->height * 3; i < n; i++) {
        float v = (in->rgb[i] + 1) * 127.5F;
        out->rgb[i] = (uint8_t)(v > 0 ? v < 255 ? lrintf(v) : 255 : 0);
    }
}

/* Resized to cover width x height by Lanczos on bytes, as Wan 2.2's textimage2video does, and cut about the centre. */
static zm_status cover(float *out, int width, int height, const zm_image *in, zm_error *err)
{
    if (in->width == width && in->height == height) {
        memcpy(out, in->rgb, (size_t)width * (size_t)height * 3 * sizeof *out);
        return ZM_OK;
    }
    double scale = fmax((double)width / in->width, (double)height / in->height);
    int w = (int)rint(in->width * scale), h = (int)rint(in->height * scale);
    zm_frame from = {0}, to = {0};
    zm_status s = zm_frame_init(&from, in->width, in->height, err);
    if (!s)
        s = zm_frame_init(&to, w < width ? width : w, h < height ? height : h, err);
    if (!s) {
        to_bytes(&from, in);
        s = zm_frame_lanczos(&to, &from, err);
    }
    int x = (to.width - width) / 2, y = (to.height - height) / 2;
    for (int row = 0; !s && row < height; row++)
        for (int i = 0; i < width * 3; i++) {
            uint8_t byte = to.rgb[3 * ((size_t)(y + row) * (size_t)to.width + (size_t)x) + (size_t)i];
            out[(size_t)row * (size_t)width * 3 + (size_t)i] = ((float)byte / 255 - 0.5F) / 0.5F;
        }
    zm_frame_release(&from);
    zm_frame_release(&to);
    return s;
}

/* Stretched by the bicubic rule on floats, as Wan's image2video does, where the sizes have the same shape but for
 * rounding to the grid; of a picture of another shape the middle is taken first. */
static zm_status stretch(float *out, int width, int height, int grid, const zm_image *in, zm_error *err)
{
    double shape = (double)width / height * in->height / in->width;
    double slack = 1 + 1.01 * grid / fmin(width, height);
    if (shape < slack && shape > 1 / slack)
        return zm_resample_cubic(out, height, width, in->rgb, in->height, in->width, err);
    int w = shape < 1 ? (int)rint(in->width * shape) : in->width,
        h = shape > 1 ? (int)rint(in->height / shape) : in->height;
    w = w < 1 ? 1 : w;
    h = h < 1 ? 1 : h;
    float *middle = pixels_new(w, h, err);
    if (!middle)
        return ZM_E_NOMEM;
    cut(middle, w, h, in->rgb, in->width, (in->width - w) / 2, (in->height - h) / 2);
    zm_status s = zm_resample_cubic(out, height, width, middle, h, w, err);
    free(middle);
    return s;
}

static zm_status encoder_open(zm_vae_stream **out, zm_model *m, const zm_request *r, const zm_condition_options *opt,
                              zm_error *err)
{
    zm_status s = zm_model_need(m, ZM_PART_VAE, err);
    return s ? s
             : zm_vae_stream_open(out, m->part[ZM_PART_VAE].vae, m->part[ZM_PART_VAE].params, ZM_VAE_ENCODE, r->height,
                                  r->width, &(zm_vae_stream_options){.exec = opt->encode}, err);
}

static zm_status give_first(zm_latent_plan *p, zm_model *m, const zm_request *r, const zm_condition_options *opt,
                            zm_error *err)
{
    zm_vae_stream *stream = NULL;
    float *pixels = pixels_new(r->width, r->height, err);
    float *latent = malloc((size_t)(p->size.each / p->size.frames) * sizeof *latent);
    zm_status s = pixels && latent ? cover(pixels, r->width, r->height, r->first, err)
                                   : zm_fail(err, ZM_E_NOMEM, "no memory for a picture");
    if (!s)
        s = encoder_open(&stream, m, r, opt, err);
    if (!s)
        s = zm_vae_stream_push(stream, pixels, latent, err);
    if (!s)
        s = zm_latent_plan_give(p, 0, latent, err);
    zm_vae_stream_close(stream);
    free(latent);
    free(pixels);
    return s;
}

/* The clip that is encoded as channels: one of the pictures, or nothing. */
typedef struct partial_clip {
    const float *first, *last; /* of the clip's size; NULL: nothing there */
    int frames;
} partial_clip;

static const float *clip_frame(const partial_clip *c, int f)
{
    return f == 0 ? c->first : f == c->frames - 1 ? c->last : NULL;
}

/* Latent of the clip into `extra`, behind the mask's channels. */
static zm_status encode_clip(zm_latent_plan *p, zm_vae_stream *stream, const partial_clip *c, size_t frame, int mask,
                             const volatile sig_atomic_t *stop, zm_error *err)
{
    int64_t cells = (int64_t)p->size.height * p->size.width, z = p->size.z;
    size_t most = (size_t)mask; /* as many frames as a latent frame spans */
    float *chunk = zm_aligned_alloc(most * frame * sizeof *chunk);
    float *latent = malloc((size_t)(cells * z) * sizeof *latent);
    zm_status s = chunk && latent ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "no memory for frames to encode");
    for (int f = 0, at = 0; !s && f < p->size.frames; f++) {
        int takes = zm_vae_stream_takes(stream);
        if (stop && *stop)
            s = zm_fail(err, ZM_E_INTERRUPTED, "stopped while the picture was encoded");
        for (int k = 0; k < takes; k++, at++) {
            const float *picture = clip_frame(c, at);
            if (picture)
                memcpy(chunk + (size_t)k * frame, picture, frame * sizeof *chunk);
            else
                memset(chunk + (size_t)k * frame, 0, frame * sizeof *chunk);
        }
        if (!s)
            s = zm_vae_stream_push(stream, chunk, latent, err);
        for (int64_t i = 0; !s && i < cells; i++)
            memcpy(p->extra + (f * cells + i) * p->channels + mask, latent + i * z, (size_t)z * sizeof *latent);
    }
    free(latent);
    free(chunk);
    return s;
}

/* Channel k of latent frame f stands for frame T f + k - (T - 1); frame 0 fills its latent frame. */
static void write_mask(zm_latent_plan *p, const partial_clip *c, int mask)
{
    int64_t cells = (int64_t)p->size.height * p->size.width;
    for (int f = 0; f < p->size.frames; f++)
        for (int64_t i = 0; i < cells; i++)
            for (int k = 0; k < mask; k++) {
                int at = mask * f + k - (mask - 1);
                p->extra[(f * cells + i) * p->channels + k] = clip_frame(c, at < 0 ? 0 : at) ? 1 : 0;
            }
}

static zm_status fill_channels(zm_latent_plan *p, zm_model *m, const zm_request *r, const zm_condition_options *opt,
                               zm_error *err)
{
    int mask = m->time_stride, grid = m->stride * m->config.dit.patch_size[1];
    int64_t cells = p->size.each / p->size.z;
    size_t frame = (size_t)r->width * (size_t)r->height * 3;
    p->extra = calloc((size_t)cells * (size_t)p->channels, sizeof *p->extra);
    float *first = pixels_new(r->width, r->height, err), *last = r->last ? pixels_new(r->width, r->height, err) : NULL;
    zm_vae_stream *stream = NULL;
    zm_status s = p->extra && first && (last || !r->last) ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "no memory for a picture");
    if (!s)
        s = stretch(first, r->width, r->height, grid, r->first, err);
    if (!s && last)
        s = stretch(last, r->width, r->height, grid, r->last, err);
    partial_clip c = {first, last, 1 + (p->size.frames - 1) * mask};
    if (!s)
        s = encoder_open(&stream, m, r, opt, err);
    if (!s)
        s = encode_clip(p, stream, &c, frame, mask, opt->stop, err);
    if (!s)
        write_mask(p, &c, mask);
    zm_vae_stream_close(stream);
    free(first);
    free(last);
    return s;
}

/* Features of one picture after the other into p->image. */
static zm_status run_clip(zm_latent_plan *p, zm_part *part, const zm_image *const *picture, int n,
                          const zm_exec_options *opt, zm_error *err)
{
    const zm_clip_config *c = zm_clip_config_of(part->clip);
    int size = c->image_size;
    size_t each = (size_t)zm_clip_tokens(c) * (size_t)c->dim;
    float *pixels = pixels_new(size, size, err);
    zm_graph *g = zm_graph_new();
    zm_exec *x = NULL;
    zm_tensor *in = NULL, *out = NULL;
    p->image = malloc((size_t)n * each * sizeof *p->image);
    p->image_tokens = n * (int)zm_clip_tokens(c);
    zm_status s = g && pixels && p->image ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "no memory for picture features");
    if (!s) {
        zm_build b = zm_build_begin(g, part->params, false, false);
        in = zm_input(g, ZM_F32, ZM_SHAPE(1, size, size, 3), "pixels");
        out = zm_output(g, zm_clip_build(&b, part->clip, in));
        s = zm_graph_finish(g, err);
    }
    if (!s)
        s = zm_exec_new(&x, g, opt, err);
    for (int i = 0; !s && i < n; i++) {
        zm_clip_preprocess(pixels, size, picture[i]->rgb, picture[i]->height, picture[i]->width);
        zm_exec_write(x, in, pixels);
        s = zm_exec_run(x, err);
        if (!s)
            zm_exec_read(x, out, p->image + (size_t)i * each);
    }
    zm_exec_free(x);
    zm_graph_free(g);
    free(pixels);
    return s;
}

/* Networks for a first and a last picture learnt where each row of features stands; the sum is the same at every step. */
static zm_status add_positions(zm_latent_plan *p, const zm_model *m, zm_error *err)
{
    zm_weights *w;
    const zm_weight *t;
    size_t n = (size_t)p->image_tokens * (size_t)p->image_dim;
    zm_status s = zm_model_part_open(&w, &m->config, ZM_PART_DIT, err);
    if (s)
        return s;
    s = zm_weights_find(&t, w, "img_emb.emb_pos", err);
    if (!s && (zm_weight_elems(t) != n || t->dtype == ZM_I32 || t->dtype == ZM_I64))
        s = zm_fail(err, ZM_E_SHAPE, "%s: img_emb.emb_pos has %zu numbers, two pictures need %zu", t->file,
                    zm_weight_elems(t), n);
    float *add = s ? NULL : malloc(n * sizeof *add);
    if (!s && !add)
        s = zm_fail(err, ZM_E_NOMEM, "no memory for picture features");
    if (!s)
        zm_dtype_to_f32(add, t->data, t->dtype, n);
    for (size_t i = 0; !s && i < n; i++)
        p->image[i] += add[i];
    free(add);
    zm_weights_free(w);
    return s;
}

static zm_status fill_features(zm_latent_plan *p, zm_model *m, const zm_request *r, const zm_condition_options *opt,
                               zm_error *err)
{
    const zm_supplied *given = r->supplied;
    if (given && given->features) {
        size_t n = (size_t)given->feature_rows * (size_t)p->image_dim;
        if (!(p->image = malloc(n * sizeof *p->image)))
            return zm_fail(err, ZM_E_NOMEM, "no memory for picture features");
        memcpy(p->image, given->features, n * sizeof *p->image);
        p->image_tokens = given->feature_rows;
        return ZM_OK;
    }
    zm_status s = zm_model_need(m, ZM_PART_CLIP, err);
    if (s)
        return s;
    zm_part *part = &m->part[ZM_PART_CLIP];
    int width = zm_clip_config_of(part->clip)->dim;
    if (width != m->config.dit.img_dim)
        s = zm_fail(err, ZM_E_SHAPE, "%s: the picture encoder is %d wide, the transformer takes %d", m->config.name,
                    width, m->config.dit.img_dim);
    const zm_image *both[] = {r->first, r->last};
    if (!s)
        s = run_clip(p, part, both, r->last ? 2 : 1, &opt->picture, err);
    return !s && r->last ? add_positions(p, m, err) : s;
}

zm_status zm_condition(zm_latent_plan *p, zm_model *m, const zm_request *r, const zm_condition_options *opt,
                       zm_error *err)
{
    zm_status s = ZM_OK;
    if (!r->first)
        return ZM_OK;
    if (m->config.dit.img_dim) {
        s = fill_features(p, m, r, opt, err);
        zm_model_drop(m, ZM_PART_CLIP);
    }
    if (s)
        return s;
    s = zm_image_way_of(m) == ZM_IMAGE_CHANNELS ? fill_channels(p, m, r, opt, err) : give_first(p, m, r, opt, err);
    zm_model_drop(m, ZM_PART_VAE);
    return s;
}
