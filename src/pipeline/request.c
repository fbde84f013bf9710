/* Filling in and checking requests; the size of a clip that follows a picture.
 * SPDX-License-Identifier: MIT */
#include "pipeline/request.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sample/skip.h"
#include "sample/solver.h"

enum { SIDE_MAX = 8192, FRAMES_MAX = 4097, WORDS_KNOWN = 32768 };

void zm_request_grid(const zm_model *m, int *x, int *y)
{
    const int *patch = m->config.dit.patch_size;
    *x = m->stride * patch[2];
    *y = m->stride * patch[1];
}

static int clamp_side(int px, int g)
{
    int least = px < g ? g : px;
    return least > SIDE_MAX ? SIDE_MAX / g * g : least;
}

static zm_status check_size(const zm_request *r, const zm_model *m, zm_error *err)
{
    int gx, gy;
    zm_request_grid(m, &gx, &gy);
    if (r->width % gx || r->height % gy || r->width < gx || r->height < gy || r->width > SIDE_MAX ||
        r->height > SIDE_MAX) {
        int w = (r->width + gx / 2) / gx * gx, h = (r->height + gy / 2) / gy * gy;
        return zm_fail(
            err, ZM_E_USAGE,
            "size %dx%d does not fit this model: width must be a multiple of %d and height of %d; %dx%d would do",
            r->width, r->height, gx, gy, clamp_side(w, gx), clamp_side(h, gy));
    }
    return ZM_OK;
}

/* The picture's shape at about the default area, rounded down to the grid, as Wan's image2video does. */
static void size_rounded_down(const int *in, int *out, double area, int gx, int gy)
{
    double aspect = (double)in[1] / in[0];
    out[1] = (int)floor(sqrt(area * aspect) / gy) * gy;
    out[0] = (int)floor(sqrt(area / aspect) / gx) * gx;
}

/* The largest size within the area whose shape is nearest the picture's, as Wan 2.2's textimage2video does: one side
 * is rounded down first, or the other. */
static void size_nearest(const int *in, int *out, double area, int gx, int gy)
{
    double ratio = (double)in[0] / in[1];
    double w = sqrt(area * ratio), h = area / w;
    int w1 = (int)floor(w / gx) * gx, h2 = (int)floor(h / gy) * gy;
    int h1 = w1 ? (int)floor(area / w1 / gy) * gy : 0, w2 = h2 ? (int)floor(area / h2 / gx) * gx : 0;
    double one = h1 ? (double)w1 / h1 : 0, two = h2 ? (double)w2 / h2 : 0;
    bool first = two <= 0 || (one > 0 && fmax(ratio / one, one / ratio) < fmax(ratio / two, two / ratio));
    out[0] = first ? w1 : w2;
    out[1] = first ? h1 : h2;
}

void zm_request_size_like(const zm_model *m, int width, int height, int *out_width, int *out_height)
{
    int gx, gy, in[2] = {width, height}, out[2];
    zm_request_grid(m, &gx, &gy);
    double area = (double)m->config.video.width * m->config.video.height;
    if (zm_image_way_of(m) == ZM_IMAGE_CHANNELS)
        size_rounded_down(in, out, area, gx, gy);
    else
        size_nearest(in, out, area, gx, gy);
    *out_width = clamp_side(out[0], gx);
    *out_height = clamp_side(out[1], gy);
}

zm_image_way zm_image_way_of(const zm_model *m)
{
    const zm_dit_config *d = &m->config.dit;
    if (d->in_dim > d->out_dim)
        return ZM_IMAGE_CHANNELS;
    return m->config.family->frame_timesteps ? ZM_IMAGE_FRAMES : ZM_IMAGE_NONE;
}

