/* Ray tests and soft shadows of the solids.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_DRAW_SOLID_H
#define ZM_DRAW_SOLID_H

#include "draw/frame.h"

typedef struct zm_hit {
    float t;     /* along the ray */
    int face;    /* 0 curved or sprite, else 1.. */
    vec3 normal; /* unit, world */
    vec3 local;  /* in the turned frame */
} zm_hit;

ZM_DRAW_FN vec3 zm_solid_to_local(const zm_solid *s, vec3 v)
{
    return v3(s->cs * v.x + s->sn * v.y, -s->sn * v.x + s->cs * v.y, v.z);
}

ZM_DRAW_FN vec3 zm_solid_to_world(const zm_solid *s, vec3 v)
{
    return v3(s->cs * v.x - s->sn * v.y, s->sn * v.x + s->cs * v.y, v.z);
}

ZM_DRAW_FN bool zm_solid_hit_ball(const zm_solid *s, vec3 o, vec3 d, zm_hit *hit)
{
    vec3 c = v3_sub(o, s->at);
    float a = v3_dot(d, d), b = v3_dot(c, d), k = v3_dot(c, c) - s->hw * s->hw, disc = b * b - a * k;
    if (disc < 0)
        return false;
    hit->t = (-b - sqrtf(disc)) / a;
    if (hit->t <= 0)
        return false;
    vec3 n = v3_scale(v3_mad(c, d, hit->t), 1 / s->hw);
    hit->face = 0;
    hit->normal = n;
    hit->local = v3_scale(zm_solid_to_local(s, n), s->hw);
    return true;
}

ZM_DRAW_FN bool zm_solid_hit_prism(const zm_solid *s, vec3 o, vec3 d, zm_hit *hit)
{
    vec3 c = zm_solid_to_local(s, v3_sub(o, s->at)), e = zm_solid_to_local(s, d);
    float t0 = -1e30f, t1 = 1e30f;
    int face = -1;
    for (int i = 0; i < s->n + 2; i++) {
        float slope, room;
        if (i < s->n) {
            slope = s->nx[i] * e.x + s->ny[i] * e.y;
            room = s->off[i] - (s->nx[i] * c.x + s->ny[i] * c.y);
        } else {
            float side = i == s->n ? 1.0f : -1.0f;
            slope = side * e.z;
            room = s->hz - side * c.z;
        }
        if (slope == 0) {
            if (room < 0)
                return false;
            continue;
        }
        float t = room / slope;
        if (slope > 0) {
            t1 = t < t1 ? t : t1;
        } else if (t > t0) {
            t0 = t;
            face = i;
        }
    }
    if (t0 > t1 || t0 <= 0)
        return false;
    hit->t = t0;
    hit->face = 1 + face;
    hit->local = v3_mad(c, e, t0);
    hit->normal =
        face < s->n ? zm_solid_to_world(s, v3(s->nx[face], s->ny[face], 0)) : v3(0, 0, face == s->n ? 1.0f : -1.0f);
    return true;
}

ZM_DRAW_FN bool zm_solid_hit_can(const zm_solid *s, vec3 o, vec3 d, zm_hit *hit)
{
    vec3 c = zm_solid_to_local(s, v3_sub(o, s->at)), e = zm_solid_to_local(s, d);
    float a = e.x * e.x + e.z * e.z, b = c.x * e.x + c.z * e.z, k = c.x * c.x + c.z * c.z - s->hw * s->hw;
    float disc = b * b - a * k;
    if (disc < 0 || a <= 0)
        return false;
    float root = sqrtf(disc), t0 = (-b - root) / a, t1 = (-b + root) / a;
    int face = 0;
    if (e.y != 0) {
        float u0 = (-s->hh - c.y) / e.y, u1 = (s->hh - c.y) / e.y, lo = fminf(u0, u1);
        if (lo > t0) {
            t0 = lo;
            face = e.y < 0 ? 1 : 2;
        }
        t1 = fminf(t1, fmaxf(u0, u1));
    } else if (fabsf(c.y) > s->hh) {
        return false;
    }
    if (t0 > t1 || t0 <= 0)
        return false;
    hit->t = t0;
    hit->face = face;
    hit->local = v3_mad(c, e, t0);
    hit->normal = face ? zm_solid_to_world(s, v3(0, face == 1 ? 1.0f : -1.0f, 0))
                       : zm_solid_to_world(s, v3(hit->local.x / s->hw, 0, hit->local.z / s->hw));
    return true;
}

