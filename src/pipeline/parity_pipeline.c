/* Recompute whole pipelines through the loop that makes clips: every step by itself from the official code's own
 * latent, then the run as a whole, then the video.
 * SPDX-License-Identifier: MIT */
#include "pipeline/parity_pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"
#include "pipeline/generate.h"

/* Strict, of the fixtures' README; sigmas are compared as the f32 numbers they are. */
static const double step_tolerance = 5e-5, run_tolerance = 2e-4, vae_tolerance = 2e-5, sigma_tolerance = 1e-7;

/* One run of the fixture: what it gives, what it should come to, and what came. */
typedef struct run {
    const zm_parity_dir *d;
    zm_parity_report *report;
    zm_error *err;
    char name[64];
    char key[32]; /* "runs[0]" */
    zm_model *m;
    zm_request r;
    zm_supplied supplied;
    zm_image image;
    zm_latent_size size;
    /* Of the fixture, channels last; [steps] or [steps+1] latents one after the other. */
    float *context[2], *noise, *picture, *features, *inputs, *velocities, *latents, *last, *timesteps, *sigmas;
    float *given; /* [1,H,W,z]: the encoded picture */
    float *video, *video_raw;
    bool forced; /* each step starts from the official latent */
    volatile sig_atomic_t stop;
    zm_parity_group step, steps;
    float *got; /* [frames,H,W,3] */
    int64_t got_frames;
} run;

static void run_release(run *x)
{
    float *all[] = {x->context[0], x->context[1], x->noise,     x->picture, x->features,
                    x->inputs,     x->velocities, x->latents,   x->last,    x->timesteps,
                    x->sigmas,     x->video,      x->video_raw, x->got,     x->given};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    zm_model_close(x->m);
}

/* ---- reading ---- */

/* RUN.name; its dims must be the ones given.  Optional and absent: *out stays NULL. */
static zm_status read(run *x, float **out, const char *name, bool optional, zm_shape want)
{
    char full[128];
    zm_shape s;
    snprintf(full, sizeof full, "%s.%s", x->name, name);
    if (optional && !zm_weights_has(x->d->io, full))
        return ZM_OK;
    zm_status st = zm_parity_read(out, &s, x->d->io, x->err, "%s", full);
    bool fits = s.rank == want.rank;
    for (int i = 0; !st && fits && i < want.rank; i++)
        fits = want.dim[i] < 0 ? s.dim[i] > 0 && s.dim[i] <= -want.dim[i] : s.dim[i] == want.dim[i];
    char has[96], need[96];
    if (!st && !fits)
        st = zm_fail(x->err, ZM_E_FORMAT, "%s: %s is %s, not %s", x->d->path, full, zm_shape_text(s, has, sizeof has),
                     zm_shape_text(want, need, sizeof need));
    return st;
}

/* The same for n volumes [C,F,H,W] (or [n,C,F,H,W]), brought to channels last. */
static zm_status read_volumes(run *x, float **out, const char *name, bool optional, bool many, int64_t n,
                              const int64_t dim[4])
{
    zm_shape want = many ? ZM_SHAPE(n, dim[0], dim[1], dim[2], dim[3]) : ZM_SHAPE(dim[0], dim[1], dim[2], dim[3]);
    int64_t rest = dim[1] * dim[2] * dim[3], each = dim[0] * rest;
    float *raw = NULL;
    zm_status st = read(x, &raw, name, optional, want);
    if (st || !raw) {
        free(raw);
        return st;
    }
    n = many ? n : 1;
    if (!(*out = malloc((size_t)(n * each) * sizeof **out)))
        st = zm_fail(x->err, ZM_E_NOMEM, "%s: out of memory for %s", x->d->path, name);
    for (int64_t i = 0; !st && i < n; i++)
        zm_parity_to_last(*out + i * each, raw + i * each, dim[0], rest);
    free(raw);
    return st;
}

