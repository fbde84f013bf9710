/* The UMT5 encoder as a graph, and its sizes.
 * SPDX-License-Identifier: MIT */
#include "model/text_encoder.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/lora.h"
#include "ops/ops.h"

typedef struct block {
    zm_param *norm1, *norm2;
    zm_param *q, *k, *v, *o;
    zm_param *gate, *fc1, *fc2;
    zm_param *bias; /* [buckets, heads] */
} block;

struct zm_text_encoder {
    zm_text_config c;
    zm_param *embedding, *norm;
    block *blocks;
};

zm_status zm_text_config_read(zm_text_config *out, const zm_json *j, const char *key, zm_error *err)
{
    zm_text_config c = {.num_buckets = 32, .max_distance = 128, .eps = 1e-6};
    const struct row {
        const char *name;
        int *to;
        bool required;
        int lo, hi;
    } rows[] = {
        {"vocab", &c.vocab, true, 1, 1 << 24},           {"dim", &c.dim, true, 1, 1 << 16},
        {"dim_attn", &c.dim_attn, true, 1, 1 << 16},     {"dim_ffn", &c.dim_ffn, true, 1, 1 << 18},
        {"num_heads", &c.num_heads, true, 1, 1024},      {"num_layers", &c.num_layers, true, 1, 1024},
        {"num_buckets", &c.num_buckets, false, 4, 1024}, {"max_dist", &c.max_distance, false, 2, 1 << 20},
    };
    char buf[160];
    zm_status s = ZM_OK;
    for (size_t i = 0; i < sizeof rows / sizeof *rows && !s; i++) {
        int64_t v = *rows[i].to;
        snprintf(buf, sizeof buf, "%s%s%s", key, *key ? "." : "", rows[i].name);
        s = zm_json_int(&v, j, buf, rows[i].required, rows[i].lo, rows[i].hi, err);
        *rows[i].to = (int)v;
    }
    snprintf(buf, sizeof buf, "%s%seps", key, *key ? "." : "");
    if (!s)
        s = zm_json_f64(&c.eps, j, buf, false, 0, 1, err);
    snprintf(buf, sizeof buf, "%s%sshared_pos", key, *key ? "." : "");
    if (!s)
        s = zm_json_bool(&c.shared_pos, j, buf, false, err);
    if (!s && (c.dim_attn % c.num_heads || c.num_buckets % 4 || c.max_distance <= c.num_buckets / 4))
        s = zm_fail(err, ZM_E_UNSUPPORTED,
                    "%s: dim_attn %d, %d heads and %d buckets to distance %d do not fit together", j->file, c.dim_attn,
                    c.num_heads, c.num_buckets, c.max_distance);
    if (!s)
        *out = c;
    return s;
}

static const zm_weight *peek(const zm_weights *w, const char *prefix, const char *name)
{
    char full[256];
    const zm_weight *t;
    snprintf(full, sizeof full, "%s%s", prefix ? prefix : "", name);
    if (!zm_weights_has(w, full) || zm_weights_find(&t, w, full, NULL) || t->rank != 2)
        return NULL;
    return t->dim[0] < 1 || t->dim[1] < 1 || t->dim[0] > 1 << 24 || t->dim[1] > 1 << 18 ? NULL : t;
}

zm_status zm_text_config_detect(zm_text_config *out, const zm_weights *w, const char *prefix, zm_error *err)
{
    const zm_weight *table = peek(w, prefix, "token_embedding.weight"), *q, *fc1, *own, *shared;
    q = peek(w, prefix, "blocks.0.attn.q.weight");
    fc1 = peek(w, prefix, "blocks.0.ffn.fc1.weight");
    own = peek(w, prefix, "blocks.0.pos_embedding.embedding.weight");
    shared = peek(w, prefix, "pos_embedding.embedding.weight");
    if (!table || !q || !fc1 || !(own || shared))
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: not a text encoder of the UMT5 family", zm_weights_path(w));
    zm_text_config c = {.max_distance = 128, .eps = 1e-6, .shared_pos = !own};
    const zm_weight *pos = own ? own : shared;
    c.vocab = (int)table->dim[0];
    c.dim = (int)table->dim[1];
    c.dim_attn = (int)q->dim[0];
    c.dim_ffn = (int)fc1->dim[0];
    c.num_buckets = (int)pos->dim[0];
    c.num_heads = (int)pos->dim[1];
    char name[64];
    do
        snprintf(name, sizeof name, "blocks.%d.ffn.fc1.weight", ++c.num_layers);
    while (c.num_layers < 1024 && peek(w, prefix, name));
    if (c.dim_attn % c.num_heads || c.num_buckets % 4 || c.num_buckets > 256)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: %d heads and %d buckets do not fit a width of %d",
                       zm_weights_path(w), c.num_heads, c.num_buckets, c.dim_attn);
    *out = c;
    return ZM_OK;
}

