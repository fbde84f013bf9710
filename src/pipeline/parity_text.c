/* Recompute the text encoder's fixtures: bucket table, intermediates, outputs of real tokens.
 * SPDX-License-Identifier: MIT */
#include "pipeline/parity_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/parity_marks.h"

static const double tolerance = 1e-5; /* strict, of the fixtures' README */

typedef struct context {
    const zm_parity_dir *d;
    zm_parity_report *r;
    const zm_params *params;
    const zm_text_encoder *m;
    zm_error *err;
} context;

static zm_status compare_buckets(const context *c)
{
    const zm_text_config *k = zm_text_encoder_config(c->m);
    if (!zm_weights_has(c->d->io, "bucket.index"))
        return ZM_OK;
    float *distance = NULL, *want = NULL, *got = NULL;
    zm_shape s, t;
    zm_status st = zm_parity_read(&distance, &s, c->d->io, c->err, "bucket.rel_pos");
    if (!st)
        st = zm_parity_read(&want, &t, c->d->io, c->err, "bucket.index");
    if (!st && !zm_shape_equal(s, t))
        st = zm_fail(c->err, ZM_E_FORMAT, "%s: bucket.rel_pos and bucket.index differ in shape", c->d->path);
    size_t n = st ? 0 : (size_t)zm_shape_elems(s);
    if (!st && !(got = malloc((n + 1) * sizeof *got)))
        st = zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory", c->d->path);
    if (!st) {
        zm_parity_group g = {.name = "bucket.index", .metric = ZM_PARITY_EXACT};
        for (size_t i = 0; i < n; i++)
            got[i] = (float)zm_relative_bucket((int64_t)distance[i], k->num_buckets, k->max_distance);
        zm_parity_add(&g, "bucket.index", got, want, n);
        zm_parity_line(c->r, c->d, &g);
    }
    free(distance);
    free(want);
    free(got);
    return st;
}

/* ids and lengths of a case as the network takes them. */
static zm_status read_case(int32_t **ids, int32_t **len, zm_shape *shape, const context *c, const char *kase)
{
    float *id = NULL, *mask = NULL;
    zm_shape s = {0};
    zm_status st = zm_parity_read(&id, shape, c->d->io, c->err, "%s.ids", kase);
    if (!st)
        st = zm_parity_read(&mask, &s, c->d->io, c->err, "%s.mask", kase);
    if (!st && (shape->rank != 2 || !zm_shape_equal(s, *shape)))
        st = zm_fail(c->err, ZM_E_FORMAT, "%s: %s.ids and mask are not [B,L] of one size", c->d->path, kase);
    size_t n = st ? 0 : (size_t)zm_shape_elems(s);
    *ids = malloc((n + 1) * sizeof **ids);
    *len = calloc(n + 1, sizeof **len);
    if (!st && (!*ids || !*len))
        st = zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory for %s", c->d->path, kase);
    for (size_t i = 0; i < n && !st; i++) {
        (*ids)[i] = (int32_t)id[i];
        (*len)[i / (size_t)s.dim[1]] += mask[i] != 0;
    }
    free(id);
    free(mask);
    return st;
}

/* Rows of real tokens of caseN.out, and caseN.context.b, which is the same cut out. */
static zm_status compare_rows(const context *c, const char *kase, const float *got, zm_shape ids, const int32_t *len)
{
    float *want = NULL;
    zm_shape s;
    int64_t row = zm_text_encoder_config(c->m)->dim;
    char name[64];
    snprintf(name, sizeof name, "%s.out", kase);
    zm_parity_group g = {.name = name, .metric = ZM_PARITY_MAX_DIFF, .tolerance = tolerance};
    zm_status st = zm_parity_read(&want, &s, c->d->io, c->err, "%s", name);
    if (!st && zm_shape_elems(s) != zm_shape_elems(ids) * row)
        st = zm_fail(c->err, ZM_E_FORMAT, "%s: %s does not fit its ids", c->d->path, name);
    for (int64_t b = 0; b < ids.dim[0] && !st; b++) {
        const int64_t at = b * ids.dim[1] * row;
        size_t n = (size_t)(len[b] * row);
        zm_parity_add(&g, name, got + at, want + at, n);
        float *cut = NULL;
        st = zm_parity_read(&cut, &s, c->d->io, c->err, "%s.context.%d", kase, (int)b);
        if (!st && (size_t)zm_shape_elems(s) != n)
            st = zm_fail(c->err, ZM_E_FORMAT, "%s: %s.context.%d does not fit its mask", c->d->path, kase, (int)b);
        if (!st)
            zm_parity_add(&g, "context", got + at, cut, n);
        free(cut);
    }
    free(want);
    if (!st)
        zm_parity_line(c->r, c->d, &g);
    return st;
}

