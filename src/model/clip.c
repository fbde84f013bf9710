/* The CLIP picture encoder as a graph, and its preprocessing.
 * SPDX-License-Identifier: MIT */
#include "model/clip.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/lora.h"
#include "ops/ops.h"

typedef struct linear {
    zm_param *w, *b;
} linear;

typedef struct norm {
    zm_param *w, *b;
} norm;

typedef struct block {
    norm norm1, norm2;
    linear qkv, proj;
    linear fc1, gate, fc2; /* gate: swi_glu only, the factor without activation */
} block;

struct zm_clip {
    zm_clip_config c;
    zm_param *class_token, *position;
    linear patch;
    norm pre;
    block *blocks;
    int n_blocks; /* those Wan uses: all but the last */
};

static int64_t hidden(const zm_clip_config *c)
{
    return (int64_t)(c->dim * c->mlp_ratio);
}

static linear add_linear(zm_params *p, int64_t out, int64_t in, const char *prefix, const char *name)
{
    linear l;
    l.w = zm_params_add(p, ZM_SHAPE(out, in), ZM_INIT_FAN_IN, true, "%s%s.weight", prefix, name);
    l.b = zm_params_add(p, ZM_SHAPE(out), ZM_INIT_ZEROS, false, "%s%s.bias", prefix, name);
    return l;
}

static norm add_norm(zm_params *p, int64_t dim, const char *prefix, const char *name)
{
    norm n;
    n.w = zm_params_add(p, ZM_SHAPE(dim), ZM_INIT_ONES, false, "%s%s.weight", prefix, name);
    n.b = zm_params_add(p, ZM_SHAPE(dim), ZM_INIT_ZEROS, false, "%s%s.bias", prefix, name);
    return n;
}

static block add_block(zm_params *p, const zm_clip_config *c, const char *prefix, int i)
{
    block k = {0};
    char at[320];
    bool gated = c->activation == ZM_CLIP_SWI_GLU;
    snprintf(at, sizeof at, "%stransformer.%d.", prefix, i);
    k.norm1 = add_norm(p, c->dim, at, "norm1");
    k.qkv = add_linear(p, 3 * (int64_t)c->dim, c->dim, at, "attn.to_qkv");
    k.proj = add_linear(p, c->dim, c->dim, at, "attn.proj");
    k.norm2 = add_norm(p, c->dim, at, "norm2");
    k.fc1 = add_linear(p, hidden(c), c->dim, at, gated ? "mlp.fc1" : "mlp.0");
    if (gated)
        k.gate = add_linear(p, hidden(c), c->dim, at, "mlp.fc2");
    k.fc2 = add_linear(p, c->dim, hidden(c), at, gated ? "mlp.fc3" : "mlp.2");
    return k;
}

zm_status zm_clip_declare(zm_clip **out, const zm_clip_config *c, zm_params *params, const char *prefix, zm_error *err)
{
    *out = NULL;
    if (c->dim < 1 || c->num_heads < 1 || c->dim % c->num_heads || c->num_layers < 1 || c->patch_size < 1 ||
        c->image_size < c->patch_size || !(c->mlp_ratio > 0) || hidden(c) < 1 || hidden(c) > 1 << 20)
        return zm_fail(err, ZM_E_UNSUPPORTED,
                       "a picture encoder of width %d with %d heads and patches of %d in %d pixels is not possible",
                       c->dim, c->num_heads, c->patch_size, c->image_size);
    zm_clip *m = calloc(1, sizeof *m);
    if (m)
        m->blocks = calloc((size_t)c->num_layers, sizeof *m->blocks);
    if (!m || !m->blocks) {
        zm_clip_free(m);
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a picture encoder of %d layers", c->num_layers);
    }
    m->c = *c;
    m->n_blocks = c->num_layers - 1;
    prefix = prefix ? prefix : "";
    int64_t p = c->patch_size;
    float gain = (float)(1 / sqrt(c->dim));
    if (c->class_token) {
        m->class_token =
            zm_params_add(params, ZM_SHAPE(1, 1, c->dim), ZM_INIT_NORMAL, false, "%scls_embedding", prefix);
        m->class_token->scale = gain;
    }
    m->position =
        zm_params_add(params, ZM_SHAPE(1, zm_clip_tokens(c), c->dim), ZM_INIT_NORMAL, false, "%spos_embedding", prefix);
    m->position->scale = gain;
    m->patch.w =
        zm_params_add(params, ZM_SHAPE(c->dim, 3, p, p), ZM_INIT_FAN_IN, false, "%spatch_embedding.weight", prefix);
    if (c->pre_norm)
        m->pre = add_norm(params, c->dim, prefix, "pre_norm");
    else
        m->patch.b = zm_params_add(params, ZM_SHAPE(c->dim), ZM_INIT_ZEROS, false, "%spatch_embedding.bias", prefix);
    for (int i = 0; i < m->n_blocks; i++)
        m->blocks[i] = add_block(params, c, prefix, i);
    *out = m;
    return ZM_OK;
}