ZM_DRAW_FN bool zm_solid_hit_sprite(const zm_solid *s, vec3 o, vec3 d, zm_hit *hit)
{
    if (d.z == 0)
        return false;
    hit->t = (s->at.z - o.z) / d.z;
    if (hit->t <= 0)
        return false;
    hit->face = 0;
    hit->normal = v3(0, 0, 1);
    hit->local = zm_solid_to_local(s, v3_sub(v3_mad(o, d, hit->t), s->at));
    return fabsf(hit->local.x) < s->bound && fabsf(hit->local.y) < s->bound;
}

/* First hit of o + t d, t > 0; false when missed.  Sprites: the point in their plane, inside their square. */
ZM_DRAW_FN bool zm_solid_hit(const zm_solid *s, vec3 o, vec3 d, zm_hit *hit)
{
    switch (s->type) {
    case SOLID_BALL:
        return zm_solid_hit_ball(s, o, d, hit);
    case SOLID_PRISM:
        return zm_solid_hit_prism(s, o, d, hit);
    case SOLID_CAN:
        return zm_solid_hit_can(s, o, d, hit);
    default:
        return zm_solid_hit_sprite(s, o, d, hit);
    }
}

/* Round occluders: how far the ray passes from the centre of the (scaled) ball, against the widening of the light. */
ZM_DRAW_FN float zm_solid_round_shadow(const zm_solid *s, vec3 p, vec3 l, float spread)
{
    vec3 k = v3(1 / s->hw, 1 / s->hh, 1 / s->hz);
    vec3 c = v3_mul(zm_solid_to_local(s, v3_sub(s->at, p)), k), e = v3_mul(zm_solid_to_local(s, l), k);
    float ee = v3_dot(e, e), along = v3_dot(c, e) / ee;
    if (along <= 0)
        return 0;
    vec3 miss = v3_mad(c, e, -along);
    float w = fmaxf(along * sqrtf(ee) * spread, 0.03f);
    float near = clampf(along * sqrtf(ee) * 1.5f, 0, 1); /* no shadow of a surface on itself */
    return near * smooth01(0.5f + 0.5f * (1 - sqrtf(v3_dot(miss, miss))) / w);
}

/* Share of a light of the given spread, in direction l from p, that this solid hides: 0..1. */
ZM_DRAW_FN float zm_solid_shadow(const zm_solid *s, vec3 p, vec3 l, float spread)
{
    vec3 c = v3_sub(s->at, p);
    float along = v3_dot(c, l), far2 = v3_dot(c, c) - along * along,
          reach = s->bound + fmaxf(along, 0) * spread + 0.05f;
    if (along < -s->bound || far2 > reach * reach)
        return 0;
    if (s->type == SOLID_BALL || s->type == SOLID_SPRITE)
        return zm_solid_round_shadow(s, p, l, spread);
    /* Eight fixed directions, stratified over the disc of the light. */
    static const float disc[8][2] = {{0.35f, 0.0f},  {0.0f, 0.35f},   {-0.35f, 0.0f},   {0.0f, -0.35f},
                                     {0.62f, 0.62f}, {-0.62f, 0.62f}, {-0.62f, -0.62f}, {0.62f, -0.62f}};
    vec3 u = v3_unit(v3(l.y, -l.x, 0)), w = v3(-l.z * l.x, -l.z * l.y, l.x * l.x + l.y * l.y);
    int hidden = 0;
    zm_hit hit;
    for (int i = 0; i < 8; i++) {
        vec3 dir = v3_mad(v3_mad(l, u, disc[i][0] * spread), w, disc[i][1] * spread);
        hidden += zm_solid_hit(s, p, dir, &hit);
    }
    return (float)hidden / 8;
}

#endif
