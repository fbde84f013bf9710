/* zouma eval: does a model show what its prompts say, and does what moves obey physics?
 * SPDX-License-Identifier: MIT */
#include "app/eval.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/common.h"
#include "app/detector_job.h"
#include "app/eval_film.h"
#include "app/eval_run.h"
#include "app/eval_vae.h"
#include "base/clock.h"
#include "base/mapfile.h"
#include "media/progress.h"

/* Scenes that no training reaches. */
static const uint64_t first_scene = 500000000;
static const float camera_share = 0.25f;

typedef struct options {
    const char *model, *prompts, *detector, *sheet, *precision, *quality, *solver;
    zm_precision in;
    double guidance, seconds;
    int64_t clips, films, seed, steps, untrained;
    bool json, ceiling, autoencoder, quiet;
} options;

/* What all runs of a report share. */
typedef struct bench {
    const options *o;
    zm_eval_eye *eye;
    zm_eval_vae *vae; /* NULL unless the autoencoder alone is scored */
    uint8_t *rgb;
    zm_eval_sheet *sheet;
    zm_progress progress;
    long done;
} bench;

static zm_status one_clip(bench *b, zm_eval_run *run, zm_eval_maker *maker, int i, zm_error *err)
{
    const zm_detector_config *c = zm_eval_eye_config(b->eye);
    zm_world_options world = {.width = c->width,
                              .height = c->height,
                              .frames = c->frames,
                              .level = zm_detector_world_level(c),
                              .camera_share = camera_share,
                              .split = run->held_out ? ZM_SPLIT_HELDOUT : ZM_SPLIT_TRAIN};
    uint64_t seed = first_scene + (uint64_t)b->o->seed + (uint64_t)i;
    double fps = maker ? maker->request.fps : 8;
    world.fps = (float)fps;
    zm_scene scene;
    char prompt[ZM_CAPTION_BYTES], english[ZM_CAPTION_BYTES];
    zm_scene_sample(&scene, seed, &world);
    zm_scene_prompt(&scene, i & 1 ? ZM_LANG_ZH : ZM_LANG_EN, prompt);
    zm_scene_prompt(&scene, ZM_LANG_EN, english);
    zm_status s = maker ? zm_eval_make(maker, prompt, seed, b->rgb, err)
                        : zm_world_render(&scene, &world, b->rgb, NULL, NULL, err);
    if (!s && run->coded)
        s = zm_eval_vae_pass(b->vae, b->rgb, c->frames, err);
    zm_eval_sight sight = {0};
    if (!s)
        s = zm_eval_look(b->eye, b->rgb, fps, &sight, err);
    if (s)
        return s;
    zm_eval_facts facts = zm_eval_facts_of(&scene);
    zm_eval_add(&run->tally, &facts, &sight);
    zm_eval_physics_add(&run->physics, &facts, &sight);
    zm_tracks_release(&sight.tracks);
    run->clips++;
    bool shown = (maker != NULL || run->coded) == !b->o->ceiling && !run->held_out && run->name[0] != 'u';
    return shown ? zm_eval_sheet_add(b->sheet, b->rgb, c, english, err) : ZM_OK;
}

static zm_status one_run(bench *b, zm_eval_run *run, zm_eval_maker *maker, int clips, zm_error *err)
{
    zm_status s = ZM_OK;
    for (int i = 0; !s && i < clips; i++) {
        if (zm_app_stop)
            return zm_fail(err, ZM_E_INTERRUPTED, "stopped after %ld clips", b->done);
        s = one_clip(b, run, run->renders ? NULL : maker, i, err);
        zm_progress_step(&b->progress, ++b->done);
    }
    return s;
}

static zm_eval_how how_of(const options *o, bool untrained)
{
    return (zm_eval_how){.steps = (int)o->steps,
                         .guidance = o->guidance,
                         .quality = o->quality,
                         .solver = o->solver,
                         .precision = o->in,
                         .untrained = untrained};
}

static zm_status open_maker(zm_eval_maker *m, const bench *b, const char *model, bool untrained, zm_error *err)
{
    zm_eval_how how = how_of(b->o, untrained);
    return zm_eval_maker_open(m, model, zm_eval_eye_config(b->eye), &how, err);
}