static zm_status read_latents(run *x)
{
    const zm_latent_size *z = &x->size;
    const int64_t dim[4] = {z->z, z->frames, z->height, z->width};
    const int64_t frames = 1 + (int64_t)(z->frames - 1) * x->m->time_stride;
    const int64_t video[4] = {3, frames, x->r.height, x->r.width};
    int steps = x->r.steps;
    zm_status st = read_volumes(x, &x->noise, "noise", false, false, 1, dim);
    if (!st)
        st = read_volumes(x, &x->inputs, "model_inputs", false, true, steps, dim);
    if (!st)
        st = read_volumes(x, &x->velocities, "v_guided", false, true, steps, dim);
    if (!st)
        st = read_volumes(x, &x->latents, "latents", false, true, steps + 1, dim);
    if (!st)
        st = read_volumes(x, &x->last, "latent_final", true, false, 1, dim);
    if (!st)
        st =
            read_volumes(x, &x->given, "image_latent", true, false, 1, (const int64_t[]){z->z, 1, z->height, z->width});
    if (!st)
        st = read_volumes(x, &x->video_raw, "video_raw", true, false, 1, video);
    if (!st)
        st = read_volumes(x, &x->video, "video", true, false, 1, video);
    if (!st)
        st = read(x, &x->timesteps, "timesteps", true, ZM_SHAPE(steps));
    if (!st)
        st = read(x, &x->sigmas, "sigmas", true, ZM_SHAPE(steps + 1));
    if (!st && !(x->got = calloc((size_t)(frames * x->r.height) * (size_t)x->r.width * 3, sizeof *x->got)))
        st = zm_fail(x->err, ZM_E_NOMEM, "%s: out of memory for a video", x->d->path);
    return st;
}

/* Contexts, and the picture in -1..1. */
static zm_status read_inputs(run *x)
{
    static const char *const names[2] = {"context", "context_null"};
    const zm_dit_config *c = &x->m->config.dit;
    char full[128];
    for (int i = 0; i < 2; i++) {
        const zm_weight *t;
        zm_status st = read(x, &x->context[i], names[i], false, ZM_SHAPE(-c->text_len, c->text_dim));
        snprintf(full, sizeof full, "%s.%s", x->name, names[i]);
        if (!st)
            st = zm_weights_find(&t, x->d->io, full, x->err);
        if (st)
            return st;
        x->supplied.context[i] = x->context[i];
        x->supplied.rows[i] = (int)t->dim[0];
    }
    snprintf(full, sizeof full, "%s.image", x->name);
    const zm_weight *t;
    if (zm_weights_has(x->d->io, full)) {
        float *raw = NULL;
        zm_status st = zm_weights_find(&t, x->d->io, full, x->err);
        if (!st)
            st = read(x, &raw, "image", false, ZM_SHAPE(3, -8192, -8192));
        int64_t cells = st ? 0 : t->dim[1] * t->dim[2];
        if (!st && !(x->picture = malloc((size_t)cells * 3 * sizeof *x->picture)))
            st = zm_fail(x->err, ZM_E_NOMEM, "%s: out of memory for %s", x->d->path, full);
        for (int64_t i = 0; !st && i < cells; i++)
            for (int k = 0; k < 3; k++)
                x->picture[i * 3 + k] = (raw[k * cells + i] - 0.5F) / 0.5F;
        free(raw);
        if (st)
            return st;
        x->image = (zm_image){.rgb = x->picture, .width = (int)t->dim[2], .height = (int)t->dim[1]};
        x->r.first = &x->image;
    }
    snprintf(full, sizeof full, "%s.clip_fea", x->name);
    if (!c->img_dim || !zm_weights_has(x->d->io, full))
        return ZM_OK;
    zm_status st = zm_weights_find(&t, x->d->io, full, x->err);
    if (!st)
        st = read(x, &x->features, "clip_fea", false,
                  t->rank == 3 ? ZM_SHAPE(1, -4096, c->img_dim) : ZM_SHAPE(-4096, c->img_dim));
    x->supplied.features = x->features;
    x->supplied.feature_rows = st ? 0 : (int)t->dim[t->rank - 2];
    return st;
}

/* runs[i].KEY as a full path beside the fixture's own directory; NULL when it is not there. */
static zm_status sibling(char **out, run *x, const char *what)
{
    char key[64];
    const char *name = NULL;
    *out = NULL;
    snprintf(key, sizeof key, "%s.%s", x->key, what);
    zm_status st = zm_json_str(&name, &x->d->config, key, false, x->err);
    if (st || !name)
        return st;
    if (!*name || *name == '.' || strchr(name, '/'))
        return zm_fail(x->err, ZM_E_FORMAT, "%s: %s is \"%s\", the name of a directory beside is needed",
                       x->d->config.file, key, name);
    *out = zm_path_join(x->d->path, "../%s", name);
    return *out ? ZM_OK : zm_fail(x->err, ZM_E_NOMEM, "%s: out of memory", x->d->path);
}

