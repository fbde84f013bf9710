/* Colour of a point on a solid.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_WORLD_SHADE_H
#define ZM_WORLD_SHADE_H

#include "world/solid.h"

typedef struct zm_stage {
    const zm_light *light;
    const zm_solid *solids;
    int n;
} zm_stage;

/* Linear colour of solids[self] where the ray d met it; pixel = size of a pixel there, m.  For sprites the colour is
 * premultiplied by *alpha; else *alpha is 1. */
vec3 zm_shade(const zm_stage *st, int self, const zm_hit *hit, vec3 d, vec3 point, float pixel, float *alpha);

#endif
