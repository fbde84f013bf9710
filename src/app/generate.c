/* zouma generate: a prompt in, a video file out.
 * SPDX-License-Identifier: MIT */
#include "app/generate.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "app/common.h"
#include "base/clock.h"
#include "base/mapfile.h"
#include "media/preview.h"
#include "media/progress.h"
#include "media/reader.h"
#include "media/writer.h"
#include "pipeline/generate.h"
#include "pipeline/memory.h"
#include "pipeline/saving.h"

typedef struct options {
    const char *prompt, *model, *out, *negative, *solver, *quality, *memory, *device;
    int size[2];
    int64_t frames, steps, seed, threads, scale;
    double seconds, fps, guidance, shift;
    const char *image, *last;
    zm_model_files files;
    zm_arg_list loras;
    double save_every;
    bool preview, json, quiet, resume, keep_latents;
    size_t limit; /* bytes of --memory; 0: what the system can spare */
} options;

/* What the callbacks of a run need. */
typedef struct show {
    zm_progress progress;
    zm_preview preview;
    const char *out;
    const zm_writer_options *as;
    zm_writer *writer; /* opened with the first frame: an encoder takes memory that the steps before may need */
    bool quiet, always;
    int frames, done; /* done: of the phase */
} show;

/* The line of the phase before ends, whole; a run that takes its parts one after the other is worth a log's lines. */
static void on_phase(void *user, const char *what, int total)
{
    show *s = user;
    zm_progress_end(&s->progress, s->progress.total);
    zm_progress_start(&s->progress, s->quiet ? NULL : stderr, what, total, s->always);
    s->done = 0;
}

static void on_step(void *user, int done, int total)
{
    show *s = user;
    (void)total;
    s->done = done;
    zm_progress_step(&s->progress, done);
}

static void on_preview(void *user, const zm_frame *picture)
{
    show *s = user;
    zm_error ignored = {0};
    if (zm_preview_draw(&s->preview, picture, &ignored))
        s->preview.out = NULL;
}

static zm_status on_frame(void *user, const zm_frame *frame, zm_error *err)
{
    show *s = user;
    zm_status st = s->writer ? ZM_OK : zm_writer_open(&s->writer, s->out, s->as, err);
    if (!st)
        st = zm_writer_put(s->writer, frame, err);
    if (!st)
        zm_progress_step(&s->progress, s->done = ++s->frames);
    return st;
}

static zm_status on_finish(void *user, zm_error *err)
{
    show *s = user;
    zm_progress_end(&s->progress, s->progress.total);
    return zm_writer_close(&s->writer, err);
}

static void on_note(void *user, const char *sentence)
{
    const show *s = user;
    if (!s->quiet)
        fprintf(stderr, "note: %s\n", sentence);
}

static void print_json(const options *o, const zm_request *r, const char *model, const zm_writer_options *w,
                       double seconds)
{
    json_t *j =
        json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:f, s:i, s:i, s:f, s:f, s:s, s:s, s:I, s:f, s:I}", "path",
                  o->out, "prompt", r->prompt, "negative", r->negative, "model", model, "width", r->width, "height",
                  r->height, "frames", r->frames, "fps", r->fps, "scale", w->scale, "steps", r->steps, "guidance",
                  r->guidance, "shift", r->shift, "solver", r->solver, "quality", r->quality, "seed",
                  (json_int_t)r->seed, "seconds", seconds, "peak_rss_bytes", (json_int_t)zm_peak_rss_bytes());
    char *text = j ? json_dumps(j, JSON_REAL_PRECISION(9)) : NULL;
    if (text)
        puts(text);
    free(text);
    json_decref(j);
}

static void warn_unknown(const zm_request *r, const zm_model *m)
{
    char *words = NULL;
    zm_error ignored = {0};
    if (!zm_request_unknown(r, m, &words, &ignored) && words)
        fprintf(stderr, "warning: the model has not learnt: %s\n", words);
    free(words);
}

/* What the file will be, and whether it can be written: a folder that is not there is found before hours of work. */
static zm_status prepare_file(const options *o, const zm_request *r, zm_writer_options *w, zm_error *err)
{
    zm_writer *probe;
    *w = (zm_writer_options){.width = r->width,
                             .height = r->height,
                             .fps_num = (int)lrint(r->fps * 1000),
                             .fps_den = 1000,
                             .scale = o->scale ? (int)o->scale : zm_writer_watchable(r->width, r->height)};
    zm_status s = zm_writer_check(o->out, w, err);
    if (!s)
        s = zm_writer_open(&probe, o->out, w, err);
    if (!s)
        zm_writer_abandon(&probe);
    return s;
}