void zm_clip_free(zm_clip *m)
{
    if (!m)
        return;
    free(m->blocks);
    free(m);
}

const zm_clip_config *zm_clip_config_of(const zm_clip *m)
{
    return &m->c;
}

/* Building. */

typedef struct forward {
    zm_build *b;
    zm_graph *g;
    const zm_clip_config *c;
} forward;

static zm_tensor *apply(const forward *f, zm_tensor *x, const linear *l, zm_unary_kind act)
{
    return zm_lora_linear(f->b, x, l->w, l->b, act);
}

static zm_tensor *layer_norm(const forward *f, zm_tensor *x, const norm *n)
{
    return zm_norm(f->g, ZM_NORM_LAYER, x, zm_use(f->b, n->w), zm_use(f->b, n->b), f->c->norm_eps);
}

/* A convolution whose kernel is its stride: patches side by side, one product; pixels that fill no patch are cut off.
 * [B,S,S,3] -> [B,N,dim]. */
static zm_tensor *embed_patches(const forward *f, const zm_clip *m, zm_tensor *x)
{
    int64_t batch = zm_dim(x, 0), p = f->c->patch_size, side = f->c->image_size / p;
    x = zm_slice(f->g, zm_slice(f->g, x, 1, 0, side * p), 2, 0, side * p);
    x = zm_reshape(f->g, x, ZM_SHAPE(batch, side, p, side, p, 3));
    x = zm_permute(f->g, x, (const int[]){0, 1, 3, 5, 2, 4});
    x = zm_reshape(f->g, x, ZM_SHAPE(batch, side * side, 3 * p * p));
    zm_tensor *w = zm_reshape(f->g, zm_use(f->b, m->patch.w), ZM_SHAPE(f->c->dim, 3 * p * p));
    return zm_linear(f->g, x, w, zm_use(f->b, m->patch.b), ZM_IDENTITY);
}

static zm_tensor *attention(const forward *f, const block *k, zm_tensor *x)
{
    const zm_clip_config *c = f->c;
    int64_t batch = zm_dim(x, 0), n = zm_dim(x, 1), width = c->dim / c->num_heads;
    zm_tensor *y = apply(f, x, &k->qkv, ZM_IDENTITY), *part[3];
    for (int i = 0; i < 3; i++)
        part[i] = zm_reshape(f->g, zm_slice(f->g, y, 2, i * (int64_t)c->dim, c->dim),
                             ZM_SHAPE(batch, n, c->num_heads, width));
    y = zm_attention(f->g, part[0], part[1], part[2], NULL, NULL, 0);
    return apply(f, zm_reshape(f->g, y, ZM_SHAPE(batch, n, c->dim)), &k->proj, ZM_IDENTITY);
}

static zm_tensor *feed_forward(const forward *f, const block *k, zm_tensor *x)
{
    zm_tensor *h;
    if (f->c->activation == ZM_CLIP_GELU) {
        h = apply(f, x, &k->fc1, ZM_GELU_ERF);
    } else if (f->c->activation == ZM_CLIP_SWI_GLU) {
        h = zm_mul(f->g, apply(f, x, &k->fc1, ZM_SILU), apply(f, x, &k->gate, ZM_IDENTITY));
    } else {
        h = apply(f, x, &k->fc1, ZM_IDENTITY);
        h = zm_mul(f->g, h, zm_unary(f->g, ZM_SIGMOID, zm_affine(f->g, h, 1.702, 0)));
    }
    return apply(f, h, &k->fc2, ZM_IDENTITY);
}

