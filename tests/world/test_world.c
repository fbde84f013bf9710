/* Physics, pictures and ground truth of the toy-box world.
 * SPDX-License-Identifier: MIT */
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tap.h"

#include "base/clock.h"
#include "world/physics.h"
#include "world/tables.h"
#include "world/world.h"

enum { W = 96, H = 64, F = 17 };
static uint64_t base_seed;

typedef struct {
    uint8_t rgb[F * H * W * 3], ids[F * H * W];
    zm_truth truth[F][ZM_WORLD_MAX_BODIES];
} clip;

static int render(const zm_scene *s, clip *c)
{
    zm_error err = {0};
    memset(c, 0xa5, sizeof *c);
    zm_status st = zm_world_render(s, NULL, c->rgb, c->ids, c->truth[0], &err);
    if (st)
        printf("# %s\n", err.text);
    return st == ZM_OK;
}

static zm_scene with_action(int action, int camera, uint64_t seed)
{
    zm_scene_spec q = zm_scene_spec_any();
    zm_scene s;
    q.action = action;
    q.camera = camera;
    if (zm_scene_compose(&s, &q, seed, NULL, NULL))
        s.n_body = 0;
    return s;
}

/* Second differences of the height while nothing is touched are -g / fps^2, in metres and in pixels. */
static void test_gravity(clip *c)
{
    double worst = 0, worst_px = 0, g = ZM_WORLD_GRAVITY / 64.0, g_px = g * W / (double)ZM_WORLD_WIDTH_M;
    int seen = 0;
    for (int i = 0; i < 30; i++) {
        zm_scene s = with_action(i & 1 ? ZM_ACT_FALL : ZM_ACT_BOUNCE, ZM_CAM_STATIC, base_seed + (uint64_t)i);
        if (!tap_ok(s.n_body > 0 && render(&s, c), "scene %d renders", i))
            return;
        for (int b = 0; b < s.n_body; b++)
            for (int f = 2; f < F; f++) {
                if (s.body[b].group != 0 || c->truth[f][b].contacts || c->truth[f - 1][b].contacts ||
                    (f > 2 && c->truth[f - 2][b].contacts))
                    continue;
                double dd = (double)c->truth[f][b].y - 2 * (double)c->truth[f - 1][b].y + (double)c->truth[f - 2][b].y;
                double dp =
                    (double)c->truth[f][b].y_px - 2 * (double)c->truth[f - 1][b].y_px + (double)c->truth[f - 2][b].y_px;
                worst = fmax(worst, fabs(dd + g));
                worst_px = fmax(worst_px, fabs(dp - g_px));
                seen++;
            }
    }
    tap_ok(seen > 50 && worst < 0.01 * g, "%d falls fit g: worst difference %.2g m a frame^2 of %.3g", seen, worst, g);
    tap_ok(worst_px < 0.02 * g_px, "and %.2g px a frame^2 of %.3g", worst_px, g_px);
}

static void test_contacts(void)
{
    double deepest = 0, overlap = 0, gained = 0;
    for (int i = 0; i < 80; i++) {
        zm_world_options o = {.level = 1};
        zm_scene s;
        zm_scene_sample(&s, base_seed + 500 + (uint64_t)i, &o);
        zm_physics *p = zm_physics_new(&s);
        double energy[ZM_WORLD_MAX_BODIES] = {0};
        for (long step = 6; step <= 480 && p; step += 6) {
            zm_physics_advance(p, step);
            zm_body_state at[ZM_WORLD_MAX_BODIES];
            for (int b = 0; b < s.n_body; b++) {
                const zm_group *g = &s.group[s.body[b].group];
                zm_physics_get(p, b, &at[b]);
                bool round = zm_kind_is_round(zm_class_at(g->cls)->kind);
                double reach =
                    round ? (double)s.body[b].half_w : fmin((double)s.body[b].half_w, (double)s.body[b].half_h);
                deepest = fmax(deepest, reach - (double)at[b].y);
                double e = 9.81 * (double)at[b].y +
                           0.5 * ((double)at[b].vx * (double)at[b].vx + (double)at[b].vy * (double)at[b].vy);
                if (s.n_group == 1 && s.n_body == 1 && g->action == ZM_ACT_BOUNCE && energy[b] > 0)
                    gained = fmax(gained, e - energy[b]);
                energy[b] = e;
                for (int k = 0; k < b; k++)
                    if (round && zm_kind_is_round(zm_class_at(s.group[s.body[k].group].cls)->kind))
                        overlap = fmax(overlap, (double)(s.body[k].half_w + s.body[b].half_w) -
                                                    hypot((double)(at[b].x - at[k].x), (double)(at[b].y - at[k].y)));
            }
        }
        zm_physics_free(p);
    }
    tap_ok(deepest < 0.06, "nothing sinks into the ground: %.3f m", deepest);
    tap_ok(overlap < 0.08, "round bodies do not pass through each other: %.3f m", overlap);
    tap_ok(gained < 0.6, "no bounce gains energy: %.3f J/kg", gained);
}

