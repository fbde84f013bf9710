/* Recompute the picture encoder's fixtures: preprocessing, intermediates, features.
 * SPDX-License-Identifier: MIT */
#include "pipeline/parity_clip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/clip.h"
#include "pipeline/parity_marks.h"

static const double tolerance = 1e-5; /* strict, of the fixtures' README */

typedef struct context {
    const zm_parity_dir *d;
    zm_parity_report *r;
    const zm_params *params;
    const zm_clip *m;
    zm_error *err;
} context;

/* caseN.image [3,H,W] or [B,3,H,W] through the preprocessing: compared with caseN.pixel_values. */
static zm_status compare_pixels(const context *c, const char *kase, const float *want, int64_t batch)
{
    int size = zm_clip_config_of(c->m)->image_size;
    int64_t area = (int64_t)size * size;
    float *raw = NULL, *image = NULL, *last = NULL, *got = NULL;
    zm_shape s;
    char name[64];
    snprintf(name, sizeof name, "%s.image", kase);
    if (!zm_weights_has(c->d->io, name))
        return ZM_OK;
    zm_status st = zm_parity_read(&raw, &s, c->d->io, c->err, "%s", name);
    const int64_t *dim = s.dim + (s.rank == 4);
    if (!st && (s.rank < 3 || s.rank > 4 || dim[0] != 3 || dim[1] < 1 || dim[2] < 1 || dim[1] > 1 << 16 ||
                dim[2] > 1 << 16 || (s.rank == 4 ? s.dim[0] : 1) != batch))
        st = zm_fail(c->err, ZM_E_FORMAT, "%s: %s is not [3,H,W], a picture for each of %lld", c->d->path, name,
                     (long long)batch);
    size_t n = st ? 0 : (size_t)(dim[1] * dim[2] * 3), pixels = (size_t)area * 3;
    if (!st && (!(image = malloc((n + 1) * sizeof *image)) || !(last = malloc((pixels + 1) * sizeof *last)) ||
                !(got = malloc((pixels + 1) * sizeof *got))))
        st = zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory for %s", c->d->path, name);
    snprintf(name, sizeof name, "%s.pixel_values", kase);
    zm_parity_group g = {.name = name, .metric = ZM_PARITY_MAX_DIFF, .tolerance = tolerance};
    for (int64_t i = 0; i < batch && !st; i++) {
        zm_parity_to_last(image, raw + (size_t)i * n, 3, dim[1] * dim[2]);
        zm_clip_preprocess(last, size, image, (int)dim[1], (int)dim[2]);
        zm_parity_to_first(got, last, 3, area);
        zm_parity_add(&g, name, got, want + (size_t)i * pixels, pixels);
    }
    if (!st)
        zm_parity_line(c->r, c->d, &g);
    free(raw);
    free(image);
    free(last);
    free(got);
    return st;
}

/* The network on the official pixels, so that its lines do not depend on the preprocessing. */
static zm_status run_network(const context *c, const char *kase, const float *pixels, int64_t batch)
{
    int64_t size = zm_clip_config_of(c->m)->image_size, area = size * size;
    float *last = malloc((size_t)(batch * area * 3 + 1) * sizeof *last);
    zm_graph *g = zm_graph_new();
    zm_parity_marks *marks = calloc(1, sizeof *marks);
    zm_exec *x = NULL;
    char prefix[64];
    zm_status st = last && g && marks ? ZM_OK : zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory", c->d->path);
    if (!st) {
        for (int64_t i = 0; i < batch; i++)
            zm_parity_to_last(last + i * area * 3, pixels + i * area * 3, 3, area);
        zm_build b = zm_build_begin(g, c->params, false, false);
        marks->g = g;
        zm_tensor *in = zm_input(g, ZM_F32, ZM_SHAPE(batch, size, size, 3), "pixels");
        zm_tensor *y = zm_clip_build_marked(&b, c->m, in, zm_parity_mark, marks);
        zm_parity_mark(marks, "out", y);
        st = zm_parity_exec(&x, g, c->err);
        if (!st)
            zm_exec_write(x, in, last);
        if (!st)
            st = zm_exec_run(x, c->err);
    }
    snprintf(prefix, sizeof prefix, "%s.", kase);
    for (size_t i = 0; i < zm_weights_count(c->d->io) && !st; i++) {
        const char *full = zm_weights_at(c->d->io, i)->name, *part = full + strlen(prefix);
        if (strncmp(full, prefix, strlen(prefix)) != 0 || !strcmp(part, "image") || !strcmp(part, "pixel_values"))
            continue;
        zm_parity_group one = {.name = full, .metric = ZM_PARITY_MAX_DIFF, .tolerance = tolerance};
        st = zm_parity_mark_compare(marks, x, c->d, full, part, &(zm_parity_part){0}, &one, c->err);
        if (!st && one.n)
            zm_parity_line(c->r, c->d, &one);
    }
    zm_exec_free(x);
    zm_graph_free(g);
    free(marks);
    free(last);
    return st;
}

static zm_status run_case(const context *c, const char *kase)
{
    int64_t size = zm_clip_config_of(c->m)->image_size;
    float *pixels = NULL;
    zm_shape s;
    zm_status st = zm_parity_read(&pixels, &s, c->d->io, c->err, "%s.pixel_values", kase);
    if (!st && (s.rank != 4 || s.dim[0] < 1 || s.dim[1] != 3 || s.dim[2] != size || s.dim[3] != size))
        st = zm_fail(c->err, ZM_E_FORMAT, "%s: %s.pixel_values is not [B,3,%lld,%lld]", c->d->path, kase,
                     (long long)size, (long long)size);
    if (!st)
        st = compare_pixels(c, kase, pixels, s.dim[0]);
    if (!st)
        st = run_network(c, kase, pixels, s.dim[0]);
    free(pixels);
    return st;
}

static bool detect(const zm_parity_dir *d)
{
    const char *cls = NULL;
    return d->io && !zm_json_str(&cls, &d->config, "upstream.cls", false, NULL) && cls &&
           !strncmp(cls, "VisionTransformer", strlen("VisionTransformer"));
}

static zm_status run(const zm_parity_dir *d, zm_parity_report *r, zm_error *err)
{
    zm_clip_config config;
    zm_weights *w = NULL;
    zm_clip *m = NULL;
    zm_params *p = zm_params_new();
    zm_status st = p ? zm_clip_config_read(&config, &d->config, "model", err)
                     : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", d->path);
    if (!st)
        st = zm_parity_open(&w, d, "weights.safetensors", err);
    const char *prefix = !st && zm_weights_has(w, "patch_embedding.weight") ? "" : "visual.";
    if (!st)
        st = zm_clip_declare(&m, &config, p, prefix, err);
    if (!st)
        st = zm_params_load(p, w, "", false, err);
    context c = {d, r, p, m, err};
    for (int64_t i = 0, n = st ? 0 : zm_parity_cases(d); i < n && !st; i++) {
        char kase[32];
        snprintf(kase, sizeof kase, "case%lld", (long long)i);
        if (zm_parity_has(d, "%s.", kase))
            st = run_case(&c, kase);
    }
    zm_clip_free(m);
    zm_params_free(p);
    zm_weights_free(w);
    return st;
}

const zm_parity_kind zm_parity_clip = {"clip-vision", "CLIP picture encoder", detect, run};
