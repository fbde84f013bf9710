/* Declaring the parameters of a diffusion transformer.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "model/dit_parts.h"

/* Draws are the official ones: Xavier matrices, zero biases, embeddings of std 0.02, a zero head. */

typedef struct declare {
    zm_params *p;
    const char *prefix;
} declare;

static zm_dit_linear add_linear(const declare *d, int64_t out, int64_t in, const char *name)
{
    zm_dit_linear l;
    l.w = zm_params_add(d->p, ZM_SHAPE(out, in), ZM_INIT_XAVIER, true, "%s%s.weight", d->prefix, name);
    l.b = zm_params_add(d->p, ZM_SHAPE(out), ZM_INIT_ZEROS, false, "%s%s.bias", d->prefix, name);
    return l;
}

static zm_dit_linear add_embedding(const declare *d, int64_t out, int64_t in, const char *name)
{
    zm_dit_linear l = add_linear(d, out, in, name);
    l.w->init = ZM_INIT_NORMAL;
    l.w->scale = 0.02f;
    return l;
}

static zm_param *add_vector(const declare *d, int64_t n, zm_init init, const char *name)
{
    return zm_params_add(d->p, ZM_SHAPE(n), init, false, "%s%s", d->prefix, name);
}

static zm_param *add_modulation(const declare *d, int64_t rows, int64_t dim, const char *name)
{
    return zm_params_add(d->p, ZM_SHAPE(1, rows, dim), ZM_INIT_FAN_IN, false, "%s%s", d->prefix, name);
}

static zm_dit_attention add_attention(const declare *d, const zm_dit_config *c, bool image, const char *name)
{
    zm_dit_attention a = {0};
    char n[96];
    const struct {
        const char *name;
        zm_dit_linear *to;
        bool use;
    } part[] = {{"q", &a.q, true}, {"k", &a.k, true},          {"v", &a.v, true},
                {"o", &a.o, true}, {"k_img", &a.k_img, image}, {"v_img", &a.v_img, image}};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        snprintf(n, sizeof n, "%s.%s", name, part[i].name);
        if (part[i].use)
            *part[i].to = add_linear(d, c->dim, c->dim, n);
    }
    const struct {
        const char *name;
        zm_param **to;
        bool use;
    } norm[] = {{"norm_q", &a.norm_q, true}, {"norm_k", &a.norm_k, true}, {"norm_k_img", &a.norm_k_img, image}};
    for (size_t i = 0; i < sizeof norm / sizeof *norm; i++) {
        snprintf(n, sizeof n, "%s.%s.weight", name, norm[i].name);
        if (c->qk_norm && norm[i].use)
            *norm[i].to = add_vector(d, c->dim, ZM_INIT_ONES, n);
    }
    return a;
}

static zm_dit_block add_block(const declare *d, const zm_dit_config *c, int i)
{
    zm_dit_block b = {0};
    char n[96];
    snprintf(n, sizeof n, "blocks.%d.modulation", i);
    b.modulation = add_modulation(d, 6, c->dim, n);
    b.modulation->scale = 2.4494897f; /* FAN_IN counts 6 dim; the official std is 1/sqrt(dim) */
    snprintf(n, sizeof n, "blocks.%d.self_attn", i);
    b.self = add_attention(d, c, false, n);
    snprintf(n, sizeof n, "blocks.%d.cross_attn", i);
    b.cross = add_attention(d, c, c->img_dim > 0, n);
    if (c->cross_attn_norm) {
        snprintf(n, sizeof n, "blocks.%d.norm3.weight", i);
        b.norm3_w = add_vector(d, c->dim, ZM_INIT_ONES, n);
        snprintf(n, sizeof n, "blocks.%d.norm3.bias", i);
        b.norm3_b = add_vector(d, c->dim, ZM_INIT_ZEROS, n);
    }
    snprintf(n, sizeof n, "blocks.%d.ffn.0", i);
    b.ffn0 = add_linear(d, c->ffn_dim, c->dim, n);
    snprintf(n, sizeof n, "blocks.%d.ffn.2", i);
    b.ffn2 = add_linear(d, c->dim, c->ffn_dim, n);
    return b;
}