/* Boxes and visible shares against the id picture; ids against bodies. */
static int truth_matches(const zm_scene *s, const clip *c)
{
    for (int f = 0; f < F; f++) {
        int box[256][4], count[256] = {0};
        for (int i = 0; i < 256; i++)
            box[i][0] = W, box[i][1] = H, box[i][2] = box[i][3] = 0;
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                int id = c->ids[(f * H + y) * W + x];
                if (id > s->n_body && id != 255)
                    return 0;
                box[id][0] = x < box[id][0] ? x : box[id][0];
                box[id][1] = y < box[id][1] ? y : box[id][1];
                box[id][2] = x + 1 > box[id][2] ? x + 1 : box[id][2];
                box[id][3] = y + 1 > box[id][3] ? y + 1 : box[id][3];
                count[id]++;
            }
        for (int b = 0; b < ZM_WORLD_MAX_BODIES; b++) {
            const zm_truth *t = &c->truth[f][b];
            int id = b + 1;
            if (b >= s->n_body && (t->visible != 0 || t->half_w != 0))
                return 0;
            for (int k = 0; b < s->n_body && k < 4; k++)
                if (t->box_px[k] != (count[id] ? (float)box[id][k] : 0.0f))
                    return 0;
            if (t->visible < 0 || t->visible > 1 || (t->visible > 0) != (count[id] > 0 && b < s->n_body))
                return 0;
        }
    }
    return 1;
}

static void test_truth(clip *c)
{
    int wrong = 0, hidden = 0, walls = 0, small = 0;
    for (int i = 0; i < 60; i++) {
        zm_scene s;
        zm_world_options o = {.level = i & 1, .camera_share = 0.3f};
        zm_scene_sample(&s, base_seed + 900 + (uint64_t)i, &o);
        if (!render(&s, c) || !truth_matches(&s, c))
            wrong++;
        small += c->truth[0][0].box_px[3] - c->truth[0][0].box_px[1] < 10;
    }
    tap_equal_i64(wrong, 0, "boxes and visible shares agree with the id picture");
    tap_ok(small < 6, "the subject is large enough to see: %d of 60 under 10 px", small);
    for (int i = 0; i < 8; i++) {
        zm_scene s = with_action(ZM_ACT_BEHIND, ZM_CAM_STATIC, base_seed + (uint64_t)i);
        if (!render(&s, c))
            continue;
        float least = 1;
        for (int f = 0; f < F; f++)
            least = c->truth[f][0].visible < least ? c->truth[f][0].visible : least;
        walls++;
        hidden += least < 0.1f && c->truth[0][0].visible > 0.7f && c->truth[F - 1][0].visible > 0.2f;
    }
    tap_ok(walls == 8 && hidden == 8, "%d of %d pass behind the wall and come out", hidden, walls);
}

typedef struct {
    zm_scene scene;
    clip *made;
    int ok;
} job;

static void *run_job(void *user)
{
    job *j = user;
    j->ok = render(&j->scene, j->made);
    return NULL;
}

static void test_repeatable(clip *c)
{
    enum { JOBS = 4 };
    job jobs[JOBS];
    pthread_t thread[JOBS];
    int same = 0;
    for (int i = 0; i < JOBS; i++) {
        zm_scene_sample(&jobs[i].scene, base_seed + 77 + (uint64_t)i, NULL);
        jobs[i].made = malloc(sizeof(clip));
        if (!jobs[i].made || pthread_create(&thread[i], NULL, run_job, &jobs[i]))
            exit(1);
    }
    for (int i = 0; i < JOBS; i++) {
        pthread_join(thread[i], NULL);
        same += jobs[i].ok && render(&jobs[i].scene, c) && !memcmp(c->rgb, jobs[i].made->rgb, sizeof c->rgb) &&
                !memcmp(c->truth, jobs[i].made->truth, sizeof c->truth);
        free(jobs[i].made);
    }
    tap_equal_i64(same, JOBS, "the same scene gives the same bytes, in threads too");
}

