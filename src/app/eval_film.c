/* Whether the bodies of a film stay who they are: films much longer than a clip, looked at clip after clip.
 * SPDX-License-Identifier: MIT */
#include "app/eval_film.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/common.h"
#include "app/detector_job.h"
#include "media/progress.h"
#include "pipeline/film.h"

enum { FRAMES_MOST = 100000 };

/* What is seen in one clip of all films together. */
typedef struct moment {
    int bodies, kept; /* of the first clip; those of them that are here */
    int ground, light;
} moment;

typedef struct column {
    const char *name;
    int films, empty; /* empty: films in whose first clip no body is seen; they have nothing to keep */
    moment *at;       /* [clips] */
} column;

typedef struct bench {
    const zm_eval_film_options *o;
    zm_eval_eye *eye;
    const zm_detector_config *c;
    zm_model *model;
    int clips, frames; /* of a film */
    zm_progress progress;
    long done;
} bench;

/* A film as it is looked at. */
typedef struct reel {
    bench *b;
    column *to;
    const zm_scene *scene;
    double fps;
    uint8_t *rgb;             /* one clip */
    int filled, clip, bodies; /* bodies: of the first clip */
    zm_eval_sight first;
} reel;

static zm_status look(reel *r, zm_error *err)
{
    moment *m = &r->to->at[r->clip];
    zm_eval_sight now = {0};
    zm_status s = zm_eval_look(r->b->eye, r->rgb, r->fps, &now, err);
    if (s)
        return s;
    const zm_eval_sight *then = r->clip ? &r->first : &now;
    int bodies;
    m->kept += zm_eval_kept(&then->tracks, &now.tracks, &bodies);
    m->bodies += bodies;
    m->ground += now.answer[ZM_HEAD_GROUND] == r->scene->ground;
    m->light += now.answer[ZM_HEAD_LIGHT] == r->scene->light;
    r->bodies = bodies;
    if (r->clip++)
        zm_tracks_release(&now.tracks);
    else
        r->first = now;
    return ZM_OK;
}

static zm_status put_frame(void *user, const zm_frame *f, zm_error *err)
{
    reel *r = user;
    const zm_detector_config *c = r->b->c;
    size_t bytes = (size_t)c->width * (size_t)c->height * 3;
    if (f->width != c->width || f->height != c->height)
        return zm_fail(err, ZM_E_SHAPE, "the model gave frames of %dx%d, the detector sees %dx%d", f->width, f->height,
                       c->width, c->height);
    if (r->clip == r->b->clips)
        return ZM_OK;
    memcpy(r->rgb + (size_t)r->filled * bytes, f->rgb, bytes);
    if (++r->filled < c->frames)
        return ZM_OK;
    r->filled = 0;
    return look(r, err);
}

static zm_status make_film(reel *r, uint64_t seed, zm_error *err)
{
    const bench *b = r->b;
    char prompt[ZM_CAPTION_BYTES];
    zm_scene_prompt(r->scene, seed & 1 ? ZM_LANG_ZH : ZM_LANG_EN, prompt);
    zm_film_request q = {.clip = zm_eval_request(&b->o->how, b->c)};
    q.clip.prompt = prompt;
    q.clip.frames = b->frames;
    q.clip.seed = seed;
    zm_film *f = NULL;
    zm_generator_options fit;
    zm_status s = zm_film_open(&f, b->model, &q, err);
    if (!s)
        s = zm_generator_fit(&fit, b->model, &zm_film_about_of(f)->clip, 0, err);
    if (!s)
        s = zm_film_run(f, &fit, &(zm_film_watch){.watch = {.user = r, .frame = put_frame, .stop = &zm_app_stop}}, err);
    zm_film_close(f);
    return s;
}

/* vae NULL: as the world draws it. */
static zm_status draw_film(reel *r, const zm_world_options *w, zm_eval_vae *vae, zm_error *err)
{
    size_t each = (size_t)w->width * (size_t)w->height * 3;
    uint8_t *rgb = malloc(each * (size_t)w->frames);
    zm_status s = rgb ? zm_world_render(r->scene, w, rgb, NULL, NULL, err)
                      : zm_fail(err, ZM_E_NOMEM, "out of memory for %d frames", w->frames);
    if (!s && vae)
        s = zm_eval_vae_pass(vae, rgb, w->frames, err);
    for (int f = 0; !s && f < w->frames; f++)
        s = put_frame(r, &(zm_frame){.rgb = rgb + (size_t)f * each, .width = w->width, .height = w->height}, err);
    free(rgb);
    return s;
}

/* The scene keeps its light: which one a film should have at a moment would otherwise be open. */
static zm_status pick_scene(zm_scene *out, uint64_t seed, const zm_world_options *w, zm_error *err)
{
    zm_rng r = zm_rng_init(seed, 0xf11);
    zm_scene_spec any = zm_scene_spec_any();
    any.light = (int)zm_rng_below(&r, ZM_LIGHT_COUNT);
    return zm_scene_compose(out, &any, seed, w, err);
}

