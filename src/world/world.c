/* A running world: physics, pictures and truth, frame after frame.
 * SPDX-License-Identifier: MIT */
#include "world/world.h"

#include <stdlib.h>

#include "world/draw.h"
#include "world/physics.h"
#include "world/sprite.h"
#include "world/tables.h"

struct zm_world {
    zm_scene scene;
    zm_physics *physics;
    zm_canvas canvas;
    zm_light light;
    float fps;
    long frame;
    bool backdrop_drawn;
};

static zm_world_options filled(const zm_world_options *opt)
{
    zm_world_options o = opt ? *opt : (zm_world_options){0};
    o.width = o.width ? o.width : 96;
    o.height = o.height ? o.height : 64;
    o.frames = o.frames ? o.frames : 17;
    o.fps = o.fps != 0 ? o.fps : 8;
    return o;
}

static zm_status check_scene(const zm_scene *s, zm_error *err)
{
    bool ok = s->n_body >= 0 && s->n_body <= ZM_WORLD_MAX_BODIES && s->n_group >= 1 && s->n_group <= ZM_WORLD_GROUPS &&
              s->ground >= 0 && s->ground < zm_world_count(ZM_ATTR_GROUND) && s->light >= 0 &&
              s->light < ZM_LIGHT_COUNT && s->light_to >= 0 && s->light_to < ZM_LIGHT_COUNT && s->camera >= 0 &&
              s->camera < ZM_CAM_COUNT && s->duration_s > 0;
    for (int g = 0; ok && g < s->n_group; g++)
        ok = s->group[g].cls >= 0 && s->group[g].cls < zm_world_count(ZM_ATTR_CLASS) && s->group[g].action >= 0 &&
             s->group[g].action < ZM_ACT_COUNT;
    for (int i = 0; ok && i < s->n_body; i++)
        ok = s->body[i].group >= 0 && s->body[i].group < s->n_group && s->body[i].half_w > 0.01f &&
             s->body[i].half_h > 0.01f && s->body[i].half_w < 100 && s->body[i].half_h < 100;
    return ok ? ZM_OK : zm_fail(err, ZM_E_USAGE, "scene %llu: a field is out of range", (unsigned long long)s->seed);
}

zm_status zm_world_open(zm_world **out, const zm_scene *s, const zm_world_options *opt, zm_error *err)
{
    zm_world_options o = filled(opt);
    *out = NULL;
    if (o.width < 16 || o.width > 4096 || o.height < 16 || o.height > 4096)
        return zm_fail(err, ZM_E_USAGE, "world: size %dx%d is outside of 16..4096", o.width, o.height);
    if (!(o.fps >= 0.5f && o.fps <= 240))
        return zm_fail(err, ZM_E_USAGE, "world: %g frames per second is outside of 0.5..240", (double)o.fps);
    if (!zm_physics_here())
        return zm_fail(err, ZM_E_UNSUPPORTED,
                       "world: this build has no physics, it was made without Chipmunk; "
                       "building again where chipmunk-dev is installed brings it");
    zm_status st = check_scene(s, err);
    if (st)
        return st;
    zm_world *w = calloc(1, sizeof *w);
    if (w && zm_canvas_init(&w->canvas, o.width, o.height)) {
        w->scene = *s;
        w->fps = o.fps;
        w->physics = zm_physics_new(s);
    }
    if (!w || !w->physics) {
        zm_world_close(&w);
        return zm_fail(err, ZM_E_NOMEM, "world: out of memory for a picture of %dx%d", o.width, o.height);
    }
    *out = w;
    return ZM_OK;
}

void zm_world_close(zm_world **w)
{
    if (!*w)
        return;
    zm_physics_free((*w)->physics);
    zm_canvas_release(&(*w)->canvas);
    free(*w);
    *w = NULL;
}

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
    out->id = (uint8_t)(i + 1);
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
    out->id = 255;
    return 1;
}

