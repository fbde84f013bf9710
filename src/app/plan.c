/* zouma plan: parameters, tokens, arithmetic, memory, disk and time of a clip, from headers and a short measurement.
 * SPDX-License-Identifier: MIT */
#include "app/plan.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/common.h"
#include "backend/backend.h"
#include "backend/peak.h"
#include "model/likes.h"
#include "pipeline/memory.h"
#include "pipeline/model.h"
#include "sample/solver.h"

/* Of the measured rate of products, what the phases reach (zouma bench scaling); the rest is norms, copies and waiting. */
static const double SHARE = 0.8;

typedef struct options {
    const char *model, *like, *memory, *precision, *device;
    int size[2];
    int64_t frames, steps;
    double seconds, fps, guidance;
    zm_precision in;
    bool json;
} options;

typedef struct answer {
    zm_memory size;
    zm_memory_plan plan;
    bool fits;
    zm_error refusal;
    double peak;                    /* GFLOPS */
    double seconds[ZM_PHASE_COUNT]; /* of the whole clip */
    double all, flops;
    size_t disk;
} answer;

/* Steps of each expert: levels at and above the boundary are the first one's. */
static int steps_of(const zm_model_config *c, zm_phase p, int steps)
{
    if (p != ZM_PHASE_DENOISE && p != ZM_PHASE_LOW)
        return 1;
    if (c->boundary <= 0)
        return steps;
    zm_schedule s;
    int high = 0;
    if (zm_schedule_build(&s, zm_schedule_find(zm_solver_find(c->sampling.solver)->schedule), steps, c->sampling.shift,
                          NULL))
        return steps;
    for (int i = 0; i < steps; i++)
        high += s.timestep[i] >= 1000 * c->boundary;
    zm_schedule_release(&s);
    return p == ZM_PHASE_DENOISE ? high : steps - high;
}

/* Runs of a phase; of clips made block by block one more for each block that another one will look back on. */
static double runs_of(const zm_memory *m, const zm_model_config *c, zm_phase p, int steps)
{
    return steps_of(c, p, steps) + (m->blocks && p == ZM_PHASE_DENOISE ? 1 - 1.0 / m->blocks : 0);
}

static zm_status work_out(answer *a, const options *o, const zm_model_config *c, const zm_memory_request *r,
                          zm_error *err)
{
    size_t limit = 0;
    int steps = o->steps ? (int)o->steps : c->sampling.steps;
    zm_status s = zm_memory_measure(&a->size, c, r, err);
    if (!s && o->memory && !zm_memory_parse(&limit, o->memory))
        s = zm_fail(err, ZM_E_USAGE, "--memory %s is not a size; 8G and 512M are", o->memory);
    if (s)
        return s;
    a->fits = !zm_memory_plan_make(&a->plan, &a->size, limit, &a->refusal);
    if (a->fits && a->plan.bands > 1) { /* decoding as it will be done */
        int i = 0;
        while (1 << i < a->plan.bands)
            i++;
        a->size.phase[ZM_PHASE_DECODE].work = a->size.band_work[i];
        a->size.phase[ZM_PHASE_DECODE].flops = a->size.band_flops[i];
    }
    a->all = a->flops = 0;
    for (int i = 0; i < ZM_PHASE_COUNT; i++) {
        double flops = a->size.phase[i].flops * runs_of(&a->size, c, (zm_phase)i, steps);
        a->flops += flops;
        a->seconds[i] = 1e-9 * flops / (SHARE * a->peak);
        a->all += a->seconds[i];
    }
    int64_t latent = a->size.latent_frames * a->size.latent_height * a->size.latent_width * a->size.latent_channels;
    /* About 0.1 bit a pixel of H.264, and the run's state: the sample and its history. */
    double pixels = (double)r->width * r->height * r->frames;
    a->disk = (size_t)(pixels * 0.1 / 8) + (size_t)latent * sizeof(float) * 5;
    a->disk += a->size.past + a->size.states; /* a film block by block keeps them with its place */
    a->disk += a->fits && a->plan.bands > 1 ? (size_t)(3 * pixels) : 0; /* pictures that wait for their last band */
    return ZM_OK;
}