/* Any scene, any size, any rate: no crash, and the picture is written wholly. */
static void test_many(void)
{
    zm_rng r = zm_rng_init(base_seed, 1);
    int failed = 0, flat = 0, n = 250;
    for (int i = 0; i < n; i++) {
        zm_world_options o = {.width = 16 + (int)zm_rng_below(&r, 150),
                              .height = 16 + (int)zm_rng_below(&r, 110),
                              .frames = 1 + (int)zm_rng_below(&r, 6),
                              .fps = zm_rng_range(&r, 1, 30),
                              .level = i & 1,
                              .camera_share = 0.5f,
                              .sustained = i % 3 == 0};
        zm_scene s;
        zm_scene_sample(&s, zm_rng_u64(&r), &o);
        size_t bytes = (size_t)o.width * (size_t)o.height * 3 * (size_t)o.frames;
        uint8_t *rgb = malloc(bytes);
        failed += !rgb || zm_world_render(&s, &o, rgb, NULL, NULL, NULL) != ZM_OK;
        long sum = 0;
        for (size_t k = 0; rgb && k < bytes; k++)
            sum += rgb[k];
        double mean = (double)sum / (double)bytes;
        flat += mean < 25 || mean > 245;
        free(rgb);
    }
    tap_equal_i64(failed, 0, "scenes of any size and rate render");
    tap_equal_i64(flat, 0, "and none is black or burnt out");
}

static void test_sustained(void)
{
    uint8_t *now = malloc(W * H * 3), *before = malloc(W * H * 3);
    int moving = 0, scenes = 24, inside = 0, frames = 480;
    zm_truth truth[ZM_WORLD_MAX_BODIES];
    for (int i = 0; now && before && i < scenes; i++) {
        zm_world_options o = {.sustained = 1, .frames = frames, .camera_share = -1};
        zm_scene s;
        zm_world *w;
        zm_scene_sample(&s, base_seed + 40 + (uint64_t)i, &o);
        if (zm_world_open(&w, &s, &o, NULL))
            continue;
        int late = 0, seen = 0;
        for (int f = 0; f < frames; f++) {
            zm_world_frame(w, now, NULL, truth);
            long change = 0;
            for (int k = 0; f > 0 && k < W * H * 3; k++)
                change += abs(now[k] - before[k]);
            late += f > frames - 80 && change > 4000;
            seen += f > frames - 80 && truth[0].visible > 0;
            memcpy(before, now, W * H * 3);
        }
        if (late <= 10)
            printf("# action %d stalls: seed %llu, late %d seen %d at %g %g\n", s.group[0].action,
                   (unsigned long long)s.seed, late, seen, (double)truth[0].x, (double)truth[0].y);
        moving += late > 10 || s.group[0].action == ZM_ACT_REST;
        inside += seen > 30;
        zm_world_close(&w);
    }
    tap_ok(moving >= scenes - 2, "%d of %d sustained scenes still move after a minute", moving, scenes);
    tap_ok(inside >= scenes - 2, "%d of %d still show their subject", inside, scenes);
    free(now);
    free(before);
    enum { MANY = 400 };
    zm_world_options some = {.sustained = 0.3F};
    int share = 0;
    for (uint64_t i = 0; i < MANY; i++) {
        zm_scene one;
        zm_scene_sample(&one, base_seed + i, &some);
        share += one.sustained;
    }
    tap_ok(share > MANY / 5 && share < 2 * MANY / 5, "%d of %d scenes are sustained where 0.3 of them should be", share,
           MANY);
}

