/* What a frame shows, from the state of its bodies: camera, light, solids, and the pixels that each of them concerns.
 * SPDX-License-Identifier: MIT */
#include "world/describe.h"

#include "base/error.h"
#include "world/light.h"
#include "world/solid.h"
#include "world/sprite.h"
#include "world/tables.h"

static void sprite_solid(zm_solid *out, const zm_group *g, const zm_body *b, const zm_body_state *st)
{
    float w, h, side = 1 / sqrtf(st->stretch);
    int thing = g->cls - ZM_CLASS_SHAPES;
    zm_sprite_extent(thing, &w, &h);
    float scale = zm_kind_is_round(zm_class_at(g->cls)->kind) ? b->half_w / (0.5f * (w + h))
                                                              : fmaxf(b->half_w / w, b->half_h / h);
    *out = (zm_solid){.type = SOLID_SPRITE, .thing = thing, .flip = g->direction > 0 ? -1.0f : 1.0f};
    out->scale_x = scale * side;
    out->scale_y = scale * st->stretch;
    out->hw = w * out->scale_x;
    out->hh = h * out->scale_y;
    out->hz = 0.6f * fminf(out->hw, out->hh);
    out->bound = 1.06f * fmaxf(out->scale_x * sqrtf(w * w + h * h), out->scale_y * sqrtf(w * w + h * h));
    out->at = v3(st->x, st->y + b->half_h * (st->stretch - 1), 0);
    out->cs = cosf(st->angle);
    out->sn = sinf(st->angle);
}

static void body_solid(zm_solid *out, const zm_scene *s, int i, const zm_body_state *st)
{
    const zm_body *b = &s->body[i];
    const zm_group *g = &s->group[b->group];
    vec3 at = v3(st->x, st->y, 0);
    if (!zm_class_is_shape(g->cls))
        sprite_solid(out, g, b, st);
    else if (g->cls == ZM_CLASS_BALL)
        zm_solid_ball(out, at, st->angle, b->half_w);
    else if (g->cls == ZM_CLASS_CUBE)
        zm_solid_box(out, at, st->angle, b->half_w, b->half_h, b->half_w);
    else
        zm_solid_can(out, at, st->angle, b->half_w, b->half_h);
    if (zm_class_is_shape(g->cls)) {
        uint8_t rgb[3];
        zm_world_colour_rgb(g->colour, rgb);
        out->albedo = zm_srgb((unsigned)rgb[0] << 16 | (unsigned)rgb[1] << 8 | rgb[2]);
        out->material = g->material > 0 ? g->material : 0;
    }
    out->id = i + 1;
}

static int scenery_solid(zm_solid *out, const zm_scene *s)
{
    if (s->prop == ZM_PROP_WALL) {
        zm_solid_box(out, v3(s->prop_x, 0.5f * s->prop_h, 0.95f), 0, 0.5f * s->prop_w, 0.5f * s->prop_h, 0.12f);
        out->albedo = zm_srgb(0xa9583f);
        out->look = LOOK_BRICK;
    } else if (s->prop == ZM_PROP_RAMP) {
        float half = 0.5f * s->prop_w * (float)s->prop_side;
        zm_solid_wedge(out, s->prop_x - half, s->prop_x + half, s->prop_h, 0.75f);
        out->albedo = zm_srgb(0xb98d5a);
        out->look = LOOK_BOARD;
    } else {
        return 0;
    }
    out->id = ZM_DRAW_SCENERY;
    return 1;
}

/* ---- pixels ---- */

static zm_draw_box clip(zm_draw_box r, int x0, int x1, int y0, int y1)
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
static zm_draw_box project(const zm_view *v, vec3 lo, vec3 hi)
{
    hi.z = fminf(hi.z, v->dist - 0.5f);
    lo.z = fminf(lo.z, hi.z);
    float x0 = fminf(zm_view_x(v, lo.x, hi.z), zm_view_x(v, lo.x, lo.z));
    float x1 = fmaxf(zm_view_x(v, hi.x, hi.z), zm_view_x(v, hi.x, lo.z));
    float y0 = fminf(zm_view_y(v, hi.y, hi.z), zm_view_y(v, hi.y, lo.z));
    float y1 = fmaxf(zm_view_y(v, lo.y, hi.z), zm_view_y(v, lo.y, lo.z));
    return (zm_draw_box){to_int(x0) - 1, to_int(x1) + 2, to_int(y0) - 1, to_int(y1) + 2};
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

static zm_draw_box shadow_box(const zm_view *v, const zm_light *l, const zm_solid *s)
{
    vec3 foot = v3_mad(s->at, l->dir, -s->at.y / l->dir.y);
    float blur = s->at.y / l->dir.y * l->spread, r = s->bound / l->dir.y + blur + 0.1f, round = 2.2f * s->bound;
    vec3 lo = v3(fminf(foot.x - r, s->at.x - round), 0, fminf(foot.z - r, s->at.z - round));
    vec3 hi = v3(fmaxf(foot.x + r, s->at.x + round), 0, fmaxf(foot.z + r, s->at.z + round));
    return clip(project(v, lo, hi), 0, v->width, (int)fmaxf(v->horizon_px, 0), v->height);
}

static void set_boxes(zm_still *f, int i)
{
    const zm_view *v = &f->view;
    const zm_solid *s = &f->solid[i];
    vec3 r = reach(s), lo = v3_sub(s->at, r), hi = v3_add(s->at, r);
    vec3 low = v3(s->at.x - r.x, -s->at.y - r.y, s->at.z - r.z),
         high = v3(s->at.x + r.x, -s->at.y + r.y, s->at.z + r.z);
    f->shadow[i] = shadow_box(v, &f->light, s);
    f->mirror[i] = clip(project(v, low, high), 0, v->width, 0, v->height);
    f->body[i] = clip(project(v, lo, hi), -v->width, 2 * v->width, -2 * v->height, 2 * v->height);
}

/* Far to near.  Convex bodies that do not touch: of two, the one nearer to the axis of sight can only hide the other,
 * and everything nearer to the eye hides what lies behind. */
static void sort_far_to_near(zm_still *f)
{
    const zm_view *v = &f->view;
    float key[ZM_DRAW_SOLIDS];
    int *order = f->order;
    for (int i = 0; i < f->n; i++) {
        const zm_solid *s = &f->solid[i];
        float dx = s->at.x - v->cam_x, dy = s->at.y - v->cam_y;
        key[i] = s->id == ZM_DRAW_SCENERY ? (s->at.z > 0.5f ? -1e9f : 1e9f) : dx * dx + dy * dy;
        int k = i;
        for (; k > 0 && key[order[k - 1]] < key[i]; k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
}

void zm_describe(zm_still *f, const zm_scene *s, const zm_body_state *state, int width, int height, float u)
{
    _Static_assert(ZM_DRAW_SOLIDS == ZM_WORLD_MAX_BODIES + 1, "bodies and a piece of scenery");
    *f = (zm_still){.ground = s->ground, .variant = (int)(s->seed & 3)};
    zm_view_init(&f->view, s, width, height, u);
    zm_light_mix(&f->light, s->light, s->light_to, u);
    for (int i = 0; i < s->n_body; i++)
        body_solid(&f->solid[i], s, i, &state[i]);
    f->n = s->n_body + scenery_solid(&f->solid[s->n_body], s);
    for (int i = 0; i < f->n; i++)
        set_boxes(f, i);
    sort_far_to_near(f);
}
