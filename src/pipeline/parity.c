/* Parity engine: opening fixture directories, comparing, and one line per group of tensors.
 * SPDX-License-Identifier: MIT */
#include "pipeline/parity.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"
#include "pipeline/parity_clip.h"
#include "pipeline/parity_dit.h"
#include "pipeline/parity_mmdit.h"
#include "pipeline/parity_pipeline.h"
#include "pipeline/parity_sample.h"
#include "pipeline/parity_text.h"
#include "pipeline/parity_tokenizer.h"
#include "pipeline/parity_train.h"
#include "pipeline/parity_vae.h"

const zm_parity_kind *const zm_parity_kinds[] = {
    &zm_parity_pipeline, &zm_parity_clip,  &zm_parity_dit,       &zm_parity_text,  &zm_parity_vae,
    &zm_parity_sample,   &zm_parity_train, &zm_parity_tokenizer, &zm_parity_mmdit, NULL,
};

/* The io.safetensors being recomputed and which of its tensors somebody has read. */
static _Thread_local struct {
    const zm_weights *io;
    bool *read;
} watched;

static const struct {
    const char *label;
} metrics[] = {
    [ZM_PARITY_MAX_DIFF] = {"max|diff|"},
    [ZM_PARITY_REL_L2] = {"rel-L2"},
    [ZM_PARITY_REL] = {"relative"},
    [ZM_PARITY_EXACT] = {"unequal"},
};

static double difference(zm_parity_metric metric, const float *got, const float *want, size_t n)
{
    double most = 0, diff2 = 0, want2 = 0, unequal = 0;
    for (size_t i = 0; i < n; i++) {
        double w = (double)want[i], d = fabs((double)got[i] - w);
        if (isnan(d))
            return INFINITY;
        if (metric == ZM_PARITY_REL)
            d /= fabs(w) > 1e-30 ? fabs(w) : 1e-30;
        most = d > most ? d : most;
        diff2 += d * d;
        want2 += w * w;
        unequal += d != 0 ? 1 : 0;
    }
    if (metric == ZM_PARITY_REL_L2)
        return sqrt(diff2 / (want2 > 1e-60 ? want2 : 1e-60));
    return metric == ZM_PARITY_EXACT ? unequal : most;
}

static void judge(zm_parity_group *g, const char *tensor, double d)
{
    g->n++;
    g->misses += !(d <= g->tolerance);
    if (g->n == 1 || d > g->worst) {
        g->worst = d;
        snprintf(g->worst_name, sizeof g->worst_name, "%s", tensor);
    }
}

void zm_parity_add(zm_parity_group *g, const char *tensor, const float *got, const float *want, size_t n)
{
    judge(g, tensor, difference(g->metric, got, want, n));
}

void zm_parity_add_i32(zm_parity_group *g, const char *tensor, const int32_t *got, const int32_t *want, size_t n)
{
    double unequal = 0;
    for (size_t i = 0; i < n; i++)
        unequal += got[i] != want[i];
    judge(g, tensor, unequal);
}

void zm_parity_line(zm_parity_report *r, const zm_parity_dir *d, const zm_parity_group *g)
{
    bool ok = g->n > 0 && g->misses == 0;
    char text[320], who[160] = "";
    *(ok ? &r->passed : &r->failed) += 1;
    if (!r->line)
        return;
    if (g->n > 1 && ok)
        snprintf(who, sizeof who, "  (%d tensors, worst %s)", g->n, g->worst_name);
    else if (g->n > 1)
        snprintf(who, sizeof who, "  (%d of %d tensors, worst %s)", g->misses, g->n, g->worst_name);
    else if (!g->n)
        snprintf(who, sizeof who, "  (nothing to compare)");
    snprintf(text, sizeof text, "%s %s %s  %s %.2g %s %.2g%s", ok ? "ok  " : "MISS", d->name, g->name,
             metrics[g->metric].label, g->worst, ok ? "<=" : ">", g->tolerance, who);
    r->line(r->user, text);
}

void zm_parity_compare(zm_parity_report *r, const zm_parity_dir *d, const char *tensor, const float *got,
                       const float *want, size_t n, double tolerance)
{
    zm_parity_group g = {.name = tensor, .metric = ZM_PARITY_MAX_DIFF, .tolerance = tolerance};
    zm_parity_add(&g, tensor, got, want, n);
    zm_parity_line(r, d, &g);
}

static void convert(float *out, const zm_weight *t, size_t n)
{
    const unsigned char *from = t->data;
    for (size_t i = 0; i < n; i++) {
        if (t->dtype == ZM_I64) {
            out[i] = (float)(int64_t)zm_load_u64le(from + 8 * i);
        } else if (t->dtype == ZM_I32) {
            out[i] = (float)(int32_t)zm_load_u32le(from + 4 * i);
        } else {
            double d;
            memcpy(&d, from + 8 * i, sizeof d);
            out[i] = (float)d;
        }
    }
}