static zm_status one_film(bench *b, column *to, int i, double fps, bool drawn, zm_error *err)
{
    const zm_detector_config *c = b->c;
    zm_world_options w = {.width = c->width,
                          .height = c->height,
                          .frames = b->frames,
                          .fps = (float)fps,
                          .camera_share = -1,
                          .level = zm_detector_world_level(c),
                          .sustained = 1};
    zm_scene scene;
    uint64_t seed = b->o->seed + (uint64_t)i;
    reel r = {.b = b, .to = to, .scene = &scene, .fps = fps};
    zm_status s = pick_scene(&scene, seed, &w, err);
    if (!s && !(r.rgb = malloc((size_t)c->width * (size_t)c->height * 3 * (size_t)c->frames)))
        s = zm_fail(err, ZM_E_NOMEM, "out of memory for a clip");
    if (!s)
        s = drawn || b->o->vae ? draw_film(&r, &w, drawn ? NULL : b->o->vae, err) : make_film(&r, seed, err);
    to->films++;
    to->empty += !s && r.bodies == 0;
    zm_tracks_release(&r.first.tracks);
    free(r.rgb);
    zm_progress_step(&b->progress, ++b->done);
    return s;
}

static double share(int part, int all)
{
    return all ? 100.0 * part / all : (double)NAN;
}

static void cell(double v)
{
    if (isnan(v))
        printf("%13s", "-");
    else
        printf("%13.1f", v);
}

static void print_table(const bench *b, const column *col, int n, double fps)
{
    printf(
        "%d films of %.0f s, cut into clips of %d frames; of the bodies in the first clip those that are there, %%\n",
        b->o->films, b->o->seconds, b->c->frames);
    for (int i = 0; i < n; i++)
        if (col[i].empty)
            printf("%s: no body is seen in the first clip of %d films\n", col[i].name, col[i].empty);
    printf("%-9s", "seconds");
    for (int i = 0; i < n; i++)
        printf("%13s%13s%13s", col[i].name, "ground", "light");
    printf("\n");
    int step = b->clips > 12 ? b->clips / 12 : 1;
    for (int k = 0; k < b->clips; k += k + step >= b->clips && k < b->clips - 1 ? b->clips - 1 - k : step) {
        printf("%-9.0f", (k + 0.5) * b->c->frames / fps);
        for (int i = 0; i < n; i++) {
            cell(share(col[i].at[k].kept, col[i].at[k].bodies));
            cell(share(col[i].at[k].ground, col[i].films));
            cell(share(col[i].at[k].light, col[i].films));
        }
        printf("\n");
    }
}

static json_t *percent(double v)
{
    return isnan(v) ? json_null() : json_real(v);
}

static zm_status print_json(const bench *b, const column *col, int n, double fps, zm_error *err)
{
    json_t *rows = json_array();
    for (int k = 0; k < b->clips; k++) {
        json_t *row = json_pack("{s:f}", "seconds", (k + 0.5) * b->c->frames / fps);
        for (int i = 0; i < n; i++) {
            const moment *m = &col[i].at[k];
            json_object_set_new(row, col[i].name,
                                json_pack("{s:i, s:o, s:o, s:o}", "bodies", m->bodies, "kept",
                                          percent(share(m->kept, m->bodies)), "ground",
                                          percent(share(m->ground, col[i].films)), "light",
                                          percent(share(m->light, col[i].films))));
        }
        json_array_append_new(rows, row);
    }
    json_t *all = json_pack("{s:i, s:f, s:o}", "films", b->o->films, "seconds", b->o->seconds, "clips", rows);
    char *text = all ? json_dumps(all, JSON_REAL_PRECISION(6)) : NULL;
    if (text)
        printf("%s\n", text);
    free(text);
    json_decref(all);
    return text ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for a report");
}

static zm_status run(bench *b, column *col, double fps, zm_error *err)
{
    zm_status s = ZM_OK;
    for (int k = 0; !s && k < (b->model ? 2 : 1); k++) {
        if (!(col[k].at = calloc((size_t)b->clips, sizeof *col[k].at)))
            return zm_fail(err, ZM_E_NOMEM, "out of memory for %d clips", b->clips);
        for (int i = 0; !s && i < b->o->films; i++)
            s = zm_app_stop ? zm_fail(err, ZM_E_INTERRUPTED, "stopped after %ld films", b->done)
                            : one_film(b, &col[k], i, fps, k == 0, err);
    }
    return s;
}

zm_status zm_eval_films(zm_eval_eye *eye, const char *model, const zm_eval_film_options *o, zm_error *err)
{
    bench b = {.o = o, .eye = eye, .c = zm_eval_eye_config(eye)};
    column col[2] = {{.name = "ceiling"}, {.name = o->vae ? "autoencoder" : "model"}};
    zm_status s = model ? zm_model_open(&b.model, model, err) : ZM_OK;
    double fps = s || !model ? 8 : b.model->config.video.fps;
    if (!s && (o->seconds * fps < 2.0 * b.c->frames || o->seconds * fps > FRAMES_MOST))
        s = zm_fail(err, ZM_E_USAGE, "films of %g s; %.1f to %.0f are possible: the detector sees clips of %d frames",
                    o->seconds, 2 * b.c->frames / fps, FRAMES_MOST / fps, b.c->frames);
    b.frames = (int)(o->seconds * fps + 0.5);
    b.clips = b.frames / b.c->frames;
    zm_progress_start(&b.progress, o->quiet ? NULL : stderr, "films", o->films * (model ? 2L : 1L), false);
    if (!s)
        s = run(&b, col, fps, err);
    zm_progress_end(&b.progress, b.done);
    if (!s && o->json)
        s = print_json(&b, col, model ? 2 : 1, fps, err);
    else if (!s)
        print_table(&b, col, model ? 2 : 1, fps);
    free(col[0].at);
    free(col[1].at);
    zm_model_close(b.model);
    return s;
}
