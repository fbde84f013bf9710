/* Sky and ground: smooth, without noise finer than a pixel, so that a small model can learn and a codec can keep them.
 * SPDX-License-Identifier: MIT */
#include "world/backdrop.h"

#include "world/tables.h"

static float lattice(int x, int y)
{
    uint32_t h = (uint32_t)x * 0x8da6b343u ^ (uint32_t)y * 0xd8163841u;
    h = (h ^ h >> 15) * 0x2c1b3c6du;
    h = (h ^ h >> 12) * 0x297a2d39u;
    return (float)(h >> 8) * 0x1p-24f;
}

/* Value noise, 0..1, period 1 lattice step, twice smoothed at the knots. */
static float noise(float x, float y)
{
    float fx = floorf(x), fy = floorf(y), ax = x - fx, ay = y - fy;
    int ix = (int)fx, iy = (int)fy;
    ax = ax * ax * (3 - 2 * ax);
    ay = ay * ay * (3 - 2 * ay);
    float a = lattice(ix, iy), b = lattice(ix + 1, iy), c = lattice(ix, iy + 1), d = lattice(ix + 1, iy + 1);
    return (a + (b - a) * ax) * (1 - ay) + (c + (d - c) * ax) * ay;
}

vec3 zm_sky_plain(const zm_light *l, float e)
{
    float t = 1 - expf(-9.0f * fmaxf(e, 0));
    return v3_mix(l->horizon, l->zenith, t);
}

static vec3 add_stars(vec3 c, const zm_light *l, float ax, float e, float soft)
{
    static const float star[][3] = {{-0.29f, 0.19f, 0.9f}, {-0.12f, 0.165f, 0.7f}, {-0.05f, 0.10f, 0.6f},
                                    {0.03f, 0.185f, 1.0f}, {0.10f, 0.13f, 0.7f},   {0.17f, 0.17f, 0.9f},
                                    {0.24f, 0.11f, 0.7f},  {0.30f, 0.155f, 0.9f},  {-0.30f, 0.10f, 0.6f},
                                    {0.20f, 0.065f, 0.5f}, {-0.13f, 0.06f, 0.5f}};
    for (size_t i = 0; i < sizeof star / sizeof star[0]; i++) {
        float dx = (ax - star[i][0]) / soft, dy = (e - star[i][1]) / soft, d2 = dx * dx + dy * dy;
        if (d2 < 6)
            c = v3_mad(c, v3(0.8f, 0.85f, 1), l->stars * star[i][2] * expf(-1.2f * d2));
    }
    return c;
}

static vec3 sky(const zm_light *l, float ax, float e, float soft, int variant)
{
    vec3 c = zm_sky_plain(l, e);
    float u = ax * 8 + 7.3f * (float)variant, w = e * 22;
    float n = 0.7f * noise(u, w) + 0.3f * noise(2.1f * u + 5, 2.1f * w + 9);
    float cover = smooth01((n - 0.72f + 0.36f * l->cloudiness) * l->cloud_edge) * smooth01(e * 24);
    c = v3_mix(c, l->cloud, 0.75f * cover * fminf(1, 1.3f * l->cloudiness));
    float dx = ax - l->disc_x, dy = e - l->disc_e, d = sqrtf(dx * dx + dy * dy);
    c = v3_mad(c, l->glow, expf(-d * 11));
    if (l->stars > 0)
        c = add_stars(c, l, ax, e, soft);
    float edge = smooth01((0.030f - d) / soft + 0.5f);
    vec3 disc = l->stars > 0.5f ? v3(0.92f, 0.92f, 0.80f) : v3(1.0f, 0.80f, 0.42f);
    return v3_mix(c, disc, edge * l->disc);
}

/* Hills, mountains or the sea along the horizon: height (tangent) and colour before haze. */
static float skyline(int ground, float ax, int variant, vec3 *colour)
{
    float u = ax + 0.37f * (float)variant;
    switch (ground) {
    case GROUND_GRASS:
        *colour = zm_srgb(0x4f8f4a);
        return 0.012f + 0.030f * noise(u * 9, 3.5f);
    case GROUND_SNOW:
        *colour = zm_srgb(0xa9bdd6);
        return 0.012f + 0.060f * fabsf(noise(u * 8, 8.5f) - 0.35f) + 0.012f * noise(u * 25, 2);
    case GROUND_ICE:
        *colour = zm_srgb(0x6f8fb0);
        return 0.010f + 0.045f * fabsf(noise(u * 7, 12.5f) - 0.4f);
    case GROUND_SAND:
        *colour = zm_srgb(0x2f9bc4);
        return 0.016f;
    case GROUND_WOOD:
        *colour = zm_srgb(0x5c7f86);
        return 0.008f + 0.016f * noise(u * 7, 21.5f);
    default:
        *colour = zm_srgb(0x8fa3b5);
        return 0.006f;
    }
}

/* Share of a line of half width w around the multiples of period, over a footprint f: box filtered. */
static float lines(float x, float period, float w, float f)
{
    float t = x / period - floorf(x / period + 0.5f), d = fabsf(t) * period;
    f = fmaxf(f, 1e-4f);
    float share = clampf((w + 0.5f * f - d) / f, 0, 1) * fminf(1, 2 * w / f);
    float fade = clampf(f / period, 0, 1);
    return share * (1 - fade) + fade * 2 * w / period;
}

