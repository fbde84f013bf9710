/* One frame: the ground in its light, then reflections, then bodies from far to near.
 * SPDX-License-Identifier: MIT */
#include "world/draw.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "world/shade.h"

typedef struct {
    int x0, x1, y0, y1; /* exclusive ends */
} rect;

bool zm_canvas_init(zm_canvas *c, int width, int height)
{
    *c = (zm_canvas){.width = width, .height = height};
    size_t n = (size_t)width * (size_t)height;
    c->colour = zm_aligned_alloc(n * sizeof *c->colour);
    c->open = zm_aligned_alloc(n * sizeof *c->open);
    c->near = zm_aligned_alloc(n * sizeof *c->near);
    c->backdrop = zm_aligned_alloc(n * sizeof *c->backdrop);
    c->ids = zm_aligned_alloc(n);
    if (!c->colour || !c->open || !c->near || !c->backdrop || !c->ids) {
        zm_canvas_release(c);
        return false;
    }
    return true;
}

void zm_canvas_release(zm_canvas *c)
{
    free(c->colour);
    free(c->open);
    free(c->near);
    free(c->backdrop);
    free(c->ids);
    *c = (zm_canvas){0};
}

static rect clip(rect r, int x0, int x1, int y0, int y1)
{
    r.x0 = r.x0 < x0 ? x0 : r.x0;
    r.y0 = r.y0 < y0 ? y0 : r.y0;
    r.x1 = r.x1 > x1 ? x1 : r.x1;
    r.y1 = r.y1 > y1 ? y1 : r.y1;
    return r;
}

static int to_int(float v)
{
    return (int)clampf(floorf(v), -1e6f, 1e6f);
}

/* Picture rectangle of a box of space, one pixel wider. */
static rect project(const zm_view *v, vec3 lo, vec3 hi)
{
    hi.z = fminf(hi.z, v->dist - 0.5f);
    lo.z = fminf(lo.z, hi.z);
    float x0 = fminf(zm_view_x(v, lo.x, hi.z), zm_view_x(v, lo.x, lo.z));
    float x1 = fmaxf(zm_view_x(v, hi.x, hi.z), zm_view_x(v, hi.x, lo.z));
    float y0 = fminf(zm_view_y(v, hi.y, hi.z), zm_view_y(v, hi.y, lo.z));
    float y1 = fmaxf(zm_view_y(v, lo.y, hi.z), zm_view_y(v, lo.y, lo.z));
    return (rect){to_int(x0) - 1, to_int(x1) + 2, to_int(y0) - 1, to_int(y1) + 2};
}

/* Half extents of the turned solid along x and y. */
static vec3 reach(const zm_solid *s)
{
    if (s->type == SOLID_BALL)
        return v3(s->hw, s->hw, s->hw);
    if (s->type == SOLID_SPRITE)
        return v3(s->bound, s->bound, 0.01f);
    float c = fabsf(s->cs), n = fabsf(s->sn);
    return v3(c * s->hw + n * s->hh, n * s->hw + c * s->hh, s->hz);
}

/* Where light and sky do not reach the ground because of one solid. */
static void shade_ground(zm_canvas *c, const zm_view *v, const zm_light *l, const zm_solid *s)
{
    vec3 foot = v3_mad(s->at, l->dir, -s->at.y / l->dir.y);
    float blur = s->at.y / l->dir.y * l->spread, r = s->bound / l->dir.y + blur + 0.1f, round = 2.2f * s->bound;
    vec3 lo = v3(fminf(foot.x - r, s->at.x - round), 0, fminf(foot.z - r, s->at.z - round));
    vec3 hi = v3(fmaxf(foot.x + r, s->at.x + round), 0, fmaxf(foot.z + r, s->at.z + round));
    rect box = clip(project(v, lo, hi), 0, c->width, (int)fmaxf(v->horizon_px, 0), c->height);
    float size2 = s->type == SOLID_PRISM ? s->hw * s->hh * 1.4f : s->hw * s->hh;
    for (int y = box.y0; y < box.y1; y++)
        for (int x = box.x0; x < box.x1; x++) {
            vec3 ray = zm_view_ray(v, (float)x + 0.5f, (float)y + 0.5f);
            if (ray.y > -1e-4f)
                continue;
            float t = v->cam_y / -ray.y;
            vec3 p = v3(v->cam_x + ray.x * t, 0, v->dist - t), to = v3_sub(s->at, p);
            size_t i = (size_t)y * (size_t)c->width + (size_t)x;
            float d2 = v3_dot(to, to), hidden = size2 * fmaxf(to.y, 0) / (d2 * sqrtf(d2) + 0.05f);
            c->near[i] *= 1 - fminf(hidden, 0.85f);
            c->open[i] *= 1 - zm_solid_shadow(s, v3(p.x, 1e-3f, p.z), l->dir, l->spread);
        }
}