static zm_status read_image(const char *path, zm_image *out, float **pixels, zm_error *err)
{
    zm_frame f;
    zm_status s = zm_picture_read(&f, path, err);
    if (s)
        return s;
    size_t n = (size_t)f.width * (size_t)f.height * 3;
    if (!(*pixels = malloc(n * sizeof **pixels)))
        s = zm_fail(err, ZM_E_NOMEM, "%s: no memory for a picture of %dx%d", path, f.width, f.height);
    for (size_t i = 0; !s && i < n; i++) /* in the official code's order of operations */
        (*pixels)[i] = ((float)f.rgb[i] / 255 - 0.5F) / 0.5F;
    *out = (zm_image){.rgb = *pixels, .width = f.width, .height = f.height};
    zm_frame_release(&f);
    return s;
}

static zm_status add_loras(const options *o, zm_model *m, zm_error *err)
{
    zm_status s = ZM_OK;
    for (int i = 0; !s && i < o->loras.n; i++) {
        char path[4096], *colon, *end;
        snprintf(path, sizeof path, "%s", o->loras.at[i]);
        double strength = 1;
        if ((colon = strrchr(path, ':')) && colon[1]) {
            double x = strtod(colon + 1, &end);
            if (!*end && isfinite(x)) {
                strength = x;
                *colon = 0;
            }
        }
        s = zm_model_add_lora(m, path, (float)strength, err);
    }
    return s;
}

/* Everything that can be wrong is found before the first step. */
static zm_status prepare(const options *o, const zm_model *m, const zm_image *image, zm_request *r, zm_error *err)
{
    *r = (zm_request){.prompt = o->prompt,
                      .negative = o->negative,
                      .width = o->size[0],
                      .height = o->size[1],
                      .frames = (int)o->frames,
                      .fps = o->fps,
                      .steps = (int)o->steps,
                      .guidance = o->guidance,
                      .shift = o->shift,
                      .solver = o->solver,
                      .quality = o->quality,
                      .seed = (uint64_t)o->seed,
                      .first = image[0].rgb ? &image[0] : NULL,
                      .last = image[1].rgb ? &image[1] : NULL};
    double fps = o->fps > 0 ? o->fps : m->config.video.fps;
    if (o->seconds > 0)
        r->frames = (int)fmax(1, lrint(o->seconds * fps));
    return zm_request_resolve(r, m, err);
}

static zm_status film(const options *o, zm_model *m, const zm_request *r, const zm_writer_options *w, show *sh,
                      const zm_saving *saving, zm_error *err)
{
    zm_generator *g = NULL;
    zm_generator_options how;
    zm_watch watch = {.user = sh,
                      .phase = on_phase,
                      .step = on_step,
                      .preview = o->preview ? on_preview : NULL,
                      .frame = on_frame,
                      .finish = on_finish,
                      .note = on_note,
                      .saving = saving,
                      .stop = &zm_app_stop};
    *sh = (show){.out = o->out, .as = w, .quiet = o->quiet};
    zm_preview_init(&sh->preview, o->preview ? stderr : NULL, false);
    zm_status s = zm_generator_fit(&how, m, r, o->limit, err);
    sh->always = !m->keep;
    if (!s && o->preview && !m->keep)
        on_note(sh, "the picture forming is drawn only where the whole model is in memory at once");
    if (!s)
        s = zm_generator_new(&g, m, r, &how, err);
    if (!s)
        s = zm_generate(g, r, &watch, err);
    zm_progress_end(&sh->progress, sh->done);
    zm_generator_free(g);
    if (s && sh->writer)
        zm_writer_abandon(&sh->writer);
    return s;
}