/* What is drawn from a later frame on is the end of the whole clip; and subjects are things as often as asked. */
static void test_stretches(void)
{
    enum { FRAMES = 9, SCENES = 12, MANY = 400 };
    size_t frame = W * H * 3;
    uint8_t *whole = malloc(FRAMES * frame), *part = malloc(FRAMES * frame);
    int same = 0;
    for (uint64_t i = 0; whole && part && i < SCENES; i++) {
        zm_world_options o = {.frames = FRAMES, .level = 1, .camera_share = 0.3F, .sustained = i & 1}, late = o;
        zm_scene s;
        zm_scene_sample(&s, base_seed + 90 + i, &o);
        late.first = 1 + (int)(i % (FRAMES - 1));
        late.frames = FRAMES - late.first;
        if (!zm_world_render(&s, &o, whole, NULL, NULL, NULL) && !zm_world_render(&s, &late, part, NULL, NULL, NULL))
            same += !memcmp(whole + (size_t)late.first * frame, part, (size_t)late.frames * frame);
    }
    free(whole);
    free(part);
    tap_equal_i64(same, SCENES, "scenes drawn from a later frame on");
    static const float asked[] = {-1, 0, 1};
    int things[3] = {0};
    for (int k = 0; k < 3; k++)
        for (uint64_t i = 0; i < MANY; i++) {
            zm_world_options o = {.level = 1, .things = asked[k]};
            zm_scene s;
            zm_scene_sample(&s, base_seed + 90 + i, &o);
            things[k] += s.group[0].colour == ZM_WORLD_OWN_COLOUR;
        }
    tap_ok(things[0] < things[1] - MANY / 5 && things[1] < things[2] - MANY / 10,
           "%d, %d and %d of %d subjects are things where none, as many as usual and all should be", things[0],
           things[1], things[2], MANY);
}

static void test_refusals(clip *c)
{
    zm_scene s;
    zm_world *w;
    zm_error err = {0};
    zm_scene_sample(&s, 1, NULL);
    zm_world_options o = {.width = 8};
    tap_equal_i64(zm_world_open(&w, &s, &o, &err), ZM_E_USAGE, "a picture of 8 pixels is refused");
    tap_ok(w == NULL && err.text[0], "\"%s\"", err.text);
    o = (zm_world_options){.fps = -1};
    tap_equal_i64(zm_world_open(&w, &s, &o, NULL), ZM_E_USAGE, "a negative frame rate is refused");
    o = (zm_world_options){.frames = -2};
    tap_equal_i64(zm_world_render(&s, &o, c->rgb, NULL, NULL, NULL), ZM_E_USAGE, "minus two frames are refused");
    s.ground = 77;
    tap_equal_i64(zm_world_open(&w, &s, NULL, NULL), ZM_E_USAGE, "a scene with a broken field is refused");
}

static void test_json(clip *c)
{
    zm_scene s;
    zm_scene_sample(&s, base_seed + 5, NULL);
    if (!render(&s, c))
        return;
    char *line = zm_scene_json(&s, "say \"熊猫\"\n", ZM_LANG_ZH, c->truth[0], F);
    json_error_t why;
    json_t *j = line ? json_loads(line, 0, &why) : NULL;
    tap_ok(j && !strchr(line, '\n'), "the truth is one line of JSON, %zu bytes", line ? strlen(line) : 0);
    tap_equal_str(json_string_value(json_object_get(j, "caption")), "say \"熊猫\"\n", "a caption survives quoting");
    tap_equal_i64((long long)json_array_size(json_object_get(j, "frames")), F, "every frame is told");
    const json_t *body = json_array_get(json_array_get(json_object_get(j, "frames"), 3), 0);
    double x = json_real_value(json_array_get(json_object_get(body, "at_m"), 0));
    tap_ok(fabs(x - (double)c->truth[3][0].x) < 1e-3, "positions agree: %g, %g", x, (double)c->truth[3][0].x);
    json_decref(j);
    free(line);
}

static void report_speed(clip *c)
{
    int n = 60;
    double sampling = 0, drawing = 0;
    for (int i = 0; i < n; i++) {
        zm_scene s;
        double t = zm_now();
        zm_scene_sample(&s, (uint64_t)i, NULL);
        sampling += zm_now() - t;
        t = zm_now();
        if (!render(&s, c))
            return;
        drawing += zm_now() - t;
    }
    printf("# a clip of 17 frames of 96x64: %.2f ms to choose, %.2f ms to draw (%.3f ms a frame)\n", sampling / n * 1e3,
           drawing / n * 1e3, drawing / n / F * 1e3);
}

int main(void)
{
    base_seed = (uint64_t)time(NULL) * 1000003u;
    printf("# base seed %llu\n", (unsigned long long)base_seed);
    clip *c = malloc(sizeof *c);
    if (!c)
        return 1;
    test_gravity(c);
    test_contacts();
    test_truth(c);
    test_repeatable(c);
    test_many();
    test_sustained();
    test_stretches();
    test_refusals(c);
    test_json(c);
    report_speed(c);
    free(c);
    return tap_done();
}
