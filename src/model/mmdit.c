/* The multimodal diffusion transformer as a graph.
 * SPDX-License-Identifier: MIT */
#include "model/mmdit.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/lora.h"
#include "ops/ops.h"

enum { HEAD = 64, TIME = 256 };
static const double EPS = 1e-6;

typedef struct linear {
    zm_param *w, *b;
} linear;

typedef struct attention {
    linear qkv, proj;
    zm_param *ln_q, *ln_k;
} attention;

/* One side of a joint block. */
typedef struct side {
    attention attn, attn2;
    linear fc1, fc2, modulation;
    int chunks; /* of the modulation: 2 (only attended to), 6, or 9 (with a second attention) */
} side;

typedef struct block {
    side context, x;
} block;

struct zm_mmdit {
    zm_mmdit_config c;
    zm_param *pos_embed;
    linear x_embedder, t0, t2, y0, y2, context_embedder, final_modulation, final;
    block *blocks;
};

/* Declaring. */

typedef struct declare {
    zm_params *p;
    const char *prefix;
} declare;

static linear add(const declare *d, int64_t out, int64_t in, bool bias, const char *fmt, ...) ZM_PRINTF(5, 6);
static linear add(const declare *d, int64_t out, int64_t in, bool bias, const char *fmt, ...)
{
    char name[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    linear l = {zm_params_add(d->p, ZM_SHAPE(out, in), ZM_INIT_XAVIER, true, "%s%s.weight", d->prefix, name), NULL};
    if (bias)
        l.b = zm_params_add(d->p, ZM_SHAPE(out), ZM_INIT_ZEROS, false, "%s%s.bias", d->prefix, name);
    return l;
}

static attention add_attention(const declare *d, const zm_mmdit_config *c, bool project, const char *name)
{
    int64_t w = (int64_t)HEAD * c->depth;
    attention a = {.qkv = add(d, 3 * w, w, c->qkv_bias, "%s.qkv", name)};
    if (project)
        a.proj = add(d, w, w, true, "%s.proj", name);
    if (c->qk_norm) {
        a.ln_q = zm_params_add(d->p, ZM_SHAPE(HEAD), ZM_INIT_ONES, false, "%s%s.ln_q.weight", d->prefix, name);
        a.ln_k = zm_params_add(d->p, ZM_SHAPE(HEAD), ZM_INIT_ONES, false, "%s%s.ln_k.weight", d->prefix, name);
    }
    return a;
}

static side add_side(const declare *d, const zm_mmdit_config *c, int i, const char *which, int chunks)
{
    char name[96];
    int64_t w = (int64_t)HEAD * c->depth, wide = (int64_t)((double)w * c->mlp_ratio);
    side s = {.chunks = chunks};
    snprintf(name, sizeof name, "joint_blocks.%d.%s.attn", i, which);
    s.attn = add_attention(d, c, chunks > 2, name);
    snprintf(name, sizeof name, "joint_blocks.%d.%s.attn2", i, which);
    if (chunks == 9)
        s.attn2 = add_attention(d, c, true, name);
    if (chunks > 2) {
        s.fc1 = add(d, wide, w, true, "joint_blocks.%d.%s.mlp.fc1", i, which);
        s.fc2 = add(d, w, wide, true, "joint_blocks.%d.%s.mlp.fc2", i, which);
    }
    s.modulation = add(d, chunks * w, w, true, "joint_blocks.%d.%s.adaLN_modulation.1", i, which);
    return s;
}

zm_status zm_mmdit_declare(zm_mmdit **out, const zm_mmdit_config *c, zm_params *params, const char *prefix,
                           zm_error *err)
{
    *out = NULL;
    if (c->depth < 1 || c->depth > ZM_MMDIT_BLOCKS_MAX || c->patch_size < 1 || c->in_channels < 1 ||
        c->out_channels < 1 || c->pos_embed_max_size < 1 || c->mlp_ratio <= 0)
        return zm_fail(err, ZM_E_UNSUPPORTED, "a picture transformer of depth %d with patches of %d is not possible",
                       c->depth, c->patch_size);
    zm_mmdit *m = calloc(1, sizeof *m);
    if (m)
        m->blocks = calloc((size_t)c->depth, sizeof *m->blocks);
    if (!m || !m->blocks) {
        zm_mmdit_free(m);
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a transformer of %d layers", c->depth);
    }
    m->c = *c;
    declare d = {params, prefix ? prefix : ""};
    int64_t w = (int64_t)HEAD * c->depth, p = c->patch_size, cells = c->pos_embed_max_size;
    m->pos_embed = zm_params_add(params, ZM_SHAPE(1, cells * cells, w), ZM_INIT_NORMAL, false, "%spos_embed", d.prefix);
    m->x_embedder.w = zm_params_add(params, ZM_SHAPE(w, c->in_channels, p, p), ZM_INIT_XAVIER, false,
                                    "%sx_embedder.proj.weight", d.prefix);
    m->x_embedder.b = zm_params_add(params, ZM_SHAPE(w), ZM_INIT_ZEROS, false, "%sx_embedder.proj.bias", d.prefix);
    m->t0 = add(&d, w, TIME, true, "t_embedder.mlp.0");
    m->t2 = add(&d, w, w, true, "t_embedder.mlp.2");
    if (c->adm_in_channels) {
        m->y0 = add(&d, w, c->adm_in_channels, true, "y_embedder.mlp.0");
        m->y2 = add(&d, w, w, true, "y_embedder.mlp.2");
    }
    if (c->context_dim)
        m->context_embedder = add(&d, w, c->context_dim, true, "context_embedder");
    for (int i = 0; i < c->depth; i++) {
        m->blocks[i].context = add_side(&d, c, i, "context_block", i == c->depth - 1 ? 2 : 6);
        m->blocks[i].x = add_side(&d, c, i, "x_block", c->dual[i] ? 9 : 6);
    }
    m->final = add(&d, p * p * c->out_channels, w, true, "final_layer.linear");
    m->final_modulation = add(&d, 2 * w, w, true, "final_layer.adaLN_modulation.1");
    *out = m;
    return ZM_OK;
}

void zm_mmdit_free(zm_mmdit *m)
{
    if (!m)
        return;
    free(m->blocks);
    free(m);
}

const zm_mmdit_config *zm_mmdit_config_of(const zm_mmdit *m)
{
    return &m->c;
}

void zm_mmdit_time(float *out, const float *t, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < TIME / 2; k++) {
            float f = expf(-logf(10000) * (float)k / (TIME / 2)), angle = t[i] * f;
            out[i * TIME + k] = cosf(angle);
            out[i * TIME + TIME / 2 + k] = sinf(angle);
        }
}

