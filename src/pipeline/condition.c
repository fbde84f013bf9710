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

/* Pictures and known frames brought to the clip's size, as both ways of a model take them.  The arrays that a picture
 * needed are owned (`own`), all others the caller's. */
typedef struct ends {
    const float *head, *tail;
    int n_head, n_tail;
    float *own[2];
} ends;

/* One way of bringing a picture to size. */
static zm_status fit(float *out, const zm_request *r, const zm_model *m, const zm_image *in, zm_error *err)
{
    int grid = m->stride * m->config.dit.patch_size[1];
    return zm_image_way_of(m) == ZM_IMAGE_CHANNELS ? stretch(out, r->width, r->height, grid, in, err)
                                                   : cover(out, r->width, r->height, in, err);
}

static void ends_release(ends *e)
{
    free(e->own[0]);
    free(e->own[1]);
}

/* A last picture stands still for as long as a latent frame does; where it enters as channels it is one frame. */
static zm_status ends_init(ends *e, const zm_request *r, const zm_model *m, zm_error *err)
{
    const zm_known *k = r->known;
    const zm_image *picture[2] = {r->first, r->last};
    size_t frame = (size_t)r->width * (size_t)r->height * 3;
    int still = zm_image_way_of(m) == ZM_IMAGE_CHANNELS ? 1 : m->time_stride;
    *e = k ? (ends){.head = k->head, .tail = k->tail, .n_head = k->n_head, .n_tail = k->n_tail} : (ends){0};
    zm_status s = ZM_OK;
    for (int i = 0; !k && !s && i < 2; i++) {
        int n = i ? still : 1;
        if (!picture[i])
            continue;
        if (!(e->own[i] = zm_aligned_alloc((size_t)n * frame * sizeof(float))))
            return zm_fail(err, ZM_E_NOMEM, "no memory for a picture of %dx%d", r->width, r->height);
        s = fit(e->own[i], r, m, picture[i], err);
        for (int f = 1; f < n; f++)
            memcpy(e->own[i] + (size_t)f * frame, e->own[i], frame * sizeof(float));
        if (i)
            e->tail = e->own[i], e->n_tail = n;
        else
            e->head = e->own[i], e->n_head = n;
    }
    return s;
}

/* Latents of 1 + T k frames, each handed to the plan from frame `at` on; the first `skip` are dropped. */
static zm_status encode_frames(zm_latent_plan *p, zm_vae_stream *stream, const float *video, int frames, int at,
                               int skip, const zm_condition_options *opt, zm_error *err)
{
    float *latent = malloc((size_t)(p->size.each / p->size.frames) * sizeof *latent);
    size_t frame = (size_t)(p->size.height * zm_vae_stream_scale(stream)) *
                   (size_t)(p->size.width * zm_vae_stream_scale(stream)) * 3;
    zm_status s = latent ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "no memory for frames to encode");
    zm_vae_stream_restart(stream);
    for (int f = 0, k = 0; !s && f < frames; k++) {
        int takes = zm_vae_stream_takes(stream);
        if (opt->stop && *opt->stop)
            s = zm_fail(err, ZM_E_INTERRUPTED, "stopped while given frames were encoded");
        if (!s)
            s = zm_vae_stream_push(stream, video + (size_t)f * frame, latent, err);
        if (!s && k >= skip)
            s = zm_latent_plan_give(p, at + k - skip, latent, err);
        f += takes;
    }
    free(latent);
    return s;
}

/* The frames before a tail are not there yet: it is encoded as if its first frame had stood still before it. */
static zm_status encode_tail(zm_latent_plan *p, zm_vae_stream *stream, const ends *e, int stride, size_t frame,
                             const zm_condition_options *opt, zm_error *err)
{
    size_t n = (size_t)(1 + e->n_tail) * frame;
    float *video = zm_aligned_alloc(n * sizeof *video);
    if (!video)
        return zm_fail(err, ZM_E_NOMEM, "no memory for %d given frames", e->n_tail);
    memcpy(video, e->tail, frame * sizeof *video);
    memcpy(video + frame, e->tail, (n - frame) * sizeof *video);
    zm_status s = encode_frames(p, stream, video, 1 + e->n_tail, p->size.frames - e->n_tail / stride, 1, opt, err);
    free(video);
    return s;
}

/* A clip that is changed: all its latent, then the levels, then what stays. */
static zm_status change(zm_latent_plan *p, zm_vae_stream *stream, const zm_model *m, const zm_request *r,
                        const zm_condition_options *opt, zm_error *err)
{
    const zm_known *k = r->known;
    bool per_frame = zm_image_way_of(m) == ZM_IMAGE_FRAMES;
    size_t cells = (size_t)p->size.height * (size_t)p->size.width;
    int given = k->n_head ? 1 + (k->n_head - 1) / m->time_stride : 0;
    zm_status s = encode_frames(p, stream, k->all, 1 + (p->size.frames - 1) * m->time_stride, 0, 0, opt, err);
    if (!s)
        s = zm_latent_plan_change(p, k->strength, p->latent, err);
    if (s || (!given && !k->repaint))
        return s;
    uint8_t *anew = malloc((size_t)p->size.frames * cells);
    if (!anew)
        return zm_fail(err, ZM_E_NOMEM, "no memory for a mask");
    if (k->repaint)
        memcpy(anew, k->repaint, (size_t)p->size.frames * cells);
    else
        memset(anew, 1, (size_t)p->size.frames * cells);
    memset(anew, 0, (size_t)given * cells);
    s = zm_latent_plan_keep(p, anew, per_frame, err);
    free(anew);
    return s;
}