char *zm_text_config_json(const zm_text_config *c)
{
    size_t cap = 512;
    char *text = malloc(cap);
    if (text)
        snprintf(
            text, cap,
            "{\"vocab\": %d, \"dim\": %d, \"dim_attn\": %d, \"dim_ffn\": %d, \"num_heads\": %d, \"num_layers\": %d, "
            "\"num_buckets\": %d, \"max_dist\": %d, \"shared_pos\": %s, \"eps\": %.9g}",
            c->vocab, c->dim, c->dim_attn, c->dim_ffn, c->num_heads, c->num_layers, c->num_buckets, c->max_distance,
            c->shared_pos ? "true" : "false", c->eps);
    return text;
}

/* Draws are the official ones, so that unscaled attention starts flat. */
static zm_param *matrix(zm_params *p, int64_t out, int64_t in, double std, const char *prefix, int i, const char *name)
{
    zm_param *m = zm_params_add(p, ZM_SHAPE(out, in), ZM_INIT_NORMAL, true, "%sblocks.%d.%s.weight", prefix, i, name);
    m->scale = (float)std;
    return m;
}

static block add_block(zm_params *p, const zm_text_config *c, const char *prefix, int i)
{
    block b = {0};
    double in = 1 / sqrt(c->dim), heads_in = 1 / sqrt(c->dim_attn), inner = 1 / sqrt(c->dim_ffn);
    b.norm1 = zm_params_add(p, ZM_SHAPE(c->dim), ZM_INIT_ONES, false, "%sblocks.%d.norm1.weight", prefix, i);
    b.norm2 = zm_params_add(p, ZM_SHAPE(c->dim), ZM_INIT_ONES, false, "%sblocks.%d.norm2.weight", prefix, i);
    b.q = matrix(p, c->dim_attn, c->dim, in * heads_in, prefix, i, "attn.q");
    b.k = matrix(p, c->dim_attn, c->dim, in, prefix, i, "attn.k");
    b.v = matrix(p, c->dim_attn, c->dim, in, prefix, i, "attn.v");
    b.o = matrix(p, c->dim, c->dim_attn, heads_in, prefix, i, "attn.o");
    b.gate = matrix(p, c->dim_ffn, c->dim, in, prefix, i, "ffn.gate.0");
    b.fc1 = matrix(p, c->dim_ffn, c->dim, in, prefix, i, "ffn.fc1");
    b.fc2 = matrix(p, c->dim, c->dim_ffn, inner, prefix, i, "ffn.fc2");
    if (!c->shared_pos) {
        b.bias = zm_params_add(p, ZM_SHAPE(c->num_buckets, c->num_heads), ZM_INIT_NORMAL, false,
                               "%sblocks.%d.pos_embedding.embedding.weight", prefix, i);
        b.bias->scale = (float)(1 / sqrt(2.0 * c->num_buckets * c->num_heads));
    }
    return b;
}

zm_status zm_text_encoder_declare(zm_text_encoder **out, const zm_text_config *c, zm_params *params, const char *prefix,
                                  zm_error *err)
{
    *out = NULL;
    if (c->vocab < 1 || c->dim < 1 || c->dim_ffn < 1 || c->num_heads < 1 || c->dim_attn < 1 ||
        c->dim_attn % c->num_heads || c->num_layers < 1 || c->num_buckets < 4 || c->num_buckets % 4 ||
        c->max_distance <= c->num_buckets / 4)
        return zm_fail(err, ZM_E_UNSUPPORTED, "a text encoder of width %d with %d heads and %d layers is not possible",
                       c->dim_attn, c->num_heads, c->num_layers);
    zm_text_encoder *m = calloc(1, sizeof *m);
    if (m)
        m->blocks = calloc((size_t)c->num_layers, sizeof *m->blocks);
    if (!m || !m->blocks) {
        zm_text_encoder_free(m);
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a text encoder of %d layers", c->num_layers);
    }
    m->c = *c;
    if (!prefix)
        prefix = "";
    m->embedding =
        zm_params_add(params, ZM_SHAPE(c->vocab, c->dim), ZM_INIT_NORMAL, true, "%stoken_embedding.weight", prefix);
    zm_param *shared = NULL;
    if (c->shared_pos) {
        shared = zm_params_add(params, ZM_SHAPE(c->num_buckets, c->num_heads), ZM_INIT_NORMAL, false,
                               "%spos_embedding.embedding.weight", prefix);
        shared->scale = (float)(1 / sqrt(2.0 * c->num_buckets * c->num_heads));
    }
    for (int i = 0; i < c->num_layers; i++) {
        m->blocks[i] = add_block(params, c, prefix, i);
        if (shared)
            m->blocks[i].bias = shared;
    }
    m->norm = zm_params_add(params, ZM_SHAPE(c->dim), ZM_INIT_ONES, false, "%snorm.weight", prefix);
    *out = m;
    return ZM_OK;
}

