/* zouma explain: a page that shows how a clip comes to be.
 * SPDX-License-Identifier: MIT */
#include "app/explain.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "app/clip_options.h"
#include "app/explain_page.h"
#include "base/clock.h"
#include "media/progress.h"
#include "media/writer.h"
#include "pipeline/source.h"

typedef struct options {
    zm_clip_options clip;
    const char *prompt, *out;
    int64_t frames, pictures;
    bool json, quiet;
} options;

enum { CLIP_BYTES_MAX = 256 << 20, EXACT_BYTES_MAX = 4 << 20 };

/* A run. */
typedef struct job {
    const options *o;
    zm_model *m;
    zm_progress progress;
    zm_explanation x;
    zm_explain_page page;
    zm_save save;
    size_t bytes; /* of the page */
    zm_writer *writer;
    char *clip_path; /* while it is written; NULL: none is */
    char number[8][32];
    int numbers;
    zm_image image;
    float *pixels; /* of image */
} job;

/* ---- while it runs ---- */

static void on_phase(void *user, const char *what, int total)
{
    job *j = user;
    zm_progress_end(&j->progress, j->progress.total);
    zm_progress_start(&j->progress, j->o->quiet ? NULL : stderr, what, total, !j->m->keep);
}

static void on_step(void *user, int done, int total)
{
    job *j = user;
    (void)total;
    zm_progress_step(&j->progress, done);
}

static void on_note(void *user, const char *sentence)
{
    const job *j = user;
    if (!j->o->quiet)
        fprintf(stderr, "note: %s\n", sentence);
}

/* A small clip goes into the page exactly, a larger one as H.264; neither where this build has no encoder. */
static zm_status open_writer(job *j, const zm_frame *f, zm_error *err)
{
    const zm_request *r = &j->x.r;
    bool exact = (double)f->width * f->height * 3 * r->frames <= EXACT_BYTES_MAX;
    zm_writer_options w = {
        .width = f->width, .height = f->height, .fps_num = (int)lrint(r->fps * 1000), .fps_den = 1000};
    size_t n = strlen(j->o->out) + 64;
    zm_error none = {0};
    j->clip_path = malloc(n);
    if (!j->clip_path)
        return zm_fail(err, ZM_E_NOMEM, "out of memory");
    snprintf(j->clip_path, n, "%s.part-%ld%s", j->o->out, (long)getpid(), exact ? ".apng" : ".mp4");
    j->page.clip_type = exact ? "image/apng" : "video/mp4";
    if (!zm_writer_check(j->clip_path, &w, &none))
        return zm_writer_open(&j->writer, j->clip_path, &w, err);
    free(j->clip_path);
    j->clip_path = NULL;
    return ZM_OK;
}

static zm_status on_frame(void *user, const zm_frame *f, zm_error *err)
{
    job *j = user;
    double start = zm_now();
    bool first = !j->page.clip_type;
    zm_status s = first ? open_writer(j, f, err) : ZM_OK;
    if (!s && j->writer)
        s = zm_writer_put(j->writer, f, err);
    j->page.encode_s += zm_now() - start;
    return s;
}

static zm_status on_finish(void *user, zm_error *err)
{
    job *j = user;
    double start = zm_now();
    if (!j->writer)
        return ZM_OK;
    zm_status s = zm_writer_close(&j->writer, err);
    if (!s)
        s = zm_file_read(&j->page.clip, &j->page.clip_bytes, j->clip_path, CLIP_BYTES_MAX, err);
    unlink(j->clip_path);
    j->page.encode_s += zm_now() - start;
    return s;
}

/* ---- the command that makes it again ---- */

static void word(job *j, const char *option, const char *value)
{
    if (!value)
        return;
    ZM_ASSERT(j->page.argc + 2 <= (int)(sizeof j->page.argv / sizeof *j->page.argv));
    if (option)
        j->page.argv[j->page.argc++] = option;
    j->page.argv[j->page.argc++] = value;
}