static void draw_ground(zm_canvas *c, const zm_view *v, const zm_stage *st)
{
    size_t n = (size_t)c->width * (size_t)c->height;
    for (size_t i = 0; i < n; i++)
        c->open[i] = c->near[i] = 1;
    for (int i = 0; i < st->n; i++)
        shade_ground(c, v, st->light, &st->solids[i]);
    for (size_t i = 0; i < n; i++) {
        const zm_backdrop_px *b = &c->backdrop[i];
        float near = b->ground > 0 ? c->near[i] : 1;
        c->colour[i] = v3_mad(v3_scale(b->still, 0.25f + 0.75f * near), b->lit, c->open[i] * (0.4f + 0.6f * near));
    }
}

typedef struct {
    vec3 colour; /* premultiplied by alpha */
    float alpha;
    float cover;
} sample;

/* Colour and coverage of one solid in one pixel.  Inside a face one shading is enough; on edges the pixel is tested
 * in a 4x4 grid and each face it shows is shaded once, at the mean of its hits. */
static sample sample_pixel(const zm_view *v, const zm_stage *st, int self, float x, float y, float flip)
{
    const zm_solid *s = &st->solids[self];
    vec3 eye = v3(v->cam_x, v->cam_y * flip, v->dist);
    float pixel = (v->dist - s->at.z) / (v->ppm * v->dist);
    zm_hit hit = {0}, corner;
    sample out = {0};
    vec3 d = zm_view_ray(v, x + 0.5f, y + 0.5f);
    d.y *= flip;
    bool centre = zm_solid_hit(s, eye, d, &hit);
    if (s->type == SOLID_SPRITE) {
        if (centre)
            out.colour = zm_shade(st, self, &hit, d, v3_mad(eye, d, hit.t), pixel, &out.alpha);
        return out;
    }
    int inside = 0, any = centre;
    for (int k = 0; k < 4; k++) {
        vec3 e = zm_view_ray(v, x + (float)(k & 1), y + (float)(k >> 1));
        e.y *= flip;
        bool in = zm_solid_hit(s, eye, e, &corner);
        any |= in;
        inside += in && centre && corner.face == hit.face;
    }
    if (!any)
        return out;
    if (inside == 4) {
        out.colour = zm_shade(st, self, &hit, d, v3_mad(eye, d, hit.t), pixel, &out.alpha);
        return out;
    }
    float sx[8] = {0}, sy[8] = {0}, count[8] = {0};
    for (int k = 0; k < 16; k++) {
        float ox = x + 0.125f + 0.25f * (float)(k & 3), oy = y + 0.125f + 0.25f * (float)(k >> 2);
        vec3 e = zm_view_ray(v, ox, oy);
        e.y *= flip;
        if (!zm_solid_hit(s, eye, e, &corner))
            continue;
        int f = corner.face & 7;
        sx[f] += ox;
        sy[f] += oy;
        count[f] += 1;
    }
    for (int f = 0; f < 8; f++) {
        if (count[f] == 0)
            continue;
        vec3 e = zm_view_ray(v, sx[f] / count[f], sy[f] / count[f]);
        e.y *= flip;
        if (!zm_solid_hit(s, eye, e, &corner))
            continue;
        float a;
        vec3 c = zm_shade(st, self, &corner, e, v3_mad(eye, e, corner.t), pixel, &a);
        out.colour = v3_mad(out.colour, c, count[f] / 16);
        out.alpha += count[f] / 16;
    }
    return out;
}

static void draw_reflection(zm_canvas *c, const zm_view *v, const zm_stage *st, int self)
{
    const zm_solid *s = &st->solids[self];
    vec3 r = reach(s), lo = v3(s->at.x - r.x, -s->at.y - r.y, s->at.z - r.z),
         hi = v3(s->at.x + r.x, -s->at.y + r.y, s->at.z + r.z);
    rect box = clip(project(v, lo, hi), 0, c->width, 0, c->height);
    for (int y = box.y0; y < box.y1; y++)
        for (int x = box.x0; x < box.x1; x++) {
            size_t i = (size_t)y * (size_t)c->width + (size_t)x;
            float mirror = c->backdrop[i].mirror;
            if (mirror <= 0)
                continue;
            sample p = sample_pixel(v, st, self, (float)x, (float)y, -1);
            if (p.alpha > 0)
                c->colour[i] = v3_mad(v3_scale(c->colour[i], 1 - mirror * p.alpha), p.colour, mirror);
        }
}

