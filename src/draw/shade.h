/* Colour of a point on a solid: painted pattern, light with shadows, highlights, outlines.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_DRAW_SHADE_H
#define ZM_DRAW_SHADE_H

#include "draw/backdrop.h"
#include "draw/solid.h"
#include "draw/sprite.h"

ZM_DRAW_FN float zm_shade_others_shadow(const zm_draw_set *st, int self, vec3 p)
{
    float open = 1;
    const zm_still *f = st->frame;
    for (int i = 0; i < f->n && open > 0; i++)
        if (i != self)
            open *= 1 - zm_solid_shadow(&f->solid[i], p, f->light.dir, f->light.spread);
    return open;
}

/* Edge of a painted band: 1 inside |x| < half, softened over a pixel. */
ZM_DRAW_FN float zm_shade_band(float x, float half, float pixel)
{
    return clampf((half - fabsf(x)) / pixel + 0.5f, 0, 1);
}

ZM_DRAW_FN vec3 zm_shade_tinted(vec3 c, float toward_white)
{
    return v3_mix(c, v3(0.92f, 0.92f, 0.92f), toward_white);
}

ZM_DRAW_FN vec3 zm_shade_paint(const zm_palette *pal, const zm_solid *s, const zm_hit *hit, float pixel)
{
    vec3 c = s->albedo, p = hit->local;
    if (s->look == LOOK_BRICK) {
        float row = floorf((p.y + s->hh) / 0.3f), x = p.x + (fmodf(row, 2) != 0 ? 0.3f : 0.0f);
        float ex = fabsf(x / 0.6f - floorf(x / 0.6f + 0.5f)) * 0.6f, ey = p.y + s->hh - 0.3f * row;
        float joint = fmaxf(zm_shade_band(ex, 0.03f, pixel), zm_shade_band(fminf(ey, 0.3f - ey), 0.025f, pixel));
        return v3_mix(c, zm_palette_at(pal, 0xd8cdbf), 0.6f * joint);
    }
    if (s->look == LOOK_BOARD)
        return c;
    switch (s->type) {
    case SOLID_BALL: /* a beach ball's stripe shows that it rolls */
        return v3_mix(c, zm_shade_tinted(c, 0.75f), zm_shade_band(p.x, 0.17f * s->hw, pixel));
    case SOLID_CAN:
        return v3_mix(c, zm_shade_tinted(c, 0.6f), hit->face ? 0.25f : zm_shade_band(p.y, 0.16f * s->hh, pixel));
    default: { /* a block with a frame: darker rim around a plain middle */
        bool front = hit->face > s->n;
        float a = front || hit->face > 2 ? s->hw - fabsf(p.x) : s->hh - fabsf(p.y);
        float b = front ? s->hh - fabsf(p.y) : s->hz - fabsf(p.z);
        float rim = 1 - clampf((fminf(a, b) - 0.09f * s->hw) / pixel + 0.5f, 0, 1);
        return v3_scale(c, 1 - 0.28f * rim);
    }
    }
}

ZM_DRAW_FN vec3 zm_shade_mirrored(const zm_light *l, vec3 d, vec3 n)
{
    vec3 r = v3_mad(d, n, -2 * v3_dot(d, n));
    float e = r.y / sqrtf(r.x * r.x + r.z * r.z + 1e-6f);
    vec3 low = v3_scale(v3_add(l->bounce, v3_scale(l->key, 0.12f)), 1.1f);
    return v3_mix(low, zm_sky_plain(l, 0.25f * fmaxf(e, 0)), smooth01(e * 4 + 0.5f));
}

/* Diffuse light at a point: sun or moon with shadows, sky from above, ground from below. */
ZM_DRAW_FN vec3 zm_shade_diffuse(const zm_light *l, vec3 n, float open, float height)
{
    float facing = fmaxf(v3_dot(n, l->dir), 0) * open, up = 0.5f + 0.5f * n.y;
    vec3 ambient = v3_mix(v3_scale(l->bounce, 0.55f + 0.45f * clampf(height * 1.5f, 0, 1)), l->sky, up);
    return v3_mad(ambient, l->key, facing);
}

