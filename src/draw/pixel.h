/* One pixel of a frame, step by step: the ground in its light, then reflections, then bodies from far to near.
 *
 * The CPU takes each step over the pixels of a solid's box, the card all of them for one pixel: the same arithmetic in the
 * same order.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_DRAW_PIXEL_H
#define ZM_DRAW_PIXEL_H

#include "draw/shade.h"

/* Light (open) and sky (near) that reach the ground there, less what one solid takes; in its shadow box. */
ZM_DRAW_FN void zm_pixel_shadow(const zm_still *f, int solid, int x, int y, float *open, float *near)
{
    const zm_view *v = &f->view;
    const zm_solid *s = &f->solid[solid];
    vec3 ray = zm_view_ray(v, (float)x + 0.5f, (float)y + 0.5f);
    if (ray.y > -1e-4f)
        return;
    float t = v->cam_y / -ray.y, size2 = s->type == SOLID_PRISM ? s->hw * s->hh * 1.4f : s->hw * s->hh;
    vec3 p = v3(v->cam_x + ray.x * t, 0, v->dist - t), to = v3_sub(s->at, p);
    float d2 = v3_dot(to, to), hidden = size2 * fmaxf(to.y, 0) / (d2 * sqrtf(d2) + 0.05f);
    *near *= 1 - fminf(hidden, 0.85f);
    *open *= 1 - zm_solid_shadow(s, v3(p.x, 1e-3f, p.z), f->light.dir, f->light.spread);
}

ZM_DRAW_FN vec3 zm_pixel_ground(const zm_backdrop_px *b, float open, float near)
{
    near = b->ground > 0 ? near : 1;
    return v3_mad(v3_scale(b->still, 0.25f + 0.75f * near), b->lit, open * (0.4f + 0.6f * near));
}

typedef struct zm_sample {
    vec3 colour; /* premultiplied by alpha */
    float alpha;
} zm_sample;

/* On an edge: the pixel is tested in a 4x4 grid and each face it shows is shaded once, at the mean of its hits. */
ZM_DRAW_FN zm_sample zm_pixel_edge(const zm_draw_set *st, int self, float x, float y, float flip, vec3 eye, float pixel)
{
    const zm_view *v = &st->frame->view;
    const zm_solid *s = &st->frame->solid[self];
    float sx[8], sy[8], count[8], a;
    zm_hit hit;
    zm_sample out;
    out.colour = v3(0, 0, 0);
    out.alpha = 0;
    for (int f = 0; f < 8; f++)
        sx[f] = sy[f] = count[f] = 0;
    for (int k = 0; k < 16; k++) {
        float ox = x + 0.125f + 0.25f * (float)(k & 3), oy = y + 0.125f + 0.25f * (float)(k >> 2);
        vec3 e = zm_view_ray(v, ox, oy);
        e.y *= flip;
        if (!zm_solid_hit(s, eye, e, &hit))
            continue;
        int f = hit.face & 7;
        sx[f] += ox;
        sy[f] += oy;
        count[f] += 1;
    }
    for (int f = 0; f < 8; f++) {
        if (count[f] == 0)
            continue;
        vec3 e = zm_view_ray(v, sx[f] / count[f], sy[f] / count[f]);
        e.y *= flip;
        if (!zm_solid_hit(s, eye, e, &hit))
            continue;
        vec3 c = zm_shade(st, self, &hit, e, v3_mad(eye, e, hit.t), pixel, &a);
        out.colour = v3_mad(out.colour, c, count[f] / 16);
        out.alpha += count[f] / 16;
    }
    return out;
}

