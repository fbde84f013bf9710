/* Sky and ground: what a frame shows where no body is.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_WORLD_BACKDROP_H
#define ZM_WORLD_BACKDROP_H

#include "world/light.h"

/* One pixel: colour = still + lit * (share of the light that arrives); lit is 0 in the sky. */
typedef struct zm_backdrop_px {
    vec3 still, lit;
    float mirror; /* share of a reflection seen in the ground */
    float ground; /* 1 ground, 0 sky, between at the horizon */
} zm_backdrop_px;

/* Fill px [H, W].  variant (0..3) shifts clouds and patches. */
void zm_backdrop_draw(zm_backdrop_px *px, const zm_view *v, const zm_light *l, int ground, int variant);
/* Colour of the plain sky in a direction (y = tangent of the elevation), without clouds; for reflections. */
vec3 zm_sky_plain(const zm_light *l, float elevation);

#endif