/* The transformer of a fixture directory (sizes under "model"), or an official directory. */
static zm_status transformer(zm_model_config *c, const char *dir, zm_error *err)
{
    zm_json j = {0};
    zm_weights *w = NULL;
    const zm_weight *t;
    char *config = zm_path_join(dir, "config.json");
    zm_status st =
        config ? zm_json_load(&j, config, 16 << 20, err) : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", dir);
    free(config);
    bool own = !st && zm_json_at(&j, "model");
    if (own)
        st = zm_dit_config_read(&c->dit, &j, "model", err);
    zm_json_close(&j);
    if (st || !own)
        return st ? st : zm_model_config_open(c, dir, err);
    if (!(c->dit_path = zm_path_join(dir, "weights.safetensors")))
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", dir);
    st = zm_weights_open(&w, c->dit_path, err);
    if (!st && zm_weights_has(w, "img_emb.proj.0.weight") && !zm_weights_find(&t, w, "img_emb.proj.0.weight", NULL) &&
        t->rank == 1 && t->dim[0] < 1 << 14)
        c->dit.img_dim = (int)t->dim[0];
    zm_weights_free(w);
    if (st)
        return st;
    c->family = zm_model_family_detect(&c->dit, false);
    if (!c->family)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: no model family this build knows", dir);
    c->sampling = c->family->sampling;
    c->video = c->family->video;
    return ZM_OK;
}

static zm_status autoencoder(zm_model_config *c, const char *dir, zm_error *err)
{
    zm_json j = {0};
    char *config = zm_path_join(dir, "config.json");
    free(c->vae_path);
    c->vae_path = zm_path_join(dir, "weights.safetensors");
    zm_status st = config && c->vae_path ? zm_json_load(&j, config, 16 << 20, err)
                                         : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", dir);
    if (!st)
        st = zm_vae_config_read(&c->vae, &j, "model", err);
    c->has_vae = !st;
    zm_json_close(&j);
    free(config);
    return st;
}

static zm_status open_model(run *x)
{
    zm_model_config c = {0};
    char *dit = NULL, *vae = NULL, key[64];
    zm_status st = sibling(&dit, x, "dit");
    if (!st)
        st = sibling(&vae, x, "vae");
    if (!st && !vae)
        st = zm_fail(x->err, ZM_E_MISSING, "%s: %s names no vae", x->d->config.file, x->key);
    if (!st) /* without a name: two experts in this very directory */
        st = dit ? transformer(&c, dit, x->err) : zm_model_config_open(&c, x->d->path, x->err);
    if (!st)
        st = autoencoder(&c, vae, x->err);
    snprintf(c.name, sizeof c.name, "%.*s", (int)sizeof c.name - 1, x->d->name);
    snprintf(key, sizeof key, "%s.boundary", x->key);
    if (!st && c.dit_low_path)
        st = zm_json_f64(&c.boundary, &x->d->config, key, false, 0, 1, x->err);
    if (st)
        zm_model_config_close(&c);
    else
        st = zm_model_open_config(&x->m, &c, x->err);
    free(dit);
    free(vae);
    return st;
}

