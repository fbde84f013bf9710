/* zouma generate: a prompt in, a video file out.
 * SPDX-License-Identifier: MIT */
#include "app/generate.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "app/clip_options.h"
#include "app/show.h"
#include "base/clock.h"
#include "base/mapfile.h"
#include "media/reader.h"
#include "pipeline/memory.h"
#include "pipeline/saving.h"
#include "pipeline/source.h"
#include "pipeline/storyboard.h"

typedef struct options {
    zm_clip_options clip;
    const char *prompt, *out, *quality, *last, *extend, *join, *video, *storyboard, *interval;
    int64_t frames, window, scale;
    double seconds, strength;
    zm_arg_list masks;
    double guided[2]; /* of `interval` */
    double save_every;
    bool backward, loop, preview, json, quiet, resume, keep_latents;
} options;

/* What is opened for a run. */
typedef struct job {
    const options *o;
    const char *model_path;
    zm_model *m;
    zm_image image[2];
    float *pixels[2];
    zm_frame mask;
    zm_storyboard *board;
    char *state, *place; /* paths of the window's state and of the film's */
    zm_film_request r;
    zm_film *film;
} job;

static void print_json(const job *j, const zm_film_about *a, const zm_writer_options *w, const show *sh, double seconds)
{
    const options *o = j->o;
    const zm_request *r = &a->clip;
    json_t *out = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:I, s:f, s:i, s:i, s:f, s:f, s:s, s:s, s:I, s:f, s:I}", "path", o->out,
        "mode", a->mode->name, "prompt", r->prompt, "negative", r->negative, "model", j->model_path, "width", a->width,
        "height", a->height, "frames", (json_int_t)sh->frames, "fps", r->fps, "scale", w->scale, "steps", r->steps,
        "guidance", r->guidance, "shift", r->shift, "solver", r->solver, "quality", r->quality, "seed",
        (json_int_t)r->seed, "seconds", seconds, "peak_rss_bytes", (json_int_t)zm_peak_rss_bytes());
    json_t *more =
        json_pack("{s:I, s:i, s:s?, s:s?, s:s?, s:s?, s:s?, s:b, s:s?, s:s, s:[ff]}", "made_frames",
                  (json_int_t)a->made, "windows", a->windows, "image", o->clip.image, "last", o->last, "extend",
                  o->extend, "join", o->join, "video", o->video, "backward", o->backward, "storyboard", o->storyboard,
                  "precision", zm_precision_name(r->precision), "guidance_interval", r->guidance_from, r->guidance_to);
    if (more && sh->first_step > 0)
        json_object_set_new(more, "first_step_seconds", json_real(sh->first_step));
    if (more && o->video)
        json_object_set_new(more, "strength", json_real(zm_film_strength(j->film)));
    char *text = out && more && !json_object_update(out, more) ? json_dumps(out, JSON_REAL_PRECISION(9)) : NULL;
    if (text)
        puts(text);
    free(text);
    json_decref(out);
    json_decref(more);
}

static void warn_unknown(const zm_request *r, const zm_model *m)
{
    char *words = NULL;
    zm_error ignored = {0};
    if (!zm_request_unknown(r, m, &words, &ignored) && words)
        fprintf(stderr, "warning: the model has not learnt: %s\n", words);
    free(words);
}

static bool is_one_picture(const char *out)
{
    size_t n = strlen(out);
    return n > 4 && !strcasecmp(out + n - 4, ".png") && !zm_writer_grows(out);
}

/* What the file will be, and whether it can be written: a folder that is not there is found before hours of work. */
static zm_status prepare_file(const options *o, const zm_film_about *a, zm_writer_options *w, zm_error *err)
{
    zm_writer *probe;
    int watchable = a->exact ? 1 : zm_writer_watchable(a->width, a->height);
    *w = (zm_writer_options){.width = a->width,
                             .height = a->height,
                             .fps_num = (int)lrint(a->fps * 1000),
                             .fps_den = 1000,
                             .scale = o->scale ? (int)o->scale : watchable};
    zm_status s = zm_writer_check(o->out, w, err);
    if (!s && is_one_picture(o->out) && (a->made > 1 || a->exact))
        s = zm_fail(err, ZM_E_USAGE, "%s holds one picture; name it like %%03d.png, or .apng, for more", o->out);
    if (!s)
        s = zm_writer_open(&probe, o->out, w, err);
    if (!s)
        zm_writer_abandon(&probe);
    w->growing = a->windows > a->stretch && a->mode->kind != ZM_MODE_BACKWARD && zm_writer_grows(o->out);
    return s;
}