static void add_image(zm_dit *m, const declare *d)
{
    int64_t w = m->c.img_dim;
    m->img_norm0_w = add_vector(d, w, ZM_INIT_ONES, "img_emb.proj.0.weight");
    m->img_norm0_b = add_vector(d, w, ZM_INIT_ZEROS, "img_emb.proj.0.bias");
    m->img1 = add_linear(d, w, w, "img_emb.proj.1");
    m->img3 = add_linear(d, m->c.dim, w, "img_emb.proj.3");
    m->img_norm4_w = add_vector(d, m->c.dim, ZM_INIT_ONES, "img_emb.proj.4.weight");
    m->img_norm4_b = add_vector(d, m->c.dim, ZM_INIT_ZEROS, "img_emb.proj.4.bias");
}

zm_status zm_dit_declare(zm_dit **out, const zm_dit_config *c, zm_params *params, const char *prefix, zm_error *err)
{
    *out = NULL;
    const int *ps = c->patch_size;
    if (c->dim < 4 || c->num_heads < 1 || c->dim % c->num_heads || c->dim / c->num_heads % 2 || c->num_layers < 1 ||
        c->ffn_dim < 1 || c->in_dim < 1 || c->out_dim < 1 || c->text_dim < 1 || c->freq_dim < 2 || c->freq_dim % 2 ||
        ps[0] < 1 || ps[1] < 1 || ps[2] < 1 || c->causal.block < 0 || c->causal.block % ps[0])
        return zm_fail(err, ZM_E_UNSUPPORTED, "a transformer of width %d with %d heads and %d layers is not possible",
                       c->dim, c->num_heads, c->num_layers);
    zm_dit *m = calloc(1, sizeof *m);
    if (m)
        m->blocks = calloc((size_t)c->num_layers, sizeof *m->blocks);
    if (!m || !m->blocks) {
        zm_dit_free(m);
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a transformer of %d layers", c->num_layers);
    }
    m->c = *c;
    declare d = {params, prefix ? prefix : ""};
    int64_t area = (int64_t)ps[0] * ps[1] * ps[2];
    m->patch.w = zm_params_add(params, ZM_SHAPE(c->dim, c->in_dim, ps[0], ps[1], ps[2]), ZM_INIT_XAVIER, false,
                               "%spatch_embedding.weight", d.prefix);
    m->patch.b = add_vector(&d, c->dim, ZM_INIT_ZEROS, "patch_embedding.bias");
    m->text0 = add_embedding(&d, c->dim, c->text_dim, "text_embedding.0");
    m->text2 = add_embedding(&d, c->dim, c->dim, "text_embedding.2");
    m->time0 = add_embedding(&d, c->dim, c->freq_dim, "time_embedding.0");
    m->time2 = add_embedding(&d, c->dim, c->dim, "time_embedding.2");
    m->time_projection = add_linear(&d, 6 * (int64_t)c->dim, c->dim, "time_projection.1");
    for (int i = 0; i < c->num_layers; i++)
        m->blocks[i] = add_block(&d, c, i);
    m->head_modulation = add_modulation(&d, 2, c->dim, "head.modulation");
    m->head_modulation->scale = 1.4142135f;
    m->head = add_linear(&d, area * c->out_dim, c->dim, "head.head");
    m->head.w->init = ZM_INIT_ZEROS;
    if (c->img_dim > 0)
        add_image(m, &d);
    *out = m;
    return ZM_OK;
}

void zm_dit_free(zm_dit *m)
{
    if (!m)
        return;
    free(m->blocks);
    free(m);
}

const zm_dit_config *zm_dit_config_of(const zm_dit *m)
{
    return &m->c;
}