static zm_status read_settings(run *x)
{
    const zm_json *j = &x->d->config;
    int64_t width, height, frames, steps;
    double guide[2] = {0, 0};
    const char *solver = NULL;
    char key[64];
    size_t n = 1;
#define KEY(name) (snprintf(key, sizeof key, "%s." name, x->key), key)
    zm_status st = zm_json_int(&width, j, KEY("width"), true, 1, 8192, x->err);
    if (!st)
        st = zm_json_int(&height, j, KEY("height"), true, 1, 8192, x->err);
    if (!st)
        st = zm_json_int(&frames, j, KEY("frames"), true, 1, 4097, x->err);
    if (!st)
        st = zm_json_int(&steps, j, KEY("steps"), true, 1, 1000, x->err);
    if (!st)
        st = zm_json_f64(&x->r.shift, j, KEY("shift"), true, 1e-3, 1000, x->err);
    if (!st)
        st = zm_json_str(&solver, j, KEY("solver"), true, x->err);
    if (!st && json_is_array(zm_json_at(j, KEY("guide"))))
        st = zm_json_f64s(guide, &n, j, KEY("guide"), true, 2, 2, 0, 100, x->err);
    else if (!st)
        st = zm_json_f64(&guide[0], j, KEY("guide"), true, 0, 100, x->err);
#undef KEY
    if (st)
        return st;
    x->r.width = (int)width;
    x->r.height = (int)height;
    x->r.frames = (int)frames;
    x->r.steps = (int)steps;
    x->r.solver = !strcmp(solver, "dpm++") ? "dpmpp" : solver;
    x->r.guidance_low = guide[0]; /* upstream's order: low noise, high noise */
    x->r.guidance = n == 2 ? guide[1] : guide[0];
    return ZM_OK;
}

/* ---- looking on ---- */

static void on_input(void *user, const zm_denoise *d, float *sample)
{
    run *x = user;
    int64_t each = x->size.each;
    if (x->forced) {
        memcpy(sample, x->inputs + d->next * each, (size_t)each * sizeof *sample);
        return;
    }
    if (d->next)
        return;
    float times[ZM_SCHEDULE_MAX_STEPS + 1], sigmas[ZM_SCHEDULE_MAX_STEPS + 1];
    for (int i = 0; i <= d->schedule.steps; i++) {
        times[i] = i < d->schedule.steps ? (float)d->schedule.timestep[i] : 0;
        sigmas[i] = (float)d->schedule.sigma[i];
    }
    char name[96];
    snprintf(name, sizeof name, "%s.timesteps", x->name);
    zm_parity_group g = {.name = name, .metric = ZM_PARITY_EXACT};
    if (x->timesteps) {
        zm_parity_add(&g, name, times, x->timesteps, (size_t)d->schedule.steps);
        zm_parity_line(x->report, x->d, &g);
    }
    snprintf(name, sizeof name, "%s.sigmas", x->name);
    if (x->sigmas)
        zm_parity_compare(x->report, x->d, name, sigmas, x->sigmas, (size_t)d->schedule.steps + 1, sigma_tolerance);
    /* The first sample: noise, with what the picture gives in place. */
    snprintf(name, sizeof name, "%s.start", x->name);
    zm_parity_compare(x->report, x->d, name, sample, x->inputs, (size_t)each, vae_tolerance);
    snprintf(name, sizeof name, "%s.image_latent", x->name);
    if (x->given)
        zm_parity_compare(x->report, x->d, name, sample, x->given, (size_t)(each / x->size.frames), vae_tolerance);
}

static void on_velocity(void *user, const zm_denoise *d, const float *v)
{
    run *x = user;
    char name[96];
    if (!x->forced)
        return;
    snprintf(name, sizeof name, "step %d", d->next);
    zm_parity_add(&x->step, name, v, x->velocities + d->next * x->size.each, (size_t)x->size.each);
    x->stop = d->next + 1 == d->schedule.steps; /* the video comes with the free run */
}

static void on_latent(void *user, const zm_denoise *d, const float *sample)
{
    run *x = user;
    char name[96];
    if (x->forced)
        return;
    snprintf(name, sizeof name, "step %d", d->next);
    zm_parity_add(&x->steps, name, sample, x->latents + (d->next + 1) * x->size.each, (size_t)x->size.each);
}

static void on_video(void *user, const float *rgb, int frames)
{
    run *x = user;
    int64_t each = (int64_t)x->r.width * x->r.height * 3;
    memcpy(x->got + x->got_frames * each, rgb, (size_t)(frames * each) * sizeof *rgb);
    x->got_frames += frames;
}

static zm_status drop_frame(void *user, const zm_frame *frame, zm_error *err)
{
    (void)user;
    (void)frame;
    (void)err;
    return ZM_OK;
}

/* ---- a run ---- */

