/* Things a ray can meet: balls, prisms across the plane of motion, upright cans, and flat drawings.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_WORLD_SOLID_H
#define ZM_WORLD_SOLID_H

#include "world/light.h"

typedef enum { SOLID_BALL, SOLID_PRISM, SOLID_CAN, SOLID_SPRITE } zm_solid_type;

typedef struct zm_solid {
    zm_solid_type type;
    vec3 at;          /* centre */
    float cs, sn;     /* of the turn in the plane */
    float hw, hh, hz; /* half extents before the turn; a ball's radius is hw */
    int n;            /* prism: half planes nx*x + ny*y <= off, in the turned frame */
    float nx[4], ny[4], off[4];
    vec3 albedo;
    int material;           /* of shapes */
    int look;               /* LOOK_* */
    int thing;              /* sprites: number of the drawing */
    float flip;             /* sprites: -1 mirrored */
    float scale_x, scale_y; /* sprites: half of the larger side, m, stretched */
    float bound;            /* radius of a ball around it all, m */
    uint8_t id;
} zm_solid;

enum { LOOK_TOY, LOOK_BRICK, LOOK_BOARD };

typedef struct zm_hit {
    float t;     /* along the ray */
    int face;    /* 0 curved or sprite, else 1.. */
    vec3 normal; /* unit, world */
    vec3 local;  /* in the turned frame */
} zm_hit;

void zm_solid_ball(zm_solid *s, vec3 at, float angle, float radius);
void zm_solid_box(zm_solid *s, vec3 at, float angle, float hw, float hh, float hz);
/* The wedge (high, 0) (high, h) (low, 0), hz thick on both sides of z = 0. */
void zm_solid_wedge(zm_solid *s, float high, float low, float h, float hz);
void zm_solid_can(zm_solid *s, vec3 at, float angle, float radius, float hh);

/* First hit of o + t d, t > 0; false when missed.  Sprites: the point in their plane, inside their square. */
bool zm_solid_hit(const zm_solid *s, vec3 o, vec3 d, zm_hit *hit);
/* Share of a light of the given spread, in direction l from p, that this solid hides: 0..1. */
float zm_solid_shadow(const zm_solid *s, vec3 p, vec3 l, float spread);

#endif