/* A mask is frames A-B, or else a picture; one of each may be given. */
static zm_status read_mask(job *j, const char *told, zm_error *err)
{
    long long from, to;
    int end = 0;
    if (sscanf(told, "%lld-%lld%n", &from, &to, &end) == 2 && !told[end]) {
        if (from < 1 || to < from)
            return zm_fail(err, ZM_E_USAGE, "--mask %s is no range of frames; 9-16 is, counted from 1", told);
        j->r.mask.from = from;
        j->r.mask.to = to;
        return ZM_OK;
    }
    zm_frame_release(&j->mask);
    j->r.mask.picture = &j->mask;
    return zm_picture_read(&j->mask, told, err);
}

/* Frames that are to be made in all; 0: the model's own. */
static zm_status count_frames(const options *o, double fps, int *out, zm_error *err)
{
    double n = o->seconds > 0 ? fmax(1, rint(o->seconds * fps)) : (double)o->frames;
    if (n > ZM_REEL_FRAMES_MAX)
        return zm_fail(err, ZM_E_USAGE, "%.0f frames are too many; %d, an hour at 60 a second, are possible", n,
                       ZM_REEL_FRAMES_MAX);
    *out = o->seconds <= 0 && !o->frames && is_one_picture(o->out) && !o->loop ? 1 : (int)n;
    return ZM_OK;
}

static zm_status read_inputs(job *j, zm_error *err)
{
    const options *o = j->o;
    zm_status s = ZM_OK;
    if (o->clip.image)
        s = zm_image_read(&j->image[0], &j->pixels[0], o->clip.image, err);
    if (!s && o->last)
        s = zm_image_read(&j->image[1], &j->pixels[1], o->last, err);
    for (int i = 0; !s && i < o->masks.n; i++)
        s = read_mask(j, o->masks.at[i], err);
    const zm_model_video *v = &j->m->config.video;
    if (!s && o->storyboard)
        s = zm_storyboard_load(&j->board, o->storyboard, v->frames / v->fps, err);
    return s;
}

/* The rate of the film is that of the video it goes with, unless told. */
static zm_status rate(const job *j, double *fps, zm_error *err)
{
    const options *o = j->o;
    const char *path = o->video ? o->video : o->extend;
    zm_source s;
    *fps = o->clip.fps > 0 ? o->clip.fps : j->m->config.video.fps;
    if (!path || o->clip.fps > 0)
        return ZM_OK;
    zm_status st = zm_source_open(&s, path, err);
    if (!st && s.fps > 0)
        *fps = s.fps;
    zm_source_close(&s);
    return st;
}

/* Everything that can be wrong is found before the first step. */
static zm_status prepare(job *j, zm_error *err)
{
    const options *o = j->o;
    double fps;
    int frames = 0;
    zm_status s = read_inputs(j, err);
    if (!s)
        s = rate(j, &fps, err);
    if (!s)
        s = count_frames(o, fps, &frames, err);
    if (s)
        return s;
    zm_film_request *r = &j->r;
    r->clip = zm_clip_options_request(&o->clip);
    r->clip.prompt = o->prompt;
    r->clip.frames = frames;
    r->clip.span = (int)o->window;
    r->clip.fps = fps;
    r->clip.guidance_from = o->guided[0];
    r->clip.guidance_to = o->guided[1];
    r->clip.quality = o->quality;
    r->clip.loop = o->loop;
    r->clip.first = j->image[0].rgb ? &j->image[0] : NULL;
    r->clip.last = j->image[1].rgb ? &j->image[1] : NULL;
    r->before = o->backward ? NULL : o->extend;
    r->after = o->backward ? o->extend : o->join;
    r->change = o->video;
    r->strength = o->strength;
    if (j->board)
        s = zm_storyboard_shots(&r->shot, &r->n_shots, j->board, fps, err);
    return s ? s : zm_film_open(&j->film, j->m, r, err);
}

static zm_status film(job *j, const zm_writer_options *w, show *sh, const zm_saving *saving, zm_error *err)
{
    const options *o = j->o;
    const zm_film_about *a = zm_film_about_of(j->film);
    zm_generator_options how;
    *sh = (show){.out = o->out, .as = w, .quiet = o->quiet, .always = !j->m->keep, .windows = a->windows};
    zm_film_watch watch = zm_show_watch(sh, o->preview);
    watch.watch.saving = saving;
    watch.path = a->windows > a->stretch ? j->place : NULL;
    zm_preview_init(&sh->preview, o->preview ? stderr : NULL, false);
    zm_status s = zm_generator_fit(&how, j->m, &a->clip, o->clip.limit, err);
    sh->always = !j->m->keep;
    if (!s && o->preview && !j->m->keep)
        watch.watch.note(sh, "the picture forming is drawn only where the whole model is in memory at once");
    if (!s && saving->resume && a->windows > a->stretch && !w->growing)
        watch.watch.note(sh, "only .mp4 and pictures per frame grow: this film is made from its beginning");
    if (!s)
        s = zm_film_run(j->film, &how, &watch, err);
    zm_show_end(sh, s != ZM_OK);
    return s;
}