static void number(job *j, const char *option, double value)
{
    ZM_ASSERT(j->numbers < (int)(sizeof j->number / sizeof *j->number));
    char *text = j->number[j->numbers++];
    snprintf(text, sizeof *j->number, "%.15g", value);
    word(j, option, text);
}

/* Everything that decides the clip, whoever decided it: a model's defaults may change. */
static void tell_command(job *j)
{
    const options *o = j->o;
    const zm_request *r = &j->x.r;
    char *size = j->number[j->numbers++], *seed = j->number[j->numbers++];
    snprintf(size, sizeof *j->number, "%dx%d", r->width, r->height);
    snprintf(seed, sizeof *j->number, "%" PRIu64, r->seed);
    word(j, NULL, o->prompt);
    word(j, "--model", o->clip.model);
    word(j, "--text-encoder", o->clip.files.text_encoder);
    word(j, "--vae", o->clip.files.vae);
    word(j, "--image-encoder", o->clip.files.image_encoder);
    word(j, "--low-noise", o->clip.files.low_noise);
    word(j, "--tokenizer", o->clip.files.tokenizer);
    for (int i = 0; i < o->clip.loras.n; i++)
        word(j, "--lora", o->clip.loras.at[i]);
    word(j, "--image", o->clip.image);
    word(j, "--size", size);
    number(j, "--frames", r->frames);
    number(j, "--fps", r->fps);
    number(j, "--steps", r->steps);
    number(j, "--guidance", r->guidance);
    number(j, "--shift", r->shift);
    word(j, "--seed", seed);
    word(j, "--solver", r->solver);
    if (*r->negative)
        word(j, "--negative", r->negative);
    word(j, "--precision", o->clip.precision);
    word(j, "--device", o->clip.device);
}

static zm_status write_page(job *j, zm_error *err)
{
    zm_html h = {.to = &j->save, .err = err};
    j->page.x = &j->x;
    j->page.m = j->m;
    j->page.out = j->o->out;
    j->page.pictures = (int)j->o->pictures;
    tell_command(j);
    zm_explain_write(&h, &j->page);
    j->bytes = h.bytes;
    return h.status ? h.status : zm_save_commit(&j->save, err);
}

static void print_json(const job *j, const char *model, double seconds)
{
    const zm_request *r = &j->x.r;
    json_t *out = json_pack(
        "{s:s, s:s, s:s?, s:s, s:i, s:i, s:i, s:f, s:i, s:f, s:f, s:s, s:I, s:i, s:s?, s:I, s:f, s:I}", "path",
        j->o->out, "prompt", r->prompt, "negative", r->negative, "model", model, "width", j->x.width, "height",
        j->x.height, "frames", r->frames, "fps", r->fps, "steps", r->steps, "guidance", r->guidance, "shift", r->shift,
        "solver", r->solver, "seed", (json_int_t)r->seed, "tokens", j->x.tokens, "unknown", j->x.unknown, "bytes",
        (json_int_t)j->bytes, "seconds", seconds, "peak_rss_bytes", (json_int_t)zm_peak_rss_bytes());
    char *text = out ? json_dumps(out, JSON_REAL_PRECISION(9)) : NULL;
    if (text)
        puts(text);
    free(text);
    json_decref(out);
}

static void print_done(const job *j, double seconds)
{
    fprintf(stderr, "%s: %.1f MB, %d frames of %dx%d, seed %" PRIu64 ", %.1f s, %.0f MB of memory\n", j->o->out,
            1e-6 * (double)j->bytes, j->x.r.frames, j->x.width, j->x.height, j->x.r.seed, seconds,
            1e-6 * (double)zm_peak_rss_bytes());
}

/* ---- all of it ---- */

static zm_status explain(job *j, zm_error *err)
{
    const options *o = j->o;
    zm_request r = zm_clip_options_request(&o->clip);
    r.prompt = o->prompt;
    r.frames = (int)o->frames;
    r.first = j->image.rgb ? &j->image : NULL;
    zm_explain_options how = {.memory = o->clip.limit, .views = (int)o->pictures};
    zm_watch w = {.user = j,
                  .phase = on_phase,
                  .step = on_step,
                  .frame = on_frame,
                  .finish = on_finish,
                  .note = on_note,
                  .stop = &zm_app_stop};
    zm_status s = zm_explain(&j->x, j->m, &r, &how, &w, err);
    zm_progress_end(&j->progress, j->progress.total);
    return s ? s : write_page(j, err);
}

