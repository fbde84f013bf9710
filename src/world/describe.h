/* What a frame shows, from the state of its bodies.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_WORLD_DESCRIBE_H
#define ZM_WORLD_DESCRIBE_H

#include "draw/frame.h"
#include "world/physics.h"

/* Fill in all of f: scene s with its bodies in `state` [n_body], u = 0..1 through its camera movement and its light. */
void zm_describe(zm_still *f, const zm_scene *s, const zm_body_state *state, int width, int height, float u);

#endif
