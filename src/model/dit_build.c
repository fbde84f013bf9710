/* The Wan diffusion transformer as a graph: embeddings, blocks, head.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "model/dit_parts.h"
#include "model/lora.h"
#include "ops/ops.h"

typedef struct forward {
    zm_build *b;
    zm_graph *g;
    const zm_dit *m;
    const zm_dit_inputs *in;
    int64_t batch, tokens; /* B, N */
    int64_t grid[3];       /* F', H', W' */
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

static zm_tensor *apply(const forward *f, zm_tensor *x, const zm_dit_linear *l, zm_unary_kind act)
{
    return zm_lora_linear(f->b, x, l->w, l->b, act);
}

static zm_tensor *rms(const forward *f, zm_tensor *x, const zm_param *w)
{
    return w ? zm_norm(f->g, ZM_NORM_RMS, x, zm_use(f->b, w), NULL, f->m->c.eps) : x;
}

/* [B,L,dim] as heads [B,L,heads,head_dim]. */
static zm_tensor *heads(const forward *f, zm_tensor *x)
{
    const zm_dit_config *c = &f->m->c;
    return zm_reshape(f->g, x, ZM_SHAPE(zm_dim(x, 0), zm_dim(x, 1), c->num_heads, c->dim / c->num_heads));
}

static zm_tensor *join(const forward *f, zm_tensor *x)
{
    return zm_reshape(f->g, x, ZM_SHAPE(f->batch, f->tokens, f->m->c.dim));
}

/* A convolution whose kernel is its stride: patches side by side, one product.  [B,F,H,W,C] -> [B,N,dim]. */
static zm_tensor *embed_patches(const forward *f)
{
    const zm_dit_config *c = &f->m->c;
    const int *p = c->patch_size;
    const int64_t *n = f->grid;
    int64_t row = (int64_t)c->in_dim * p[0] * p[1] * p[2];
    zm_tensor *x = zm_reshape(f->g, f->in->x, ZM_SHAPE(f->batch, n[0], p[0], n[1], p[1], n[2], p[2], c->in_dim));
    x = zm_permute(f->g, x, (const int[]){0, 1, 3, 5, 7, 2, 4, 6});
    x = zm_reshape(f->g, x, ZM_SHAPE(f->batch, f->tokens, row));
    zm_tensor *w = zm_reshape(f->g, zm_use(f->b, f->m->patch.w), ZM_SHAPE(c->dim, row));
    x = zm_linear(f->g, x, w, zm_use(f->b, f->m->patch.b), ZM_IDENTITY);
    mark(f, x, "patch_embedding");
    return x;
}

static zm_tensor *embed_text(const forward *f)
{
    zm_tensor *t = f->in->context;
    if (f->in->context_mask)
        t = zm_mul(f->g, t, f->in->context_mask);
    t = apply(f, t, &f->m->text0, ZM_GELU_TANH);
    t = apply(f, t, &f->m->text2, ZM_IDENTITY);
    mark(f, t, "text_embedding");
    return t;
}

static zm_tensor *embed_image(const forward *f)
{
    const zm_dit *m = f->m;
    if (!m->c.img_dim)
        return NULL;
    if (!f->in->image)
        return zm_graph_fail(f->g, ZM_E_USAGE, "this network needs picture features beside the text");
    zm_tensor *t =
        zm_norm(f->g, ZM_NORM_LAYER, f->in->image, zm_use(f->b, m->img_norm0_w), zm_use(f->b, m->img_norm0_b), 1e-5);
    t = apply(f, t, &m->img1, ZM_GELU_ERF);
    t = apply(f, t, &m->img3, ZM_IDENTITY);
    t = zm_norm(f->g, ZM_NORM_LAYER, t, zm_use(f->b, m->img_norm4_w), zm_use(f->b, m->img_norm4_b), 1e-5);
    mark(f, t, "img_embedding");
    return t;
}

/* Queries of a block, its own keys and values, and those of the past behind them: a block sees all of what is there. */
static zm_tensor *attend_past(const forward *f, zm_tensor *q, zm_tensor *k, zm_tensor *v, int i)
{
    const zm_dit_past *p = f->in->past;
    zm_tensor *past = zm_rope(f->g, p->k[i], p->rope_cos, p->rope_sin);
    k = zm_concat(f->g, 2, (zm_tensor *[]){k, past}, 1);
    v = zm_concat(f->g, 2, (zm_tensor *[]){v, p->v[i]}, 1);
    return zm_attention(f->g, q, k, v, NULL, p->keys, 0);
}