static zm_tensor *build_block(const forward *f, const block *k, zm_tensor *x)
{
    if (f->b->checkpoint)
        zm_segment_begin(f->g);
    if (f->c->post_norm) {
        x = zm_add(f->g, x, layer_norm(f, attention(f, k, x), &k->norm1));
        x = zm_add(f->g, x, layer_norm(f, feed_forward(f, k, x), &k->norm2));
    } else {
        x = zm_add(f->g, x, attention(f, k, layer_norm(f, x, &k->norm1)));
        x = zm_add(f->g, x, feed_forward(f, k, layer_norm(f, x, &k->norm2)));
    }
    if (f->b->checkpoint)
        zm_segment_end(f->g);
    return x;
}

zm_tensor *zm_clip_build_marked(zm_build *b, const zm_clip *m, zm_tensor *pixels,
                                void (*mark)(void *user, const char *name, zm_tensor *t), void *user)
{
    forward f = {b, b->g, &m->c};
    if (zm_graph_failed(b->g))
        return pixels;
    int64_t size = m->c.image_size;
    if (pixels->shape.rank != 4 || zm_dim(pixels, 1) != size || zm_dim(pixels, 2) != size || zm_dim(pixels, 3) != 3) {
        char text[128];
        return zm_graph_fail(b->g, ZM_E_SHAPE, "pictures %s are not [B,%lld,%lld,3], which this encoder reads",
                             zm_shape_text(pixels->shape, text, sizeof text), (long long)size, (long long)size);
    }
    zm_tensor *x = embed_patches(&f, m, pixels);
    if (m->class_token) {
        zm_tensor *first = zm_broadcast(b->g, zm_use(b, m->class_token), ZM_SHAPE(zm_dim(pixels, 0), 1, m->c.dim));
        x = zm_concat(b->g, 2, (zm_tensor *const[]){first, x}, 1);
    }
    x = zm_add(b->g, x, zm_use(b, m->position));
    if (m->c.pre_norm)
        x = layer_norm(&f, x, &m->pre);
    if (mark && !zm_graph_failed(b->g))
        mark(user, "pre_norm", x);
    for (int i = 0; i < m->n_blocks; i++) {
        char name[32];
        snprintf(name, sizeof name, "block%d", i);
        x = build_block(&f, &m->blocks[i], x);
        if (mark && !zm_graph_failed(b->g))
            mark(user, name, x);
    }
    return x;
}

zm_tensor *zm_clip_build(zm_build *b, const zm_clip *m, zm_tensor *pixels)
{
    return zm_clip_build_marked(b, m, pixels, NULL, NULL);
}

/* Preprocessing. */

/* Weights of the four pixels around a point `t` (0..1) beyond the second of them (Keys 1981, eq. 4 and 5). */
static void cubic(double *w, double t)
{
    const double a = -0.75;
    for (int i = 0; i < 4; i++) {
        double d = fabs(t + 1 - i);
        w[i] = d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    }
}

/* The four source pixels, clamped to the edges, and their weights for pixel `to` of `size`. */
static void taps(int *at, double *w, int to, int size, int source)
{
    double x = (to + 0.5) * source / size - 0.5, whole = floor(x);
    cubic(w, x - whole);
    for (int i = 0; i < 4; i++) {
        int p = (int)whole - 1 + i;
        at[i] = p < 0 ? 0 : p >= source ? source - 1 : p;
    }
}

void zm_clip_preprocess(float *out, int size, const float *image, int height, int width)
{
    static const double mean[3] = {0.48145466, 0.4578275, 0.40821073}, dev[3] = {0.26862954, 0.26130258, 0.27577711};
    for (int y = 0; y < size; y++) {
        int row[4];
        double wy[4];
        taps(row, wy, y, size, height);
        for (int x = 0; x < size; x++) {
            int col[4];
            double wx[4];
            taps(col, wx, x, size, width);
            for (int c = 0; c < 3; c++) {
                double sum = 0;
                for (int i = 0; i < 4; i++)
                    for (int j = 0; j < 4; j++)
                        sum += wy[i] * wx[j] *
                               (double)image[((size_t)row[i] * (size_t)width + (size_t)col[j]) * 3 + (size_t)c];
                out[((size_t)y * (size_t)size + (size_t)x) * 3 + (size_t)c] =
                    (float)((sum * 0.5 + 0.5 - mean[c]) / dev[c]);
            }
        }
    }
}
