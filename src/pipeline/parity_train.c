/* Recompute the training fixtures: loss, every gradient, adapters, and AdamW traces of five steps.
 * SPDX-License-Identifier: MIT */
#include "pipeline/parity_train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"
#include "model/lora.h"
#include "pipeline/parity_marks.h"

typedef struct adamw {
    double lr, beta[2], eps, decay;
    int64_t steps;
    double **m, **v; /* by gradient */
    int n;
} adamw;

/* The fixture's data, channels last, and the network it trains. */
typedef struct context {
    const zm_parity_dir *d;
    zm_parity_report *r;
    zm_error *err;
    zm_params *params;
    zm_dit *m;
    zm_weights *weights;
    zm_shape shape; /* [B,C,F,H,W] of the latents */
    float *x_t, *target, *context, *time;
    adamw opt;
} context;

/* One differentiated graph, with or without an adapter. */
typedef struct trainer {
    zm_graph *g;
    zm_exec *x;
    zm_tensor *v, *loss;
    zm_build_grads grads;
} trainer;

static void trainer_release(trainer *t)
{
    zm_exec_free(t->x);
    zm_graph_free(t->g);
    *t = (trainer){0};
}

/* NAME of the fixture as [B,F,H,W,C]. */
static zm_status read_batch(float **out, const context *c, const char *name)
{
    float *raw = NULL;
    zm_shape s;
    zm_status st = zm_parity_read(&raw, &s, c->d->io, c->err, "%s", name);
    if (!st && (s.rank != 5 || (c->shape.rank && !zm_shape_equal(s, c->shape))))
        st = zm_fail(c->err, ZM_E_FORMAT, "%s: %s is not [B,C,F,H,W] of one size", c->d->path, name);
    size_t n = st ? 0 : (size_t)zm_shape_elems(s);
    if (!st && !(*out = malloc((n + 1) * sizeof **out)))
        st = zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory for %s", c->d->path, name);
    for (int64_t b = 0; !st && b < s.dim[0]; b++) {
        int64_t one = (int64_t)n / s.dim[0];
        zm_parity_to_last(*out + b * one, raw + b * one, s.dim[1], one / s.dim[1]);
    }
    free(raw);
    return st;
}

static zm_status read_context(context *c)
{
    const zm_dit_config *k = zm_dit_config_of(c->m);
    size_t rows = (size_t)k->text_len * (size_t)k->text_dim;
    c->context = calloc((size_t)c->shape.dim[0] * rows, sizeof *c->context);
    zm_status st = c->context ? ZM_OK : zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory", c->d->path);
    for (int64_t b = 0; b < c->shape.dim[0] && !st; b++) {
        float *one = NULL;
        zm_shape s;
        st = zm_parity_read(&one, &s, c->d->io, c->err, "context.%d", (int)b);
        if (!st && (s.rank != 2 || s.dim[0] > k->text_len || s.dim[1] != k->text_dim))
            st = zm_fail(c->err, ZM_E_FORMAT, "%s: context.%d does not fit the network", c->d->path, (int)b);
        if (!st)
            memcpy(c->context + (size_t)b * rows, one, (size_t)zm_shape_elems(s) * sizeof *one);
        free(one);
    }
    return st;
}

static zm_status read_time(context *c)
{
    const zm_dit_config *k = zm_dit_config_of(c->m);
    float *t = NULL;
    zm_shape s;
    zm_status st = zm_parity_read(&t, &s, c->d->io, c->err, "t");
    if (!st && zm_shape_elems(s) != c->shape.dim[0])
        st = zm_fail(c->err, ZM_E_FORMAT, "%s: t does not have one number for each sample", c->d->path);
    double *wide = calloc((size_t)c->shape.dim[0], sizeof *wide);
    c->time = calloc((size_t)c->shape.dim[0] * (size_t)k->freq_dim, sizeof *c->time);
    if (!st && (!wide || !c->time))
        st = zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory", c->d->path);
    for (int64_t b = 0; b < c->shape.dim[0] && !st; b++)
        wide[b] = (double)t[b];
    if (!st)
        zm_time_sinusoid(c->time, wide, c->shape.dim[0], k->freq_dim);
    free(wide);
    free(t);
    return st;
}

static zm_status read_data(context *c)
{
    const zm_weight *t;
    const zm_dit_config *k = zm_dit_config_of(c->m);
    zm_status st = read_batch(&c->x_t, c, "x_t");
    if (!st)
        st = zm_weights_find(&t, c->d->io, "x_t", c->err);
    if (st)
        return st;
    c->shape.rank = t->rank;
    for (int i = 0; i < t->rank; i++)
        c->shape.dim[i] = t->dim[i];
    if (c->shape.dim[1] != k->in_dim || k->in_dim != k->out_dim || c->shape.dim[0] > 64)
        return zm_fail(c->err, ZM_E_FORMAT, "%s: x_t does not fit the network", c->d->path);
    st = read_batch(&c->target, c, "target");
    if (!st)
        st = read_context(c);
    return st ? st : read_time(c);
}