static zm_status all_runs(bench *b, zm_eval_report *r, const char *model, zm_error *err)
{
    int n = (int)b->o->clips, half = (n + 1) / 2, few = n < (int)b->o->untrained ? n : (int)b->o->untrained;
    zm_eval_run *run = r->run;
    run[ZM_RUN_MODEL].name = "model";
    run[ZM_RUN_CEILING] = (zm_eval_run){.name = "ceiling", .renders = true};
    run[ZM_RUN_UNTRAINED].name = "untrained";
    run[ZM_RUN_HELD_OUT] = (zm_eval_run){.name = "held-out model", .held_out = true};
    if (b->o->autoencoder) {
        run[ZM_RUN_MODEL] = (zm_eval_run){.name = "autoencoder", .renders = true, .coded = true};
        run[ZM_RUN_HELD_OUT] =
            (zm_eval_run){.name = "held-out autoencoder", .held_out = true, .renders = true, .coded = true};
        few = 0;
    }
    run[ZM_RUN_HELD_CEILING] = (zm_eval_run){.name = "held-out ceiling", .held_out = true, .renders = true};
    long total = n + half + (model ? n + half + few : 0);
    zm_progress_start(&b->progress, b->o->quiet ? NULL : stderr, "clips", total, false);
    zm_status s = one_run(b, &run[ZM_RUN_CEILING], NULL, n, err);
    if (!s)
        s = one_run(b, &run[ZM_RUN_HELD_CEILING], NULL, half, err);
    if (s || !model)
        return s;
    if (b->o->autoencoder) {
        s = one_run(b, &run[ZM_RUN_MODEL], NULL, n, err);
        return s ? s : one_run(b, &run[ZM_RUN_HELD_OUT], NULL, half, err);
    }
    zm_eval_maker maker;
    s = open_maker(&maker, b, model, false, err);
    if (!s) {
        r->steps = maker.request.steps;
        r->guidance = maker.request.guidance;
        snprintf(r->quality, sizeof r->quality, "%s", maker.request.quality);
        snprintf(r->solver, sizeof r->solver, "%s", maker.request.solver);
        s = one_run(b, &run[ZM_RUN_MODEL], &maker, n, err);
        if (!s)
            s = one_run(b, &run[ZM_RUN_HELD_OUT], &maker, half, err);
        zm_eval_maker_close(&maker);
    }
    if (s || !few)
        return s;
    s = open_maker(&maker, b, model, true, err);
    if (!s) {
        s = one_run(b, &run[ZM_RUN_UNTRAINED], &maker, few, err);
        zm_eval_maker_close(&maker);
    }
    return s;
}

static zm_status score(bench *b, const char *model, zm_error *err)
{
    zm_eval_report *r = calloc(1, sizeof *r);
    if (!r)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a report");
    double start = zm_now();
    r->model = model;
    r->width = zm_eval_eye_config(b->eye)->width;
    r->seed = (uint64_t)b->o->seed;
    zm_status s = all_runs(b, r, model, err);
    zm_progress_end(&b->progress, b->done);
    r->seconds = zm_now() - start;
    if (!s && b->o->json)
        s = zm_eval_print_json(stdout, r, err);
    else if (!s)
        zm_eval_print(stdout, r);
    free(r);
    return s;
}

static zm_status prompts(bench *b, const char *model, zm_error *err)
{
    zm_eval_maker maker;
    zm_status s = open_maker(&maker, b, model, false, err);
    if (s)
        return s;
    s = zm_eval_prompts(&maker, b->eye, b->o->prompts, (uint64_t)b->o->seed, b->o->json, b->sheet, err);
    zm_eval_maker_close(&maker);
    return s;
}

/* The detector that was asked for, the model's own, or the bundled model's; malloc'd. */
static char *find_detector(const options *o, const char *model)
{
    if (o->detector)
        return strdup(o->detector);
    char *path = model && zm_path_is_dir(model) ? zm_path_join(model, "detector.gguf") : NULL;
    if (path && zm_path_is_file(path))
        return path;
    free(path);
    char *bundled = zm_model_bundled();
    path = bundled ? zm_path_join(bundled, "detector.gguf") : NULL;
    free(bundled);
    return path;
}

static zm_status films(const bench *b, const char *model, zm_error *err)
{
    const options *o = b->o;
    zm_eval_film_options f = {.films = (int)o->films,
                              .seconds = o->seconds,
                              .seed = first_scene + (uint64_t)o->seed,
                              .json = o->json,
                              .quiet = o->quiet,
                              .vae = b->vae,
                              .how = how_of(o, false)};
    return zm_eval_films(b->eye, model, &f, err);
}

static zm_status run(const options *o, const char *model, zm_error *err)
{
    char *detector = find_detector(o, model);
    if (!detector)
        return zm_fail(err, ZM_E_MISSING, "there is no detector to score with; give one with --detector FILE");
    bench b = {.o = o};
    zm_status s = zm_eval_eye_open(&b.eye, detector, err);
    free(detector);
    if (s)
        return s;
    const zm_detector_config *c = zm_eval_eye_config(b.eye);
    b.rgb = malloc((size_t)c->width * (size_t)c->height * 3 * (size_t)c->frames);
    b.sheet = o->sheet ? calloc(1, sizeof *b.sheet) : NULL;
    if (!b.rgb || (o->sheet && !b.sheet))
        s = zm_fail(err, ZM_E_NOMEM, "out of memory for clips");
    if (!s && o->autoencoder)
        s = zm_eval_vae_open(&b.vae, model, c->width, c->height, err);
    if (!s)
        s = o->prompts ? prompts(&b, model, err) : o->films ? films(&b, model, err) : score(&b, model, err);
    if (!s && b.sheet)
        s = zm_eval_sheet_write(b.sheet, o->sheet, err);
    if (b.sheet)
        zm_eval_sheet_release(b.sheet);
    free(b.sheet);
    free(b.rgb);
    zm_eval_vae_close(b.vae);
    zm_eval_eye_close(b.eye);
    return s;
}

