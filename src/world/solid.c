/* Solids of the shapes that bodies and scenery have.
 * SPDX-License-Identifier: MIT */
#include "world/solid.h"

static void turn(zm_solid *s, vec3 at, float angle)
{
    s->at = at;
    s->cs = cosf(angle);
    s->sn = sinf(angle);
}

void zm_solid_ball(zm_solid *s, vec3 at, float angle, float radius)
{
    *s = (zm_solid){.type = SOLID_BALL, .hw = radius, .hh = radius, .hz = radius, .bound = radius};
    turn(s, at, angle);
}

void zm_solid_box(zm_solid *s, vec3 at, float angle, float hw, float hh, float hz)
{
    *s = (zm_solid){.type = SOLID_PRISM,
                    .hw = hw,
                    .hh = hh,
                    .hz = hz,
                    .n = 4,
                    .bound = sqrtf(hw * hw + hh * hh + hz * hz),
                    .nx = {1, -1, 0, 0},
                    .ny = {0, 0, 1, -1},
                    .off = {hw, hw, hh, hh}};
    turn(s, at, angle);
}

void zm_solid_wedge(zm_solid *s, float high, float low, float h, float hz)
{
    float mid = 0.5f * (high + low), half = 0.5f * fabsf(high - low), side = low > high ? 1.0f : -1.0f;
    float len = sqrtf(4 * half * half + h * h);
    *s = (zm_solid){.type = SOLID_PRISM,
                    .hw = half,
                    .hh = 0.5f * h,
                    .hz = hz,
                    .n = 3,
                    .bound = sqrtf(half * half + 0.25f * h * h + hz * hz),
                    .nx = {0, -side, side * h / len},
                    .ny = {-1, 0, 2 * half / len}};
    s->off[0] = 0.5f * h;
    s->off[1] = half;
    s->off[2] = 0; /* the slope passes through the middle of its box */
    turn(s, v3(mid, 0.5f * h, 0), 0);
}

void zm_solid_can(zm_solid *s, vec3 at, float angle, float radius, float hh)
{
    *s = (zm_solid){.type = SOLID_CAN, .hw = radius, .hh = hh, .hz = radius, .bound = sqrtf(radius * radius + hh * hh)};
    turn(s, at, angle);
}