/* Clips i.. of x, a view. */
static zm_tensor *clips(const forward *f, zm_tensor *x, int64_t i, int64_t n)
{
    const int64_t *d = x->shape.dim;
    return zm_view(f->g, x, i * d[1] * d[2] * d[3], ZM_SHAPE(n, d[1], d[2], d[3]));
}

/* Whole clips.  Of a network trained both ways the first `looking_back` go under the mask, the others see everything. */
static zm_tensor *attend(const forward *f, zm_tensor *q, zm_tensor *k, zm_tensor *v)
{
    const zm_dit_causal *c = &f->m->c.causal;
    zm_block_causal mask = zm_dit_causal_mask(c, f->grid[1] * f->grid[2], f->m->c.patch_size[0]);
    int64_t n = c->both ? f->in->looking_back : f->batch;
    if (zm_graph_failed(f->g) || n <= 0 || n >= f->batch)
        return zm_attention_causal(f->g, q, k, v, n > 0 ? &mask : NULL, 0);
    zm_tensor *part[2];
    for (int i = 0; i < 2; i++) {
        int64_t from = i ? n : 0, count = i ? f->batch - n : n;
        part[i] = zm_attention_causal(f->g, clips(f, q, from, count), clips(f, k, from, count),
                                      clips(f, v, from, count), i ? NULL : &mask, 0);
    }
    return zm_concat(f->g, 2, part, 0);
}

static zm_tensor *self_attention(const forward *f, const zm_dit_attention *a, zm_tensor *x, int i)
{
    const zm_dit_past *past = f->in->past;
    zm_tensor *q = rms(f, apply(f, x, &a->q, ZM_IDENTITY), a->norm_q);
    zm_tensor *k = rms(f, apply(f, x, &a->k, ZM_IDENTITY), a->norm_k);
    zm_tensor *v = apply(f, x, &a->v, ZM_IDENTITY);
    mark(f, q, "block%d.self_attn.q_normed", i);
    mark(f, k, "block%d.self_attn.k_normed", i);
    mark(f, v, "block%d.self_attn.v", i);
    q = heads(f, q);
    k = heads(f, k);
    v = heads(f, v);
    if (past && past->new_k) {
        past->new_k[i] = zm_output(f->g, k);
        past->new_v[i] = zm_output(f->g, v);
    }
    q = zm_rope(f->g, q, f->in->rope_cos, f->in->rope_sin);
    k = zm_rope(f->g, k, f->in->rope_cos, f->in->rope_sin);
    mark(f, q, "block%d.self_attn.q_roped", i);
    mark(f, k, "block%d.self_attn.k_roped", i);
    x = past ? attend_past(f, q, k, v, i) : attend(f, q, k, v);
    x = apply(f, join(f, x), &a->o, ZM_IDENTITY);
    mark(f, x, "block%d.self_attn", i);
    return x;
}

static void keys_and_values(const forward *f, const zm_dit_attention *a, zm_tensor *text, zm_tensor *image,
                            zm_tensor **kv)
{
    kv[0] = heads(f, rms(f, apply(f, text, &a->k, ZM_IDENTITY), a->norm_k));
    kv[1] = heads(f, apply(f, text, &a->v, ZM_IDENTITY));
    if (image) {
        kv[2] = heads(f, rms(f, apply(f, image, &a->k_img, ZM_IDENTITY), a->norm_k_img));
        kv[3] = heads(f, apply(f, image, &a->v_img, ZM_IDENTITY));
    }
}

static int kept_per_block(const zm_dit *m)
{
    return m->c.img_dim ? 4 : 2;
}

static zm_tensor *cross_attention(const forward *f, int i, zm_tensor *x, zm_tensor *text, zm_tensor *image)
{
    const zm_dit_attention *a = &f->m->blocks[i].cross;
    zm_tensor *made[4], *const *kv = made;
    if (f->in->kept)
        kv = f->in->kept->at + i * kept_per_block(f->m);
    else
        keys_and_values(f, a, text, image, made);
    zm_tensor *q = heads(f, rms(f, apply(f, x, &a->q, ZM_IDENTITY), a->norm_q));
    mark(f, q, "block%d.cross_attn.q_heads", i);
    zm_tensor *y = join(f, zm_attention(f->g, q, kv[0], kv[1], f->in->key_bias, f->in->key_len, 0));
    if (f->m->c.img_dim) /* pictures are attended apart from the text: two softmaxes, summed */
        y = zm_add(f->g, y, join(f, zm_attention(f->g, q, kv[2], kv[3], NULL, NULL, 0)));
    return apply(f, y, &a->o, ZM_IDENTITY);
}

