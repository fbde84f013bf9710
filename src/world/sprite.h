/* Drawings of the named things: premultiplied linear light, mip-mapped.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_WORLD_SPRITE_H
#define ZM_WORLD_SPRITE_H

/* Half width and half height of drawing `thing`, as fractions of the larger half side (one of them is 1).  A thing is
 * a class number minus ZM_CLASS_SHAPES. */
void zm_sprite_extent(int thing, float *half_w, float *half_h);
/* Premultiplied linear RGBA at (u, v), each -1..1 across the larger side, v upward; texels per pixel chooses the mip
 * level (trilinear).  Transparent outside. */
void zm_sprite_sample(int thing, float u, float v, float texels_per_pixel, float rgba[4]);
/* Texels along half of the larger side. */
#define ZM_SPRITE_HALF 31.0f

#endif