static void tell_truth(zm_world *w, const zm_view *v, const zm_body_state *state, const zm_footprint *whole,
                       zm_truth *truth)
{
    const zm_scene *s = &w->scene;
    const zm_canvas *c = &w->canvas;
    long seen[ZM_WORLD_MAX_BODIES] = {0};
    int box[ZM_WORLD_MAX_BODIES][4];
    for (int i = 0; i < ZM_WORLD_MAX_BODIES; i++) {
        truth[i] = (zm_truth){0};
        box[i][0] = c->width;
        box[i][1] = c->height;
        box[i][2] = box[i][3] = 0;
    }
    for (int y = 0; y < c->height; y++)
        for (int x = 0; x < c->width; x++) {
            int id = c->ids[(size_t)y * (size_t)c->width + (size_t)x];
            if (id == 0 || id > s->n_body)
                continue;
            int *b = box[id - 1];
            seen[id - 1]++;
            b[0] = x < b[0] ? x : b[0];
            b[1] = y < b[1] ? y : b[1];
            b[2] = x + 1 > b[2] ? x + 1 : b[2];
            b[3] = y + 1 > b[3] ? y + 1 : b[3];
        }
    for (int i = 0; i < s->n_body; i++) {
        const zm_group *g = &s->group[s->body[i].group];
        const zm_body_state *b = &state[i];
        truth[i] = (zm_truth){.cls = g->cls,
                              .colour = g->colour,
                              .material = g->material,
                              .group = s->body[i].group,
                              .x_px = zm_view_x(v, b->x, 0),
                              .y_px = zm_view_y(v, b->y, 0),
                              .x = b->x,
                              .y = b->y,
                              .vx = b->vx,
                              .vy = b->vy,
                              .angle = b->angle,
                              .spin = b->spin,
                              .half_w = s->body[i].half_w,
                              .half_h = s->body[i].half_h,
                              .contacts = b->contacts};
        truth[i].visible = whole[i].whole > 0 ? (float)seen[i] / (float)whole[i].whole : 0;
        for (int k = 0; seen[i] > 0 && k < 4; k++)
            truth[i].box_px[k] = (float)box[i][k];
    }
}

void zm_world_frame(zm_world *w, uint8_t *rgb, uint8_t *ids, zm_truth *truth)
{
    const zm_scene *s = &w->scene;
    zm_canvas *c = &w->canvas;
    float now = (float)w->frame / w->fps, u = fminf(now / s->duration_s, 1);
    zm_view view;
    zm_view_init(&view, s, c->width, c->height, u);
    zm_physics_advance(w->physics, (long)((double)w->frame / (double)w->fps * ZM_PHYSICS_HZ + 0.5));
    bool changing = s->light != s->light_to || s->camera != ZM_CAM_STATIC;
    if (changing || !w->backdrop_drawn) {
        zm_light_mix(&w->light, s->light, s->light_to, u);
        zm_backdrop_draw(c->backdrop, &view, &w->light, s->ground, (int)(s->seed & 3));
        w->backdrop_drawn = true;
    }
    zm_body_state state[ZM_WORLD_MAX_BODIES];
    zm_solid solid[ZM_DRAW_MAX_SOLIDS];
    zm_footprint whole[ZM_DRAW_MAX_SOLIDS];
    for (int i = 0; i < s->n_body; i++) {
        zm_physics_get(w->physics, i, &state[i]);
        body_solid(&solid[i], s, i, &state[i]);
    }
    int n = s->n_body + scenery_solid(&solid[s->n_body], s);
    zm_render_frame(c, &view, &w->light, solid, n, whole);
    zm_canvas_encode(c, rgb);
    for (size_t i = 0; ids && i < (size_t)c->width * (size_t)c->height; i++)
        ids[i] = c->ids[i];
    if (truth)
        tell_truth(w, &view, state, whole, truth);
    zm_physics_clear_contacts(w->physics);
    w->frame++;
}

zm_status zm_world_render(const zm_scene *s, const zm_world_options *opt, uint8_t *rgb, uint8_t *ids, zm_truth *truth,
                          zm_error *err)
{
    zm_world_options o = filled(opt);
    zm_world *w;
    if (o.frames < 1 || o.frames > 100000)
        return zm_fail(err, ZM_E_USAGE, "world: %d frames is outside of 1..100000", o.frames);
    zm_status st = zm_world_open(&w, s, &o, err);
    if (st)
        return st;
    size_t pixels = (size_t)o.width * (size_t)o.height;
    for (int f = 0; f < o.frames; f++)
        zm_world_frame(w, rgb + (size_t)f * pixels * 3, ids ? ids + (size_t)f * pixels : NULL,
                       truth ? truth + (size_t)f * ZM_WORLD_MAX_BODIES : NULL);
    zm_world_close(&w);
    return ZM_OK;
}
