/* Bodies in the plane of the toy-box world: Chipmunk for contacts, small drivers for hoppers, cars and balloons.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_WORLD_PHYSICS_H
#define ZM_WORLD_PHYSICS_H

#include "world/world.h"

typedef struct zm_physics zm_physics;

typedef struct zm_body_state {
    float x, y, vx, vy, angle, spin;
    float stretch;     /* vertical scale of a soft body, 1 = rest; its foot stays where it is */
    unsigned contacts; /* since the last zm_physics_clear_contacts */
} zm_body_state;

/* Steps per second. */
#define ZM_PHYSICS_HZ 240

/* false: this build has no Chipmunk, and zm_physics_new always returns NULL. */
bool zm_physics_here(void);
/* NULL when out of memory. */
zm_physics *zm_physics_new(const zm_scene *s);
void zm_physics_free(zm_physics *p);
/* Go on to `step` steps since time 0; going back does nothing. */
void zm_physics_advance(zm_physics *p, long step);
void zm_physics_get(const zm_physics *p, int body, zm_body_state *out);
void zm_physics_clear_contacts(zm_physics *p);

#endif