/* Building. */

typedef struct forward {
    zm_build *b;
    zm_graph *g;
    const zm_mmdit *m;
    const zm_mmdit_inputs *in;
    int64_t batch, width; /* B, D */
    zm_tensor *c;         /* silu of the conditioning [B,D] */
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

static zm_tensor *apply(const forward *f, zm_tensor *x, const linear *l, zm_unary_kind act)
{
    return zm_lora_linear(f->b, x, l->w, l->b, act);
}

/* The conditioning through a modulation's linear, as [chunks,B,D]. */
static zm_tensor *modulation(const forward *f, const linear *l, int chunks)
{
    zm_tensor *e = apply(f, f->c, l, ZM_IDENTITY);
    return zm_permute(f->g, zm_reshape(f->g, e, ZM_SHAPE(f->batch, chunks, f->width)), (const int[]){1, 0, 2});
}

static zm_tensor *chunk(const forward *f, zm_tensor *e, int i)
{
    return zm_view(f->g, e, i * f->batch * f->width, ZM_SHAPE(f->batch, f->width));
}

/* Normalised x, scaled by chunk i + 1 and moved by chunk i. */
static zm_tensor *modulate(const forward *f, zm_tensor *x, zm_tensor *e, int i)
{
    return zm_norm_modulate(f->g, ZM_NORM_LAYER, x, chunk(f, e, i + 1), chunk(f, e, i), EPS);
}

/* q, k, v [B,L,heads,64] of x [B,L,D]. */
static void split(const forward *f, const attention *a, zm_tensor *x, zm_tensor **qkv)
{
    int64_t rows = zm_dim(x, 1);
    zm_tensor *all = apply(f, x, &a->qkv, ZM_IDENTITY);
    for (int i = 0; i < 3; i++) {
        qkv[i] = zm_slice(f->g, all, 2, i * f->width, f->width);
        qkv[i] = zm_reshape(f->g, qkv[i], ZM_SHAPE(f->batch, rows, f->width / HEAD, HEAD));
    }
    if (a->ln_q) {
        qkv[0] = zm_norm(f->g, ZM_NORM_RMS, qkv[0], zm_use(f->b, a->ln_q), NULL, EPS);
        qkv[1] = zm_norm(f->g, ZM_NORM_RMS, qkv[1], zm_use(f->b, a->ln_k), NULL, EPS);
    }
}

static zm_tensor *attend(const forward *f, zm_tensor *const *qkv)
{
    zm_tensor *y = zm_attention(f->g, qkv[0], qkv[1], qkv[2], NULL, NULL, 0);
    return zm_reshape(f->g, y, ZM_SHAPE(f->batch, zm_dim(y, 1), f->width));
}

/* What follows the joint attention on one side. */
static zm_tensor *finish(const forward *f, const side *s, zm_tensor *x, zm_tensor *attended, zm_tensor *second,
                         zm_tensor *e)
{
    x = zm_gate_add(f->g, x, apply(f, attended, &s->attn.proj, ZM_IDENTITY), chunk(f, e, 2));
    if (second)
        x = zm_gate_add(f->g, x, apply(f, second, &s->attn2.proj, ZM_IDENTITY), chunk(f, e, 8));
    zm_tensor *h = apply(f, modulate(f, x, e, 3), &s->fc1, ZM_GELU_TANH);
    return zm_gate_add(f->g, x, apply(f, h, &s->fc2, ZM_IDENTITY), chunk(f, e, 5));
}

static void build_block(const forward *f, int i, zm_tensor **x, zm_tensor **context)
{
    const block *k = &f->m->blocks[i];
    int64_t text = zm_dim(*context, 1), tokens = zm_dim(*x, 1);
    zm_tensor *ec = modulation(f, &k->context.modulation, k->context.chunks),
              *ex = modulation(f, &k->x.modulation, k->x.chunks);
    zm_tensor *c[3], *p[3], *own[3], *joint[3], *second = NULL;
    split(f, &k->context.attn, modulate(f, *context, ec, 0), c);
    split(f, &k->x.attn, modulate(f, *x, ex, 0), p);
    for (int n = 0; n < 3; n++)
        joint[n] = zm_concat(f->g, 2, (zm_tensor *[]){c[n], p[n]}, 1);
    zm_tensor *y = attend(f, joint);
    if (k->x.chunks == 9) {
        split(f, &k->x.attn2, modulate(f, *x, ex, 6), own);
        second = attend(f, own);
    }
    if (k->context.chunks > 2) {
        *context = finish(f, &k->context, *context, zm_slice(f->g, y, 1, 0, text), NULL, ec);
        mark(f, *context, "block%d.context", i);
    }
    *x = finish(f, &k->x, *x, zm_slice(f->g, y, 1, text, tokens), second, ex);
    mark(f, *x, "block%d.x", i);
}

/* Patches side by side, one product (a convolution whose kernel is its stride), and the middle of the position table. */
static zm_tensor *embed_picture(const forward *f, int64_t h, int64_t w)
{
    const zm_mmdit_config *c = &f->m->c;
    int64_t p = c->patch_size, cells = c->pos_embed_max_size, row = c->in_channels * p * p;
    zm_tensor *x = zm_reshape(f->g, f->in->x, ZM_SHAPE(f->batch, h, p, w, p, c->in_channels));
    x = zm_reshape(f->g, zm_permute(f->g, x, (const int[]){0, 1, 3, 5, 2, 4}), ZM_SHAPE(f->batch, h * w, row));
    zm_tensor *kernel = zm_reshape(f->g, zm_use(f->b, f->m->x_embedder.w), ZM_SHAPE(f->width, row));
    x = zm_linear(f->g, x, kernel, zm_use(f->b, f->m->x_embedder.b), ZM_IDENTITY);
    mark(f, x, "x_embedder");
    zm_tensor *at = zm_reshape(f->g, zm_use(f->b, f->m->pos_embed), ZM_SHAPE(cells, cells, f->width));
    at = zm_slice(f->g, zm_slice(f->g, at, 0, (cells - h) / 2, h), 1, (cells - w) / 2, w);
    at = zm_reshape(f->g, at, ZM_SHAPE(1, h * w, f->width));
    mark(f, at, "cropped_pos_embed");
    return zm_add(f->g, x, at);
}

static zm_tensor *embed_conditions(const forward *f)
{
    zm_tensor *t = apply(f, apply(f, f->in->time, &f->m->t0, ZM_SILU), &f->m->t2, ZM_IDENTITY);
    mark(f, t, "t_embedder");
    if (!f->m->c.adm_in_channels)
        return t;
    if (!f->in->y)
        return zm_graph_fail(f->g, ZM_E_USAGE, "this network needs a pooled text embedding");
    zm_tensor *y = apply(f, apply(f, f->in->y, &f->m->y0, ZM_SILU), &f->m->y2, ZM_IDENTITY);
    mark(f, y, "y_embedder");
    return zm_add(f->g, t, y);
}

zm_tensor *zm_mmdit_build(zm_build *b, const zm_mmdit *m, const zm_mmdit_inputs *in)
{
    forward f = {.b = b, .g = b->g, .m = m, .in = in, .batch = zm_dim(in->x, 0), .width = (int64_t)HEAD * m->c.depth};
    int64_t p = m->c.patch_size, h = zm_dim(in->x, 1) / p, w = zm_dim(in->x, 2) / p, most = m->c.pos_embed_max_size;
    if (zm_graph_failed(b->g))
        return in->x;
    if (in->x->shape.rank != 4 || zm_dim(in->x, 1) % p || zm_dim(in->x, 2) % p || h < 1 || w < 1 || h > most ||
        w > most)
        return zm_graph_fail(b->g, ZM_E_SHAPE, "a latent of %lld x %lld is not 1 to %lld patches of %lld each way",
                             (long long)zm_dim(in->x, 1), (long long)zm_dim(in->x, 2), (long long)most, (long long)p);
    zm_tensor *x = embed_picture(&f, h, w);
    f.c = zm_unary(b->g, ZM_SILU, embed_conditions(&f));
    zm_tensor *context = in->context;
    if (m->context_embedder.w) {
        context = apply(&f, context, &m->context_embedder, ZM_IDENTITY);
        mark(&f, context, "context_embedder");
    }
    for (int i = 0; i < m->c.depth && !zm_graph_failed(b->g); i++)
        build_block(&f, i, &x, &context);
    zm_tensor *e = modulation(&f, &m->final_modulation, 2);
    x = apply(&f, modulate(&f, x, e, 0), &m->final, ZM_IDENTITY);
    mark(&f, x, "final_layer");
    x = zm_reshape(b->g, x, ZM_SHAPE(f.batch, h, w, p, p, m->c.out_channels));
    x = zm_permute(b->g, x, (const int[]){0, 1, 3, 2, 4, 5});
    return zm_reshape(b->g, x, ZM_SHAPE(f.batch, h * p, w * p, m->c.out_channels));
}