static zm_status make(job *j, const zm_saving *saving, zm_error *err)
{
    zm_writer_options w;
    show sh;
    double start = zm_now();
    zm_status s = prepare(j, err);
    if (s)
        return s;
    const zm_film_about *a = zm_film_about_of(j->film);
    s = prepare_file(j->o, a, &w, err);
    if (s)
        return s;
    if (!j->o->quiet)
        warn_unknown(&a->clip, j->m);
    s = film(j, &w, &sh, saving, err);
    if (s)
        return s;
    double seconds = zm_now() - start;
    if (j->o->json)
        print_json(j, a, &w, &sh, seconds);
    else if (!j->o->quiet)
        fprintf(stderr, "%s: %" PRId64 " frames of %dx%d, seed %" PRIu64 ", %.1f s, %.0f MB\n", j->o->out, sh.frames,
                a->width * w.scale, a->height * w.scale, a->clip.seed, seconds, 1e-6 * (double)zm_peak_rss_bytes());
    return ZM_OK;
}

static void job_release(job *j)
{
    zm_film_close(j->film);
    zm_storyboard_free(j->board);
    zm_model_close(j->m);
    free(j->pixels[0]);
    free(j->pixels[1]);
    zm_frame_release(&j->mask);
    free(j->state);
    free(j->place);
}

static char *beside(const char *out, const char *end)
{
    size_t n = strlen(out) + strlen(end) + 1;
    char *path = malloc(n);
    if (path)
        snprintf(path, n, "%s%s", out, end);
    return path;
}

static zm_status make_all(options *o, const char *model, zm_error *err)
{
    job j = {.o = o,
             .model_path = model,
             .state = beside(o->out, ".latents.safetensors"),
             .place = beside(o->out, ".film.safetensors")};
    zm_saving saving = {.path = j.state, .seconds = o->save_every, .resume = o->resume, .keep = o->keep_latents};
    uint64_t seed;
    zm_status s = j.state && j.place ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory");
    if (!s && o->resume)
        zm_sweep_parts(o->out);
    if (!s && o->clip.seed < 0 && o->resume && (zm_state_seed(j.place, &seed) || zm_state_seed(j.state, &seed)))
        o->clip.seed = (int64_t)seed;
    if (o->clip.seed < 0)
        o->clip.seed = zm_app_seed();
    if (!s)
        s = zm_clip_options_open(&j.m, &o->clip, model, err);
    if (!s)
        s = make(&j, &saving, err);
    job_release(&j);
    return s;
}

/* Options that need each other, told before any file is looked at. */
static const char *wrong_together(const options *o)
{
    if (o->backward && !o->extend)
        return "--backward says that what --extend FILE names comes last; give it a video";
    if (o->join && !o->extend)
        return "--join FILE is where a video given by --extend FILE leads to; give both";
    if (o->join && o->backward)
        return "--join and --backward do not go together: a film between two videos has both";
    if ((o->masks.n || o->strength > 0) && !o->video)
        return "--mask and --strength say how --video FILE is changed; give it a video";
    return NULL;
}

static bool interval_of(options *o)
{
    int end = 0;
    return sscanf(o->interval, "%lf-%lf%n", &o->guided[0], &o->guided[1], &end) == 2 && !o->interval[end] &&
           o->guided[0] >= 0 && o->guided[0] < o->guided[1] && o->guided[1] <= 1;
}

static int run(options *o)
{
    zm_error err = {0};
    const char *wrong = wrong_together(o);
    if (wrong) {
        fprintf(stderr, "zouma generate: %s\n", wrong);
        return 2;
    }
    if (o->interval && !interval_of(o)) {
        fprintf(stderr,
                "zouma generate: --guidance-interval %s is not two noise levels from 0 to 1; 0.2-0.9 would be\n",
                o->interval);
        return 2;
    }
    if (!o->storyboard && !zm_clip_options_prompt("generate", o->prompt))
        return 2;
    int wrong_way = zm_clip_options_check("generate", &o->clip);
    if (wrong_way)
        return wrong_way;
    char *model = zm_clip_options_model("generate", &o->clip);
    if (!model)
        return 1;
    zm_app_catch_signals();
    zm_status s = make_all(o, model, &err);
    free(model);
    return s ? zm_app_report("generate", &err) : 0;
}

