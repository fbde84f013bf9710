/* Sky and ground: what a frame shows where no body is.  Smooth, without noise finer than a pixel, so that a small model
 * can learn and a codec can keep them.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_DRAW_BACKDROP_H
#define ZM_DRAW_BACKDROP_H

#include "draw/frame.h"

/* One pixel: colour = still + lit * (share of the light that arrives); lit is 0 in the sky. */
typedef struct zm_backdrop_px {
    vec3 still, lit;
    float mirror; /* share of a reflection seen in the ground */
    float ground; /* 1 ground, 0 sky, between at the horizon */
} zm_backdrop_px;

ZM_DRAW_FN float zm_backdrop_lattice(int x, int y)
{
    uint32_t h = (uint32_t)x * 0x8da6b343u ^ (uint32_t)y * 0xd8163841u;
    h = (h ^ h >> 15) * 0x2c1b3c6du;
    h = (h ^ h >> 12) * 0x297a2d39u;
    return (float)(h >> 8) * 0x1p-24f;
}

/* Value noise, 0..1, period 1 lattice step, twice smoothed at the knots. */
ZM_DRAW_FN float zm_backdrop_noise(float x, float y)
{
    float fx = floorf(x), fy = floorf(y), ax = x - fx, ay = y - fy;
    int ix = (int)fx, iy = (int)fy;
    ax = ax * ax * (3 - 2 * ax);
    ay = ay * ay * (3 - 2 * ay);
    float a = zm_backdrop_lattice(ix, iy), b = zm_backdrop_lattice(ix + 1, iy), c = zm_backdrop_lattice(ix, iy + 1),
          d = zm_backdrop_lattice(ix + 1, iy + 1);
    return (a + (b - a) * ax) * (1 - ay) + (c + (d - c) * ax) * ay;
}

/* Colour of the plain sky in a direction (e: tangent of the elevation), without clouds; for reflections too. */
ZM_DRAW_FN vec3 zm_sky_plain(const zm_light *l, float e)
{
    float t = 1 - zm_draw_exp(-9.0f * fmaxf(e, 0));
    return v3_mix(l->horizon, l->zenith, t);
}

ZM_DRAW_FN vec3 zm_backdrop_add_stars(vec3 c, const zm_light *l, float ax, float e, float soft)
{
    static const float star[11][3] = {{-0.29f, 0.19f, 0.9f}, {-0.12f, 0.165f, 0.7f}, {-0.05f, 0.10f, 0.6f},
                                      {0.03f, 0.185f, 1.0f}, {0.10f, 0.13f, 0.7f},   {0.17f, 0.17f, 0.9f},
                                      {0.24f, 0.11f, 0.7f},  {0.30f, 0.155f, 0.9f},  {-0.30f, 0.10f, 0.6f},
                                      {0.20f, 0.065f, 0.5f}, {-0.13f, 0.06f, 0.5f}};
    for (int i = 0; i < 11; i++) {
        float dx = (ax - star[i][0]) / soft, dy = (e - star[i][1]) / soft, d2 = dx * dx + dy * dy;
        if (d2 < 6)
            c = v3_mad(c, v3(0.8f, 0.85f, 1), l->stars * star[i][2] * zm_draw_exp(-1.2f * d2));
    }
    return c;
}

ZM_DRAW_FN vec3 zm_backdrop_sky(const zm_light *l, float ax, float e, float soft, int variant)
{
    vec3 c = zm_sky_plain(l, e);
    float u = ax * 8 + 7.3f * (float)variant, w = e * 22;
    float n = 0.7f * zm_backdrop_noise(u, w) + 0.3f * zm_backdrop_noise(2.1f * u + 5, 2.1f * w + 9);
    float cover = smooth01((n - 0.72f + 0.36f * l->cloudiness) * l->cloud_edge) * smooth01(e * 24);
    c = v3_mix(c, l->cloud, 0.75f * cover * fminf(1, 1.3f * l->cloudiness));
    float dx = ax - l->disc_x, dy = e - l->disc_e, d = sqrtf(dx * dx + dy * dy);
    c = v3_mad(c, l->glow, zm_draw_exp(-d * 11));
    if (l->stars > 0)
        c = zm_backdrop_add_stars(c, l, ax, e, soft);
    float edge = smooth01((0.030f - d) / soft + 0.5f);
    vec3 disc = l->stars > 0.5f ? v3(0.92f, 0.92f, 0.80f) : v3(1.0f, 0.80f, 0.42f);
    return v3_mix(c, disc, edge * l->disc);
}

