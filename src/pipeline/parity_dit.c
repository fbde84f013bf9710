/* Recompute the transformers' fixtures: every case, sample by sample, with intermediates.
 * SPDX-License-Identifier: MIT */
#include "pipeline/parity_dit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/parity_marks.h"

static const double tolerance = 1e-5; /* strict, of the fixtures' README */

typedef struct sample {
    float *x, *context, *t, *image, *want; /* x channels last with y appended */
    zm_shape x_shape, context_shape, t_shape, image_shape, want_shape;
} sample;

static void sample_release(sample *s)
{
    free(s->x);
    free(s->context);
    free(s->t);
    free(s->image);
    free(s->want);
    *s = (sample){0};
}

/* The latent caseN.x and, where there is one, caseN.y behind it on the channel axis, as [F,H,W,C]. */
static zm_status read_latent(sample *s, const zm_parity_dir *d, const char *kase, const char *suffix, zm_error *err)
{
    float *part[2] = {NULL, NULL};
    zm_shape shape[2] = {{0}, {0}};
    char y[64];
    snprintf(y, sizeof y, "%s.y%s", kase, suffix);
    zm_status st = zm_parity_read(&part[0], &shape[0], d->io, err, "%s.x%s", kase, suffix);
    if (!st && zm_weights_has(d->io, y))
        st = zm_parity_read(&part[1], &shape[1], d->io, err, "%s", y);
    int64_t rest = 1, channels = shape[0].dim[0] + (part[1] ? shape[1].dim[0] : 0);
    bool fit = shape[0].rank == 4 && (!part[1] || shape[1].rank == 4);
    for (int i = 1; i < 4; i++) {
        rest *= shape[0].dim[i];
        fit &= !part[1] || shape[1].dim[i] == shape[0].dim[i];
    }
    if (!st && !fit)
        st = zm_fail(err, ZM_E_FORMAT, "%s: %s.x%s and y are not [C,F,H,W] of one size", d->path, kase, suffix);
    float *joined = NULL;
    if (!st && (!(joined = malloc((size_t)(rest * channels + 1) * sizeof *joined)) ||
                !(s->x = malloc((size_t)(rest * channels + 1) * sizeof *s->x))))
        st = zm_fail(err, ZM_E_NOMEM, "%s: out of memory for %s.x", d->path, kase);
    if (!st) {
        memcpy(joined, part[0], (size_t)(rest * shape[0].dim[0]) * sizeof *joined);
        if (part[1])
            memcpy(joined + rest * shape[0].dim[0], part[1], (size_t)(rest * shape[1].dim[0]) * sizeof *joined);
        zm_parity_to_last(s->x, joined, channels, rest);
        s->x_shape = shape[0];
        s->x_shape.dim[0] = channels;
    }
    free(joined);
    free(part[0]);
    free(part[1]);
    return st;
}

static zm_status read_sample(sample *s, const zm_parity_dir *d, const char *kase, const char *suffix, zm_error *err)
{
    zm_status st = read_latent(s, d, kase, suffix, err);
    if (!st)
        st = zm_parity_read(&s->context, &s->context_shape, d->io, err, "%s.context%s", kase, suffix);
    if (!st)
        st = zm_parity_read(&s->t, &s->t_shape, d->io, err, "%s.t", kase);
    if (!st)
        st = zm_parity_read(&s->want, &s->want_shape, d->io, err, "%s.out%s", kase, suffix);
    if (!st && zm_weights_has(d->io, "case0.clip_fea"))
        st = zm_parity_read(&s->image, &s->image_shape, d->io, err, "case0.clip_fea");
    return st;
}

/* One timestep per sample, or one per token where the fixture says so by its shapes. */
static zm_status fill_time(float **out, int64_t groups, const zm_dit_config *c, const sample *s, int64_t index,
                           zm_error *err)
{
    double *t = malloc((size_t)groups * sizeof *t);
    *out = malloc((size_t)groups * (size_t)c->freq_dim * sizeof **out);
    if (!t || !*out) {
        free(t);
        return zm_fail(err, ZM_E_NOMEM, "out of memory for %lld timesteps", (long long)groups);
    }
    for (int64_t i = 0; i < groups; i++)
        t[i] = (double)(s->t_shape.rank == 2 ? s->t[i] : s->t[index]);
    zm_time_sinusoid(*out, t, groups, c->freq_dim);
    free(t);
    return ZM_OK;
}