int zm_cmd_generate(int argc, char **argv)
{
    static const char usage[] = "\"PROMPT\" [-o FILE] [options]",
                      help[] = "Make a video from a sentence in English or Chinese.";
    options o = {.out = "clip.mp4", .clip.seed = -1, .save_every = 2};
    const char *words[1];
    const zm_arg args[] = {
        {"--output", 'o', ZM_ARG_STR, &o.out, 0, 0, "FILE",
         "what to write: .mp4 .webm .gif .png .apng, or frames as name-%03d.png [clip.mp4]"},
        ZM_CLIP_MODEL_ARGS(&o.clip),
        {"--last", 0, ZM_ARG_STR, &o.last, 0, 0, "FILE", "picture that it ends with"},
        {"--extend", 0, ZM_ARG_STR, &o.extend, 0, 0, "FILE",
         "video that the film goes on from: its frames come first, as they are"},
        {"--backward", 0, ZM_ARG_FLAG, &o.backward, 0, 0, NULL, "... that it leads to instead: its frames come last"},
        {"--join", 0, ZM_ARG_STR, &o.join, 0, 0, "FILE", "with --extend: video that the film leads to"},
        {"--video", 0, ZM_ARG_STR, &o.video, 0, 0, "FILE", "video to change"},
        {"--strength", 0, ZM_ARG_FLOAT, &o.strength, 0.01, 1, "X", "how far [0.6; 1 with --mask]"},
        {"--mask", 0, ZM_ARG_LIST, &o.masks, 0, 0, "FILE|A-B",
         "change only where this picture is white, only the frames A to B, or both if given twice"},
        {"--storyboard", 0, ZM_ARG_STR, &o.storyboard, 0, 0, "FILE|YAML",
         "shots with prompt, seconds, transition (" ZM_TRANSITIONS ") and picture, instead of a prompt"},
        {"--loop", 0, ZM_ARG_FLAG, &o.loop, 0, 0, NULL, "a clip whose first frame follows its last"},
        {"--frames", 0, ZM_ARG_INT, &o.frames, 1, ZM_REEL_FRAMES_MAX, "N",
         "frames to make; a longer film is made window by window"},
        {"--seconds", 0, ZM_ARG_FLOAT, &o.seconds, 0.01, 3600, "S", "seconds to make, instead of --frames"},
        {"--window", 0, ZM_ARG_INT, &o.window, 1, 4097, "N", "frames that are made together [the model's own clip]"},
        ZM_CLIP_ARGS(&o.clip),
        {"--guidance-interval", 0, ZM_ARG_STR, &o.interval, 0, 0, "LO-HI",
         "noise levels, 0 to 1, between which guidance works; the steps beyond cost half [0-1]"},
        {"--quality", 0, ZM_ARG_STR, &o.quality, 0, 0, "NAME",
         "best, good or draft: how many steps may be told from the last ones; fast: few steps, where the model learnt them; see zouma bench quality [best]"},
        {"--scale", 0, ZM_ARG_INT, &o.scale, 1, 64, "N",
         "enlarge the written picture; 1 keeps the model's own size [to a watchable size]"},
        {"--preview", 0, ZM_ARG_FLAG, &o.preview, 0, 0, NULL, "draw the picture forming in the terminal"},
        {"--resume", 0, ZM_ARG_FLAG, &o.resume, 0, 0, NULL, "go on with the same command's interrupted run"},
        {"--keep-latents", 0, ZM_ARG_FLAG, &o.keep_latents, 0, 0, NULL,
         "leave the finished latent in FILE.latents.safetensors"},
        {"--save-every", 0, ZM_ARG_FLOAT, &o.save_every, 0, 1e6, "S",
         "seconds of work that an interruption may lose; 0: one step [2]"},
        ZM_CLIP_RUN_ARGS(&o.clip),
        {"--json", 0, ZM_ARG_FLAG, &o.json, 0, 0, NULL, "print one JSON object with path, seed and every setting"},
        {"--quiet", 0, ZM_ARG_FLAG, &o.quiet, 0, 0, NULL, "no progress"},
    };
    int n = zm_args_parse(argc, argv, args, sizeof args / sizeof *args, words, 1, usage, help);
    if (n < 0)
        return n == -1 ? 2 : 0;
    if (n == 0 && !o.storyboard) {
        fprintf(stderr, "zouma generate: what should the video show?  usage: zouma generate %s\n", usage);
        return 2;
    }
    if (n && o.storyboard) {
        fprintf(stderr, "zouma generate: a storyboard has the prompts of its shots; give it without another\n");
        return 2;
    }
    o.prompt = n ? words[0] : NULL;
    return run(&o);
}
