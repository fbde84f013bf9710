/* Light and camera of a frame.
 * SPDX-License-Identifier: MIT */
#include "world/light.h"

static float linear(unsigned byte)
{
    float v = (float)(byte & 255) / 255.0f;
    return v <= 0.04045f ? v / 12.92f : powf((v + 0.055f) / 1.055f, 2.4f);
}

vec3 zm_srgb(unsigned hex)
{
    return v3(linear(hex >> 16), linear(hex >> 8), linear(hex));
}

static void one_light(zm_light *l, int light)
{
    switch (light) {
    case ZM_LIGHT_SUNSET:
        *l = (zm_light){.dir = v3(0.74f, 0.55f, 0.52f),
                        .key = v3(0.98f, 0.60f, 0.30f),
                        .sky = v3(0.34f, 0.25f, 0.34f),
                        .bounce = v3(0.22f, 0.14f, 0.11f),
                        .rim = v3(0.35f, 0.18f, 0.08f),
                        .zenith = zm_srgb(0x5b4a9a),
                        .horizon = zm_srgb(0xffa552),
                        .cloud = zm_srgb(0xff8f8a),
                        .glow = v3(0.55f, 0.30f, 0.06f),
                        .cloudiness = 0.55f,
                        .cloud_edge = 2.2f,
                        .spread = 0.10f,
                        .stars = 0,
                        .disc = 1,
                        .disc_x = 0.17f,
                        .disc_e = 0.035f};
        break;
    case ZM_LIGHT_NIGHT:
        *l = (zm_light){.dir = v3(-0.55f, 0.75f, 0.60f),
                        .key = v3(0.36f, 0.43f, 0.60f),
                        .sky = v3(0.115f, 0.135f, 0.225f),
                        .bounce = v3(0.08f, 0.09f, 0.14f),
                        .rim = v3(0.16f, 0.20f, 0.34f),
                        .zenith = zm_srgb(0x0b1030),
                        .horizon = zm_srgb(0x2a3a74),
                        .cloud = zm_srgb(0x2a3464),
                        .glow = v3(0.05f, 0.06f, 0.10f),
                        .cloudiness = 0.15f,
                        .cloud_edge = 2.0f,
                        .spread = 0.09f,
                        .stars = 1,
                        .disc = 0.8f,
                        .disc_x = -0.21f,
                        .disc_e = 0.145f};
        break;
    case ZM_LIGHT_OVERCAST:
        *l = (zm_light){.dir = v3(-0.1f, 0.96f, 0.28f),
                        .key = v3(0.26f, 0.265f, 0.27f),
                        .sky = v3(0.42f, 0.44f, 0.47f),
                        .bounce = v3(0.26f, 0.26f, 0.26f),
                        .rim = v3(0.03f, 0.03f, 0.03f),
                        .zenith = zm_srgb(0x8a939d),
                        .horizon = zm_srgb(0xc3c8cc),
                        .cloud = zm_srgb(0x6f7780),
                        .glow = v3(0, 0, 0),
                        .cloudiness = 0.85f,
                        .cloud_edge = 1.1f,
                        .spread = 0.45f,
                        .stars = 0,
                        .disc = 0,
                        .disc_x = 0,
                        .disc_e = 0.2f};
        break;
    default:
        *l = (zm_light){.dir = v3(-0.55f, 0.80f, 0.58f),
                        .key = v3(0.80f, 0.76f, 0.68f),
                        .sky = v3(0.27f, 0.31f, 0.38f),
                        .bounce = v3(0.20f, 0.19f, 0.17f),
                        .rim = v3(0.05f, 0.06f, 0.07f),
                        .zenith = zm_srgb(0x2f7fd8),
                        .horizon = zm_srgb(0xb4dcf6),
                        .cloud = zm_srgb(0xffffff),
                        .glow = v3(0, 0, 0),
                        .cloudiness = 0.65f,
                        .cloud_edge = 2.6f,
                        .spread = 0.09f,
                        .stars = 0,
                        .disc = 0,
                        .disc_x = -0.3f,
                        .disc_e = 0.3f};
    }
    l->dir = v3_unit(l->dir);
}

void zm_light_mix(zm_light *out, int a, int b, float t)
{
    one_light(out, a);
    if (a == b || t <= 0)
        return;
    zm_light to;
    one_light(&to, b);
    vec3 *colour[] = {&out->dir,    &out->key,     &out->sky,   &out->bounce, &out->rim,
                      &out->zenith, &out->horizon, &out->cloud, &out->glow};
    const vec3 *goal[] = {&to.dir, &to.key, &to.sky, &to.bounce, &to.rim, &to.zenith, &to.horizon, &to.cloud, &to.glow};
    for (int i = 0; i < 9; i++)
        *colour[i] = v3_mix(*colour[i], *goal[i], t);
    out->dir = v3_unit(out->dir);
    out->cloudiness += (to.cloudiness - out->cloudiness) * t;
    out->cloud_edge += (to.cloud_edge - out->cloud_edge) * t;
    out->spread += (to.spread - out->spread) * t;
    out->stars += (to.stars - out->stars) * t;
    if (t > 0.5f) {
        out->disc_x = to.disc_x;
        out->disc_e = to.disc_e;
        out->disc = to.disc * (2 * t - 1);
    } else {
        out->disc *= 1 - 2 * t;
    }
}

void zm_view_init(zm_view *v, const zm_scene *s, int width, int height, float u)
{
    float pan = 0, zoom = 1, w = smooth01(u);
    switch (s->camera) {
    case ZM_CAM_PAN_LEFT:
        pan = s->camera_amount * (0.5f - w);
        break;
    case ZM_CAM_PAN_RIGHT:
        pan = s->camera_amount * (w - 0.5f);
        break;
    case ZM_CAM_ZOOM_IN:
        zoom = 0.86f + 0.30f * s->camera_amount * w;
        break;
    case ZM_CAM_ZOOM_OUT:
        zoom = 0.86f + 0.30f * s->camera_amount * (1 - w);
        break;
    default:
        break;
    }
    float ppm = (float)width / ZM_WORLD_WIDTH_M, foot = 0.84f * (float)height;
    *v = (zm_view){.width = width, .height = height, .ppm = ppm * zoom, .cam_x = pan, .cam_y = 1.75f, .dist = 8.0f};
    v->mid_px = 0.5f * (float)width;
    v->horizon_px = foot - v->ppm * v->cam_y; /* zooming keeps the line where the bodies stand */
}