static zm_status check_images(const zm_request *r, const zm_model *m, zm_error *err)
{
    zm_image_way way = zm_image_way_of(m);
    const zm_dit_config *d = &m->config.dit;
    if (way == ZM_IMAGE_NONE && (r->first || r->last))
        return zm_fail(err, ZM_E_USAGE, "%s makes video from text alone; a picture needs an image-to-video model",
                       m->config.name);
    if (way == ZM_IMAGE_CHANNELS && d->in_dim - d->out_dim != m->time_stride + m->z_dim)
        return zm_fail(err, ZM_E_UNSUPPORTED,
                       "%s takes %d further channels; %d (a mask and a latent) is what this build can give",
                       m->config.name, d->in_dim - d->out_dim, m->time_stride + m->z_dim);
    if (r->known)
        return ZM_OK;
    if (way == ZM_IMAGE_CHANNELS && !r->first)
        return zm_fail(err, ZM_E_USAGE, "%s goes on from a picture; give it one with --image FILE", m->config.name);
    bool pair = !strcmp(d->model_type, "flf2v"); /* learnt with both pictures' features */
    if (r->last && way == ZM_IMAGE_CHANNELS && d->img_dim && !pair)
        return zm_fail(err, ZM_E_USAGE, "%s takes no last picture", m->config.name);
    if (pair && !r->last)
        return zm_fail(err, ZM_E_USAGE, "%s goes from one picture to another; give it the other one with --last FILE",
                       m->config.name);
    return ZM_OK;
}

static zm_status check_texts(const zm_request *r, const zm_model *m, zm_error *err)
{
    if (r->supplied && r->supplied->context[0])
        return ZM_OK;
    if (!r->prompt || !r->prompt[strspn(r->prompt, " \t\r\n")])
        return zm_fail(
            err, ZM_E_USAGE,
            "the prompt is empty; say what the video should show, for example \"a red ball bounces on the grass\"");
    if (!m->config.has_text || !zm_model_part_path(&m->config, ZM_PART_TEXT))
        return zm_fail(err, ZM_E_MISSING, "%s has no text encoder, so no prompt can be read", m->config.name);
    if (!m->tokenizer)
        return zm_fail(err, ZM_E_MISSING, "%s has no tokenizer, so no prompt can be read", m->config.name);
    return ZM_OK;
}

/* The settings that the model's adapter for few steps was taught for, where the request leaves them open. */
static zm_status fill_in_fast(zm_request *r, const zm_model *m, zm_error *err)
{
    const zm_model_fast *f = &m->config.fast;
    if (!f->adapter)
        return zm_fail(err, ZM_E_USAGE,
                       "%s has no adapter for few steps, so quality \"%s\" is not possible; best, good and draft are",
                       m->config.name, r->quality);
    r->steps = r->steps ? r->steps : f->steps;
    if (r->guidance_low <= 0)
        r->guidance_low = r->guidance > 0 ? r->guidance : f->guidance;
    r->guidance = r->guidance > 0 ? r->guidance : f->guidance;
    r->shift = r->shift > 0 ? r->shift : f->shift;
    r->solver = r->solver ? r->solver : f->solver;
    return ZM_OK;
}

static void fill_in(zm_request *r, const zm_model *m)
{
    const zm_model_config *c = &m->config;
    r->negative = r->negative ? r->negative : c->sampling.negative ? c->sampling.negative : "";
    if (!r->width && !r->height && r->first) {
        zm_request_size_like(m, r->first->width, r->first->height, &r->width, &r->height);
    } else {
        r->width = r->width ? r->width : c->video.width;
        r->height = r->height ? r->height : c->video.height;
    }
    r->frames = r->frames ? r->frames : c->video.frames;
    if (!r->span)
        r->span = r->frames == 1 && !c->video.stills && !r->known ? c->video.frames : r->frames;
    r->whole |= r->loop || r->last || (r->known && (r->known->all || r->known->n_tail));
    r->whole |= c->dit.causal.both && !r->blocks;
    if (r->loop && r->frames > 0 && r->frames <= FRAMES_MAX) { /* every latent frame of a circle is shown whole */
        r->frames = (r->frames + m->time_stride - 1) / m->time_stride * m->time_stride;
        r->span = r->frames + 1;
    }
    r->fps = r->fps > 0 ? r->fps : c->video.fps;
    r->steps = r->steps ? r->steps : c->sampling.steps;
    if (r->guidance_low <= 0)
        r->guidance_low = r->guidance > 0 ? r->guidance : c->sampling.guidance_low;
    r->guidance = r->guidance > 0 ? r->guidance : c->sampling.guidance;
    if (r->guidance_from == 0 && r->guidance_to == 0)
        r->guidance_to = 1;
    r->shift = r->shift > 0 ? r->shift : c->sampling.shift;
    r->solver = r->solver ? r->solver : c->sampling.solver;
}