/* Hills, mountains or the sea along the horizon: height (tangent) and colour before haze. */
ZM_DRAW_FN float zm_backdrop_skyline(const zm_palette *pal, int ground, float ax, int variant, vec3 *colour)
{
    float u = ax + 0.37f * (float)variant;
    switch (ground) {
    case GROUND_GRASS:
        *colour = zm_palette_at(pal, 0x4f8f4a);
        return 0.012f + 0.030f * zm_backdrop_noise(u * 9, 3.5f);
    case GROUND_SNOW:
        *colour = zm_palette_at(pal, 0xa9bdd6);
        return 0.012f + 0.060f * fabsf(zm_backdrop_noise(u * 8, 8.5f) - 0.35f) + 0.012f * zm_backdrop_noise(u * 25, 2);
    case GROUND_ICE:
        *colour = zm_palette_at(pal, 0x6f8fb0);
        return 0.010f + 0.045f * fabsf(zm_backdrop_noise(u * 7, 12.5f) - 0.4f);
    case GROUND_SAND:
        *colour = zm_palette_at(pal, 0x2f9bc4);
        return 0.016f;
    case GROUND_WOOD:
        *colour = zm_palette_at(pal, 0x5c7f86);
        return 0.008f + 0.016f * zm_backdrop_noise(u * 7, 21.5f);
    default:
        *colour = zm_palette_at(pal, 0x8fa3b5);
        return 0.006f;
    }
}

/* Share of a line of half width w around the multiples of period, over a footprint f: box filtered. */
ZM_DRAW_FN float zm_backdrop_lines(float x, float period, float w, float f)
{
    float t = x / period - floorf(x / period + 0.5f), d = fabsf(t) * period;
    f = fmaxf(f, 1e-4f);
    float share = clampf((w + 0.5f * f - d) / f, 0, 1) * fminf(1, 2 * w / f);
    float fade = clampf(f / period, 0, 1);
    return share * (1 - fade) + fade * 2 * w / period;
}

/* Box filtered sign of a square wave, -1..1. */
ZM_DRAW_FN float zm_backdrop_square(float x, float f)
{
    float t = x - 2 * floorf(x * 0.5f); /* 0..2 */
    float d = t < 1 ? fminf(t, 1 - t) : -fminf(t - 1, 2 - t);
    float s = clampf(2 * d / fmaxf(f, 1e-4f), -1, 1);
    return s * (1 - clampf(f - 0.4f, 0, 1));
}

ZM_DRAW_FN vec3 zm_backdrop_ground_colour(const zm_palette *pal, int ground, float x, float z, float fx, float fz,
                                          int variant)
{
    float o = 11.7f * (float)variant;
    float broad = zm_backdrop_noise(x * 0.55f + o, z * 0.35f + 4),
          patch = zm_backdrop_noise(x * 1.6f + o, z * 0.9f + 31);
    switch (ground) {
    case GROUND_GRASS:
        return v3_mix(zm_palette_at(pal, 0x3f8a2a), zm_palette_at(pal, 0x86c244),
                      clampf(0.65f * broad + 0.4f * patch, 0, 1));
    case GROUND_WOOD: {
        float plank = floorf(x / 0.75f), tint = zm_backdrop_lattice((int)plank, variant + 5);
        vec3 c = v3_mix(zm_palette_at(pal, 0xb9773c), zm_palette_at(pal, 0xd79a58),
                        0.7f * tint + 0.3f * zm_backdrop_noise(x * 3 + o, z * 0.25f));
        c = v3_mix(c, zm_palette_at(pal, 0xc88a4a), clampf(fx / 0.75f, 0, 1));
        return v3_mix(c, zm_palette_at(pal, 0x5e3516), 0.8f * zm_backdrop_lines(x, 0.75f, 0.03f, fx));
    }
    case GROUND_SNOW:
        return v3_mix(zm_palette_at(pal, 0xd2e0ef), zm_palette_at(pal, 0xf8fafd),
                      clampf(0.25f + 0.6f * broad + 0.3f * patch, 0, 1));
    case GROUND_TILES: {
        float s = zm_backdrop_square(x / 0.9f + 0.5f, fx / 0.9f) * zm_backdrop_square(z / 0.9f, fz / 0.9f);
        return v3_mix(zm_palette_at(pal, 0x5d7486), zm_palette_at(pal, 0xe6ecee), 0.5f + 0.5f * s);
    }
    case GROUND_SAND:
        return v3_mix(zm_palette_at(pal, 0xdcb876), zm_palette_at(pal, 0xf2dca6),
                      clampf(0.6f * broad + 0.4f * patch, 0, 1));
    default: {
        vec3 c = v3_mix(zm_palette_at(pal, 0x7fb9dc), zm_palette_at(pal, 0xbfe2f2),
                        clampf(0.7f * broad + 0.35f * patch, 0, 1));
        float crack = 1 - smooth01(fabsf(zm_backdrop_noise(x * 0.8f + o, z * 0.5f + 50) - 0.5f) * 22);
        return v3_mix(c, zm_palette_at(pal, 0xeef8ff), 0.5f * crack);
    }
    }
}