static void draw_solid(zm_canvas *c, const zm_view *v, const zm_stage *st, int self, zm_footprint *whole)
{
    const zm_solid *s = &st->solids[self];
    vec3 r = reach(s), lo = v3_sub(s->at, r), hi = v3_add(s->at, r);
    rect all = clip(project(v, lo, hi), -c->width, 2 * c->width, -2 * c->height, 2 * c->height);
    for (int y = all.y0; y < all.y1; y++)
        for (int x = all.x0; x < all.x1; x++) {
            sample p = sample_pixel(v, st, self, (float)x, (float)y, 1);
            whole->whole += p.alpha > 0.5f;
            if (p.alpha <= 0 || x < 0 || y < 0 || x >= c->width || y >= c->height)
                continue;
            size_t i = (size_t)y * (size_t)c->width + (size_t)x;
            c->colour[i] = v3_add(v3_scale(c->colour[i], 1 - p.alpha), p.colour);
            if (p.alpha > 0.5f)
                c->ids[i] = s->id;
        }
}

/* Far to near.  Convex bodies that do not touch: of two, the one nearer to the axis of sight can only hide the other,
 * and everything nearer to the eye hides what lies behind. */
static void sort_far_to_near(const zm_view *v, const zm_stage *st, int order[])
{
    float key[ZM_DRAW_MAX_SOLIDS];
    for (int i = 0; i < st->n; i++) {
        const zm_solid *s = &st->solids[i];
        float dx = s->at.x - v->cam_x, dy = s->at.y - v->cam_y;
        key[i] = s->id == 255 ? (s->at.z > 0.5f ? -1e9f : 1e9f) : dx * dx + dy * dy;
        int k = i;
        for (; k > 0 && key[order[k - 1]] < key[i]; k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
}

void zm_render_frame(zm_canvas *c, const zm_view *v, const zm_light *l, const zm_solid *solids, int n,
                     zm_footprint *whole)
{
    zm_stage st = {l, solids, n};
    int order[ZM_DRAW_MAX_SOLIDS];
    ZM_ASSERT(n >= 0 && n <= ZM_DRAW_MAX_SOLIDS);
    memset(c->ids, 0, (size_t)c->width * (size_t)c->height);
    draw_ground(c, v, &st);
    sort_far_to_near(v, &st, order);
    for (int i = 0; i < n; i++)
        draw_reflection(c, v, &st, order[i]);
    for (int i = 0; i < n; i++) {
        whole[order[i]] = (zm_footprint){0};
        draw_solid(c, v, &st, order[i], &whole[order[i]]);
    }
}

/* Linear 0..1 in steps of 1/4096 -> sRGB byte, made once. */
static uint8_t srgb_byte[4097];
static pthread_once_t srgb_once = PTHREAD_ONCE_INIT;

static void make_srgb(void)
{
    for (int i = 0; i <= 4096; i++) {
        float v = (float)i / 4096;
        v = v <= 0.0031308f ? 12.92f * v : 1.055f * powf(v, 1 / 2.4f) - 0.055f;
        srgb_byte[i] = (uint8_t)(v * 255 + 0.5f);
    }
}

static uint8_t encode(float v)
{
    if (v > 0.7f) /* roll off: 0.7 -> 0.7, infinity -> 1, same slope at the seam */
        v = 0.7f + 0.3f * (v - 0.7f) / (v - 0.7f + 0.3f);
    return srgb_byte[(int)(fmaxf(v, 0) * 4096 + 0.5f)];
}

void zm_canvas_encode(const zm_canvas *c, uint8_t *rgb)
{
    size_t n = (size_t)c->width * (size_t)c->height;
    pthread_once(&srgb_once, make_srgb);
    for (size_t i = 0; i < n; i++) {
        rgb[3 * i] = encode(c->colour[i].x);
        rgb[3 * i + 1] = encode(c->colour[i].y);
        rgb[3 * i + 2] = encode(c->colour[i].z);
    }
}