/* Row `i` of e [rows, B*G, dim], a view. */
static zm_tensor *pick(const forward *f, zm_tensor *e, int i)
{
    int64_t n = zm_dim(e, 1), d = zm_dim(e, 2);
    return zm_view(f->g, e, i * n * d, ZM_SHAPE(n, d));
}

/* e [rows,B*G,dim] + a modulation parameter [1,rows,dim]. */
static zm_tensor *modulation(const forward *f, zm_tensor *e, const zm_param *p, int64_t rows)
{
    zm_tensor *w = zm_reshape(f->g, zm_use(f->b, p), ZM_SHAPE(rows, 1, f->m->c.dim));
    return zm_add(f->g, e, w);
}

/* e0 [6,B*G,dim] holds shift, scale, gate of self attention, then of the feed-forward. */
static zm_tensor *build_block(const forward *f, int i, zm_tensor *x, zm_tensor *e0, zm_tensor *text, zm_tensor *image)
{
    const zm_dit_block *k = &f->m->blocks[i];
    double eps = f->m->c.eps;
    if (f->b->checkpoint)
        zm_segment_begin(f->g);
    zm_tensor *e = modulation(f, e0, k->modulation, 6);
    if (f->in->mark)
        mark(f, zm_norm(f->g, ZM_NORM_LAYER, x, NULL, NULL, eps), "block%d.norm1", i);
    zm_tensor *h = zm_norm_modulate(f->g, ZM_NORM_LAYER, x, pick(f, e, 1), pick(f, e, 0), eps);
    x = zm_gate_add(f->g, x, self_attention(f, &k->self, h, i), pick(f, e, 2));

    h = x;
    if (k->norm3_w)
        h = zm_norm(f->g, ZM_NORM_LAYER, x, zm_use(f->b, k->norm3_w), zm_use(f->b, k->norm3_b), eps);
    mark(f, h, "block%d.norm3", i);
    h = cross_attention(f, i, h, text, image);
    mark(f, h, "block%d.cross_attn", i);
    x = zm_add(f->g, x, h);

    h = zm_norm_modulate(f->g, ZM_NORM_LAYER, x, pick(f, e, 4), pick(f, e, 3), eps);
    h = apply(f, apply(f, h, &k->ffn0, ZM_GELU_TANH), &k->ffn2, ZM_IDENTITY);
    mark(f, h, "block%d.ffn", i);
    x = zm_gate_add(f->g, x, h, pick(f, e, 5));
    if (f->b->checkpoint)
        zm_segment_end(f->g);
    mark(f, x, "block%d", i);
    return x;
}

/* [B,N,dim] -> [B,F,H,W,out_dim]; a token's row is (pf,ph,pw,c). */
static zm_tensor *build_head(const forward *f, zm_tensor *x, zm_tensor *time_e)
{
    const zm_dit_config *c = &f->m->c;
    const int *p = c->patch_size;
    const int64_t *n = f->grid;
    zm_tensor *e = zm_reshape(f->g, time_e, ZM_SHAPE(1, zm_dim(time_e, 0), c->dim));
    e = modulation(f, e, f->m->head_modulation, 2);
    x = zm_norm_modulate(f->g, ZM_NORM_LAYER, x, pick(f, e, 1), pick(f, e, 0), c->eps);
    x = apply(f, x, &f->m->head, ZM_IDENTITY);
    mark(f, x, "head");
    x = zm_reshape(f->g, x, ZM_SHAPE(f->batch, n[0], n[1], n[2], p[0], p[1], p[2], c->out_dim));
    x = zm_permute(f->g, x, (const int[]){0, 1, 4, 2, 5, 3, 6, 7});
    return zm_reshape(f->g, x, ZM_SHAPE(f->batch, n[0] * p[0], n[1] * p[1], n[2] * p[2], c->out_dim));
}

/* Grid sizes of a latent; false when patches do not divide it. */
static bool grid_of(int64_t *grid, const zm_dit_config *c, int64_t frames, int64_t height, int64_t width)
{
    const int64_t size[3] = {frames, height, width};
    for (int i = 0; i < 3; i++) {
        if (size[i] < 1 || size[i] % c->patch_size[i])
            return false;
        grid[i] = size[i] / c->patch_size[i];
    }
    return true;
}