/* Check every size of the sample against the network before memory is touched. */
static zm_status check(const sample *s, const zm_dit_config *c, const zm_parity_dir *d, int64_t index, int64_t tokens,
                       zm_error *err)
{
    bool ok = s->x_shape.dim[0] == c->in_dim && s->context_shape.rank == 2 && s->context_shape.dim[0] <= c->text_len &&
              s->context_shape.dim[1] == c->text_dim && s->want_shape.rank == 4 && s->want_shape.dim[0] == c->out_dim;
    for (int i = 1; i < 4; i++)
        ok &= s->want_shape.dim[i] == s->x_shape.dim[i] && s->x_shape.dim[i] % c->patch_size[i - 1] == 0;
    ok &= s->t_shape.rank == 2 ? s->t_shape.dim[1] >= tokens : s->t_shape.rank == 1 && s->t_shape.dim[0] > index;
    ok &= !c->img_dim || (s->image && s->image_shape.rank == 3 && s->image_shape.dim[2] == c->img_dim);
    return ok ? ZM_OK : zm_fail(err, ZM_E_FORMAT, "%s: tensors do not fit the network of config.json", d->path);
}

typedef struct context {
    const zm_parity_dir *d;
    zm_parity_report *r;
    const zm_params *params;
    const zm_dit *m;
    zm_error *err;
} context;

static zm_status write_inputs(zm_exec *x, const zm_dit_inputs *in, const sample *s, const zm_dit_config *c,
                              int64_t groups, int64_t index, zm_error *err)
{
    float *time = NULL, *text = calloc((size_t)c->text_len * (size_t)c->text_dim, sizeof *text);
    zm_status st = fill_time(&time, groups, c, s, index, err);
    if (!st && !text)
        st = zm_fail(err, ZM_E_NOMEM, "out of memory for %d rows of text", c->text_len);
    if (!st) {
        memcpy(text, s->context, (size_t)zm_shape_elems(s->context_shape) * sizeof *text);
        zm_exec_write(x, in->x, s->x);
        zm_exec_write(x, in->time, time);
        zm_exec_write(x, in->context, text);
        if (in->image)
            zm_exec_write(x, in->image, s->image);
    }
    free(time);
    free(text);
    return st;
}

static zm_status compare_output(const context *c, zm_exec *x, zm_tensor *y, const sample *s, const char *name)
{
    size_t n = (size_t)zm_shape_elems(s->want_shape);
    float *last = malloc(n * sizeof *last), *got = malloc(n * sizeof *got);
    zm_status st = ZM_OK;
    if (last && got) {
        zm_exec_read(x, y, last);
        zm_parity_to_first(got, last, s->want_shape.dim[0], (int64_t)n / s->want_shape.dim[0]);
        zm_parity_compare(c->r, c->d, name, got, s->want, n, tolerance);
    } else {
        st = zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory for %s", c->d->path, name);
    }
    free(last);
    free(got);
    return st;
}

/* Does the fixture hold intermediates of this case, and are its timesteps expanded to tokens there? */
static bool has_marks(const zm_parity_dir *d, const char *kase, bool *per_token)
{
    char name[64];
    const zm_weight *t;
    snprintf(name, sizeof name, "%s.mid.time_e", kase);
    if (!zm_weights_has(d->io, name) || zm_weights_find(&t, d->io, name, NULL))
        return false;
    *per_token |= t->rank == 3;
    return true;
}

