/* Where the bodies of a scene start and how fast.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_WORLD_LAYOUT_H
#define ZM_WORLD_LAYOUT_H

#include "world/world.h"

/* Fill in prop and bodies of a scene whose groups, ground and light are chosen. */
void zm_layout_scene(zm_scene *s, zm_rng *r);
/* Run the physics and see whether the action really happens (what is to be hit is hit, what is to topple falls). */
bool zm_layout_holds(const zm_scene *s);

#endif