int zm_cmd_eval(int argc, char **argv)
{
    static const char usage
        [] = "[MODEL] [--prompts FILE] [options]",
   help[] =
        "Score a model with a small detector trained on the toy-box world: how often it shows what prompts say, whether things fall with one\n"
        "gravity.  The ceiling is what the detector says of real renders of the same scenes: its own error is in both columns.";
    options o = {.clips = 96, .untrained = 24, .seconds = 60};
    const char *words[1];
    const zm_arg args[] = {
        {"--prompts", 0, ZM_ARG_STR, &o.prompts, 0, 0, "FILE",
         "a prompt a line, or JSON lines {\"prompt\", \"object\", \"colour\", \"count\", \"action\", ...}"},
        {"--clips", 0, ZM_ARG_INT, &o.clips, 1, 1e6, "N", "scenes; half as many held-out ones are added [96]"},
        {"--films", 0, ZM_ARG_INT, &o.films, 1, 1e6, "N", "instead: films, and whether their bodies stay who they are"},
        {"--seconds", 0, ZM_ARG_FLOAT, &o.seconds, 1, 1e5, "S", "with --films: of each [60]"},
        {"--seed", 0, ZM_ARG_INT, &o.seed, 0, 4e8, "S", "of scenes and noise [0]"},
        {"--steps", 0, ZM_ARG_INT, &o.steps, 1, 1000, "N", "denoising steps [the model's]"},
        {"--quality", 0, ZM_ARG_STR, &o.quality, 0, 0, "NAME", "best, good, draft or fast, as of generate [best]"},
        {"--guidance", 0, ZM_ARG_FLOAT, &o.guidance, 0.1, 100, "G", "as of generate [the model's]"},
        {"--solver", 0, ZM_ARG_STR, &o.solver, 0, 0, "NAME", "as of generate [the model's]"},
        {"--untrained", 0, ZM_ARG_INT, &o.untrained, 0, 1e6, "N", "clips of untrained weights, at most [24]"},
        {"--precision", 0, ZM_ARG_STR, &o.precision, 0, 0, "NAME", "f32, bf16 or int8, as of generate [f32]"},
        {"--detector", 0, ZM_ARG_STR, &o.detector, 0, 0, "FILE", "another detector than the model's detector.gguf"},
        {"--ceiling", 0, ZM_ARG_FLAG, &o.ceiling, 0, 0, NULL, "real renders only: how good the measure itself is"},
        {"--autoencoder", 0, ZM_ARG_FLAG, &o.autoencoder, 0, 0, NULL,
         "real renders through the model's autoencoder: the best that the model could show"},
        {"--sheet", 0, ZM_ARG_STR, &o.sheet, 0, 0, "FILE.png", "also a contact sheet of the first clips"},
        {"--json", 0, ZM_ARG_FLAG, &o.json, 0, 0, NULL, "one JSON object instead of a table"},
        {"--quiet", 0, ZM_ARG_FLAG, &o.quiet, 0, 0, NULL, "no progress"},
    };
    int n = zm_args_parse(argc, argv, args, sizeof args / sizeof *args, words, 1, usage, help);
    if (n < 0)
        return n == -1 ? 2 : 0;
    if (o.films && (o.prompts || o.sheet)) {
        fprintf(stderr, "zouma eval: --films goes without --prompts and --sheet\n");
        return 2;
    }
    if ((o.ceiling || o.autoencoder) && o.prompts) {
        fprintf(stderr, "zouma eval: --%s needs scenes of the world; prompts of a file have none\n",
                o.ceiling ? "ceiling" : "autoencoder");
        return 2;
    }
    if (o.ceiling && o.autoencoder) {
        fprintf(stderr, "zouma eval: --ceiling asks for real renders only, --autoencoder for those of a model\n");
        return 2;
    }
    if (zm_app_precision("eval", o.precision, NULL, &o.in))
        return 2;
    char *model = o.ceiling ? NULL : n ? strdup(words[0]) : zm_model_bundled();
    if (!model && !o.ceiling) {
        fprintf(stderr, "zouma eval: the bundled model is not beside the program; name a model directory\n");
        return 1;
    }
    zm_app_catch_signals();
    zm_error err = {0};
    zm_status s = run(&o, model, &err);
    free(model);
    return s ? zm_app_report("eval", &err) : 0;
}
