/* Scores: facts of scenes, the fit of gravity, bounces and vanishing bodies on made-up tracks, and perfect sight.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "app/eval_score.h"
#include "base/rng.h"
#include "tap.h"
#include "world/tables.h"

enum { FRAMES = 17, WIDTH = 96, HEIGHT = 64, CLIPS = 40 };

static zm_rng seed(void)
{
    zm_rng r = zm_rng_init((uint64_t)time(NULL) * 1000003u ^ (uint64_t)getpid(), 11);
    printf("# seed %llu\n", (unsigned long long)r.seed);
    return r;
}

static zm_eval_sight blank(void)
{
    zm_eval_sight v = {.width = WIDTH, .height = HEIGHT, .fps = 8};
    v.tracks.frames = FRAMES;
    return v;
}

static zm_track *add_track(zm_eval_sight *v, int cls, int colour)
{
    zm_track *t = &v->tracks.track[v->tracks.n++];
    *t = (zm_track){.cls = cls, .colour = colour, .first = -1, .at = calloc(FRAMES, sizeof *t->at)};
    return t;
}

static void sight(zm_track *t, int f, float x, float y)
{
    t->at[f] =
        (zm_detection){.cls = t->cls, .colour = t->colour, .score = 1, .x = x, .y = y, .width = 18, .height = 18};
    t->first = t->first < 0 ? f : t->first;
    t->last = f;
    t->n++;
}

/* What a perfect detector would see. */
static zm_eval_sight perfect(const zm_scene *s, const zm_truth *truth)
{
    zm_eval_sight v = blank();
    v.answer[ZM_HEAD_GROUND] = s->ground;
    v.answer[ZM_HEAD_LIGHT] = s->light;
    v.answer[ZM_HEAD_CAMERA] = s->camera;
    v.answer[ZM_HEAD_ACTION] = s->group[0].action;
    v.answer[ZM_HEAD_SIDE] = 1 + s->group[0].direction;
    for (int i = 0; i < s->n_body; i++) {
        zm_track *t = add_track(&v, truth[i].cls, truth[i].colour >= 0 ? truth[i].colour : 0);
        for (int f = 0; f < FRAMES; f++) {
            const zm_truth *b = &truth[f * ZM_WORLD_MAX_BODIES + i];
            if (b->visible > 0.25f)
                sight(t, f, b->x_px, b->y_px);
        }
    }
    return v;
}

static void test_perfect(zm_rng *r)
{
    zm_world_options o = {.width = WIDTH, .height = HEIGHT, .frames = FRAMES, .fps = 8, .camera_share = 0.3f};
    uint8_t *rgb = malloc((size_t)WIDTH * HEIGHT * 3 * FRAMES);
    zm_truth *truth = calloc(FRAMES * ZM_WORLD_MAX_BODIES, sizeof *truth);
    zm_eval_tally tally = {0}, wrong = {0};
    zm_eval_physics *p = calloc(1, sizeof *p);
    uint64_t base = zm_rng_u32(r);
    for (int i = 0; i < CLIPS; i++) {
        zm_error err = {0};
        zm_scene s;
        zm_scene_spec q = zm_scene_spec_any();
        if (i < 8) { /* enough falls to measure */
            q.action = ZM_ACT_BOUNCE;
            q.cls = ZM_CLASS_BALL;
            q.camera = ZM_CAM_STATIC;
        }
        if (zm_scene_compose(&s, &q, base + (uint64_t)i, &o, &err) || zm_world_render(&s, &o, rgb, NULL, truth, &err)) {
            tap_ok(false, "%s", err.text);
            break;
        }
        zm_eval_sight v = perfect(&s, truth);
        zm_eval_facts f = zm_eval_facts_of(&s);
        zm_eval_add(&tally, &f, &v);
        zm_eval_physics_add(p, &f, &v);
        for (int k = 0; k < ZM_HEADS; k++)
            v.answer[k] = 99;
        for (int k = 0; k < v.tracks.n; k++)
            v.tracks.track[k].n = 1; /* a flicker is no body */
        zm_eval_add(&wrong, &f, &v);
        zm_tracks_release(&v.tracks);
    }
    for (int a = 0; a < ZM_EVAL_ATTRS; a++) {
        double least = a == ZM_EVAL_COUNT                           ? 0.8
                       : a == ZM_EVAL_OBJECT || a == ZM_EVAL_COLOUR ? 0.9
                                                                    : 1; /* bodies may be out of sight */
        if (tally.asked[a])
            tap_ok(zm_eval_share(&tally, (zm_eval_attr)a) >= least, "%s of true tracks: %d of %d right",
                   zm_eval_name((zm_eval_attr)a), tally.right[a], tally.asked[a]);
        tap_equal_i64(wrong.right[a], 0, "nothing seen is never right");
    }
    double g = 0, spread = 0, want = (double)ZM_WORLD_GRAVITY * WIDTH / (double)ZM_WORLD_WIDTH_M;
    bool fell = zm_eval_gravity(p, &g, &spread);
    tap_ok(fell && fabs(g - want) < 0.03 * want, "true falls have the world's gravity: %g of %g px/s^2 in %d", g, want,
           p->falls);
    tap_ok(p->bounces >= 4 && p->gains == 0, "%d true bounces, %d gain energy", p->bounces, p->gains);
    free(p);
    free(rgb);
    free(truth);
}

