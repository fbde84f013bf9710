/* The Wan 2.1 autoencoder: 8x8 pixels and 4 frames to 16 channels, modules in one flat list a side.
 * SPDX-License-Identifier: MIT */
#include "model/vae_wan.h"

static void *declare(const zm_vae_config *c, zm_arena *arena, zm_vae_scope *s)
{
    return zm_wan_declare(c, arena, s, false);
}

static zm_tensor *encode(zm_vae_pass *p, const zm_vae *v, zm_tensor *x)
{
    return zm_wan_encode(p, v->net, x, false);
}

static zm_tensor *decode(zm_vae_pass *p, const zm_vae *v, zm_tensor *z)
{
    return zm_wan_decode(p, v->net, z, false);
}

const zm_vae_family zm_vae_family_wan21 = {"wan21", declare, encode, decode};