static zm_status make(const options *o, zm_model *m, const char *model, const zm_image *image, const zm_saving *saving,
                      zm_error *err)
{
    zm_request r;
    zm_writer_options w;
    show sh;
    double start = zm_now();
    zm_status s = prepare(o, m, image, &r, err);
    if (!s)
        s = prepare_file(o, &r, &w, err);
    if (s)
        return s;
    if (!o->quiet)
        warn_unknown(&r, m);
    s = film(o, m, &r, &w, &sh, saving, err);
    if (s)
        return s;
    double seconds = zm_now() - start;
    if (o->json)
        print_json(o, &r, model, &w, seconds);
    else if (!o->quiet)
        fprintf(stderr, "%s: %d frames of %dx%d, seed %" PRIu64 ", %.1f s, %.0f MB\n", o->out, sh.frames,
                r.width * w.scale, r.height * w.scale, r.seed, seconds, 1e-6 * (double)zm_peak_rss_bytes());
    return ZM_OK;
}

static zm_status make_all(options *o, const char *model, zm_error *err)
{
    zm_model *m = NULL;
    zm_image image[2] = {{0}, {0}};
    float *pixels[2] = {NULL, NULL};
    char *state = malloc(strlen(o->out) + sizeof ".latents.safetensors");
    if (!state)
        return zm_fail(err, ZM_E_NOMEM, "out of memory");
    strcat(strcpy(state, o->out), ".latents.safetensors");
    zm_saving saving = {.path = state, .seconds = o->save_every, .resume = o->resume, .keep = o->keep_latents};
    uint64_t seed;
    if (o->resume)
        zm_sweep_parts(o->out);
    if (o->seed < 0 && o->resume && zm_state_seed(state, &seed))
        o->seed = (int64_t)seed;
    if (o->seed < 0)
        o->seed = (int64_t)(((uint64_t)time(NULL) * 2654435761u ^ (uint64_t)getpid() << 16) & 0x7fffffff);
    zm_status s = zm_model_open_with(&m, model, &o->files, err);
    if (!s)
        s = add_loras(o, m, err);
    if (!s && o->image)
        s = read_image(o->image, &image[0], &pixels[0], err);
    if (!s && o->last)
        s = read_image(o->last, &image[1], &pixels[1], err);
    if (!s)
        s = make(o, m, model, image, &saving, err);
    zm_model_close(m);
    free(pixels[0]);
    free(pixels[1]);
    free(state);
    return s;
}

static int run(options *o)
{
    zm_error err = {0};
    if (o->device && strcmp(o->device, "cpu") != 0) {
        fprintf(stderr, "zouma generate: this build runs on the cpu; --device %s is not in it\n", o->device);
        return 2;
    }
    if (!o->prompt[strspn(o->prompt, " \t\r\n")]) {
        fprintf(
            stderr,
            "zouma generate: the prompt is empty; say what the video should show, for example \"a red ball bounces on the grass\"\n");
        return 2;
    }
    if (o->memory && !zm_memory_parse(&o->limit, o->memory)) {
        fprintf(stderr, "zouma generate: --memory %s is not a size; 8G and 512M are\n", o->memory);
        return 2;
    }
#ifdef _OPENMP
    if (o->threads)
        omp_set_num_threads((int)o->threads);
#endif
    char *model = o->model ? strdup(o->model) : zm_model_bundled();
    if (!model) {
        fprintf(
            stderr,
            "zouma generate: the bundled model is not beside the program; give one with -m DIR or set ZOUMA_MODEL\n");
        return 1;
    }
    zm_app_catch_signals();
    zm_status s = make_all(o, model, &err);
    free(model);
    return s ? zm_app_report("generate", &err) : 0;
}