/* Colour and coverage of one solid in one pixel, flip -1: of its reflection.  Inside a face one shading is enough. */
ZM_DRAW_ONE_FN zm_sample zm_pixel_solid(const zm_draw_set *st, int self, float x, float y, float flip)
{
    const zm_view *v = &st->frame->view;
    const zm_solid *s = &st->frame->solid[self];
    vec3 eye = v3(v->cam_x, v->cam_y * flip, v->dist), d = zm_view_ray(v, x + 0.5f, y + 0.5f);
    float pixel = (v->dist - s->at.z) / (v->ppm * v->dist);
    zm_hit hit, corner;
    zm_sample out;
    out.colour = v3(0, 0, 0);
    out.alpha = 0;
    d.y *= flip;
    bool centre = zm_solid_hit(s, eye, d, &hit);
    int inside = 0, any = centre;
    for (int k = 0; k < 4 && s->type != SOLID_SPRITE; k++) {
        vec3 e = zm_view_ray(v, x + (float)(k & 1), y + (float)(k >> 1));
        e.y *= flip;
        bool in = zm_solid_hit(s, eye, e, &corner);
        any = any || in;
        inside += in && centre && corner.face == hit.face;
    }
    if (inside == 4 || (centre && s->type == SOLID_SPRITE))
        out.colour = zm_shade(st, self, &hit, d, v3_mad(eye, d, hit.t), pixel, &out.alpha);
    else if (any)
        out = zm_pixel_edge(st, self, x, y, flip, eye, pixel);
    return out;
}

/* `under` with the solid's reflection; in its mirror box, where b->mirror > 0. */
ZM_DRAW_FN vec3 zm_pixel_mirror(const zm_draw_set *st, int self, int x, int y, vec3 under, float mirror)
{
    zm_sample p = zm_pixel_solid(st, self, (float)x, (float)y, -1);
    return p.alpha > 0 ? v3_mad(v3_scale(under, 1 - mirror * p.alpha), p.colour, mirror) : under;
}

/* The solid itself over `under`. */
ZM_DRAW_FN vec3 zm_pixel_over(const zm_sample *p, vec3 under)
{
    return v3_add(v3_scale(under, 1 - p->alpha), p->colour);
}

/* sRGB byte of a linear value, bright parts rolled off softly. */
ZM_DRAW_FN uint8_t zm_pixel_byte(const zm_palette *pal, float v)
{
    if (v > 0.7f) /* roll off: 0.7 -> 0.7, infinity -> 1, same slope at the seam */
        v = 0.7f + 0.3f * (v - 0.7f) / (v - 0.7f + 0.3f);
    return pal->srgb[(int)(fmaxf(v, 0) * 4096 + 0.5f)];
}

/* All steps for one pixel: rgb [3], and the id of the solid that is seen there. */
ZM_DRAW_FN int zm_pixel_draw(const zm_draw_set *st, int x, int y, uint8_t *rgb)
{
    const zm_still *f = st->frame;
    zm_backdrop_px b = zm_backdrop_at(st, x, y);
    float open = 1, near = 1;
    int id = 0;
    for (int i = 0; i < f->n; i++)
        if (zm_draw_inside(&f->shadow[i], x, y))
            zm_pixel_shadow(f, i, x, y, &open, &near);
    vec3 c = zm_pixel_ground(&b, open, near);
    for (int i = 0; b.mirror > 0 && i < f->n; i++)
        if (zm_draw_inside(&f->mirror[f->order[i]], x, y))
            c = zm_pixel_mirror(st, f->order[i], x, y, c, b.mirror);
    for (int i = 0; i < f->n; i++) {
        int self = f->order[i];
        if (!zm_draw_inside(&f->body[self], x, y))
            continue;
        zm_sample p = zm_pixel_solid(st, self, (float)x, (float)y, 1);
        if (p.alpha > 0)
            c = zm_pixel_over(&p, c);
        if (p.alpha > 0.5f)
            id = f->solid[self].id;
    }
    rgb[0] = zm_pixel_byte(st->palette, c.x);
    rgb[1] = zm_pixel_byte(st->palette, c.y);
    rgb[2] = zm_pixel_byte(st->palette, c.z);
    return id;
}

#endif