static const char *time_text(double seconds, char *buf, size_t cap)
{
    if (seconds < 120)
        snprintf(buf, cap, "%.1f s", seconds);
    else if (seconds < 7200)
        snprintf(buf, cap, "%.0f min", seconds / 60);
    else if (seconds < 2 * 86400.0)
        snprintf(buf, cap, "%.1f h", seconds / 3600);
    else
        snprintf(buf, cap, "%.0f days", seconds / 86400);
    return buf;
}

static void print(const answer *a, const zm_model_config *c, int steps)
{
    char t[32], m[32], n[32], causal[128];
    const zm_memory_request *r = &a->size.request;
    printf("%s: %d frames of %dx%d, %d steps%s\n", c->name, r->frames, r->width, r->height, steps,
           r->guided ? ", with guidance" : "");
    printf("  latent         %lld x %lld x %lld x %lld, %lld tokens\n", (long long)a->size.latent_frames,
           (long long)a->size.latent_height, (long long)a->size.latent_width, (long long)a->size.latent_channels,
           (long long)a->size.tokens);
    if (c->dit.causal.block)
        printf("  attention      %s\n", zm_dit_causal_text(&c->dit.causal, causal, sizeof causal));
    if (a->size.blocks)
        printf("  looking back   %s of keys and values, %s of the decoder's states\n",
               zm_memory_text(a->size.past, m, sizeof m), zm_memory_text(a->size.states, n, sizeof n));
    printf("  %-32s %10s %12s %10s %10s %10s\n", "", "parameters", "TFLOP", "time", "least", "all");
    for (int i = 0; i < ZM_PHASE_COUNT; i++) {
        const zm_memory_phase *p = &a->size.phase[i];
        if (!p->present)
            continue;
        size_t fixed = a->size.base + p->owned + p->work;
        printf("  %-32s %8.1f M %12.2f %10s %10s %10s\n", zm_phase_name((zm_phase)i), 1e-6 * (double)p->params,
               1e-12 * p->flops * runs_of(&a->size, c, (zm_phase)i, steps), time_text(a->seconds[i], t, sizeof t),
               zm_memory_text(fixed + (p->window < p->mapped ? p->window : p->mapped), m, sizeof m),
               zm_memory_text(fixed + p->mapped, n, sizeof n));
    }
    printf("  time           about %s at %.0f GFLOPS (%.0f %% of the rate of products measured just now, %s)\n",
           time_text(a->all, t, sizeof t), SHARE * a->peak, 100 * SHARE, zm_backend_name());
    if (a->fits)
        printf("  memory         %s of %s, decoding in %d band%s\n",
               zm_memory_text(zm_memory_peak(&a->plan), m, sizeof m), zm_memory_text(a->plan.limit, n, sizeof n),
               a->plan.bands, a->plan.bands > 1 ? "s" : "");
    else
        printf("  memory         %s\n", a->refusal.text);
    printf("  disk           %s, the run's state included\n", zm_memory_text(a->disk, m, sizeof m));
}

/* Minutes of video, as they could be made: a frame-timestep model goes on from its own last frames; the others only in
 * clips of their own length, one after the other. */
static zm_status print_lengths(const options *o, const zm_model_config *c, const zm_memory_request *r, double peak,
                               zm_error *err)
{
    static const int minutes[] = {1, 10, 60};
    double fps = o->fps > 0 ? o->fps : c->video.fps;
    zm_memory_request one = *r;
    answer a = {.peak = peak};
    one.frames = c->video.frames;
    one.whole = false;
    zm_status s = work_out(&a, o, c, &one, err);
    if (s)
        return s;
    int block = c->dit.causal.block * a.size.time;
    if (block)
        printf("  longer         in blocks of %d frames (%.1f s), each going on from the last:", block, block / fps);
    else
        printf("  longer         in windows of %d frames (%.1f s)%s:", one.frames, one.frames / fps,
               c->family->frame_timesteps ? ", each going on from the last" : ", each a clip of its own");
    for (size_t i = 0; i < sizeof minutes / sizeof *minutes; i++) {
        char t[32];
        double windows = ceil(minutes[i] * 60 * fps / one.frames);
        printf("%s %d min of video in %s", i ? "," : "", minutes[i], time_text(windows * a.all, t, sizeof t));
    }
    printf("; memory as for one %s\n", block ? "clip" : "window");
    return ZM_OK;
}