static zm_status forced_steps(run *x, zm_generator *g, const zm_watch *watch)
{
    char name[96];
    snprintf(name, sizeof name, "%s.v_guided", x->name);
    x->step = (zm_parity_group){.name = name, .metric = ZM_PARITY_MAX_DIFF, .tolerance = step_tolerance};
    x->forced = true;
    zm_status st = zm_generate(g, &x->r, watch, x->err);
    if (st == ZM_E_INTERRUPTED && x->stop) {
        zm_error_clear(x->err);
        st = ZM_OK;
    }
    if (!st)
        zm_parity_line(x->report, x->d, &x->step);
    x->forced = false;
    x->stop = 0;
    return st;
}

static void compare_video(run *x)
{
    char name[96];
    size_t n = (size_t)(x->got_frames * x->r.width * x->r.height * 3);
    snprintf(name, sizeof name, "%s.video_raw", x->name);
    if (x->video_raw)
        zm_parity_compare(x->report, x->d, name, x->got, x->video_raw, n, run_tolerance);
    for (size_t i = 0; i < n; i++)
        x->got[i] = x->got[i] < -1 ? -1 : x->got[i] > 1 ? 1 : x->got[i];
    snprintf(name, sizeof name, "%s.video", x->name);
    if (x->video)
        zm_parity_compare(x->report, x->d, name, x->got, x->video, n, run_tolerance);
}

static zm_status free_run(run *x, zm_generator *g, const zm_watch *watch)
{
    char name[96];
    zm_latent_size size;
    snprintf(name, sizeof name, "%s.latents", x->name);
    x->steps = (zm_parity_group){.name = name, .metric = ZM_PARITY_MAX_DIFF, .tolerance = run_tolerance};
    zm_status st = zm_generate(g, &x->r, watch, x->err);
    if (st)
        return st;
    zm_parity_line(x->report, x->d, &x->steps);
    snprintf(name, sizeof name, "%s.latent_final", x->name);
    if (x->last)
        zm_parity_compare(x->report, x->d, name, zm_generator_latent(g, &size), x->last, (size_t)x->size.each,
                          run_tolerance);
    compare_video(x);
    return ZM_OK;
}

static zm_status run_one(run *x)
{
    zm_generator *g = NULL;
    zm_probe probe = {.user = x, .input = on_input, .velocity = on_velocity, .latent = on_latent, .video = on_video};
    zm_watch watch = {.user = x, .frame = drop_frame, .probe = &probe, .stop = &x->stop};
    zm_status st = open_model(x);
    if (!st)
        st = read_settings(x);
    if (!st)
        st = read_inputs(x);
    x->r.supplied = &x->supplied;
    if (!st)
        st = zm_request_resolve(&x->r, x->m, x->err);
    if (!st) {
        x->size = zm_latent_size_of(&x->r, x->m);
        st = read_latents(x);
    }
    x->supplied.noise = x->noise;
    if (!st)
        st = zm_generator_new(&g, x->m, &x->r, NULL, x->err);
    if (!st)
        st = forced_steps(x, g, &watch);
    if (!st)
        st = free_run(x, g, &watch);
    zm_generator_free(g);
    return st;
}

static bool detect(const zm_parity_dir *d)
{
    const json_t *runs = zm_json_at(&d->config, "runs");
    const char *name = NULL;
    char full[128] = "";
    if (d->io && json_array_size(runs) && !zm_json_str(&name, &d->config, "runs[0].name", false, NULL) && name)
        snprintf(full, sizeof full, "%s.model_inputs", name);
    return *full && zm_weights_has(d->io, full);
}

static zm_status run_all(const zm_parity_dir *d, zm_parity_report *r, zm_error *err)
{
    size_t n = json_array_size(zm_json_at(&d->config, "runs"));
    zm_status st = ZM_OK;
    for (size_t i = 0; !st && i < n; i++) {
        run x = {.d = d, .report = r, .err = err};
        char key[64];
        const char *name = NULL;
        snprintf(x.key, sizeof x.key, "runs[%zu]", i);
        snprintf(key, sizeof key, "%s.name", x.key);
        st = zm_json_str(&name, &d->config, key, true, err);
        if (!st) {
            snprintf(x.name, sizeof x.name, "%s", name);
            st = run_one(&x);
        }
        run_release(&x);
    }
    return st;
}

const zm_parity_kind zm_parity_pipeline = {"wan-pipeline", "whole pipelines of Wan 2.1 and 2.2", detect, run_all};
