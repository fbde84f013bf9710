/* What the tiers of --quality and the precisions cost and save.
 * SPDX-License-Identifier: MIT */
#include "app/bench_quality.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "pipeline/generate.h"

enum { STEPS = 50 };

static const char *const prompts[] = {
    "a red ball bounces on the grass",    "a panda jumps over two blue boxes at night",
    "a yellow cone rolls on the sand",    "a green cube and a red ball collide on the snow",
    "a purple rabbit falls on the grass", "三个蓝色的盒子",
};
enum { CLIPS = sizeof prompts / sizeof *prompts };

typedef struct clips {
    uint8_t *best; /* frames of all clips by "best" */
    size_t frame, used;
    bool keep; /* this pass fills `best`; else it is compared with */
    double error;
    int evaluated, steps;
} clips;

static zm_status on_frame(void *user, const zm_frame *f, zm_error *err)
{
    clips *c = user;
    (void)err;
    uint8_t *at = c->best + c->used;
    c->used += c->frame;
    if (c->keep) {
        memcpy(at, f->rgb, c->frame);
        return ZM_OK;
    }
    for (size_t i = 0; i < c->frame; i++) {
        double d = (double)f->rgb[i] - at[i];
        c->error += d * d;
    }
    return ZM_OK;
}

static zm_status run_tier(zm_generator *g, zm_request *r, clips *c, double *seconds, zm_error *err)
{
    zm_status s = ZM_OK;
    c->used = 0;
    c->error = 0;
    double start = zm_now();
    for (int i = 0; !s && i < CLIPS; i++) {
        r->prompt = prompts[i];
        r->seed = (uint64_t)i + 1;
        s = zm_generate(g, r, &(zm_watch){.user = c, .frame = on_frame}, err);
        c->evaluated += r->steps - zm_generator_left_out(g);
        c->steps += r->steps;
    }
    *seconds = (zm_now() - start) / CLIPS;
    return s;
}

static double psnr_of(const clips *c, size_t all)
{
    return 10 * log10(255.0 * 255.0 * (double)all / fmax(c->error, 1e-9));
}

/* What a tier has to beat: the same number of evaluations spent on fewer, even steps. */
static zm_status run_fewer(zm_bench *b, zm_model *m, const zm_request *r, clips *c, int steps, double best,
                           zm_error *err)
{
    zm_generator *g = NULL;
    zm_request fewer = *r;
    char shape[112];
    double seconds;
    fewer.steps = steps;
    fewer.quality = zm_qualities[0].name;
    zm_status s = zm_generator_new(&g, m, &fewer, NULL, err);
    if (!s)
        s = run_tier(g, &fewer, c, &seconds, err);
    if (!s) {
        snprintf(shape, sizeof shape, "(%s in %d even steps, %.2fx, PSNR %.1f dB)", fewer.quality, steps,
                 best / seconds, psnr_of(c, c->used));
        zm_bench_keep(b, "quality", "f32", seconds, 0, shape);
    }
    zm_generator_free(g);
    return s;
}

static zm_status run_tiers(zm_bench *b, zm_model *m, zm_generator *g, zm_request *r, clips *c, double *best,
                           zm_error *err)
{
    double seconds;
    zm_status s = run_tier(g, r, c, &seconds, err); /* once beforehand */
    for (size_t i = 0; !s && i < zm_quality_count; i++) {
        if (zm_qualities[i].adapter) /* run_fast's */
            continue;
        char shape[112], psnr[32] = "";
        c->keep = i == 0;
        c->evaluated = c->steps = 0;
        r->quality = zm_qualities[i].name;
        s = run_tier(g, r, c, &seconds, err);
        *best = i ? *best : seconds;
        int evaluations = (c->evaluated + CLIPS / 2) / CLIPS;
        if (i)
            snprintf(psnr, sizeof psnr, ", PSNR %.1f dB", psnr_of(c, c->used));
        snprintf(shape, sizeof shape, "%s: %d steps, %.0f %% evaluated, %.2fx%s", r->quality, r->steps,
                 100.0 * c->evaluated / fmax(c->steps, 1), *best / seconds, psnr);
        if (!s)
            zm_bench_keep(b, "quality", "f32", seconds, 0, shape);
        if (!s && i)
            s = run_fewer(b, m, r, c, evaluations, *best, err);
    }
    return s;
}

