/* Tables of given and asked latent frames.
 * SPDX-License-Identifier: MIT */
#include "pipeline/latent_plan.h"

#include <stdlib.h>
#include <string.h>

static int64_t frame_elems(const zm_latent_plan *p)
{
    return p->size.each / p->size.frames;
}

zm_status zm_latent_plan_init(zm_latent_plan *p, const zm_request *r, const zm_model *m, zm_error *err)
{
    const zm_dit_config *d = &m->config.dit;
    *p = (zm_latent_plan){.size = zm_latent_size_of(r, m),
                          .channels = zm_image_way_of(m) == ZM_IMAGE_CHANNELS ? d->in_dim - d->out_dim : 0,
                          .image_dim = d->img_dim,
                          .circle = r->loop};
    if (!(p->level = malloc((size_t)p->size.frames * sizeof *p->level)))
        return zm_fail(err, ZM_E_NOMEM, "no memory for a plan of %d latent frames", p->size.frames);
    for (int f = 0; f < p->size.frames; f++)
        p->level[f] = 1;
    return ZM_OK;
}

void zm_latent_plan_release(zm_latent_plan *p)
{
    free(p->level);
    free(p->latent);
    free(p->keep);
    free(p->noise);
    free(p->extra);
    free(p->image);
    *p = (zm_latent_plan){0};
}

static zm_status need_latent(zm_latent_plan *p, zm_error *err)
{
    if (!p->latent && !(p->latent = calloc((size_t)p->size.each, sizeof *p->latent)))
        return zm_fail(err, ZM_E_NOMEM, "no memory for %d given latent frames", p->size.frames);
    return ZM_OK;
}

zm_status zm_latent_plan_give(zm_latent_plan *p, int f, const float *frame, zm_error *err)
{
    ZM_ASSERT(f >= 0 && f < p->size.frames);
    zm_status s = need_latent(p, err);
    if (s)
        return s;
    memcpy(p->latent + f * frame_elems(p), frame, (size_t)frame_elems(p) * sizeof *frame);
    p->level[f] = 0;
    return ZM_OK;
}

zm_status zm_latent_plan_change(zm_latent_plan *p, double level, const float *latent, zm_error *err)
{
    ZM_ASSERT(level > 0 && level <= 1);
    zm_status s = need_latent(p, err);
    if (s)
        return s;
    if (latent != p->latent)
        memcpy(p->latent, latent, (size_t)p->size.each * sizeof *latent);
    for (int f = 0; f < p->size.frames; f++)
        p->level[f] = (float)level;
    return ZM_OK;
}

zm_status zm_latent_plan_keep(zm_latent_plan *p, const uint8_t *repaint, bool per_frame, zm_error *err)
{
    size_t cells = (size_t)p->size.height * (size_t)p->size.width, all = cells * (size_t)p->size.frames;
    p->keep = malloc(all * sizeof *p->keep);
    p->noise = malloc((size_t)p->size.each * sizeof *p->noise);
    if (!p->keep || !p->noise)
        return zm_fail(err, ZM_E_NOMEM, "no memory for a mask of %d latent frames", p->size.frames);
    memset(p->noise, 0, (size_t)p->size.each * sizeof *p->noise);
    for (size_t i = 0; i < all; i++)
        p->keep[i] = repaint[i] ? 0 : 1;
    for (int f = 0; per_frame && f < p->size.frames; f++)
        if (!memchr(repaint + (size_t)f * cells, 1, cells))
            p->level[f] = 0;
    return ZM_OK;
}

double zm_latent_plan_level(const zm_latent_plan *p)
{
    for (int f = 0; f < p->size.frames; f++)
        if (p->level[f] > 0)
            return (double)p->level[f];
    return 1;
}

bool zm_latent_plan_is_free(const zm_latent_plan *p)
{
    for (int f = 0; f < p->size.frames; f++)
        if (p->level[f] < 1)
            return false;
    return true;
}

/* Numbers from..to of x as the latent's at noise level sigma, mixed from `noise`. */
static void mix(const zm_latent_plan *p, double sigma, const float *noise, float *x, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++)
        x[i] = (float)((1 - sigma) * (double)p->latent[i] + sigma * (double)noise[i]);
}

void zm_latent_plan_hold(const zm_latent_plan *p, double sigma, float *x)
{
    int64_t each = frame_elems(p), cells = (int64_t)p->size.height * p->size.width, z = p->size.z;
    for (int f = 0; f < p->size.frames; f++) {
        if (p->level[f] <= 0)
            memcpy(x + f * each, p->latent + f * each, (size_t)each * sizeof *x);
        for (int64_t i = f * cells; p->keep && p->level[f] > 0 && i < (f + 1) * cells; i++)
            if (p->keep[i] > 0)
                mix(p, sigma, p->noise, x, i * z, (i + 1) * z);
    }
}

void zm_latent_plan_start(zm_latent_plan *p, double sigma, float *x)
{
    int64_t each = frame_elems(p);
    if (p->keep)
        memcpy(p->noise, x, (size_t)p->size.each * sizeof *x);
    for (int f = 0; f < p->size.frames; f++)
        if (p->level[f] > 0 && p->level[f] < 1)
            mix(p, sigma, x, x, f * each, (f + 1) * each);
    zm_latent_plan_hold(p, sigma, x);
}

int zm_latent_plan_turn(const zm_latent_plan *p, int step)
{
    int n = p->size.frames > 1 ? p->size.frames - 1 : 1, stride = n * 2 / 5;
    for (int a = n, b = stride; stride > 1; a = n, b = --stride) { /* a stride that comes to every frame */
        while (b) {
            int rest = a % b;
            a = b;
            b = rest;
        }
        if (a == 1)
            break;
    }
    return p->circle ? (int)((int64_t)step * (stride > 0 ? stride : 1) % n) : 0;
}
