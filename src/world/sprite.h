/* Drawings of the named things (draw/frame.h).
 * SPDX-License-Identifier: MIT */
#ifndef ZM_WORLD_SPRITE_H
#define ZM_WORLD_SPRITE_H

/* Half width and half height of drawing `thing`, as fractions of the larger half side (one of them is 1).  A thing is
 * a class number minus ZM_CLASS_SHAPES. */
void zm_sprite_extent(int thing, float *half_w, float *half_h);

#endif
