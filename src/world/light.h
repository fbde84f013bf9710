/* Light and camera of a frame.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_WORLD_LIGHT_H
#define ZM_WORLD_LIGHT_H

#include "draw/frame.h"
#include "world/world.h"

/* Light `a` turning into light `b`, t in 0..1. */
void zm_light_mix(zm_light *out, int a, int b, float t);

/* The view of a scene, u = 0..1 through its camera movement. */
void zm_view_init(zm_view *v, const zm_scene *s, int width, int height, float u);
/* The linear colour of 0xRRGGBB. */
vec3 zm_srgb(unsigned hex);

#endif