static zm_status trainer_open(trainer *t, context *c, const zm_lora *lora)
{
    *t = (trainer){.g = zm_graph_new()};
    if (!t->g)
        return zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory", c->d->path);
    const int64_t *n = c->shape.dim;
    zm_build b = zm_build_begin(t->g, c->params, true, true);
    if (lora)
        zm_lora_attach(&b, lora);
    zm_dit_inputs in = zm_dit_input_leaves(
        &b, c->m, &(zm_dit_sizes){.batch = n[0], .frames = n[2], .height = n[3], .width = n[4], .groups = 1});
    zm_tensor *target = zm_input(t->g, ZM_F32, ZM_SHAPE(n[0], n[2], n[3], n[4], n[1]), "target");
    t->v = zm_output(t->g, zm_dit_build(&b, c->m, &in));
    t->loss = zm_output(t->g, zm_flow_loss(t->g, t->v, target, NULL));
    t->grads = zm_build_gradients(&b, t->loss);
    zm_status st = zm_parity_exec(&t->x, t->g, c->err);
    if (st)
        return st;
    zm_exec_write(t->x, in.x, c->x_t);
    zm_exec_write(t->x, in.time, c->time);
    zm_exec_write(t->x, in.context, c->context);
    zm_exec_write(t->x, target, c->target);
    return zm_exec_run(t->x, c->err);
}

static zm_status compare_loss(context *c, trainer *t, const char *v_name, const char *loss_name)
{
    float got = 0, *want = NULL, *v_want = NULL;
    size_t n = (size_t)zm_shape_elems(c->shape);
    float *v = malloc(n * sizeof *v);
    zm_status st = v ? zm_parity_read(&want, NULL, c->d->io, c->err, "%s", loss_name)
                     : zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory", c->d->path);
    if (!st)
        st = read_batch(&v_want, c, v_name);
    if (!st) {
        zm_parity_group g = {.name = loss_name, .metric = ZM_PARITY_REL, .tolerance = 1e-5};
        zm_exec_read(t->x, t->loss, &got);
        zm_exec_read(t->x, t->v, v);
        zm_parity_compare(c->r, c->d, v_name, v, v_want, n, 1e-5);
        zm_parity_add(&g, loss_name, &got, want, 1);
        zm_parity_line(c->r, c->d, &g);
    }
    free(v);
    free(want);
    free(v_want);
    return st;
}

/* Every tensor of FILE against the gradient (of = NULL) or, after training, the value of that parameter. */
static zm_status compare_file(context *c, const trainer *t, const zm_params *values, const char *file, double tolerance)
{
    zm_weights *w;
    zm_parity_group g = {.name = file, .metric = ZM_PARITY_REL_L2, .tolerance = tolerance};
    zm_status st = zm_parity_open(&w, c->d, file, c->err);
    for (size_t i = 0; !st && i < zm_weights_count(w); i++) {
        const char *name = zm_weights_at(w, i)->name;
        const zm_param *p = NULL;
        zm_tensor *grad = NULL;
        for (int k = 0; t && k < t->grads.n; k++)
            if (!strcmp(t->grads.param[k]->name, name)) {
                p = t->grads.param[k];
                grad = t->grads.grad[k];
            }
        if (!t)
            p = zm_params_find(values, name);
        float *want = NULL, *got = NULL;
        zm_shape s = {0};
        st = p ? zm_parity_read(&want, &s, w, c->err, "%s", name)
               : zm_fail(c->err, ZM_E_MISSING, "%s/%s: this build does not compute %s", c->d->path, file, name);
        size_t n = st ? 0 : (size_t)zm_shape_elems(s);
        if (!st && n != (size_t)zm_shape_elems(p->shape))
            st = zm_fail(c->err, ZM_E_SHAPE, "%s/%s: %s has another size here", c->d->path, file, name);
        if (!st && grad && !(got = malloc((n + 1) * sizeof *got)))
            st = zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory", c->d->path);
        if (!st && grad)
            zm_exec_read(t->x, grad, got);
        if (!st)
            zm_parity_add(&g, name, grad ? got : p->data, want, n);
        free(want);
        free(got);
    }
    zm_weights_free(w);
    if (!st)
        zm_parity_line(c->r, c->d, &g);
    return st;
}

static void adamw_release(adamw *o)
{
    for (int i = 0; i < o->n; i++) {
        free(o->m[i]);
        free(o->v[i]);
    }
    free(o->m);
    free(o->v);
    o->m = o->v = NULL;
    o->n = 0;
}

