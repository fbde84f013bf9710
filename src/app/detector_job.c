/* Training the detector on the toy-box world.
 * SPDX-License-Identifier: MIT */
#include "app/detector_job.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "app/common.h"
#include "base/mapfile.h"
#include "train/detector_stage.h"
#include "world/tables.h"

typedef struct source {
    zm_world_options world;
    uint64_t seed;
    zm_world_card *card; /* NULL: the CPU draws */
} source;

zm_detector_config zm_detector_world_config(int level, int width, int height, int frames)
{
    zm_detector_config c = {.classes = level ? zm_world_count(ZM_ATTR_CLASS) : zm_world_core_classes(),
                            .colours = zm_world_count(ZM_ATTR_COLOUR),
                            .width = width,
                            .height = height,
                            .frames = frames};
    zm_detector_config_default(&c);
    c.head[ZM_HEAD_GROUND] = level ? zm_world_count(ZM_ATTR_GROUND) : zm_world_core_grounds();
    c.head[ZM_HEAD_LIGHT] = ZM_LIGHT_COUNT;
    c.head[ZM_HEAD_CAMERA] = ZM_CAM_COUNT;
    c.head[ZM_HEAD_ACTION] = ZM_ACT_COUNT;
    c.head[ZM_HEAD_SECOND] = 1 + ZM_ACT_COUNT;
    c.head[ZM_HEAD_SIDE] = 3;
    c.head[ZM_HEAD_BODIES] = ZM_WORLD_MAX_BODIES + 1;
    return c;
}

int zm_detector_world_level(const zm_detector_config *c)
{
    for (int level = 0; level < 2; level++) {
        zm_detector_config want = zm_detector_world_config(level, c->width, c->height, c->frames);
        if (want.classes == c->classes && want.colours == c->colours && !memcmp(want.head, c->head, sizeof want.head))
            return level;
    }
    return -1;
}