void zm_text_encoder_free(zm_text_encoder *m)
{
    if (!m)
        return;
    free(m->blocks);
    free(m);
}

const zm_text_config *zm_text_encoder_config(const zm_text_encoder *m)
{
    return &m->c;
}

zm_text_inputs zm_text_input_leaves(zm_build *b, const zm_text_encoder *m, int64_t batch, int64_t len)
{
    zm_text_inputs in = {0};
    in.ids = zm_input(b->g, ZM_I32, ZM_SHAPE(batch, len), "ids");
    in.len = zm_input(b->g, ZM_I32, ZM_SHAPE(batch), "len");
    in.buckets = in.ids;
    size_t cells;
    int32_t *table = NULL;
    if (len > 0 && zm_size_mul(&cells, (size_t)len, (size_t)len))
        table = zm_arena_array(zm_graph_arena(b->g), cells, sizeof *table);
    if (!table) {
        in.buckets = zm_graph_fail(b->g, ZM_E_NOMEM, "out of memory for the buckets of %lld tokens", (long long)len);
        return in;
    }
    zm_relative_buckets(table, len, m->c.num_buckets, m->c.max_distance);
    in.buckets = zm_external(b->g, ZM_I32, ZM_SHAPE(len, len), table, "buckets");
    return in;
}

typedef struct forward {
    zm_build *b;
    zm_graph *g;
    const zm_text_config *c;
    const zm_text_inputs *in;
} forward;

static void mark(const forward *f, zm_tensor *t, const char *fmt, ...) ZM_PRINTF(3, 4);
static void mark(const forward *f, zm_tensor *t, const char *fmt, ...)
{
    if (!f->in->mark || zm_graph_failed(f->g))
        return;
    char name[64];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    f->in->mark(f->in->user, name, t);
}

static zm_tensor *linear(const forward *f, zm_tensor *x, const zm_param *w, zm_unary_kind act)
{
    return zm_lora_linear(f->b, x, w, NULL, act);
}

static zm_tensor *rms(const forward *f, zm_tensor *x, const zm_param *w)
{
    return zm_norm(f->g, ZM_NORM_RMS, x, zm_use(f->b, w), NULL, f->c->eps);
}

static zm_tensor *heads(const forward *f, zm_tensor *x)
{
    return zm_reshape(f->g, x, ZM_SHAPE(zm_dim(x, 0), zm_dim(x, 1), f->c->num_heads, f->c->dim_attn / f->c->num_heads));
}

/* Scores are not scaled: the checkpoints were drawn so. */
static zm_tensor *attention(const forward *f, const block *k, zm_tensor *x, int i)
{
    zm_tensor *bias = zm_embedding(f->g, zm_use(f->b, k->bias), f->in->buckets); /* [L,L,heads] */
    bias = zm_permute(f->g, bias, (const int[]){2, 0, 1});
    mark(f, bias, "block%d.pos_bias", i);
    zm_tensor *q = heads(f, linear(f, x, k->q, ZM_IDENTITY)), *key = heads(f, linear(f, x, k->k, ZM_IDENTITY));
    zm_tensor *v = heads(f, linear(f, x, k->v, ZM_IDENTITY));
    zm_tensor *y = zm_attention(f->g, q, key, v, bias, f->in->len, 1);
    y = zm_reshape(f->g, y, ZM_SHAPE(zm_dim(x, 0), zm_dim(x, 1), f->c->dim_attn));
    return linear(f, y, k->o, ZM_IDENTITY);
}

static zm_tensor *build_block(const forward *f, const block *k, zm_tensor *x, int i)
{
    if (f->b->checkpoint)
        zm_segment_begin(f->g);
    zm_tensor *h = rms(f, x, k->norm1);
    mark(f, h, "block%d.norm1", i);
    h = attention(f, k, h, i);
    mark(f, h, "block%d.attn", i);
    x = zm_add(f->g, x, h);
    h = rms(f, x, k->norm2);
    mark(f, h, "block%d.norm2", i);
    h = zm_mul(f->g, linear(f, h, k->fc1, ZM_IDENTITY), linear(f, h, k->gate, ZM_GELU_TANH));
    h = linear(f, h, k->fc2, ZM_IDENTITY);
    mark(f, h, "block%d.ffn", i);
    x = zm_add(f->g, x, h);
    if (f->b->checkpoint)
        zm_segment_end(f->g);
    mark(f, x, "block%d", i);
    return x;
}

zm_tensor *zm_text_encoder_build(zm_build *b, const zm_text_encoder *m, const zm_text_inputs *in)
{
    forward f = {b, b->g, &m->c, in};
    zm_tensor *x = zm_use_rows(b, m->embedding, in->ids);
    mark(&f, x, "token_embedding");
    for (int i = 0; i < m->c.num_layers; i++)
        x = build_block(&f, &m->blocks[i], x, i);
    return rms(&f, x, m->norm);
}
