/* Recompute the picture transformer's fixtures: intermediates, velocities, lists of noise levels.
 * SPDX-License-Identifier: MIT */
#include "pipeline/parity_mmdit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/mmdit.h"
#include "pipeline/parity_marks.h"
#include "sample/schedule.h"

static const double tolerance = 1e-5; /* strict, of the fixtures' README */

typedef struct context {
    const zm_parity_dir *d;
    zm_parity_report *r;
    const zm_params *params;
    const zm_mmdit *m;
    zm_error *err;
} context;

typedef struct sample {
    float *x, *t, *y, *context, *want;
    zm_shape xs, ts, ys, cs, ws;
} sample;

static void sample_release(sample *s)
{
    float *all[] = {s->x, s->t, s->y, s->context, s->want};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static zm_status read_sample(sample *s, const context *c, const char *kase)
{
    const zm_mmdit_config *k = zm_mmdit_config_of(c->m);
    zm_status st = zm_parity_read(&s->x, &s->xs, c->d->io, c->err, "%s.x", kase);
    if (!st)
        st = zm_parity_read(&s->t, &s->ts, c->d->io, c->err, "%s.t", kase);
    if (!st && k->adm_in_channels)
        st = zm_parity_read(&s->y, &s->ys, c->d->io, c->err, "%s.y", kase);
    if (!st)
        st = zm_parity_read(&s->context, &s->cs, c->d->io, c->err, "%s.context", kase);
    if (!st)
        st = zm_parity_read(&s->want, &s->ws, c->d->io, c->err, "%s.out", kase);
    if (st)
        return st;
    int64_t b = s->xs.dim[0];
    bool fits = s->xs.rank == 4 && s->xs.dim[1] == k->in_channels && s->ts.rank == 1 && s->ts.dim[0] == b &&
                s->cs.rank == 3 && s->cs.dim[0] == b && (!k->context_dim || s->cs.dim[2] == k->context_dim) &&
                (!s->y || (s->ys.rank == 2 && s->ys.dim[0] == b && s->ys.dim[1] == k->adm_in_channels)) &&
                s->ws.rank == 4 && s->ws.dim[0] == b && s->ws.dim[1] == k->out_channels &&
                s->ws.dim[2] == s->xs.dim[2] && s->ws.dim[3] == s->xs.dim[3];
    return fits ? ZM_OK
                : zm_fail(c->err, ZM_E_FORMAT, "%s: tensors of %s do not fit the network of config.json", c->d->path,
                          kase);
}

static zm_status write_inputs(const context *c, zm_exec *x, const zm_mmdit_inputs *in, const sample *s)
{
    int64_t b = s->xs.dim[0], area = s->xs.dim[2] * s->xs.dim[3], ch = s->xs.dim[1];
    float *last = malloc(zm_tensor_bytes(in->x)), *time = malloc(zm_tensor_bytes(in->time));
    zm_status st = last && time ? ZM_OK : zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory", c->d->path);
    if (!st) {
        for (int64_t i = 0; i < b; i++) {
            zm_parity_to_last(last + i * area * ch, s->x + i * area * ch, ch, area);
        }
        zm_mmdit_time(time, s->t, b);
        zm_exec_write(x, in->x, last);
        zm_exec_write(x, in->time, time);
        zm_exec_write(x, in->context, s->context);
        if (in->y)
            zm_exec_write(x, in->y, s->y);
    }
    free(last);
    free(time);
    return st;
}

static zm_status compare_output(const context *c, zm_exec *x, const zm_tensor *y, const sample *s, const char *kase)
{
    char name[64];
    size_t n = (size_t)zm_shape_elems(s->ws);
    int64_t area = s->ws.dim[2] * s->ws.dim[3], each = area * s->ws.dim[1];
    float *last = malloc(n * sizeof *last), *got = malloc(n * sizeof *got);
    zm_status st = last && got ? ZM_OK : zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory", c->d->path);
    if (!st) {
        zm_exec_read(x, y, last);
        for (int64_t i = 0; i < s->ws.dim[0]; i++)
            zm_parity_to_first(got + i * each, last + i * each, s->ws.dim[1], area);
        snprintf(name, sizeof name, "%s.out", kase);
        zm_parity_compare(c->r, c->d, name, got, s->want, n, tolerance);
    }
    free(last);
    free(got);
    return st;
}

static zm_status run_case(const context *c, const char *kase)
{
    const zm_mmdit_config *k = zm_mmdit_config_of(c->m);
    sample s = {0};
    zm_graph *g = zm_graph_new();
    zm_parity_marks *marks = calloc(1, sizeof *marks);
    zm_exec *x = NULL;
    char prefix[64], label[64];
    snprintf(prefix, sizeof prefix, "%s.mid.", kase);
    snprintf(label, sizeof label, "%s.mid", kase);
    zm_parity_group group = {.name = label, .metric = ZM_PARITY_MAX_DIFF, .tolerance = tolerance};
    zm_status st = g && marks ? read_sample(&s, c, kase) : zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory", c->d->path);
    if (!st) {
        int64_t b = s.xs.dim[0];
        zm_build build = zm_build_begin(g, c->params, false, false);
        marks->g = g;
        zm_mmdit_inputs in = {
            .x = zm_input(g, ZM_F32, ZM_SHAPE(b, s.xs.dim[2], s.xs.dim[3], k->in_channels), "x"),
            .time = zm_input(g, ZM_F32, ZM_SHAPE(b, 256), "time"),
            .y = s.y ? zm_input(g, ZM_F32, ZM_SHAPE(b, k->adm_in_channels), "y") : NULL,
            .context = zm_input(g, ZM_F32, ZM_SHAPE(b, s.cs.dim[1], s.cs.dim[2]), "context"),
            .mark = zm_parity_mark,
            .user = marks,
        };
        zm_tensor *y = zm_output(g, zm_mmdit_build(&build, c->m, &in));
        st = zm_parity_exec(&x, g, c->err);
        if (!st)
            st = write_inputs(c, x, &in, &s);
        if (!st)
            st = zm_exec_run(x, c->err);
        if (!st)
            st = zm_parity_marks_compare(marks, x, c->d, prefix, &(zm_parity_part){0}, &group, c->err);
        if (!st && group.n)
            zm_parity_line(c->r, c->d, &group);
        if (!st)
            st = compare_output(c, x, y, &s, kase);
    }
    zm_exec_free(x);
    zm_graph_free(g);
    free(marks);
    sample_release(&s);
    return st;
}

/* sd3_sigmas.shiftS.stepsN against the schedule that shifts twice. */
static zm_status run_sigmas(const context *c)
{
    zm_parity_group g = {.name = "sd3_sigmas", .metric = ZM_PARITY_MAX_DIFF, .tolerance = 1.2e-7};
    zm_status st = ZM_OK;
    for (size_t i = 0; i < zm_weights_count(c->d->io) && !st; i++) {
        const char *name = zm_weights_at(c->d->io, i)->name;
        const char *at = strstr(name, ".steps");
        double shift = 0;
        int steps = 0;
        zm_schedule s;
        zm_shape shape;
        float *want = NULL, got[ZM_SCHEDULE_MAX_STEPS + 1];
        char number[32] = "";
        if (!at || sscanf(name, "sd3_sigmas.shift%31[0-9.]", number) != 1 || sscanf(at, ".steps%d", &steps) != 1)
            continue;
        shift = strtod(number, NULL); /* "3." */
        st = zm_schedule_build(&s, zm_schedule_find("diffusers"), steps, shift, c->err);
        if (st)
            return st;
        st = zm_parity_read(&want, &shape, c->d->io, c->err, "%s", name);
        if (!st && zm_shape_elems(shape) != steps + 1)
            st = zm_fail(c->err, ZM_E_FORMAT, "%s: %s does not hold %d numbers", c->d->path, name, steps + 1);
        for (int k = 0; k <= steps; k++)
            got[k] = (float)s.sigma[k];
        if (!st)
            zm_parity_add(&g, name, got, want, (size_t)steps + 1);
        free(want);
        zm_schedule_release(&s);
    }
    if (!st && g.n)
        zm_parity_line(c->r, c->d, &g);
    return st;
}

static bool detect(const zm_parity_dir *d)
{
    const char *cls = NULL;
    return d->io && !zm_json_str(&cls, &d->config, "upstream.cls", false, NULL) && cls && !strcmp(cls, "MMDiTX");
}

static zm_status run(const zm_parity_dir *d, zm_parity_report *r, zm_error *err)
{
    zm_mmdit_config config, told;
    zm_weights *w = NULL;
    zm_mmdit *m = NULL;
    zm_params *p = zm_params_new();
    zm_status st = p ? zm_mmdit_config_read(&config, &d->config, "model", err)
                     : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", d->path);
    if (!st)
        st = zm_parity_open(&w, d, "weights.safetensors", err);
    if (!st)
        st = zm_mmdit_config_detect(&told, w, "", err);
    if (!st && memcmp(&told.dual, &config.dual, sizeof told.dual) != 0)
        st = zm_fail(err, ZM_E_FORMAT, "%s: x_block_self_attn_layers are not those of the weights", d->path);
    if (!st)
        st = zm_mmdit_declare(&m, &config, p, "", err);
    if (!st)
        st = zm_params_load(p, w, "", false, err);
    context c = {d, r, p, m, err};
    for (int64_t i = 0, n = zm_parity_cases(d); i < n && !st; i++) {
        char kase[32];
        snprintf(kase, sizeof kase, "case%lld", (long long)i);
        if (zm_parity_has(d, "%s.", kase))
            st = run_case(&c, kase);
    }
    if (!st)
        st = run_sigmas(&c);
    zm_mmdit_free(m);
    zm_params_free(p);
    zm_weights_free(w);
    return st;
}

const zm_parity_kind zm_parity_mmdit = {"mmdit", "SD3-style picture transformers", detect, run};