/* Sample `index` of a case's `batch`; its sequence was padded to seq_len tokens. */
static zm_status run_sample(const context *c, const char *kase, const char *suffix, int64_t index, int64_t batch,
                            int64_t seq_len)
{
    const zm_dit_config *k = zm_dit_config_of(c->m);
    sample s = {0};
    zm_status st = read_sample(&s, c->d, kase, suffix, c->err);
    if (st) {
        sample_release(&s);
        return st;
    }
    int64_t tokens = s.x_shape.dim[1] / k->patch_size[0] * (s.x_shape.dim[2] / k->patch_size[1]) *
                     (s.x_shape.dim[3] / k->patch_size[2]);
    bool per_token = s.t_shape.rank == 2, mid = has_marks(c->d, kase, &per_token);
    zm_graph *g = zm_graph_new();
    zm_parity_marks *marks = calloc(1, sizeof *marks);
    zm_exec *x = NULL;
    st = g && marks ? check(&s, k, c->d, index, tokens, c->err)
                    : zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory", c->d->path);
    if (!st) {
        zm_dit_sizes sizes = {.batch = 1,
                              .frames = s.x_shape.dim[1],
                              .height = s.x_shape.dim[2],
                              .width = s.x_shape.dim[3],
                              .groups = per_token ? tokens : 1};
        sizes.image_tokens = s.image ? s.image_shape.dim[1] : 0;
        zm_build b = zm_build_begin(g, c->params, false, false);
        zm_dit_inputs in = zm_dit_input_leaves(&b, c->m, &sizes);
        marks->g = g;
        in.mark = mid ? zm_parity_mark : NULL;
        in.user = marks;
        zm_tensor *y = zm_output(g, zm_dit_build(&b, c->m, &in));
        st = zm_parity_exec(&x, g, c->err);
        if (!st)
            st = write_inputs(x, &in, &s, k, sizes.groups, index, c->err);
        if (!st)
            st = zm_exec_run(x, c->err);
        char name[64], prefix[64], label[64];
        snprintf(name, sizeof name, "%s.out%s", kase, suffix);
        snprintf(prefix, sizeof prefix, "%s.mid.", kase);
        snprintf(label, sizeof label, "%s.mid", kase);
        zm_parity_group group = {.name = label, .metric = ZM_PARITY_MAX_DIFF, .tolerance = tolerance};
        if (!st && mid)
            st = zm_parity_marks_compare(marks, x, c->d, prefix,
                                         &(zm_parity_part){.padded = seq_len,
                                                           .batch = batch,
                                                           .sample = index,
                                                           .valid = &(int32_t){(int32_t)tokens},
                                                           .one = true},
                                         &group, c->err);
        if (!st && mid)
            zm_parity_line(c->r, c->d, &group);
        if (!st)
            st = compare_output(c, x, y, &s, name);
    }
    zm_exec_free(x);
    zm_graph_free(g);
    free(marks);
    sample_release(&s);
    return st;
}

static zm_status run_cases(const context *c)
{
    zm_status st = ZM_OK;
    size_t n = json_array_size(zm_json_at(&c->d->config, "cases"));
    for (size_t i = 0; i < n && !st; i++) {
        char kase[32], key[64], suffix[16] = "";
        int64_t batch = 1, seq_len = 0;
        snprintf(kase, sizeof kase, "case%zu", i);
        snprintf(key, sizeof key, "cases[%zu].batch", i);
        st = zm_json_int(&batch, &c->d->config, key, false, 1, 64, c->err);
        snprintf(key, sizeof key, "cases[%zu].seq_len", i);
        if (!st)
            st = zm_json_int(&seq_len, &c->d->config, key, false, 0, 1 << 24, c->err);
        if (!st && !zm_parity_has(c->d, "%s.", kase)) /* left out of a smaller copy */
            continue;
        for (int64_t k = 0; k < batch && !st; k++) {
            if (batch > 1)
                snprintf(suffix, sizeof suffix, ".%d", (int)k);
            st = run_sample(c, kase, suffix, k, batch, seq_len);
        }
    }
    return st;
}

static bool detect(const zm_parity_dir *d)
{
    const char *cls = NULL;
    return d->io && !zm_json_str(&cls, &d->config, "upstream.cls", false, NULL) && cls && !strcmp(cls, "WanModel");
}

static zm_status run(const zm_parity_dir *d, zm_parity_report *r, zm_error *err)
{
    zm_dit_config config;
    zm_weights *w = NULL;
    zm_dit *m = NULL;
    zm_params *p = zm_params_new();
    zm_status st = p ? zm_dit_config_read(&config, &d->config, "model", err)
                     : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", d->path);
    if (!st)
        st = zm_parity_open(&w, d, "weights.safetensors", err);
    const zm_weight *t;
    if (!st && zm_weights_has(w, "img_emb.proj.0.weight") &&
        !(st = zm_weights_find(&t, w, "img_emb.proj.0.weight", err)))
        config.img_dim = t->rank == 1 && t->dim[0] < 1 << 14 ? (int)t->dim[0] : 0;
    if (!st)
        st = zm_dit_declare(&m, &config, p, "", err);
    if (!st)
        st = zm_params_load(p, w, "", false, err);
    context c = {d, r, p, m, err};
    if (!st)
        st = run_cases(&c);
    zm_dit_free(m);
    zm_params_free(p);
    zm_weights_free(w);
    return st;
}

const zm_parity_kind zm_parity_dit = {"wan-dit", "Wan 2.1 and 2.2 transformers", detect, run};
