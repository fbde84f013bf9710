/* Light and camera of a frame, and small vectors.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_WORLD_LIGHT_H
#define ZM_WORLD_LIGHT_H

#include <math.h>

#include "world/world.h"

typedef struct {
    float x, y, z;
} vec3;
static inline vec3 v3(float x, float y, float z)
{
    return (vec3){x, y, z};
}
static inline vec3 v3_add(vec3 a, vec3 b)
{
    return v3(a.x + b.x, a.y + b.y, a.z + b.z);
}
static inline vec3 v3_sub(vec3 a, vec3 b)
{
    return v3(a.x - b.x, a.y - b.y, a.z - b.z);
}
static inline vec3 v3_mul(vec3 a, vec3 b)
{
    return v3(a.x * b.x, a.y * b.y, a.z * b.z);
}
static inline vec3 v3_scale(vec3 a, float k)
{
    return v3(a.x * k, a.y * k, a.z * k);
}
static inline vec3 v3_mad(vec3 a, vec3 b, float k)
{
    return v3(a.x + b.x * k, a.y + b.y * k, a.z + b.z * k);
}
static inline vec3 v3_mix(vec3 a, vec3 b, float t)
{
    return v3_mad(v3_scale(a, 1 - t), b, t);
}
static inline float v3_dot(vec3 a, vec3 b)
{
    return a.x * b.x + a.y * b.y + a.z * b.z;
}
static inline vec3 v3_unit(vec3 a)
{
    return v3_scale(a, 1.0f / sqrtf(v3_dot(a, a)));
}
static inline float clampf(float v, float lo, float hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}
static inline float smooth01(float t)
{
    t = clampf(t, 0, 1);
    return t * t * (3 - 2 * t);
}

/* All colours linear RGB.  The sun or moon is a disc; `spread` is the tangent of its radius as far as soft shadows
 * go. */
typedef struct zm_light {
    vec3 dir, key;        /* towards the light; its colour on a surface facing it */
    vec3 sky, bounce;     /* ambient light from above and from below */
    vec3 rim;             /* light on outlines, so that dark things are not lost at night */
    vec3 zenith, horizon; /* colours of the sky */
    vec3 cloud, glow;     /* clouds; halo of the sun or moon */
    float cloudiness, cloud_edge, spread, stars, disc;
    float disc_x, disc_e; /* where the disc stands: azimuth and elevation, tangents */
} zm_light;

/* Light `a` turning into light `b`, t in 0..1. */
void zm_light_mix(zm_light *out, int a, int b, float t);

/* A camera without tilt and with a shifted lens: planes parallel to the screen keep their shape, so motion in z = 0
 * is exactly to scale. */
typedef struct zm_view {
    int width, height;
    float ppm;                /* pixels per metre in the plane z = 0 */
    float cam_x, cam_y, dist; /* position of the eye: (cam_x, cam_y, dist) */
    float mid_px, horizon_px; /* where the axis of sight meets the picture */
} zm_view;

/* The view of a scene, u = 0..1 through its camera movement. */
void zm_view_init(zm_view *v, const zm_scene *s, int width, int height, float u);
static inline float zm_view_x(const zm_view *v, float x, float z)
{
    return v->mid_px + v->ppm * v->dist * (x - v->cam_x) / (v->dist - z);
}
static inline float zm_view_y(const zm_view *v, float y, float z)
{
    return v->horizon_px + v->ppm * v->dist * (v->cam_y - y) / (v->dist - z);
}
/* Direction of sight through a picture point, scaled to z = -1. */
static inline vec3 zm_view_ray(const zm_view *v, float x_px, float y_px)
{
    float k = 1.0f / (v->ppm * v->dist);
    return v3((x_px - v->mid_px) * k, (v->horizon_px - y_px) * k, -1);
}

vec3 zm_srgb(unsigned hex);

#endif