ZM_DRAW_FN vec3 zm_shade_sprite(const zm_draw_set *st, int self, const zm_hit *hit, vec3 point, float pixel,
                                float *alpha)
{
    const zm_solid *s = &st->frame->solid[self];
    const zm_light *l = &st->frame->light;
    float u = s->flip * hit->local.x / s->scale_x, v = hit->local.y / s->scale_y, px[4], wide[4];
    float texels = ZM_SPRITE_HALF * pixel / s->scale_x;
    zm_sprite_sample(&st->sprite[s->thing], u, v, texels, px);
    *alpha = px[3];
    if (px[3] < 1.0f / 255)
        return v3(0, 0, 0);
    /* A flat drawing lit as if it bulged a little: light falls off across it as on the toys around it. */
    float bx = clampf(hit->local.x / s->hw, -1, 1) * 0.6f, by = clampf(hit->local.y / s->hh, -1, 1) * 0.6f;
    vec3 n = v3(s->cs * bx - s->sn * by, s->sn * bx + s->cs * by, 0.75f);
    n = v3_unit(v3(n.x, n.y + 0.25f, n.z));
    vec3 light = zm_shade_diffuse(l, n, zm_shade_others_shadow(st, self, point), point.y);
    vec3 c = v3_scale(v3_mul(v3(px[0], px[1], px[2]), light), 1.12f);
    zm_sprite_sample(&st->sprite[s->thing], u - 0.1f * s->flip * l->dir.x, v + 0.12f, texels * 3.0f, wide);
    return v3_mad(c, l->rim, 1.3f * px[3] * clampf(1 - wide[3], 0, 1));
}

/* Linear colour of a solid where the ray d met it; pixel = size of a pixel there, m.  For sprites the colour is
 * premultiplied by *alpha; else *alpha is 1. */
ZM_DRAW_ONE_FN vec3 zm_shade(const zm_draw_set *st, int self, const zm_hit *hit, vec3 d, vec3 point, float pixel,
                             float *alpha)
{
    const zm_solid *s = &st->frame->solid[self];
    const zm_light *l = &st->frame->light;
    if (s->type == SOLID_SPRITE)
        return zm_shade_sprite(st, self, hit, point, pixel, alpha);
    *alpha = 1;
    vec3 n = hit->normal, albedo = zm_shade_paint(st->palette, s, hit, pixel);
    vec3 eye = v3_scale(v3_unit(d), -1), half = v3_unit(v3_add(eye, l->dir));
    float open = zm_shade_others_shadow(st, self, point), shine = fmaxf(v3_dot(n, half), 0);
    float edge = 1 - fmaxf(v3_dot(n, eye), 0);
    vec3 c = v3_mul(albedo, zm_shade_diffuse(l, n, open, point.y));
    float s2 = shine * shine, s4 = s2 * s2, s8 = s4 * s4, s16 = s8 * s8;
    if (s->material == MATERIAL_METAL) {
        vec3 env = zm_shade_mirrored(l, d, n);
        c = v3_mix(c, v3_mul(v3_mix(albedo, v3(0.9f, 0.9f, 0.9f), 0.15f), v3_scale(env, 1.25f)), 0.62f);
        c = v3_mad(c, l->key, 0.9f * open * s16 * s16);
    } else if (s->material == MATERIAL_SHINY) {
        c = v3_mad(c, zm_shade_mirrored(l, d, n), 0.05f + 0.35f * edge * edge * edge);
        c = v3_mad(c, l->key, 0.75f * open * s16 * s16);
    } else {
        c = v3_mad(c, l->key, 0.07f * open * s8);
    }
    return v3_mad(c, l->rim, edge * edge * edge * 0.7f);
}

#endif