zm_status zm_request_resolve(zm_request *r, const zm_model *m, zm_error *err)
{
    zm_status s = check_texts(r, m, err);
    if (!s)
        s = check_images(r, m, err);
    if (s)
        return s;
    r->quality = r->quality ? r->quality : zm_qualities[0].name;
    const zm_quality *quality = zm_quality_find(r->quality);
    if (!quality)
        return zm_fail(err, ZM_E_USAGE, "there is no quality \"%s\"; best, good, draft and fast can be chosen",
                       r->quality);
    if (quality->adapter)
        s = fill_in_fast(r, m, err);
    if (s)
        return s;
    fill_in(r, m);
    if (!zm_solver_find(r->solver))
        return zm_fail(err, ZM_E_USAGE, "there is no solver \"%s\"; unipc, dpmpp and euler can be chosen", r->solver);
    if (!(r->guidance_from >= 0 && r->guidance_from < r->guidance_to && r->guidance_to <= 1))
        return zm_fail(err, ZM_E_USAGE,
                       "guidance from noise level %g to %g is no interval; levels go from 0, no noise, up to 1",
                       r->guidance_from, r->guidance_to);
    if (r->frames < 1 || r->frames > FRAMES_MAX)
        return zm_fail(err, ZM_E_USAGE, "%d frames; 1 to %d are possible", r->frames, FRAMES_MAX);
    if (r->steps < 1 || r->steps > ZM_SCHEDULE_MAX_STEPS)
        return zm_fail(err, ZM_E_USAGE, "%d steps; 1 to %d are possible", r->steps, ZM_SCHEDULE_MAX_STEPS);
    if (r->loop && (r->first || r->last || r->known || zm_image_way_of(m) == ZM_IMAGE_CHANNELS))
        return zm_fail(err, ZM_E_USAGE, "a loop is made from text alone: its first frame follows its last");
    if (r->last && zm_latent_size_of(r, m).frames < 2)
        return zm_fail(err, ZM_E_USAGE, "%d frames are too few to come to a last picture; %d would do", r->frames,
                       m->time_stride + 1);
    return check_size(r, m, err);
}

zm_status zm_request_unknown(const zm_request *r, const zm_model *m, char **out, zm_error *err)
{
    *out = NULL;
    if (!m->tokenizer || zm_tokenizer_count(m->tokenizer) > WORDS_KNOWN)
        return ZM_OK;
    return zm_tokenizer_unknown(m->tokenizer, r->prompt, out, err);
}

int zm_request_block(const zm_request *r, const zm_model *m)
{
    return r->whole ? 0 : m->config.dit.causal.block;
}

zm_latent_size zm_latent_size_of(const zm_request *r, const zm_model *m)
{
    int t = m->time_stride, span = r->span > r->frames ? r->span : r->frames;
    zm_latent_size l = {.frames = (span - 1 + t - 1) / t + 1,
                        .height = r->height / m->stride,
                        .width = r->width / m->stride,
                        .z = m->z_dim};
    if (zm_request_block(r, m))
        l.frames = zm_request_block(r, m);
    l.each = (int64_t)l.frames * l.height * l.width * l.z;
    return l;
}