static zm_status give(zm_latent_plan *p, zm_model *m, const zm_request *r, const ends *e,
                      const zm_condition_options *opt, zm_error *err)
{
    zm_vae_stream *stream = NULL;
    size_t frame = (size_t)r->width * (size_t)r->height * 3;
    zm_status s = encoder_open(&stream, m, r, opt, err);
    if (!s && r->known && r->known->all)
        s = change(p, stream, m, r, opt, err);
    if (!s && e->head && !(r->known && r->known->all))
        s = encode_frames(p, stream, e->head, e->n_head, 0, 0, opt, err);
    if (!s && e->tail)
        s = encode_tail(p, stream, e, m->time_stride, frame, opt, err);
    zm_vae_stream_close(stream);
    return s;
}

static const float *clip_frame(const ends *e, int f, int frames, size_t frame)
{
    if (f < e->n_head)
        return e->head + (size_t)f * frame;
    int back = f - (frames - e->n_tail);
    return back >= 0 && f < frames ? e->tail + (size_t)back * frame : NULL;
}

/* Latent of the clip into `extra`, behind the mask's channels. */
static zm_status encode_clip(zm_latent_plan *p, zm_vae_stream *stream, const ends *e, size_t frame, int mask,
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
            const float *picture = clip_frame(e, at, 1 + (p->size.frames - 1) * mask, frame);
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
static void write_mask(zm_latent_plan *p, const ends *e, int mask)
{
    int64_t cells = (int64_t)p->size.height * p->size.width;
    for (int f = 0; f < p->size.frames; f++)
        for (int64_t i = 0; i < cells; i++)
            for (int k = 0; k < mask; k++) {
                int at = mask * f + k - (mask - 1);
                p->extra[(f * cells + i) * p->channels + k] =
                    clip_frame(e, at < 0 ? 0 : at, 1 + (p->size.frames - 1) * mask, 0) ? 1 : 0;
            }
}

static zm_status fill_channels(zm_latent_plan *p, zm_model *m, const zm_request *r, const ends *e,
                               const zm_condition_options *opt, zm_error *err)
{
    int mask = m->time_stride;
    int64_t cells = p->size.each / p->size.z;
    size_t frame = (size_t)r->width * (size_t)r->height * 3;
    zm_vae_stream *stream = NULL;
    p->extra = calloc((size_t)cells * (size_t)p->channels, sizeof *p->extra);
    zm_status s = p->extra ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "no memory for a picture");
    if (!s)
        s = encoder_open(&stream, m, r, opt, err);
    if (!s)
        s = encode_clip(p, stream, e, frame, mask, opt->stop, err);
    if (!s)
        write_mask(p, e, mask);
    zm_vae_stream_close(stream);
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

/* The picture encoder sees pictures as they come, of their own size. */
static zm_status fill_features(zm_latent_plan *p, zm_model *m, const zm_request *r, const ends *e,
                               const zm_condition_options *opt, zm_error *err)
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
    size_t frame = (size_t)r->width * (size_t)r->height * 3;
    zm_image head = {.rgb = e->head, .width = r->width, .height = r->height};
    zm_image tail = {.rgb = e->tail ? e->tail + (size_t)(e->n_tail - 1) * frame : NULL, r->width, r->height};
    const zm_image *both[] = {r->first ? r->first : &head, r->last ? r->last : &tail};
    if (!s)
        s = run_clip(p, part, both, e->tail ? 2 : 1, &opt->picture, err);
    return !s && e->tail ? add_positions(p, m, err) : s;
}

zm_status zm_condition(zm_latent_plan *p, zm_model *m, const zm_request *r, const zm_condition_options *opt,
                       zm_error *err)
{
    ends e;
    if (!r->first && !r->last && !r->known)
        return ZM_OK;
    zm_status s = ends_init(&e, r, m, err);
    if (!s && m->config.dit.img_dim && e.head) {
        s = fill_features(p, m, r, &e, opt, err);
        zm_model_drop(m, ZM_PART_CLIP);
    }
    if (!s)
        s = zm_image_way_of(m) == ZM_IMAGE_CHANNELS ? fill_channels(p, m, r, &e, opt, err)
                                                    : give(p, m, r, &e, opt, err);
    zm_model_drop(m, ZM_PART_VAE);
    ends_release(&e);
    return s;
}