static zm_status adamw_begin(context *c, const trainer *t)
{
    adamw *o = &c->opt;
    o->m = calloc((size_t)t->grads.n + 1, sizeof *o->m);
    o->v = calloc((size_t)t->grads.n + 1, sizeof *o->v);
    for (int i = 0; o->m && o->v && i < t->grads.n; i++) {
        size_t n = (size_t)zm_shape_elems(t->grads.param[i]->shape);
        o->n = i + 1;
        o->m[i] = calloc(n, sizeof **o->m);
        o->v[i] = calloc(n, sizeof **o->v);
        if (!o->m[i] || !o->v[i])
            break;
        if (i == t->grads.n - 1)
            return ZM_OK;
    }
    return zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory for AdamW", c->d->path);
}

/* Decoupled decay first, then the bias-corrected step (Loshchilov & Hutter 2019, algorithm 2), in double. */
static zm_status adamw_step(context *c, const trainer *t, int step)
{
    adamw *o = &c->opt;
    double fix1 = 1 - pow(o->beta[0], step), fix2 = 1 - pow(o->beta[1], step);
    for (int k = 0; k < t->grads.n; k++) {
        float *p = t->grads.param[k]->data;
        size_t n = (size_t)zm_shape_elems(t->grads.param[k]->shape);
        float *g = malloc(n * sizeof *g);
        if (!g)
            return zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory for AdamW", c->d->path);
        zm_exec_read(t->x, t->grads.grad[k], g);
        for (size_t i = 0; i < n; i++) {
            double d = (double)g[i];
            o->m[k][i] = o->beta[0] * o->m[k][i] + (1 - o->beta[0]) * d;
            o->v[k][i] = o->beta[1] * o->v[k][i] + (1 - o->beta[1]) * d * d;
            double moved = (double)p[i] * (1 - o->lr * o->decay);
            p[i] = (float)(moved - o->lr * (o->m[k][i] / fix1) / (sqrt(o->v[k][i] / fix2) + o->eps));
        }
        free(g);
        zm_backend_changed(p);
    }
    return ZM_OK;
}

static zm_status compare_trace(context *c, trainer *t, const char *name)
{
    float *want = NULL, got[64];
    zm_shape s = {0};
    zm_status st = zm_parity_read(&want, &s, c->d->io, c->err, "%s", name);
    int64_t n = c->opt.steps;
    if (!st && zm_shape_elems(s) != n + 1)
        st = zm_fail(c->err, ZM_E_FORMAT, "%s: %s does not hold %lld losses", c->d->path, name, (long long)n + 1);
    if (!st)
        st = adamw_begin(c, t);
    for (int i = 0; i <= n && !st; i++) {
        zm_exec_read(t->x, t->loss, &got[i]);
        if (i < n)
            st = adamw_step(c, t, i + 1);
        if (!st && i < n)
            st = zm_exec_run(t->x, c->err);
    }
    if (!st) {
        zm_parity_group g = {.name = name, .metric = ZM_PARITY_REL, .tolerance = 1e-4};
        zm_parity_add(&g, name, got, want, (size_t)n + 1);
        zm_parity_line(c->r, c->d, &g);
    }
    adamw_release(&c->opt);
    free(want);
    return st;
}

static zm_status run_full(context *c)
{
    trainer t;
    zm_status st = trainer_open(&t, c, NULL);
    if (!st)
        st = compare_loss(c, &t, "v_pred", "loss");
    if (!st)
        st = compare_file(c, &t, NULL, "grads.safetensors", 1e-5);
    if (!st)
        st = compare_trace(c, &t, "adamw_full.losses");
    trainer_release(&t);
    return st;
}

static zm_status run_lora(context *c)
{
    zm_weights *w;
    zm_lora *lora = NULL;
    trainer t = {0};
    zm_status st = zm_parity_open(&w, c->d, "lora.safetensors", c->err);
    if (!st)
        st = zm_params_load(c->params, c->weights, "", true, c->err); /* the full run has moved them */
    if (!st)
        st = zm_lora_open(&lora, w, c->params, c->err);
    zm_lora_freeze(c->params, true);
    if (!st)
        st = trainer_open(&t, c, lora);
    if (!st)
        st = compare_loss(c, &t, "lora.v_pred", "lora.loss");
    if (!st)
        st = compare_file(c, &t, NULL, "lora_grads.safetensors", 1e-5);
    if (!st)
        st = compare_trace(c, &t, "adamw_lora.losses");
    if (!st)
        st = compare_file(c, NULL, lora->params, "lora_after_adamw.safetensors", 1e-4);
    trainer_release(&t);
    zm_lora_free(lora);
    zm_weights_free(w);
    return st;
}