/* Box filtered sign of a square wave, -1..1. */
static float square(float x, float f)
{
    float t = x - 2 * floorf(x * 0.5f); /* 0..2 */
    float d = t < 1 ? fminf(t, 1 - t) : -fminf(t - 1, 2 - t);
    float s = clampf(2 * d / fmaxf(f, 1e-4f), -1, 1);
    return s * (1 - clampf(f - 0.4f, 0, 1));
}

static vec3 ground_colour(int ground, float x, float z, float fx, float fz, int variant)
{
    float o = 11.7f * (float)variant;
    float broad = noise(x * 0.55f + o, z * 0.35f + 4), patch = noise(x * 1.6f + o, z * 0.9f + 31);
    switch (ground) {
    case GROUND_GRASS:
        return v3_mix(zm_srgb(0x3f8a2a), zm_srgb(0x86c244), clampf(0.65f * broad + 0.4f * patch, 0, 1));
    case GROUND_WOOD: {
        float plank = floorf(x / 0.75f), tint = lattice((int)plank, variant + 5);
        vec3 c = v3_mix(zm_srgb(0xb9773c), zm_srgb(0xd79a58), 0.7f * tint + 0.3f * noise(x * 3 + o, z * 0.25f));
        c = v3_mix(c, zm_srgb(0xc88a4a), clampf(fx / 0.75f, 0, 1));
        return v3_mix(c, zm_srgb(0x5e3516), 0.8f * lines(x, 0.75f, 0.03f, fx));
    }
    case GROUND_SNOW:
        return v3_mix(zm_srgb(0xd2e0ef), zm_srgb(0xf8fafd), clampf(0.25f + 0.6f * broad + 0.3f * patch, 0, 1));
    case GROUND_TILES: {
        float s = square(x / 0.9f + 0.5f, fx / 0.9f) * square(z / 0.9f, fz / 0.9f);
        return v3_mix(zm_srgb(0x5d7486), zm_srgb(0xe6ecee), 0.5f + 0.5f * s);
    }
    case GROUND_SAND:
        return v3_mix(zm_srgb(0xdcb876), zm_srgb(0xf2dca6), clampf(0.6f * broad + 0.4f * patch, 0, 1));
    default: {
        vec3 c = v3_mix(zm_srgb(0x7fb9dc), zm_srgb(0xbfe2f2), clampf(0.7f * broad + 0.35f * patch, 0, 1));
        float crack = 1 - smooth01(fabsf(noise(x * 0.8f + o, z * 0.5f + 50) - 0.5f) * 22);
        return v3_mix(c, zm_srgb(0xeef8ff), 0.5f * crack);
    }
    }
}

static const float mirror_of[GROUND_COUNT] = {[GROUND_WOOD] = 0.16f, [GROUND_TILES] = 0.26f, [GROUND_ICE] = 0.42f};

static void ground_px(zm_backdrop_px *out, const zm_view *v, const zm_light *l, int ground, int variant, vec3 ray)
{
    float t = v->cam_y / -ray.y, x = v->cam_x + ray.x * t, z = v->dist - t;
    float pixel = t / (v->ppm * v->dist), depth = pixel * t / v->cam_y; /* footprint across and along */
    vec3 albedo = ground_colour(ground, x, z, pixel, depth, variant);
    float fog = 1 - expf(-fmaxf(t - 9, 0) / 30);
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

static void sky_px(zm_backdrop_px *out, const zm_view *v, const zm_light *l, int ground, int variant, vec3 ray)
{
    float soft = 1.0f / (v->ppm * v->dist), ax = ray.x + 0.012f * v->cam_x;
    vec3 c = sky(l, ray.x, ray.y, fmaxf(soft, 0.005f), variant), hill;
    float top = skyline(ground, ax, variant, &hill);
    float cover = clampf((top - ray.y) / soft + 0.5f, 0, 1);
    if (cover > 0) {
        vec3 lit = v3_mul(hill, v3_mad(l->sky, l->key, 0.55f));
        c = v3_mix(c, v3_mix(lit, l->horizon, 0.38f), cover);
    }
    out->still = c;
    out->lit = v3(0, 0, 0);
    out->mirror = out->ground = 0;
}

void zm_backdrop_draw(zm_backdrop_px *px, const zm_view *v, const zm_light *l, int ground, int variant)
{
    for (int y = 0; y < v->height; y++)
        for (int x = 0; x < v->width; x++) {
            zm_backdrop_px *out = &px[(size_t)y * (size_t)v->width + (size_t)x];
            vec3 ray = zm_view_ray(v, (float)x + 0.5f, (float)y + 0.5f);
            float below = clampf((float)y + 1 - v->horizon_px, 0, 1);
            if (below <= 0) {
                sky_px(out, v, l, ground, variant, ray);
                continue;
            }
            vec3 down = zm_view_ray(v, (float)x + 0.5f, fmaxf((float)y + 0.5f, v->horizon_px + 0.5f * below));
            down.y = fminf(down.y, -0.2f / (v->ppm * v->dist));
            ground_px(out, v, l, ground, variant, down);
            if (below < 1) {
                zm_backdrop_px up;
                sky_px(&up, v, l, ground, variant, zm_view_ray(v, (float)x + 0.5f, v->horizon_px - 0.25f));
                out->still = v3_mix(up.still, out->still, below);
                out->lit = v3_scale(out->lit, below);
                out->ground = below;
            }
        }
}
