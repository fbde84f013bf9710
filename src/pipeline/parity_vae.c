/* Recompute the autoencoders' fixtures: chunk by chunk through the causal state, and the whole clip at once.
 * SPDX-License-Identifier: MIT */
#include "pipeline/parity_vae.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/vae_stream.h"

static const double tolerance = 2e-5; /* what the fixtures recommend for f32 */

typedef struct context {
    const zm_parity_dir *dir;
    zm_parity_report *report;
    zm_params *params;
    zm_vae *vae;
    zm_error *err;
} context;

/* A tensor of the fixture [C,F,H,W] as channels last. */
typedef struct volume {
    float *at;
    int64_t channels, frames, height, width;
} volume;

static size_t elems(const volume *v)
{
    return (size_t)(v->channels * v->frames * v->height * v->width);
}

static zm_status read_volume(volume *out, context *c, const char *name)
{
    zm_shape s;
    float *raw = NULL;
    *out = (volume){0};
    zm_status st = zm_parity_read(&raw, &s, c->dir->io, c->err, "%s", name);
    if (st)
        return st;
    if (s.rank != 4)
        st = zm_fail(c->err, ZM_E_FORMAT, "%s: %s has %d axes instead of 4", c->dir->path, name, s.rank);
    *out = (volume){.channels = s.dim[0], .frames = s.dim[1], .height = s.dim[2], .width = s.dim[3]};
    if (!st && !(out->at = malloc(elems(out) * sizeof *raw)))
        st = zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory for %s", c->dir->path, name);
    if (!st)
        zm_parity_to_last(out->at, raw, out->channels, out->frames * out->height * out->width);
    free(raw);
    return st;
}

/* Compare every kept module's output of the chunk just pushed. */
static zm_status compare_taps(context *c, const zm_vae_stream *s, const char *kase, int chunk, zm_parity_group *g)
{
    const zm_vae_tap *tap;
    for (int i = 0; (tap = zm_vae_stream_tap(s, i)); i++) {
        char name[160];
        volume want;
        snprintf(name, sizeof name, "%s.mid.%s.chunk%d", kase, tap->name, chunk);
        zm_status st = read_volume(&want, c, name);
        if (st)
            return st;
        float *got = zm_vae_stream_tap_read(s, i);
        if (!got)
            st = zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory for %s", c->dir->path, name);
        else if (elems(&want) != (size_t)zm_shape_elems(tap->at->shape))
            st = zm_fail(c->err, ZM_E_SHAPE, "%s: %s has %zu elements, this build computes %lld", c->dir->path, name,
                         elems(&want), (long long)zm_shape_elems(tap->at->shape));
        else
            zm_parity_add(g, name, got, want.at, elems(&want));
        free(got);
        free(want.at);
        if (st)
            return st;
    }
    return ZM_OK;
}

/* Push a clip through a fresh stream; mid: compare modules on the way. */
static zm_status chunked(context *c, const char *kase, zm_vae_direction dir, const volume *in, const volume *out,
                         float *got, bool plain, zm_parity_group *mid)
{
    const volume *video = dir == ZM_VAE_ENCODE ? in : out;
    zm_vae_stream_options o = {.raw_latent = dir == ZM_VAE_ENCODE && plain,
                               .unclamped = dir == ZM_VAE_DECODE && plain,
                               .keep_taps = mid != NULL};
    zm_vae_stream *s;
    zm_status st = zm_vae_stream_open(&s, c->vae, c->params, dir, video->height, video->width, &o, c->err);
    if (st)
        return st;
    const float *from = in->at, *end = in->at + elems(in);
    size_t in_frame = elems(in) / (size_t)in->frames, out_frame = elems(out) / (size_t)out->frames;
    for (int k = 0; !st && from < end; k++) {
        int takes = zm_vae_stream_takes(s), gives = zm_vae_stream_gives(s);
        st = zm_vae_stream_push(s, from, got, c->err);
        from += (size_t)takes * in_frame;
        got += (size_t)gives * out_frame;
        if (!st && mid)
            st = compare_taps(c, s, kase, k, mid);
    }
    zm_vae_stream_close(s);
    return st;
}

/* One pass over the whole clip: raw mean of the encoder, or unclamped video from a normalised latent. */
static zm_status whole(context *c, zm_vae_direction dir, const volume *in, float *got)
{
    zm_graph *g = zm_graph_new();
    if (!g)
        return zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory", c->dir->path);
    zm_build b = zm_build_begin(g, c->params, false, false);
    zm_tensor *x = zm_input(g, ZM_F32, ZM_SHAPE(1, in->frames, in->height, in->width, in->channels), "input");
    zm_tensor *y = dir == ZM_VAE_ENCODE ? zm_vae_build_mean(&b, c->vae, zm_vae_build_encode(&b, c->vae, x))
                                        : zm_vae_build_decode(&b, c->vae, zm_vae_build_denormalise(&b, c->vae, x));
    zm_output(g, y);
    zm_exec *exec = NULL;
    zm_status st = zm_graph_finish(g, c->err);
    if (!st)
        st = zm_exec_new(&exec, g, NULL, c->err);
    if (!st) {
        zm_exec_write(exec, x, in->at);
        st = zm_exec_run(exec, c->err);
    }
    if (!st)
        zm_exec_read(exec, y, got);
    zm_exec_free(exec);
    zm_graph_free(g);
    return st;
}

