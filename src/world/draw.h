/* A frame drawn by the CPU, box by box: what the card's kernel does pixel by pixel.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_WORLD_DRAW_H
#define ZM_WORLD_DRAW_H

#include "draw/backdrop.h"

/* Work space for frames of one size. */
typedef struct zm_canvas {
    int width, height;
    vec3 *colour;             /* [H, W] linear */
    float *open, *near;       /* [H, W] share of light, of sky, that reaches the ground */
    zm_backdrop_px *backdrop; /* [H, W] */
    uint8_t *ids;             /* [H, W] */
} zm_canvas;

/* false when out of memory (nothing is kept then). */
bool zm_canvas_init(zm_canvas *c, int width, int height);
void zm_canvas_release(zm_canvas *c);

/* Fill c->backdrop, which frames of one camera, light and ground share. */
void zm_canvas_backdrop(zm_canvas *c, const zm_draw_set *st);
/* Draw the solids over c->backdrop into c->colour and c->ids; whole [n] gets the pixels that each would cover alone,
 * inside and outside of the picture. */
void zm_canvas_draw(zm_canvas *c, const zm_draw_set *st, int32_t *whole);
/* c->colour -> sRGB bytes [H, W, 3]. */
void zm_canvas_encode(const zm_canvas *c, const zm_palette *palette, uint8_t *rgb);

#endif
