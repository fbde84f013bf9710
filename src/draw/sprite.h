/* Drawings of the named things, sampled.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_DRAW_SPRITE_H
#define ZM_DRAW_SPRITE_H

#include "draw/frame.h"

ZM_DRAW_FN void zm_sprite_bilinear(const float (*level)[4], int n, float x, float y, float weight, float rgba[4])
{
    x -= 0.5f;
    y -= 0.5f;
    float fx = floorf(x), fy = floorf(y), ax = x - fx, ay = y - fy;
    int ix = (int)fx, iy = (int)fy;
    for (int j = 0; j < 2; j++)
        for (int i = 0; i < 2; i++) {
            int px = ix + i, py = iy + j;
            if (px < 0 || py < 0 || px >= n || py >= n)
                continue;
            float w = weight * (i ? ax : 1 - ax) * (j ? ay : 1 - ay);
            for (int c = 0; c < 4; c++)
                rgba[c] += w * level[py * n + px][c];
        }
}

/* Premultiplied linear RGBA at (u, v), each -1..1 across the larger side, v upward; texels per pixel chooses the mip
 * level (trilinear).  Transparent outside. */
ZM_DRAW_FN void zm_sprite_sample(const zm_sprite *s, float u, float v, float texels_per_pixel, float rgba[4])
{
    for (int c = 0; c < 4; c++)
        rgba[c] = 0;
    float x = 0.5f * ZM_SPRITE_CELL + u * ZM_SPRITE_HALF, y = 0.5f * ZM_SPRITE_CELL - v * ZM_SPRITE_HALF;
    if (!(x > -8 && y > -8 && x < ZM_SPRITE_CELL + 8 && y < ZM_SPRITE_CELL + 8))
        return;
    float lod = fminf(fmaxf(zm_draw_log2(fmaxf(texels_per_pixel, 1e-3f)), 0), ZM_SPRITE_LEVELS - 1.001f);
    int l = (int)lod;
    const float(*level)[4] = (const float(*)[4])s->texel;
    for (int i = 0; i < l; i++)
        level += (ZM_SPRITE_CELL >> i) * (ZM_SPRITE_CELL >> i);
    int n = ZM_SPRITE_CELL >> l;
    float k = 1.0f / (float)(1 << l);
    zm_sprite_bilinear(level, n, x * k, y * k, 1 - (lod - (float)l), rgba);
    if (lod > (float)l)
        zm_sprite_bilinear(level + n * n, n / 2, x * k * 0.5f, y * k * 0.5f, lod - (float)l, rgba);
}

#endif
