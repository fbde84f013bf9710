/* A running world: physics, pictures and truth, frame after frame.
 * SPDX-License-Identifier: MIT */
#include "world/world.h"

#include <stdlib.h>
#include <string.h>

#include "world/describe.h"
#include "world/draw.h"
#include "world/light.h"
#include "world/tables.h"

struct zm_world {
    zm_scene scene;
    zm_physics *physics;
    zm_canvas canvas; /* of worlds that draw */
    zm_still shows;
    int width, height;
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

zm_status zm_world_check(const zm_world_options *opt, zm_error *err)
{
    zm_world_options o = filled(opt);
    if (o.width < 16 || o.width > 4096 || o.height < 16 || o.height > 4096)
        return zm_fail(err, ZM_E_USAGE, "world: size %dx%d is outside of 16..4096", o.width, o.height);
    if (!(o.fps >= 0.5f && o.fps <= 240))
        return zm_fail(err, ZM_E_USAGE, "world: %g frames per second is outside of 0.5..240", (double)o.fps);
    if (o.frames < 1 || o.frames > 100000)
        return zm_fail(err, ZM_E_USAGE, "world: %d frames is outside of 1..100000", o.frames);
    if (o.first < 0 || o.first > 100000)
        return zm_fail(err, ZM_E_USAGE, "world: %d frames before the first is outside of 0..100000", o.first);
    if (!zm_physics_here())
        return zm_fail(err, ZM_E_UNSUPPORTED,
                       "world: this build has no physics, it was made without Chipmunk; "
                       "building again where chipmunk-dev is installed brings it");
    return ZM_OK;
}

/* draws: with a canvas. */
static zm_status open_world(zm_world **out, const zm_scene *s, const zm_world_options *opt, bool draws, zm_error *err)
{
    zm_world_options o = filled(opt);
    *out = NULL;
    zm_status st = zm_world_check(&o, err);
    if (!st)
        st = check_scene(s, err);
    if (st)
        return st;
    zm_world *w = calloc(1, sizeof *w);
    if (w && (!draws || zm_canvas_init(&w->canvas, o.width, o.height))) {
        w->scene = *s;
        w->width = o.width;
        w->height = o.height;
        w->fps = o.fps;
        w->frame = o.first;
        w->physics = zm_physics_new(s);
    }
    if (!w || !w->physics) {
        zm_world_close(&w);
        return zm_fail(err, ZM_E_NOMEM, "world: out of memory for a picture of %dx%d", o.width, o.height);
    }
    *out = w;
    return ZM_OK;
}

zm_status zm_world_open(zm_world **out, const zm_scene *s, const zm_world_options *opt, zm_error *err)
{
    return open_world(out, s, opt, true, err);
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

/* What physics knows about the bodies, whether they are seen or not. */
static void tell_truth(const zm_world *w, const zm_body_state *state, zm_truth *truth)
{
    const zm_scene *s = &w->scene;
    for (int i = 0; i < ZM_WORLD_MAX_BODIES; i++)
        truth[i] = (zm_truth){0};
    for (int i = 0; i < s->n_body; i++) {
        const zm_group *g = &s->group[s->body[i].group];
        const zm_body_state *b = &state[i];
        truth[i] = (zm_truth){.cls = g->cls,
                              .colour = g->colour,
                              .material = g->material,
                              .group = s->body[i].group,
                              .x_px = zm_view_x(&w->shows.view, b->x, 0),
                              .y_px = zm_view_y(&w->shows.view, b->y, 0),
                              .x = b->x,
                              .y = b->y,
                              .vx = b->vx,
                              .vy = b->vy,
                              .angle = b->angle,
                              .spin = b->spin,
                              .half_w = s->body[i].half_w,
                              .half_h = s->body[i].half_h,
                              .contacts = b->contacts};
    }
}

void zm_truth_see(zm_truth *truth, int n_body, int width, int height, const uint8_t *ids, const int32_t *whole)
{
    int32_t seen[ZM_WORLD_MAX_BODIES] = {0};
    int box[ZM_WORLD_MAX_BODIES][4];
    for (int i = 0; i < ZM_WORLD_MAX_BODIES; i++) {
        box[i][0] = width;
        box[i][1] = height;
        box[i][2] = box[i][3] = 0;
    }
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            int id = ids[(size_t)y * (size_t)width + (size_t)x];
            if (id == 0 || id > n_body)
                continue;
            int *b = box[id - 1];
            seen[id - 1]++;
            b[0] = x < b[0] ? x : b[0];
            b[1] = y < b[1] ? y : b[1];
            b[2] = x + 1 > b[2] ? x + 1 : b[2];
            b[3] = y + 1 > b[3] ? y + 1 : b[3];
        }
    for (int i = 0; i < n_body; i++) {
        truth[i].visible = whole[i] > 0 ? (float)seen[i] / (float)whole[i] : 0;
        for (int k = 0; seen[i] > 0 && k < 4; k++)
            truth[i].box_px[k] = (float)box[i][k];
    }
}

/* The next frame's description into w->shows. */
static void next(zm_world *w, zm_truth *truth)
{
    const zm_scene *s = &w->scene;
    float now = (float)w->frame / w->fps;
    zm_body_state state[ZM_WORLD_MAX_BODIES];
    zm_physics_advance(w->physics, (long)((double)w->frame / (double)w->fps * ZM_PHYSICS_HZ + 0.5));
    for (int i = 0; i < s->n_body; i++)
        zm_physics_get(w->physics, i, &state[i]);
    zm_describe(&w->shows, s, state, w->width, w->height, fminf(now / s->duration_s, 1));
    if (truth)
        tell_truth(w, state, truth);
    zm_physics_clear_contacts(w->physics);
    w->frame++;
}

void zm_world_frame(zm_world *w, uint8_t *rgb, uint8_t *ids, zm_truth *truth)
{
    const zm_scene *s = &w->scene;
    zm_canvas *c = &w->canvas;
    zm_draw_art art = zm_world_art();
    zm_draw_set stage = {&w->shows, art.palette, art.sprite};
    int32_t whole[ZM_DRAW_SOLIDS] = {0};
    next(w, truth);
    if (s->light != s->light_to || s->camera != ZM_CAM_STATIC || !w->backdrop_drawn)
        zm_canvas_backdrop(c, &stage);
    w->backdrop_drawn = true;
    zm_canvas_draw(c, &stage, whole);
    zm_canvas_encode(c, art.palette, rgb);
    if (ids)
        memcpy(ids, c->ids, (size_t)c->width * (size_t)c->height);
    if (truth)
        zm_truth_see(truth, s->n_body, c->width, c->height, c->ids, whole);
}

zm_status zm_world_render(const zm_scene *s, const zm_world_options *opt, uint8_t *rgb, uint8_t *ids, zm_truth *truth,
                          zm_error *err)
{
    zm_world_options o = filled(opt);
    zm_world *w;
    zm_status st = open_world(&w, s, &o, true, err);
    if (st)
        return st;
    size_t pixels = (size_t)o.width * (size_t)o.height;
    for (int f = 0; f < o.frames; f++)
        zm_world_frame(w, rgb + (size_t)f * pixels * 3, ids ? ids + (size_t)f * pixels : NULL,
                       truth ? truth + (size_t)f * ZM_WORLD_MAX_BODIES : NULL);
    zm_world_close(&w);
    return ZM_OK;
}

zm_status zm_world_describe(const zm_scene *s, const zm_world_options *opt, zm_still *frame, zm_truth *truth,
                            zm_error *err)
{
    zm_world_options o = filled(opt);
    zm_world *w;
    zm_status st = open_world(&w, s, &o, false, err);
    if (st)
        return st;
    for (int f = 0; f < o.frames; f++) {
        next(w, truth ? truth + (size_t)f * ZM_WORLD_MAX_BODIES : NULL);
        frame[f] = w->shows;
    }
    zm_world_close(&w);
    return ZM_OK;
}
