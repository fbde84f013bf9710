/* The Wan 2.2 autoencoder: 2x2 pixels folded first, stages with shortcuts, 16x16 pixels and 4 frames to 48 channels.
 * SPDX-License-Identifier: MIT */
#include "model/vae_wan.h"

static void *declare(const zm_vae_config *c, zm_arena *arena, zm_vae_scope *s)
{
    return zm_wan_declare(c, arena, s, true);
}

/* Channels in the order (colour, column, row) of the official patchify. */
static zm_tensor *patchify(zm_vae_pass *p, zm_tensor *x, int f)
{
    if (zm_graph_failed(p->g) || f == 1)
        return x;
    const int64_t *d = x->shape.dim;
    int64_t h = d[2] / f, w = d[3] / f;
    zm_tensor *y = zm_reshape(p->g, x, ZM_SHAPE(d[0] * d[1], h, f, w, f, d[4]));
    y = zm_permute(p->g, y, (int[]){0, 1, 3, 5, 4, 2});
    return zm_reshape(p->g, y, ZM_SHAPE(d[0], d[1], h, w, d[4] * f * f));
}

static zm_tensor *unpatchify(zm_vae_pass *p, zm_tensor *x, int f)
{
    if (zm_graph_failed(p->g) || f == 1)
        return x;
    const int64_t *d = x->shape.dim;
    int64_t c = d[4] / (f * f);
    zm_tensor *y = zm_reshape(p->g, x, ZM_SHAPE(d[0] * d[1], d[2], d[3], c, f, f));
    y = zm_permute(p->g, y, (int[]){0, 1, 5, 2, 4, 3});
    return zm_reshape(p->g, y, ZM_SHAPE(d[0], d[1], d[2] * f, d[3] * f, c));
}

static zm_tensor *encode(zm_vae_pass *p, const zm_vae *v, zm_tensor *x)
{
    return zm_wan_encode(p, v->net, patchify(p, x, v->config.patch), true);
}

static zm_tensor *decode(zm_vae_pass *p, const zm_vae *v, zm_tensor *z)
{
    return unpatchify(p, zm_wan_decode(p, v->net, z, true), v->config.patch);
}

const zm_vae_family zm_vae_family_wan22 = {"wan22", declare, encode, decode};