zm_dit_inputs zm_dit_input_leaves(zm_build *b, const zm_dit *m, const zm_dit_sizes *s)
{
    zm_dit_inputs in = {0};
    const zm_dit_config *c = &m->c;
    int64_t grid[3] = {1, 1, 1};
    if (!grid_of(grid, c, s->frames, s->height, s->width))
        zm_graph_fail(b->g, ZM_E_SHAPE, "a latent of %lld x %lld x %lld does not split into patches of %d x %d x %d",
                      (long long)s->frames, (long long)s->height, (long long)s->width, c->patch_size[0],
                      c->patch_size[1], c->patch_size[2]);
    int64_t tokens = grid[0] * grid[1] * grid[2], groups = s->groups ? s->groups : grid[0];
    int64_t pairs = c->dim / c->num_heads / 2, rows = s->text_len ? s->text_len : c->text_len;
    in.x = zm_input(b->g, ZM_F32, ZM_SHAPE(s->batch, s->frames, s->height, s->width, c->in_dim), "latent");
    in.time = zm_input(b->g, ZM_F32, ZM_SHAPE(s->batch * groups, c->freq_dim), "time");
    in.context = zm_input(b->g, ZM_F32, ZM_SHAPE(s->batch, rows, c->text_dim), "context");
    if (s->image_tokens > 0 && c->img_dim > 0)
        in.image = zm_input(b->g, ZM_F32, ZM_SHAPE(s->batch, s->image_tokens, c->img_dim), "image");
    size_t cells = 0;
    float *cs = NULL, *sn = NULL;
    if (zm_size_mul(&cells, (size_t)tokens, (size_t)pairs)) {
        cs = zm_arena_array(zm_graph_arena(b->g), cells, sizeof *cs);
        sn = zm_arena_array(zm_graph_arena(b->g), cells, sizeof *sn);
    }
    if (!cs || !sn) {
        in.rope_cos = in.rope_sin =
            zm_graph_fail(b->g, ZM_E_NOMEM, "out of memory for rotary tables of %lld tokens", (long long)tokens);
        return in;
    }
    zm_rope_table(cs, sn, (int)pairs * 2, &(zm_rope_grid){grid[0], grid[1], grid[2], s->frame_offset, s->frame_scale});
    in.rope_cos = zm_external(b->g, ZM_F32, ZM_SHAPE(tokens, pairs), cs, "rope_cos");
    in.rope_sin = zm_external(b->g, ZM_F32, ZM_SHAPE(tokens, pairs), sn, "rope_sin");
    return in;
}

void zm_dit_past_leaves(zm_dit_past *p, zm_build *b, const zm_dit *m, zm_dit_inputs *in, int64_t tokens, bool give)
{
    const zm_dit_config *c = &m->c;
    zm_graph *g = b->g;
    int64_t batch = zm_dim(in->x, 0), width = c->dim / c->num_heads, own = zm_dim(in->rope_cos, 0);
    zm_tensor ***list[] = {&p->k, &p->v, &p->new_k, &p->new_v};
    *p = (zm_dit_past){.n = c->num_layers};
    for (int i = 0; i < (give ? 4 : 2); i++)
        if (!(*list[i] = zm_arena_array(zm_graph_arena(g), (size_t)p->n, sizeof(zm_tensor *)))) {
            zm_graph_fail(g, ZM_E_NOMEM, "out of memory for the keys of %d blocks", p->n);
            return;
        }
    for (int i = 0; i < p->n; i++) {
        p->k[i] = zm_external(g, ZM_F32, ZM_SHAPE(batch, tokens, c->num_heads, width), NULL, "past keys");
        p->v[i] = zm_external(g, ZM_F32, ZM_SHAPE(batch, tokens, c->num_heads, width), NULL, "past values");
    }
    p->rope_cos = zm_input(g, ZM_F32, ZM_SHAPE(tokens, width / 2), "past rope_cos");
    p->rope_sin = zm_input(g, ZM_F32, ZM_SHAPE(tokens, width / 2), "past rope_sin");
    p->keys = zm_input(g, ZM_I32, ZM_SHAPE(batch), "keys seen");
    in->rope_cos = zm_input(g, ZM_F32, ZM_SHAPE(own, width / 2), "rope_cos");
    in->rope_sin = zm_input(g, ZM_F32, ZM_SHAPE(own, width / 2), "rope_sin");
    in->past = p;
}