static float clamp(float v, float lo, float hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* What is asked of a clip: answer [ZM_HEADS], bodies [F, ZM_DETECTOR_BODIES], zeros before. */
static void ask(const source *s, int64_t index, const zm_truth *truth, int *answer, zm_detector_body *bodies)
{
    const zm_world_options *w = &s->world;
    zm_scene scene;
    zm_scene_sample(&scene, s->seed + (uint64_t)index, w);
    answer[ZM_HEAD_GROUND] = scene.ground;
    answer[ZM_HEAD_LIGHT] = scene.light;
    answer[ZM_HEAD_CAMERA] = scene.camera;
    answer[ZM_HEAD_ACTION] = scene.group[0].action;
    answer[ZM_HEAD_SECOND] = scene.n_group > 1 ? 1 + scene.group[1].action : 0;
    answer[ZM_HEAD_SIDE] = 1 + scene.group[0].direction;
    answer[ZM_HEAD_BODIES] = scene.n_body;
    for (int i = 0; i < w->frames * ZM_WORLD_MAX_BODIES; i++) {
        const zm_truth *t = &truth[i];
        bool there = i % ZM_WORLD_MAX_BODIES < scene.n_body && t->box_px[2] > t->box_px[0];
        if (!there)
            continue;
        /* A body that is half out of the picture is named at the border. */
        bodies[i] = (zm_detector_body){.cls = t->cls,
                                       .colour = t->colour,
                                       .visible = t->visible,
                                       .x = clamp(t->x_px, 0.5f, (float)w->width - 0.5f),
                                       .y = clamp(t->y_px, 0.5f, (float)w->height - 0.5f),
                                       .width = t->box_px[2] - t->box_px[0],
                                       .height = t->box_px[3] - t->box_px[1]};
    }
}

static zm_status clip(void *user, int64_t index, uint8_t *rgb, int *answer, zm_detector_body *bodies, zm_error *err)
{
    const source *s = user;
    zm_truth *truth = calloc((size_t)s->world.frames * ZM_WORLD_MAX_BODIES, sizeof *truth);
    if (!truth)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for ground truth");
    zm_scene scene;
    zm_scene_sample(&scene, s->seed + (uint64_t)index, &s->world);
    zm_status st = zm_world_render(&scene, &s->world, rgb, NULL, truth, err);
    if (!st)
        ask(s, index, truth, answer, bodies);
    free(truth);
    return st;
}

/* The same from the card, some hundred clips at a time. */
static zm_status clips(void *user, int64_t first, int64_t n, uint8_t *rgb, int *answer, zm_detector_body *bodies,
                       zm_error *err)
{
    enum { AT_ONCE = 256 };
    const source *s = user;
    int64_t rows = (int64_t)s->world.frames * ZM_WORLD_MAX_BODIES;
    int64_t pixels = (int64_t)s->world.width * s->world.height * s->world.frames, most = n < AT_ONCE ? n : AT_ONCE;
    zm_truth *truth = calloc((size_t)(most * rows), sizeof *truth);
    uint8_t *ids = malloc((size_t)(most * pixels));
    zm_status st = truth && ids ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for ground truth");
    for (int64_t at = 0; !st && at < n; at += most) {
        int64_t now = n - at < most ? n - at : most;
        st = zm_world_card_clips(s->card, &s->world, s->seed + (uint64_t)(first + at), now, rgb + at * pixels * 3, ids,
                                 truth, err);
        for (int64_t i = 0; !st && i < now; i++)
            ask(s, first + at + i, truth + i * rows, answer + (at + i) * ZM_HEADS, bodies + (at + i) * rows);
    }
    free(truth);
    free(ids);
    return st;
}

static void mirror(void *user, int *answer)
{
    (void)user;
    answer[ZM_HEAD_SIDE] = 2 - answer[ZM_HEAD_SIDE];
    if (answer[ZM_HEAD_CAMERA] == ZM_CAM_PAN_LEFT)
        answer[ZM_HEAD_CAMERA] = ZM_CAM_PAN_RIGHT;
    else if (answer[ZM_HEAD_CAMERA] == ZM_CAM_PAN_RIGHT)
        answer[ZM_HEAD_CAMERA] = ZM_CAM_PAN_LEFT;
}

zm_status zm_job_detector(zm_job *job, zm_error *err)
{
    const zm_train_config *c = &job->c;
    if (c->data_kind != ZM_DATA_WORLD)
        return zm_fail(err, ZM_E_USAGE, "a detector learns from ground truth; data.kind world is needed");
    zm_detector_config sizes = zm_detector_world_config((int)c->data_level, job->width, job->height, job->frames);
    zm_params *p = zm_params_new();
    zm_detector *d = NULL;
    zm_detector_stage *stage = NULL;
    zm_status s =
        p ? zm_detector_declare(&d, &sizes, p, err) : zm_fail(err, ZM_E_NOMEM, "out of memory for parameters");
    if (!s)
        s = zm_params_fill(p, (uint64_t)c->seed, err);
    if (!s)
        zm_detector_start(d);
    /* The measure itself knows every combination, held out or not, and sees the camera move more often. */
    source train = {.world = job->world.world, .seed = (uint64_t)c->data_seed, .card = job->world.card};
    train.world.split = ZM_SPLIT_ANY;
    train.world.camera_share = 0.3f;
    source held = train;
    held.seed = 77;
    zm_detector_source from = {.user = &train,
                               .width = job->width,
                               .height = job->height,
                               .frames = job->frames,
                               .clip = clip,
                               .clips = train.card ? clips : NULL,
                               .mirror = mirror};
    zm_detector_source check = from;
    check.user = &held;
    zm_detector_stage_options o = {
        .batch = (int)c->batch, .pool = c->data_clips, .held_out = c->data_held_out, .seed = (uint64_t)c->seed};
    if (!s && job->report) {
        fprintf(job->report, "detector: preparing %" PRId64 " clips of %dx%d, %d frames\n", c->data_clips, job->width,
                job->height, job->frames);
        fflush(job->report);
    }
    if (!s)
        s = zm_detector_stage_new(&stage, d, p, &from, &check, &o, err);
    zm_trainer_result result;
    zm_trainer_options trainer = zm_job_trainer(job);
    zm_stage interface = stage ? zm_detector_stage_interface(stage) : (zm_stage){0};
    if (!s)
        s = zm_train(p, &interface, &trainer, &result, err);
    char *path = zm_path_join(c->out, "detector.gguf");
    if (!s)
        s = path ? zm_detector_write(d, p, path, err) : zm_fail(err, ZM_E_NOMEM, "out of memory for a path");
    free(path);
    zm_detector_stage_free(stage);
    zm_detector_free(d);
    zm_params_free(p);
    return s;
}