zm_status zm_parity_read(float **out, zm_shape *shape, const zm_weights *w, zm_error *err, const char *name, ...)
{
    char full[256];
    va_list ap;
    va_start(ap, name);
    vsnprintf(full, sizeof full, name, ap);
    va_end(ap);
    *out = NULL;
    const zm_weight *t;
    zm_status s = zm_weights_find(&t, w, full, err);
    if (s)
        return s;
    for (size_t i = 0; w == watched.io && i < zm_weights_count(w); i++)
        watched.read[i] |= zm_weights_at(w, i) == t;
    size_t n = zm_weight_elems(t), bytes;
    bool is_float = zm_dtype_is_weight(t->dtype);
    if (!is_float && t->dtype != ZM_I64 && t->dtype != ZM_I32 && t->dtype != ZM_F64)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: %s holds %s, which is no number here", zm_weights_path(w), full,
                       zm_dtype_name(t->dtype));
    if (!zm_size_mul(&bytes, n + 1, sizeof(float)) || !(*out = malloc(bytes)))
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory for %s", zm_weights_path(w), full);
    if (is_float)
        zm_dtype_to_f32(*out, t->data, t->dtype, n);
    else
        convert(*out, t, n);
    if (shape) {
        *shape = (zm_shape){.rank = t->rank};
        for (int i = 0; i < t->rank; i++)
            shape->dim[i] = t->dim[i];
    }
    return ZM_OK;
}

int64_t zm_parity_cases(const zm_parity_dir *d)
{
    int64_t n = 0;
    for (size_t i = 0; d->io && i < zm_weights_count(d->io); i++) {
        int number = 0, at = 0;
        if (sscanf(zm_weights_at(d->io, i)->name, "case%6d.%n", &number, &at) == 1 && at && number >= n)
            n = number + 1;
    }
    return n;
}

bool zm_parity_has(const zm_parity_dir *d, const char *prefix, ...)
{
    char full[256];
    va_list ap;
    va_start(ap, prefix);
    vsnprintf(full, sizeof full, prefix, ap);
    va_end(ap);
    for (size_t i = 0; d->io && i < zm_weights_count(d->io); i++)
        if (!strncmp(zm_weights_at(d->io, i)->name, full, strlen(full)))
            return true;
    return false;
}

zm_status zm_parity_open(zm_weights **out, const zm_parity_dir *d, const char *file, zm_error *err)
{
    *out = NULL;
    char *path = zm_path_join(d->path, "%s", file);
    if (!path)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", d->path);
    zm_status s = zm_weights_open(out, path, err);
    free(path);
    return s;
}

static zm_status open_dir(zm_parity_dir *d, const char *path, zm_error *err)
{
    *d = (zm_parity_dir){.path = path};
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    size_t start = n;
    while (start > 0 && path[start - 1] != '/')
        start--;
    snprintf(d->name, sizeof d->name, "%.*s", (int)(n - start), path + start);
    char *config = zm_path_join(path, "config.json"), *io = zm_path_join(path, "io.safetensors");
    zm_status s = config && io ? zm_json_load(&d->config, config, 16 << 20, err)
                               : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    if (!s && zm_path_is_file(io))
        s = zm_weights_open(&d->io, io, err);
    free(config);
    free(io);
    return s;
}

static void report_unread(const zm_parity_dir *d, zm_parity_report *r)
{
    for (size_t i = 0; d->io && i < zm_weights_count(d->io); i++) {
        char text[384];
        if (watched.read[i])
            continue;
        r->failed++;
        snprintf(text, sizeof text, "MISS %s %s  compared with nothing", d->name, zm_weights_at(d->io, i)->name);
        if (r->line)
            r->line(r->user, text);
    }
}

zm_status zm_parity_run(const char *path, zm_parity_report *r, zm_error *err)
{
    zm_parity_dir d;
    zm_status s = open_dir(&d, path, err);
    const zm_parity_kind *const *k = zm_parity_kinds;
    while (!s && *k && !(*k)->detect(&d))
        k++;
    if (!s && !*k)
        s = zm_fail(err, ZM_E_UNSUPPORTED, "%s: not a kind of fixture this build knows", path);
    watched.io = s ? NULL : d.io;
    watched.read = calloc((d.io ? zm_weights_count(d.io) : 0) + 1, sizeof *watched.read);
    if (!s && !watched.read)
        s = zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    if (!s)
        s = (*k)->run(&d, r, err);
    if (!s)
        report_unread(&d, r);
    free(watched.read);
    watched.io = NULL;
    watched.read = NULL;
    zm_weights_free(d.io);
    zm_json_close(&d.config);
    return s;
}

void zm_parity_to_last(float *out, const float *in, int64_t channels, int64_t rest)
{
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < rest; i++)
            out[i * channels + c] = in[c * rest + i];
}

void zm_parity_to_first(float *out, const float *in, int64_t channels, int64_t rest)
{
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < rest; i++)
            out[c * rest + i] = in[i * channels + c];
}
