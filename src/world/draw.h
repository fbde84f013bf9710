/* One frame: bodies, their shadows and reflections over a backdrop.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_WORLD_DRAW_H
#define ZM_WORLD_DRAW_H

#include "world/backdrop.h"
#include "world/solid.h"

enum { ZM_DRAW_MAX_SOLIDS = ZM_WORLD_MAX_BODIES + 1 };

typedef struct zm_footprint {
    long whole; /* pixels the solid covers alone, inside and outside of the picture */
} zm_footprint;

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

/* Draw solids[n] over c->backdrop into c->colour and c->ids; whole[n] gets what each would cover alone. */
void zm_render_frame(zm_canvas *c, const zm_view *v, const zm_light *l, const zm_solid *solids, int n,
                     zm_footprint *whole);
/* c->colour -> sRGB bytes [H, W, 3], bright parts rolled off softly. */
void zm_canvas_encode(const zm_canvas *c, uint8_t *rgb);

#endif
