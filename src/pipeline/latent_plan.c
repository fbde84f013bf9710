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
                          .image_dim = d->img_dim};
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
    free(p->extra);
    free(p->image);
    *p = (zm_latent_plan){0};
}

zm_status zm_latent_plan_give(zm_latent_plan *p, int f, const float *frame, zm_error *err)
{
    ZM_ASSERT(f >= 0 && f < p->size.frames);
    if (!p->latent && !(p->latent = calloc((size_t)p->size.each, sizeof *p->latent)))
        return zm_fail(err, ZM_E_NOMEM, "no memory for %d given latent frames", p->size.frames);
    memcpy(p->latent + f * frame_elems(p), frame, (size_t)frame_elems(p) * sizeof *frame);
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

void zm_latent_plan_hold(const zm_latent_plan *p, float *x)
{
    int64_t each = frame_elems(p);
    for (int f = 0; f < p->size.frames; f++)
        if (p->level[f] <= 0)
            memcpy(x + f * each, p->latent + f * each, (size_t)each * sizeof *x);
}

void zm_latent_plan_start(const zm_latent_plan *p, double sigma, float *x)
{
    int64_t each = frame_elems(p);
    for (int f = 0; f < p->size.frames; f++) {
        if (p->level[f] <= 0 || p->level[f] >= 1)
            continue;
        for (int64_t i = f * each; i < (f + 1) * each; i++)
            x[i] = (float)((1 - sigma) * (double)p->latent[i] + sigma * (double)x[i]);
    }
    zm_latent_plan_hold(p, x);
}