static zm_status run_case(const context *c, const char *kase)
{
    int32_t *ids = NULL, *len = NULL;
    zm_shape shape = {0};
    zm_graph *g = zm_graph_new();
    zm_parity_marks *marks = calloc(1, sizeof *marks);
    zm_exec *x = NULL;
    float *got = NULL;
    char prefix[64], label[64];
    snprintf(prefix, sizeof prefix, "%s.mid.", kase);
    snprintf(label, sizeof label, "%s.mid", kase);
    zm_parity_group group = {.name = label, .metric = ZM_PARITY_MAX_DIFF, .tolerance = tolerance};
    zm_status st = g && marks ? read_case(&ids, &len, &shape, c, kase)
                              : zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory", c->d->path);
    if (!st) {
        zm_build b = zm_build_begin(g, c->params, false, false);
        zm_text_inputs in = zm_text_input_leaves(&b, c->m, shape.dim[0], shape.dim[1]);
        marks->g = g;
        in.mark = zm_parity_mark;
        in.user = marks;
        zm_tensor *y = zm_output(g, zm_text_encoder_build(&b, c->m, &in));
        st = zm_parity_exec(&x, g, c->err);
        if (!st && !(got = malloc(zm_tensor_bytes(y))))
            st = zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory for %s", c->d->path, kase);
        if (!st) {
            zm_exec_write(x, in.ids, ids);
            zm_exec_write(x, in.len, len);
            st = zm_exec_run(x, c->err);
        }
        if (!st)
            st = zm_parity_marks_compare(marks, x, c->d, prefix,
                                         &(zm_parity_part){.padded = shape.dim[1], .batch = shape.dim[0], .valid = len},
                                         &group, c->err);
        if (!st && group.n)
            zm_parity_line(c->r, c->d, &group);
        if (!st) {
            zm_exec_read(x, y, got);
            st = compare_rows(c, kase, got, shape, len);
        }
    }
    zm_exec_free(x);
    zm_graph_free(g);
    free(marks);
    free(got);
    free(ids);
    free(len);
    return st;
}

static bool detect(const zm_parity_dir *d)
{
    const char *cls = NULL;
    return d->io && !zm_json_str(&cls, &d->config, "upstream.cls", false, NULL) && cls && !strcmp(cls, "T5Encoder");
}

static zm_status run(const zm_parity_dir *d, zm_parity_report *r, zm_error *err)
{
    zm_text_config config;
    zm_weights *w = NULL;
    zm_text_encoder *m = NULL;
    zm_params *p = zm_params_new();
    zm_status st = p ? zm_text_config_read(&config, &d->config, "model", err)
                     : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", d->path);
    if (!st)
        st = zm_parity_open(&w, d, "weights.safetensors", err);
    if (!st)
        st = zm_text_encoder_declare(&m, &config, p, "", err);
    if (!st)
        st = zm_params_load(p, w, "", false, err);
    context c = {d, r, p, m, err};
    if (!st)
        st = compare_buckets(&c);
    size_t n = st ? 0 : json_array_size(zm_json_at(&d->config, "cases"));
    for (size_t i = 0; i < n && !st; i++) {
        char kase[32];
        snprintf(kase, sizeof kase, "case%zu", i);
        st = run_case(&c, kase);
    }
    zm_text_encoder_free(m);
    zm_params_free(p);
    zm_weights_free(w);
    return st;
}

const zm_parity_kind zm_parity_text = {"umt5-encoder", "UMT5 text encoder", detect, run};
