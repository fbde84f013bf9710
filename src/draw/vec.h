/* Small vectors, and how the functions of this room are marked: one text for the host's C and for kernels of the card,
 * without contraction to fused multiply-add in either, so that both draw the same bytes.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_DRAW_VEC_H
#define ZM_DRAW_VEC_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __CUDACC__
#define ZM_DRAW_FN     static __device__
#define ZM_DRAW_ONE_FN static __device__ __noinline__ /* large, called from several places: once in the kernel */
#else
#define ZM_DRAW_FN     static inline
#define ZM_DRAW_ONE_FN static inline
#endif

typedef struct {
    float x, y, z;
} vec3;
ZM_DRAW_FN vec3 v3(float x, float y, float z)
{
    vec3 v;
    v.x = x;
    v.y = y;
    v.z = z;
    return v;
}
ZM_DRAW_FN vec3 v3_add(vec3 a, vec3 b)
{
    return v3(a.x + b.x, a.y + b.y, a.z + b.z);
}
ZM_DRAW_FN vec3 v3_sub(vec3 a, vec3 b)
{
    return v3(a.x - b.x, a.y - b.y, a.z - b.z);
}
ZM_DRAW_FN vec3 v3_mul(vec3 a, vec3 b)
{
    return v3(a.x * b.x, a.y * b.y, a.z * b.z);
}
ZM_DRAW_FN vec3 v3_scale(vec3 a, float k)
{
    return v3(a.x * k, a.y * k, a.z * k);
}
ZM_DRAW_FN vec3 v3_mad(vec3 a, vec3 b, float k)
{
    return v3(a.x + b.x * k, a.y + b.y * k, a.z + b.z * k);
}
ZM_DRAW_FN vec3 v3_mix(vec3 a, vec3 b, float t)
{
    return v3_mad(v3_scale(a, 1 - t), b, t);
}
ZM_DRAW_FN float v3_dot(vec3 a, vec3 b)
{
    return a.x * b.x + a.y * b.y + a.z * b.z;
}
ZM_DRAW_FN vec3 v3_unit(vec3 a)
{
    return v3_scale(a, 1.0f / sqrtf(v3_dot(a, a)));
}
ZM_DRAW_FN float clampf(float v, float lo, float hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}
ZM_DRAW_FN float smooth01(float t)
{
    t = clampf(t, 0, 1);
    return t * t * (3 - 2 * t);
}

/* Two libraries differ in the last bit of a float; of a double rounded to a float hardly ever. */
#ifdef __CUDACC__
ZM_DRAW_FN float zm_draw_exp(float x)
{
    return (float)exp((double)x);
}
ZM_DRAW_FN float zm_draw_log2(float x)
{
    return (float)log2((double)x);
}
#else
#define zm_draw_exp  expf
#define zm_draw_log2 log2f
#endif

#endif