/* The same clips with numbers of 8 or 16 bits where f32 was, against those of "best". */
static zm_status run_coarse(zm_bench *b, zm_model *m, zm_request *r, clips *c, double best, zm_precision p,
                            zm_error *err)
{
    zm_generator *g = NULL;
    char shape[112];
    double seconds;
    r->quality = zm_qualities[0].name;
    r->precision = p;
    c->keep = false;
    zm_status s = zm_generator_new(&g, m, r, NULL, err);
    for (int pass = 0; !s && pass < 2; pass++) /* once beforehand */
        s = run_tier(g, r, c, &seconds, err);
    if (!s) {
        snprintf(shape, sizeof shape, "%s, %s: %d steps, %.2fx, PSNR %.1f dB", r->quality, zm_precision_name(p),
                 r->steps, best / seconds, psnr_of(c, c->used));
        zm_bench_keep(b, "quality", zm_precision_name(p), seconds, 0, shape);
    }
    zm_generator_free(g);
    return s;
}

/* The same clips in few steps, where the model was taught them: another path through noise, so PSNR only says how far. */
static zm_status run_fast(zm_bench *b, clips *c, double best, zm_error *err)
{
    zm_model *m;
    zm_generator *g = NULL;
    zm_request r = {.prompt = prompts[0], .quality = "fast"};
    double seconds;
    zm_status s = zm_model_open(&m, b->model, err);
    if (s)
        return s;
    if (!m->config.fast.adapter) {
        zm_model_close(m);
        return ZM_OK;
    }
    c->keep = false;
    s = zm_request_resolve(&r, m, err);
    if (!s)
        s = zm_generator_new(&g, m, &r, NULL, err);
    for (int pass = 0; !s && pass < 2; pass++) /* once beforehand */
        s = run_tier(g, &r, c, &seconds, err);
    if (!s) {
        char shape[112];
        snprintf(shape, sizeof shape, "%s: %d steps, guidance %g, %.2fx, PSNR %.1f dB", r.quality, r.steps, r.guidance,
                 best / seconds, psnr_of(c, c->used));
        zm_bench_keep(b, "quality", "f32", seconds, 0, shape);
    }
    zm_generator_free(g);
    zm_model_close(m);
    return s;
}

static zm_status run_all(zm_bench *b, zm_model *m, zm_request *r, zm_error *err)
{
    zm_generator *g = NULL;
    double best = 0;
    clips c = {.frame = (size_t)r->width * (size_t)r->height * 3};
    zm_status s = zm_generator_new(&g, m, r, NULL, err);
    if (!s && !(c.best = malloc(c.frame * (size_t)r->frames * CLIPS)))
        s = zm_fail(err, ZM_E_NOMEM, "no memory for %d clips", CLIPS);
    if (!s)
        s = run_tiers(b, m, g, r, &c, &best, err);
    zm_generator_free(g);
    for (int p = ZM_PRECISION_F32 + 1; !s && p < ZM_PRECISION_COUNT; p++)
        if (zm_bench_wants(b, (zm_precision)p))
            s = run_coarse(b, m, r, &c, best, (zm_precision)p, err);
    if (!s)
        s = run_fast(b, &c, best, err);
    free(c.best);
    return s;
}

zm_status zm_bench_quality(zm_bench *b, zm_error *err)
{
    zm_model *m;
    zm_request r = {.prompt = prompts[0], .steps = STEPS};
    if (!b->model)
        return zm_fail(err, ZM_E_MISSING, "the bundled model is not beside the program");
    zm_status s = zm_model_open(&m, b->model, err);
    if (s)
        return s;
    s = zm_request_resolve(&r, m, err);
    if (!s)
        s = run_all(b, m, &r, err);
    zm_model_close(m);
    return s;
}
