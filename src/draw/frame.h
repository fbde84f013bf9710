/* What a frame of the toy-box shows, without pointers: all that its pixels depend on but the art.
 *
 * The world fills it in; the CPU's loops (world/draw.c) and the card's kernel (backend/cuda/draw.cu) draw from it through
 * draw/pixel.h.  Units as world/world.h: metres, x to the right, y up, z towards the eye.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_DRAW_FRAME_H
#define ZM_DRAW_FRAME_H

#include "draw/vec.h"

/* Bodies, and a piece of scenery. */
#define ZM_DRAW_SOLIDS 9
/* The id of scenery in front; bodies are 1 .. ZM_DRAW_SOLIDS - 1, what lies behind is 0. */
#define ZM_DRAW_SCENERY 255

/* All colours linear RGB.  The sun or moon is a disc; `spread` is the tangent of its radius as far as soft shadows
 * go. */
typedef struct zm_light {
    vec3 dir, key;        /* towards the light; its colour on a surface facing it */
    vec3 sky, bounce;     /* ambient light from above and from below */
    vec3 rim;             /* light on outlines, so that dark things are not lost at night */
    vec3 zenith, horizon; /* colours of the sky */
    vec3 cloud, glow;     /* clouds; halo of the sun or moon */
    float cloudiness, cloud_edge, spread, stars, disc;
    float disc_x, disc_e; /* where the disc stands: azimuth and elevation, tangents */
} zm_light;

/* A camera without tilt and with a shifted lens: planes parallel to the screen keep their shape, so motion in z = 0
 * is exactly to scale. */
typedef struct zm_view {
    int width, height;
    float ppm;                /* pixels per metre in the plane z = 0 */
    float cam_x, cam_y, dist; /* position of the eye: (cam_x, cam_y, dist) */
    float mid_px, horizon_px; /* where the axis of sight meets the picture */
} zm_view;

ZM_DRAW_FN float zm_view_x(const zm_view *v, float x, float z)
{
    return v->mid_px + v->ppm * v->dist * (x - v->cam_x) / (v->dist - z);
}
ZM_DRAW_FN float zm_view_y(const zm_view *v, float y, float z)
{
    return v->horizon_px + v->ppm * v->dist * (v->cam_y - y) / (v->dist - z);
}
/* Direction of sight through a picture point, scaled to z = -1. */
ZM_DRAW_FN vec3 zm_view_ray(const zm_view *v, float x_px, float y_px)
{
    float k = 1.0f / (v->ppm * v->dist);
    return v3((x_px - v->mid_px) * k, (v->horizon_px - y_px) * k, -1);
}

/* Things a ray can meet: balls, prisms across the plane of motion, upright cans, and flat drawings. */
typedef enum { SOLID_BALL, SOLID_PRISM, SOLID_CAN, SOLID_SPRITE } zm_solid_type;
enum { LOOK_TOY, LOOK_BRICK, LOOK_BOARD };
enum { MATERIAL_MATTE, MATERIAL_SHINY, MATERIAL_METAL };

typedef struct zm_solid {
    zm_solid_type type;
    vec3 at;          /* centre */
    float cs, sn;     /* of the turn in the plane */
    float hw, hh, hz; /* half extents before the turn; a ball's radius is hw */
    int n;            /* prism: half planes nx*x + ny*y <= off, in the turned frame */
    float nx[4], ny[4], off[4];
    vec3 albedo;
    int material;           /* of shapes: MATERIAL_* */
    int look;               /* LOOK_* */
    int thing;              /* sprites: number of the drawing */
    float flip;             /* sprites: -1 mirrored */
    float scale_x, scale_y; /* sprites: half of the larger side, m, stretched */
    float bound;            /* radius of a ball around it all, m */
    int id;
} zm_solid;

/* Pixels x0 <= x < x1, y0 <= y < y1. */
typedef struct zm_draw_box {
    int x0, x1, y0, y1;
} zm_draw_box;
ZM_DRAW_FN bool zm_draw_inside(const zm_draw_box *b, int x, int y)
{
    return x >= b->x0 && x < b->x1 && y >= b->y0 && y < b->y1;
}

enum { GROUND_GRASS, GROUND_WOOD, GROUND_SNOW, GROUND_TILES, GROUND_SAND, GROUND_ICE, GROUND_COUNT };

typedef struct zm_still {
    zm_view view;
    zm_light light;
    int ground, variant;       /* GROUND_*; 0 .. 3 shifts clouds and patches */
    int n;                     /* solids */
    int order[ZM_DRAW_SOLIDS]; /* far to near */
    zm_solid solid[ZM_DRAW_SOLIDS];
    /* Where each solid may take light from the ground, be mirrored in it, and be seen; the last one reaches beyond the
     * picture as far as it is counted there. */
    zm_draw_box shadow[ZM_DRAW_SOLIDS], mirror[ZM_DRAW_SOLIDS], body[ZM_DRAW_SOLIDS];
} zm_still;

/* ---- the art: what all frames share ---- */

enum { ZM_SPRITE_CELL = 64, ZM_SPRITE_LEVELS = 5, ZM_SPRITE_TEXELS = 64 * 64 + 32 * 32 + 16 * 16 + 8 * 8 + 4 * 4 };
/* Texels along half of the larger side. */
#define ZM_SPRITE_HALF 31.0f

/* A drawing: premultiplied linear RGBA, mip levels one after the other; half width and half height as fractions of the
 * larger half side (one of them is 1). */
typedef struct zm_sprite {
    float texel[ZM_SPRITE_TEXELS][4];
    float half_w, half_h, unused[2];
} zm_sprite;

/* sRGB byte -> linear; linear 0..1 in steps of 1/4096 -> sRGB byte. */
typedef struct zm_palette {
    float linear[256];
    uint8_t srgb[4096 + 4];
} zm_palette;

ZM_DRAW_FN vec3 zm_palette_at(const zm_palette *p, unsigned hex)
{
    return v3(p->linear[hex >> 16 & 255], p->linear[hex >> 8 & 255], p->linear[hex & 255]);
}

typedef struct zm_draw_art {
    const zm_palette *palette;
    const zm_sprite *sprite;
    int sprites;
} zm_draw_art;

/* What one pixel is drawn from. */
typedef struct zm_draw_set {
    const zm_still *frame;
    const zm_palette *palette;
    const zm_sprite *sprite;
} zm_draw_set;

#endif