zm_tensor *zm_dit_build(zm_build *b, const zm_dit *m, const zm_dit_inputs *in)
{
    forward f = {.b = b, .g = b->g, .m = m, .in = in, .batch = zm_dim(in->x, 0)};
    if (zm_graph_failed(b->g))
        return in->x;
    if (in->x->shape.rank != 5 || !grid_of(f.grid, &m->c, zm_dim(in->x, 1), zm_dim(in->x, 2), zm_dim(in->x, 3))) {
        char text[128];
        return zm_graph_fail(b->g, ZM_E_SHAPE, "a latent %s does not split into patches of %d x %d x %d",
                             zm_shape_text(in->x->shape, text, sizeof text), m->c.patch_size[0], m->c.patch_size[1],
                             m->c.patch_size[2]);
    }
    f.tokens = f.grid[0] * f.grid[1] * f.grid[2];
    int64_t groups = zm_dim(in->time, 0);
    if (groups % f.batch || f.tokens % (groups / f.batch))
        return zm_graph_fail(b->g, ZM_E_SHAPE, "%lld timesteps for %lld samples of %lld tokens do not make even groups",
                             (long long)groups, (long long)f.batch, (long long)f.tokens);
    mark(&f, in->time, "time_sinusoid");
    zm_tensor *x = embed_patches(&f);
    zm_tensor *e = apply(&f, apply(&f, in->time, &m->time0, ZM_SILU), &m->time2, ZM_IDENTITY);
    mark(&f, e, "time_e");
    zm_tensor *e0 = apply(&f, zm_unary(b->g, ZM_SILU, e), &m->time_projection, ZM_IDENTITY);
    mark(&f, e0, "time_e0_flat");
    e0 = zm_permute(b->g, zm_reshape(b->g, e0, ZM_SHAPE(groups, 6, m->c.dim)), (const int[]){1, 0, 2});
    zm_tensor *text = in->kept ? NULL : embed_text(&f), *image = in->kept ? NULL : embed_image(&f);
    if (in->kept && in->kept->n != m->c.num_layers * kept_per_block(m))
        return zm_graph_fail(b->g, ZM_E_SHAPE, "%d kept tensors for %d blocks", in->kept->n, m->c.num_layers);
    for (int i = 0; i < m->c.num_layers; i++)
        x = build_block(&f, i, x, e0, text, image);
    return build_head(&f, x, e);
}

zm_dit_kept zm_dit_build_kept(zm_build *b, const zm_dit *m, zm_tensor *context, zm_tensor *image)
{
    zm_dit_inputs in = {.context = context, .image = image};
    forward f = {.b = b, .g = b->g, .m = m, .in = &in, .batch = zm_dim(context, 0)};
    int each = kept_per_block(m);
    zm_dit_kept kept = {0};
    kept.at = zm_arena_array(zm_graph_arena(b->g), (size_t)(m->c.num_layers * each), sizeof(zm_tensor *));
    if (!kept.at) {
        zm_graph_fail(b->g, ZM_E_NOMEM, "out of memory for the keys of %d blocks", m->c.num_layers);
        return kept;
    }
    zm_tensor *text = embed_text(&f), *features = embed_image(&f);
    for (int i = 0; i < m->c.num_layers && !zm_graph_failed(b->g); i++) {
        keys_and_values(&f, &m->blocks[i].cross, text, features, kept.at + kept.n);
        for (int k = 0; k < each; k++)
            zm_output(b->g, kept.at[kept.n++]);
    }
    return kept;
}

zm_dit_kept zm_dit_kept_leaves(zm_build *b, const zm_dit_kept *of)
{
    zm_dit_kept kept = {0};
    kept.at = zm_arena_array(zm_graph_arena(b->g), (size_t)of->n, sizeof(zm_tensor *));
    if (!kept.at) {
        zm_graph_fail(b->g, ZM_E_NOMEM, "out of memory for %d kept tensors", of->n);
        return kept;
    }
    for (; kept.n < of->n; kept.n++)
        kept.at[kept.n] = zm_input(b->g, ZM_F32, of->at[kept.n]->shape, "kept");
    return kept;
}

int zm_dit_folded_rows(int len, int text_len)
{
    return len < text_len ? len + 1 : text_len;
}

void zm_dit_fold_padding(float *bias, int32_t *key_len, int rows, int len, int text_len)
{
    for (int i = 0; i < rows; i++)
        bias[i] = 0;
    if (len < text_len)
        bias[len] = logf((float)(text_len - len));
    *key_len = zm_dit_folded_rows(len, text_len);
}

zm_tensor *zm_flow_loss(zm_graph *g, zm_tensor *velocity, zm_tensor *target, zm_tensor *weight)
{
    zm_tensor *d = zm_unary(g, ZM_SQUARE, zm_sub(g, velocity, target));
    return zm_mean(g, weight ? zm_mul(g, d, weight) : d);
}