int zm_cmd_generate(int argc, char **argv)
{
    static const char usage[] = "\"PROMPT\" [-o FILE] [options]",
                      help[] = "Make a video from a sentence in English or Chinese.";
    options o = {.out = "clip.mp4", .seed = -1, .save_every = 2};
    const char *words[1];
    const zm_arg args[] = {
        {"--output", 'o', ZM_ARG_STR, &o.out, 0, 0, "FILE",
         "what to write: .mp4 .webm .gif .png .apng, or frames as name-%03d.png [clip.mp4]"},
        {"--model", 'm', ZM_ARG_STR, &o.model, 0, 0, "MODEL",
         "model directory, or one file of a transformer with the other parts around it [the bundled one]"},
        {"--text-encoder", 0, ZM_ARG_STR, &o.files.text_encoder, 0, 0, "FILE", "this one instead of the model's"},
        {"--vae", 0, ZM_ARG_STR, &o.files.vae, 0, 0, "FILE", "video autoencoder"},
        {"--image-encoder", 0, ZM_ARG_STR, &o.files.image_encoder, 0, 0, "FILE",
         "CLIP, for models that look at --image"},
        {"--low-noise", 0, ZM_ARG_STR, &o.files.low_noise, 0, 0, "FILE", "second expert of a Wan 2.2 A14B model"},
        {"--tokenizer", 0, ZM_ARG_STR, &o.files.tokenizer, 0, 0, "FILE", "tokenizer.json or spiece.model"},
        {"--image", 0, ZM_ARG_STR, &o.image, 0, 0, "FILE", "picture that the clip begins with"},
        {"--last", 0, ZM_ARG_STR, &o.last, 0, 0, "FILE", "picture that it ends with, for models that take two"},
        {"--lora", 0, ZM_ARG_LIST, &o.loras, 0, 0, "FILE[:STRENGTH]",
         "adapter to apply; may be given again [strength 1]"},
        {"--size", 0, ZM_ARG_SIZE, o.size, 0, 0, "WxH",
         "pixels of the picture the model makes [its own, in the shape of --image]"},
        {"--frames", 0, ZM_ARG_INT, &o.frames, 1, 4097, "N", "length in frames"},
        {"--seconds", 0, ZM_ARG_FLOAT, &o.seconds, 0.01, 3600, "S", "length in seconds, instead of --frames"},
        {"--fps", 0, ZM_ARG_FLOAT, &o.fps, 0.1, 240, "N", "frames per second of the file"},
        {"--steps", 0, ZM_ARG_INT, &o.steps, 1, 1000, "N", "denoising steps: more is finer and slower"},
        {"--guidance", 0, ZM_ARG_FLOAT, &o.guidance, 0.01, 100, "G",
         "how strictly to follow the prompt; 1 switches guidance off"},
        {"--negative", 0, ZM_ARG_STR, &o.negative, 0, 0, "TEXT", "what to steer away from"},
        {"--seed", 0, ZM_ARG_INT, &o.seed, 0, 9e15, "N", "same seed, same clip [a new one each time]"},
        {"--solver", 0, ZM_ARG_STR, &o.solver, 0, 0, "NAME", "unipc, dpmpp or euler"},
        {"--quality", 0, ZM_ARG_STR, &o.quality, 0, 0, "NAME",
         "best, good or draft: how many steps may be told from the last ones; see zouma bench quality [best]"},
        {"--shift", 0, ZM_ARG_FLOAT, &o.shift, 0.01, 1000, "S", "of the noise schedule"},
        {"--scale", 0, ZM_ARG_INT, &o.scale, 1, 64, "N",
         "enlarge the written picture; 1 keeps the model's own size [to a watchable size]"},
        {"--preview", 0, ZM_ARG_FLAG, &o.preview, 0, 0, NULL, "draw the picture forming in the terminal"},
        {"--resume", 0, ZM_ARG_FLAG, &o.resume, 0, 0, NULL, "go on with the same command's interrupted run"},
        {"--keep-latents", 0, ZM_ARG_FLAG, &o.keep_latents, 0, 0, NULL,
         "leave the finished latent in FILE.latents.safetensors"},
        {"--save-every", 0, ZM_ARG_FLOAT, &o.save_every, 0, 1e6, "S",
         "seconds of work that an interruption may lose; 0: one step [2]"},
        {"--memory", 0, ZM_ARG_STR, &o.memory, 0, 0, "SIZE",
         "stay under 8G, 512M ...: weights that do not fit are read when needed [what is free]"},
        {"--threads", 0, ZM_ARG_INT, &o.threads, 1, 1024, "N", "processor threads [all]"},
        {"--device", 0, ZM_ARG_STR, &o.device, 0, 0, "NAME", "cpu"},
        {"--json", 0, ZM_ARG_FLAG, &o.json, 0, 0, NULL, "print one JSON object with path, seed and every setting"},
        {"--quiet", 0, ZM_ARG_FLAG, &o.quiet, 0, 0, NULL, "no progress"},
    };
    int n = zm_args_parse(argc, argv, args, sizeof args / sizeof *args, words, 1, usage, help);
    if (n < 0)
        return n == -1 ? 2 : 0;
    if (n == 0) {
        fprintf(stderr, "zouma generate: what should the video show?  usage: zouma generate %s\n", usage);
        return 2;
    }
    o.prompt = words[0];
    return run(&o);
}