ZM_DRAW_FN void zm_backdrop_ground_px(zm_backdrop_px *out, const zm_draw_set *st, vec3 ray)
{
    static const float mirror_of[GROUND_COUNT] = {0, 0.16f, 0, 0.26f, 0, 0.42f}; /* wood, tiles and ice */
    const zm_view *v = &st->frame->view;
    const zm_light *l = &st->frame->light;
    int ground = st->frame->ground;
    float t = v->cam_y / -ray.y, x = v->cam_x + ray.x * t, z = v->dist - t;
    float pixel = t / (v->ppm * v->dist), depth = pixel * t / v->cam_y; /* footprint across and along */
    vec3 albedo = zm_backdrop_ground_colour(st->palette, ground, x, z, pixel, depth, st->frame->variant);
    float fog = 1 - zm_draw_exp(-fmaxf(t - 9, 0) / 30);
    vec3 haze = v3_mix(l->horizon, v3_mul(albedo, l->sky), 0.35f);
    float grazing = 1 + ray.y / sqrtf(1 + ray.x * ray.x + ray.y * ray.y);
    float mirror = mirror_of[ground] * (0.4f + 0.6f * grazing * grazing * grazing);
    vec3 still = v3_mul(albedo, l->sky), lit = v3_scale(v3_mul(albedo, l->key), l->dir.y);
    vec3 seen = zm_sky_plain(l, -ray.y);
    out->still = v3_mix(v3_mix(still, seen, mirror), haze, fog);
    out->lit = v3_scale(lit, (1 - mirror) * (1 - fog));
    out->mirror = mirror * (1 - fog);
    out->ground = 1;
}

ZM_DRAW_FN void zm_backdrop_sky_px(zm_backdrop_px *out, const zm_draw_set *st, vec3 ray)
{
    const zm_view *v = &st->frame->view;
    const zm_light *l = &st->frame->light;
    int variant = st->frame->variant;
    float soft = 1.0f / (v->ppm * v->dist), ax = ray.x + 0.012f * v->cam_x;
    vec3 c = zm_backdrop_sky(l, ray.x, ray.y, fmaxf(soft, 0.005f), variant), hill;
    float top = zm_backdrop_skyline(st->palette, st->frame->ground, ax, variant, &hill);
    float cover = clampf((top - ray.y) / soft + 0.5f, 0, 1);
    if (cover > 0) {
        vec3 lit = v3_mul(hill, v3_mad(l->sky, l->key, 0.55f));
        c = v3_mix(c, v3_mix(lit, l->horizon, 0.38f), cover);
    }
    out->still = c;
    out->lit = v3(0, 0, 0);
    out->mirror = out->ground = 0;
}

ZM_DRAW_FN zm_backdrop_px zm_backdrop_at(const zm_draw_set *st, int x, int y)
{
    const zm_view *v = &st->frame->view;
    zm_backdrop_px out, up;
    vec3 ray = zm_view_ray(v, (float)x + 0.5f, (float)y + 0.5f);
    float below = clampf((float)y + 1 - v->horizon_px, 0, 1);
    if (below <= 0) {
        zm_backdrop_sky_px(&out, st, ray);
        return out;
    }
    vec3 down = zm_view_ray(v, (float)x + 0.5f, fmaxf((float)y + 0.5f, v->horizon_px + 0.5f * below));
    down.y = fminf(down.y, -0.2f / (v->ppm * v->dist));
    zm_backdrop_ground_px(&out, st, down);
    if (below < 1) {
        zm_backdrop_sky_px(&up, st, zm_view_ray(v, (float)x + 0.5f, v->horizon_px - 0.25f));
        out.still = v3_mix(up.still, out.still, below);
        out.lit = v3_scale(out.lit, below);
        out.ground = below;
    }
    return out;
}

#endif