static zm_status print_json(const answer *a, const zm_model_config *c, int steps, zm_error *err)
{
    json_t *phases = json_array();
    for (int i = 0; i < ZM_PHASE_COUNT; i++) {
        const zm_memory_phase *p = &a->size.phase[i];
        if (p->present)
            json_array_append_new(
                phases, json_pack("{s:s, s:I, s:f, s:f, s:I, s:I}", "name", zm_phase_name((zm_phase)i), "parameters",
                                  (json_int_t)p->params, "flops", p->flops * runs_of(&a->size, c, (zm_phase)i, steps),
                                  "seconds", a->seconds[i], "least_bytes",
                                  (json_int_t)(a->size.base + p->owned + p->work +
                                               (p->window < p->mapped ? p->window : p->mapped)),
                                  "all_bytes", (json_int_t)(a->size.base + p->owned + p->work + p->mapped)));
    }
    char causal[128];
    json_t *j =
        json_pack("{s:s, s:i, s:i, s:i, s:i, s:I, s:f, s:f, s:I, s:I, s:b, s:i, s:f, s:I, s:o}", "model", c->name,
                  "width", a->size.request.width, "height", a->size.request.height, "frames", a->size.request.frames,
                  "steps", steps, "tokens", (json_int_t)a->size.tokens, "flops", a->flops, "seconds", a->all,
                  "least_bytes", (json_int_t)zm_memory_least(&a->size), "all_bytes",
                  (json_int_t)zm_memory_most(&a->size), "fits", a->fits, "bands", a->fits ? a->plan.bands : 0,
                  "peak_gflops", a->peak, "disk_bytes", (json_int_t)a->disk, "phases", phases);
    if (j && c->dit.causal.block)
        json_object_set_new(j, "past_bytes", json_integer((json_int_t)a->size.past));
    if (j && c->dit.causal.block)
        json_object_set_new(j, "attention", json_string(zm_dit_causal_text(&c->dit.causal, causal, sizeof causal)));
    char *text = j ? json_dumps(j, JSON_REAL_PRECISION(9)) : NULL;
    if (text)
        puts(text);
    free(text);
    json_decref(j);
    return text ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for a report");
}

static zm_status check_size(const zm_memory_request *r, const zm_model_config *c, zm_error *err)
{
    zm_vae *v = NULL;
    zm_params *p = zm_params_new();
    zm_status s = p ? zm_vae_declare(&v, &c->vae, p, "", err) : zm_fail(err, ZM_E_NOMEM, "out of memory");
    int stride = s ? 1 : zm_vae_spatial_stride(v), gx = stride * c->dit.patch_size[2],
        gy = stride * c->dit.patch_size[1];
    zm_vae_free(v);
    zm_params_free(p);
    if (!s &&
        (r->width % gx || r->height % gy || r->width < gx || r->height < gy || r->width > 8192 || r->height > 8192))
        s = zm_fail(err, ZM_E_USAGE,
                    "size %dx%d does not fit this model: width must be a multiple of %d and height of %d", r->width,
                    r->height, gx, gy);
    return s;
}

static zm_status plan(const options *o, zm_model_config *c, zm_error *err)
{
    double fps = o->fps > 0 ? o->fps : c->video.fps;
    int64_t frames = o->seconds > 0 ? (int64_t)lrint(o->seconds * fps) : o->frames ? o->frames : c->video.frames;
    zm_memory_request r = {.width = o->size[0] ? o->size[0] : c->video.width,
                           .height = o->size[1] ? o->size[1] : c->video.height,
                           .frames = (int)(frames < 1         ? 1
                                           : frames > 1 << 20 ? 1 << 20
                                                              : frames),
                           .guided = o->guidance != 1,
                           .whole = c->dit.causal.both && frames <= c->video.frames,
                           .precision = o->in};
    int steps = o->steps ? (int)o->steps : c->sampling.steps;
    answer a = {0};
    zm_status s = check_size(&r, c, err);
    if (s)
        return s;
    a.peak = zm_measure_peak(1);
    s = work_out(&a, o, c, &r, err);
    if (s)
        return s;
    if (o->json)
        return print_json(&a, c, steps, err);
    print(&a, c, steps);
    return print_lengths(o, c, &r, a.peak, err);
}