static void test_fit(zm_rng *r)
{
    float y[6];
    double g = (double)zm_rng_range(r, 50, 300);
    for (int i = 0; i < 6; i++)
        y[i] = (float)(3 + 1.5 * i + 0.5 * g * i * i / 64);
    double got = zm_eval_fit_gravity(y, 6, 8);
    tap_ok(fabs(got - g) < 1e-3 * g, "gravity %g of an exact parabola: %g", g, got);
}

static void test_bounce_gain(void)
{
    static const float down_up[2][FRAMES] = {{10, 12, 17, 25, 36, 50, 40, 33, 28, 26, 28, 33, 40, 50, 45, 42, 41},
                                             {30, 32, 37, 44, 50, 40, 30, 20, 14, 12, 14, 20, 30, 40, 50, 44, 40}};
    for (int k = 0; k < 2; k++) {
        zm_eval_sight v = blank();
        zm_track *t = add_track(&v, 0, 1);
        for (int f = 0; f < FRAMES; f++)
            sight(t, f, 48, down_up[k][f]);
        zm_eval_facts f = zm_eval_facts_none();
        f.action = ZM_ACT_BOUNCE;
        f.cls[0] = 0;
        zm_eval_physics p = {0};
        zm_eval_physics_add(&p, &f, &v);
        tap_equal_i64(p.bounces, 2, "two bounces");
        tap_equal_i64(p.gains, k, k ? "one of them gains" : "none of them gains");
        tap_equal_i64(p.broken, 0, "nothing vanishes");
        zm_tracks_release(&v.tracks);
    }
}

static void test_vanishing(void)
{
    zm_eval_sight v = blank();
    zm_track *out = add_track(&v, 0, 1), *gone = add_track(&v, 1, 1), *behind = add_track(&v, 2, 1),
             *front = add_track(&v, 1, 2);
    for (int f = 0; f < FRAMES; f++) {
        if (f < 9)
            sight(out, f, 30 - 3 * (float)f, 50); /* leaves at the left */
        if (f < 8)
            sight(gone, f, 48, 20); /* vanishes in the open */
        if (f > 6)
            sight(behind, f, 84 - (float)f, 50); /* comes out from behind another */
        sight(front, f, 76, 50);
    }
    zm_eval_facts f = zm_eval_facts_none();
    zm_eval_physics p = {0};
    zm_eval_physics_add(&p, &f, &v);
    tap_equal_i64(p.tracks, 4, "four tracks");
    tap_equal_i64(p.broken, 1, "one ends in the open");
    tap_equal_i64(zm_eval_bodies(&v), 3, "three at once for a fifth of the time, or more");
    f.action = ZM_ACT_BEHIND;
    zm_eval_physics_add(&p, &f, &v);
    tap_equal_i64(p.tracks, 4, "where a wall is asked for, nothing is judged");
    zm_tracks_release(&v.tracks);
}

/* A body that stays, one of another colour, one too short to count, a thing whose colour nobody asks for, and a body
 * whose track breaks. */
static void test_kept(zm_rng *r)
{
    zm_eval_sight then = blank(), now = blank();
    int thing = ZM_CLASS_CYLINDER + 1 + (int)zm_rng_below(r, 5), shape = ZM_CLASS_BALL, half = FRAMES / 2, bodies;
    const struct {
        zm_eval_sight *in;
        int cls, colour, first, end;
    } row[] = {{&then, shape, 1, 0, FRAMES},    {&then, shape, 1, 0, FRAMES}, {&then, shape, 2, 0, FRAMES},
               {&then, thing, 3, 0, FRAMES},    {&then, shape, 4, 0, 2},      {&then, shape, 6, 0, half},
               {&then, shape, 6, half, FRAMES}, {&now, shape, 1, 0, half},    {&now, shape, 1, half, FRAMES},
               {&now, shape, 5, 0, FRAMES},     {&now, thing, 6, 0, FRAMES},  {&now, shape, 4, 0, FRAMES},
               {&now, shape, 6, 0, FRAMES}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        zm_track *t = add_track(row[i].in, row[i].cls, row[i].colour);
        for (int f = row[i].first; f < row[i].end; f++)
            sight(t, f, 40, 40);
    }
    int kept = zm_eval_kept(&then.tracks, &then.tracks, &bodies);
    tap_ok(bodies == 5, "a glimpse is no body, and a body whose track breaks is one: %d", bodies);
    tap_ok(kept == 5, "all bodies are there in their own clip: %d", kept);
    kept = zm_eval_kept(&then.tracks, &now.tracks, &bodies);
    tap_ok(kept == 3 && bodies == 5, "one of two alike, the thing in another tint, the one whose track broke: %d of %d",
           kept, bodies);
    zm_tracks_release(&then.tracks);
    zm_tracks_release(&now.tracks);
}

int main(void)
{
    zm_rng r = seed();
    test_fit(&r);
    test_bounce_gain();
    test_vanishing();
    test_perfect(&r);
    test_kept(&r);
    return tap_done();
}
