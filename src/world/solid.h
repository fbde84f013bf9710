/* Solids of the shapes that bodies and scenery have (draw/frame.h).
 * SPDX-License-Identifier: MIT */
#ifndef ZM_WORLD_SOLID_H
#define ZM_WORLD_SOLID_H

#include "draw/frame.h"

void zm_solid_ball(zm_solid *s, vec3 at, float angle, float radius);
void zm_solid_box(zm_solid *s, vec3 at, float angle, float hw, float hh, float hz);
/* The wedge (high, 0) (high, h) (low, 0), hz thick on both sides of z = 0. */
void zm_solid_wedge(zm_solid *s, float high, float low, float h, float hz);
void zm_solid_can(zm_solid *s, vec3 at, float angle, float radius, float hh);

#endif