static void job_release(job *j)
{
    zm_writer_abandon(&j->writer);
    if (j->clip_path)
        unlink(j->clip_path);
    free(j->clip_path);
    free(j->page.clip);
    free(j->pixels);
    zm_explanation_release(&j->x);
    zm_model_close(j->m);
    zm_save_abandon(&j->save);
}

static zm_status run_on(const options *o, const char *model, zm_error *err)
{
    job j = {.o = o};
    double start = zm_now();
    zm_status s = o->clip.image ? zm_image_read(&j.image, &j.pixels, o->clip.image, err) : ZM_OK;
    if (!s)
        s = zm_clip_options_open(&j.m, &o->clip, model, err);
    if (!s)
        s = zm_save_open(&j.save, o->out, err); /* a folder that is not there is found before the work */
    if (!s)
        s = explain(&j, err);
    double seconds = zm_now() - start;
    if (!s && j.x.unknown && !o->quiet)
        fprintf(stderr, "warning: the model has not learnt: %s\n", j.x.unknown);
    if (!s && o->json)
        print_json(&j, model, seconds);
    else if (!s && !o->quiet)
        print_done(&j, seconds);
    job_release(&j);
    return s;
}

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);
    return n > k && !strcasecmp(text + n - k, end);
}

static int run(options *o)
{
    zm_error err = {0};
    if (!zm_clip_options_prompt("explain", o->prompt))
        return 2;
    if (!ends_in(o->out, ".html") && !ends_in(o->out, ".htm")) {
        fprintf(stderr, "zouma explain: %s is no page; its name must end in .html\n", o->out);
        return 2;
    }
    int wrong = zm_clip_options_check("explain", &o->clip);
    if (wrong)
        return wrong;
    char *model = zm_clip_options_model("explain", &o->clip);
    if (!model)
        return 1;
    if (o->clip.seed < 0)
        o->clip.seed = zm_app_seed();
    zm_app_catch_signals();
    zm_status s = run_on(o, model, &err);
    free(model);
    return s ? zm_app_report("explain", &err) : 0;
}

int zm_cmd_explain(int argc, char **argv)
{
    static const char usage
        [] = "\"PROMPT\" [-o page.html] [options]",
   help[] =
        "Write one page that shows how this very clip comes to be: tokens, noise levels, the picture at each step,\n"
        "which region attends to which word, guidance, and the cost of each part.  English and Chinese.";
    options o = {.out = "page.html", .clip.seed = -1};
    const char *words[1];
    const zm_arg args[] = {
        {"--output", 'o', ZM_ARG_STR, &o.out, 0, 0, "FILE", "the page [page.html]"},
        ZM_CLIP_MODEL_ARGS(&o.clip),
        {"--frames", 0, ZM_ARG_INT, &o.frames, 1, 4097, "N", "frames, at most what the model makes at once [its own]"},
        ZM_CLIP_ARGS(&o.clip),
        {"--pictures", 0, ZM_ARG_INT, &o.pictures, 1, 100, "N",
         "steps whose predictions are decoded [all up to 24; 5 where the model does not stay in memory]"},
        ZM_CLIP_RUN_ARGS(&o.clip),
        {"--json", 0, ZM_ARG_FLAG, &o.json, 0, 0, NULL, "print one JSON object with path, seed and every setting"},
        {"--quiet", 0, ZM_ARG_FLAG, &o.quiet, 0, 0, NULL, "no progress"},
    };
    int n = zm_args_parse(argc, argv, args, sizeof args / sizeof *args, words, 1, usage, help);
    if (n < 0)
        return n == -1 ? 2 : 0;
    if (n == 0) {
        fprintf(stderr, "zouma explain: what should the video show?  usage: zouma explain %s\n", usage);
        return 2;
    }
    o.prompt = words[0];
    return run(&o);
}