/* Sizes of the fixture against each other, so that nothing is read or written past an end. */
static bool sizes_fit(const context *c, const volume *video, const volume *latent)
{
    int64_t s = zm_vae_spatial_stride(c->vae), t = zm_vae_temporal_stride(c->vae);
    return video->channels == 3 && latent->channels == zm_vae_z_dim(c->vae) && latent->frames > 0 &&
           video->frames == 1 + t * (latent->frames - 1) && video->height == s * latent->height &&
           video->width == s * latent->width && latent->height > 0 && latent->width > 0;
}

typedef struct step {
    const char *input, *output; /* tensors of the fixture */
    zm_vae_direction direction;
    bool plain, whole;
} step;

static zm_status run_step(context *c, const char *kase, const step *t, bool has_mid)
{
    char in_name[64], out_name[64], line[80], mid_name[64];
    snprintf(in_name, sizeof in_name, "%s.%s", kase, t->input);
    snprintf(out_name, sizeof out_name, "%s.%s", kase, t->output);
    snprintf(line, sizeof line, "%s%s", out_name, t->whole ? ".whole" : "");
    snprintf(mid_name, sizeof mid_name, "%s.mid.%s", kase, t->direction == ZM_VAE_ENCODE ? "encoder" : "decoder");
    zm_parity_group mid = {.name = mid_name, .metric = ZM_PARITY_MAX_DIFF, .tolerance = tolerance};
    volume in = {0}, want = {0};
    float *got = NULL;
    bool record = has_mid && t->plain && !t->whole;
    zm_status st = read_volume(&in, c, in_name);
    if (!st)
        st = read_volume(&want, c, out_name);
    bool fit = t->direction == ZM_VAE_ENCODE ? sizes_fit(c, &in, &want) : sizes_fit(c, &want, &in);
    if (!st && !fit)
        st = zm_fail(c->err, ZM_E_FORMAT, "%s: %s and %s do not fit together", c->dir->path, in_name, out_name);
    if (!st && !(got = calloc(elems(&want), sizeof *got)))
        st = zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory for %s", c->dir->path, out_name);
    if (!st)
        st = t->whole ? whole(c, t->direction, &in, got)
                      : chunked(c, kase, t->direction, &in, &want, got, t->plain, record ? &mid : NULL);
    if (!st)
        zm_parity_compare(c->report, c->dir, line, got, want.at, elems(&want), tolerance);
    if (!st && record)
        zm_parity_line(c->report, c->dir, &mid);
    free(got);
    free(in.at);
    free(want.at);
    return st;
}

static zm_status run_cases(context *c)
{
    static const step steps[] = {
        {"video", "latent", ZM_VAE_ENCODE, false, false}, {"video", "mu_raw", ZM_VAE_ENCODE, true, false},
        {"video", "mu_raw", ZM_VAE_ENCODE, true, true},   {"z", "decoded", ZM_VAE_DECODE, false, false},
        {"z", "decoded_raw", ZM_VAE_DECODE, true, false}, {"z", "decoded_raw", ZM_VAE_DECODE, true, true},
    };
    size_t n = json_array_size(zm_json_at(&c->dir->config, "cases"));
    for (size_t i = 0; i < n; i++) {
        char kase[32], key[64];
        bool has_mid = false;
        snprintf(kase, sizeof kase, "case%zu", i);
        if (!zm_parity_has(c->dir, "%s.", kase)) /* left out of a smaller copy */
            continue;
        snprintf(key, sizeof key, "cases[%zu].has_mid", i);
        zm_status st = zm_json_bool(&has_mid, &c->dir->config, key, false, c->err);
        has_mid = has_mid && zm_parity_has(c->dir, "%s.mid.", kase);
        for (size_t k = 0; !st && k < sizeof steps / sizeof *steps; k++)
            st = run_step(c, kase, &steps[k], has_mid);
        if (st)
            return st;
    }
    return ZM_OK;
}

static bool detect(const zm_parity_dir *d)
{
    const char *cls = NULL;
    zm_error err = {0};
    return d->io && !zm_json_str(&cls, &d->config, "upstream.cls", false, &err) && cls && !strncmp(cls, "WanVAE_", 7);
}

static zm_status run(const zm_parity_dir *d, zm_parity_report *r, zm_error *err)
{
    zm_vae_config config;
    zm_weights *w = NULL;
    context c = {.dir = d, .report = r, .err = err, .params = zm_params_new()};
    zm_status st = c.params ? zm_vae_config_read(&config, &d->config, "model", err)
                            : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", d->path);
    if (!st)
        st = zm_parity_open(&w, d, "weights.safetensors", err);
    if (!st)
        st = zm_vae_declare(&c.vae, &config, c.params, "", err);
    if (!st)
        st = zm_params_load(c.params, w, "", false, err);
    if (!st)
        st = run_cases(&c);
    zm_vae_free(c.vae);
    zm_params_free(c.params);
    zm_weights_free(w);
    return st;
}

const zm_parity_kind zm_parity_vae = {"wan-vae", "Wan 2.1 and 2.2 autoencoders", detect, run};