int zm_cmd_plan(int argc, char **argv)
{
    static const char usage[] = "[-m MODEL | --like NAME] [options]";
    char help[640] =
        "Tell what a clip will take before anything runs: arithmetic, memory, disk and time on this machine.\n"
        "No weights are read.  --like needs no files; NAME is one of:";
    options o = {0};
    const char *words[1];
    for (size_t i = 0; i < zm_like_count; i++)
        snprintf(help + strlen(help), sizeof help - strlen(help), "%s %s", i % 4 ? "" : "\n ", zm_likes[i].name);
    const zm_arg args[] = {
        {"--model", 'm', ZM_ARG_STR, &o.model, 0, 0, "MODEL", "model directory [the bundled one]"},
        {"--like", 0, ZM_ARG_STR, &o.like, 0, 0, "NAME", "a public model by name"},
        {"--size", 0, ZM_ARG_SIZE, o.size, 0, 0, "WxH", "pixels [the model's own]"},
        {"--frames", 0, ZM_ARG_INT, &o.frames, 1, 1 << 20, "N", "length in frames"},
        {"--seconds", 0, ZM_ARG_FLOAT, &o.seconds, 0.01, 86400, "S", "length in seconds, instead of --frames"},
        {"--fps", 0, ZM_ARG_FLOAT, &o.fps, 0.1, 240, "N", "frames per second"},
        {"--steps", 0, ZM_ARG_INT, &o.steps, 1, 1000, "N", "denoising steps"},
        {"--guidance", 0, ZM_ARG_FLOAT, &o.guidance, 0.01, 100, "G", "1: without, in half the time"},
        {"--precision", 0, ZM_ARG_STR, &o.precision, 0, 0, "NAME",
         "f32, bf16 or int8, as of generate [f32; with cuda-fp8: fp8]"},
        {"--memory", 0, ZM_ARG_STR, &o.memory, 0, 0, "SIZE", "8G, 512M ... [what is free]"},
        ZM_ARG_DEVICE(&o.device),
        {"--json", 0, ZM_ARG_FLAG, &o.json, 0, 0, NULL, "one JSON object"},
    };
    int n = zm_args_parse(argc, argv, args, sizeof args / sizeof *args, words, 0, usage, help);
    if (n < 0)
        return n == -2 ? 0 : 2;
    const zm_like *like = o.like ? zm_like_find(o.like) : NULL;
    if (o.like && !like) {
        fprintf(stderr, "zouma plan: there is no model %s; zouma plan --help lists them\n", o.like);
        return 2;
    }
    int status = zm_app_device("plan", o.device, ZM_APP_CLIPS);
    if (!status)
        status = zm_app_precision("plan", o.precision, o.device, &o.in);
    if (status)
        return status;
    zm_error err = {0};
    zm_model_config c;
    char *model = o.model ? strdup(o.model) : like ? NULL : zm_model_bundled();
    zm_status s =
        like    ? zm_like_config(&c, like, &err)
        : model ? zm_model_config_open(&c, model, &err)
                : zm_fail(&err, ZM_E_MISSING, "the bundled model is not beside the program; give one with -m DIR");
    if (!s) {
        if (!c.has_vae)
            s = zm_fail(&err, ZM_E_MISSING, "%s: no video autoencoder is there, so sizes are unknown", c.name);
        if (!s)
            s = plan(&o, &c, &err);
        zm_model_config_close(&c);
    }
    free(model);
    return s ? zm_app_report("plan", &err) : 0;
}