static zm_status read_settings(context *c)
{
    const zm_json *j = &c->d->config;
    size_t n = 0;
    zm_status st = zm_json_f64(&c->opt.lr, j, "adamw.lr", true, 0, 1, c->err);
    if (!st)
        st = zm_json_f64s(c->opt.beta, &n, j, "adamw.betas", true, 2, 2, 0, 1, c->err);
    if (!st)
        st = zm_json_f64(&c->opt.eps, j, "adamw.eps", true, 0, 1, c->err);
    if (!st)
        st = zm_json_f64(&c->opt.decay, j, "adamw.weight_decay", true, 0, 1, c->err);
    return st ? st : zm_json_int(&c->opt.steps, j, "adamw.steps", true, 1, 63, c->err);
}

/* The network and weights that config.json names relative to the directory. */
static zm_status open_model(context *c)
{
    const char *weights = NULL, *model = NULL;
    zm_json j = {0};
    zm_dit_config config;
    zm_status st = zm_json_str(&weights, &c->d->config, "weights", true, c->err);
    if (!st)
        st = zm_json_str(&model, &c->d->config, "model_config", true, c->err);
    if (!st)
        st = zm_parity_open(&c->weights, c->d, weights, c->err);
    char *path = st ? NULL : zm_path_join(c->d->path, "%s", model);
    if (!st)
        st = path ? zm_json_load(&j, path, 16 << 20, c->err) : zm_fail(c->err, ZM_E_NOMEM, "out of memory");
    free(path);
    if (!st)
        st = zm_dit_config_read(&config, &j, "model", c->err);
    zm_json_close(&j);
    if (!st && !(c->params = zm_params_new()))
        st = zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory", c->d->path);
    if (!st)
        st = zm_dit_declare(&c->m, &config, c->params, "", c->err);
    return st ? st : zm_params_load(c->params, c->weights, "", true, c->err);
}

/* The noised batch from clean data: x_t = (1 - sigma) x0 + sigma noise, target = noise - x0, t = 1000 sigma. */
static zm_status compare_noising(context *c)
{
    static const char *const name[] = {"x0", "noise", "sigma", "x_t", "target", "t"};
    float *at[6] = {0};
    zm_shape s[6];
    zm_status st = ZM_OK;
    for (int i = 0; i < 6 && !st; i++)
        st = zm_parity_read(&at[i], &s[i], c->d->io, c->err, "%s", name[i]);
    int64_t n = st ? 0 : zm_shape_elems(s[0]), batch = st ? 1 : zm_shape_elems(s[2]);
    bool fits = batch > 0 && n % batch == 0;
    for (int i = 0; i < 6 && !st && fits; i++)
        fits = zm_shape_elems(s[i]) == (i == 2 || i == 5 ? batch : n);
    if (!st && !fits)
        st = zm_fail(c->err, ZM_E_FORMAT, "%s: x0, noise, sigma, x_t, target and t do not fit together", c->d->path);
    if (!st) {
        for (int64_t i = 0; i < n; i++) {
            float x0 = at[0][i], e = at[1][i], sigma = at[2][i / (n / batch)];
            at[0][i] = (1 - sigma) * x0 + sigma * e;
            at[1][i] = e - x0;
        }
        zm_parity_compare(c->r, c->d, "x_t", at[0], at[3], (size_t)n, 1e-6);
        zm_parity_compare(c->r, c->d, "target", at[1], at[4], (size_t)n, 1e-6);
        for (int64_t i = 0; i < batch; i++)
            at[2][i] *= 1000;
        zm_parity_compare(c->r, c->d, "t", at[2], at[5], (size_t)batch, 1e-3);
    }
    for (int i = 0; i < 6; i++)
        free(at[i]);
    return st;
}

static bool detect(const zm_parity_dir *d)
{
    return d->io && zm_json_at(&d->config, "adamw") && zm_json_at(&d->config, "lora") &&
           zm_weights_has(d->io, "adamw_full.losses");
}

static zm_status run(const zm_parity_dir *d, zm_parity_report *r, zm_error *err)
{
    context c = {.d = d, .r = r, .err = err};
    zm_status st = read_settings(&c);
    if (!st)
        st = open_model(&c);
    if (!st)
        st = compare_noising(&c);
    if (!st)
        st = read_data(&c);
    if (!st)
        st = run_full(&c);
    if (!st)
        st = run_lora(&c);
    zm_dit_free(c.m);
    zm_params_free(c.params);
    zm_weights_free(c.weights);
    free(c.x_t);
    free(c.target);
    free(c.context);
    free(c.time);
    return st;
}

const zm_parity_kind zm_parity_train = {"wan-train", "gradients, adapters and AdamW traces", detect, run};
