/* Bodies in a build without Chipmunk: there are none, and opening a world says so.
 * SPDX-License-Identifier: MIT */
#include "world/physics.h"

bool zm_physics_here(void)
{
    return false;
}

zm_physics *zm_physics_new(const zm_scene *s)
{
    (void)s;
    return NULL;
}

void zm_physics_free(zm_physics *p)
{
    (void)p;
}

void zm_physics_advance(zm_physics *p, long step)
{
    (void)p, (void)step;
}

void zm_physics_get(const zm_physics *p, int body, zm_body_state *out)
{
    (void)p, (void)body;
    *out = (zm_body_state){0};
}

void zm_physics_clear_contacts(zm_physics *p)
{
    (void)p;
}
