/* Causal pieces of video autoencoders: convolutions with state, folding, norms.
 * SPDX-License-Identifier: MIT */
#include "model/vae_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

zm_vae_conv zm_vae_conv_declare(zm_vae_scope *s, int in, int out, int kf, int kh, int kw, bool flat, const char *name)
{
    zm_shape w = flat ? ZM_SHAPE(out, in, kh, kw) : ZM_SHAPE(out, in, kf, kh, kw);
    return (zm_vae_conv){
        .weight = zm_params_add(s->params, w, ZM_INIT_FAN_IN, false, "%s%s.weight", s->prefix, name),
        .bias = zm_params_add(s->params, ZM_SHAPE(out), ZM_INIT_ZEROS, false, "%s%s.bias", s->prefix, name),
        .kernel = {kf, kh, kw},
    };
}

const zm_param *zm_vae_gamma_declare(zm_vae_scope *s, int channels, int extra, const char *name)
{
    zm_shape shape = {.rank = 1 + extra, .dim = {channels, 1, 1, 1}};
    return zm_params_add(s->params, shape, ZM_INIT_ONES, false, "%s%s", s->prefix, name);
}

/* The kernel with five axes. */
static zm_tensor *kernel(zm_vae_pass *p, const zm_vae_conv *c)
{
    zm_tensor *w = zm_use(p->b, c->weight);
    if (c->weight->shape.rank == 5)
        return w;
    const int64_t *d = c->weight->shape.dim;
    return zm_reshape(p->g, w, ZM_SHAPE(d[0], d[1], 1, d[2], d[3]));
}

static zm_status keep_shape(const zm_tensor *node, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    const zm_shape *x = &node->in[0]->shape, *to = &node->in[1]->shape;
    char a[96], b[96];
    (void)dtype;
    bool ok = x->rank == 5 && to->rank == 5 && node->in[1]->leaf == ZM_EXTERNAL;
    for (int i = 0; ok && i < 5; i++)
        ok = i == 1 || x->dim[i] == to->dim[i];
    if (!ok)
        return zm_fail(err, ZM_E_SHAPE, "keep_frames: %s cannot be kept in %s", zm_shape_text(*x, a, sizeof a),
                       zm_shape_text(*to, b, sizeof b));
    *shape = ZM_SHAPE(1);
    return ZM_OK;
}

static void keep_reference(const zm_tensor *node)
{
    const zm_tensor *x = node->in[0], *to = node->in[1];
    const int64_t *d = x->shape.dim;
    int64_t frame = d[2] * d[3] * d[4], have = d[1], keep = to->shape.dim[1], n = have < keep ? have : keep;
    for (int64_t b = 0; b < d[0]; b++) {
        float *at = (float *)to->data + b * keep * frame;
        memset(at, 0, (size_t)((keep - n) * frame) * sizeof *at);
        memcpy(at + (keep - n) * frame, (const float *)x->data + (b * have + have - n) * frame,
               (size_t)(n * frame) * sizeof *at);
    }
    *(float *)node->data = 0;
}

/* in: x [B,F,H,W,C], an external leaf [B,n,H,W,C], which is overwritten with x's last n frames (zeros in front when
 * there are fewer).  Its readers stand before it (T2), so the state is held once, not once per run.  out [1]: 0. */
static const zm_op op_keep = {.name = "keep_frames",
                              .min_in = 2,
                              .max_in = 2,
                              .shape = keep_shape,
                              .reference = keep_reference,
                              .overwrites = true};

/* Slots of a state, made where they are met first. */
static bool find_slots(zm_vae_pass *p, const zm_tensor *x, int n, bool zero_first)
{
    zm_vae_chunk *c = p->chunk;
    if (n > ZM_VAE_PAST_MAX || p->slot + n > ZM_VAE_SLOTS_MAX) {
        zm_graph_fail(p->g, ZM_E_UNSUPPORTED, "autoencoder: more than %d states between chunks", ZM_VAE_SLOTS_MAX);
        return false;
    }
    for (int i = 0; i < n && p->slot + i == c->n_slots; i++) {
        zm_vae_slot *slot = &c->slot[c->n_slots++];
        *slot = (zm_vae_slot){.shape = x->shape};
        slot->shape.dim[1] = 1;
        if (c->mode == ZM_VAE_NEXT || (!zero_first && i == n - 1))
            slot->state = zm_external(p->g, ZM_F32, slot->shape, NULL, "state");
    }
    return true;
}

zm_vae_past zm_vae_past_of(zm_vae_pass *p, zm_tensor *x, int n, bool zero_first)
{
    zm_vae_past past = {.seen = x, .x = x};
    zm_tensor *all[ZM_VAE_PAST_MAX + 1];
    if (p->chunk->mode == ZM_VAE_WHOLE || zm_graph_failed(p->g) || !find_slots(p, x, n, zero_first))
        return past;
    past.n = n;
    for (int i = 0; i < n; i++)
        all[i] = past.frame[i] = p->chunk->slot[p->slot + (i + p->passed) % n].state;
    p->slot += n;
    all[n] = x;
    if (p->chunk->mode == ZM_VAE_NEXT)
        past.seen = zm_concat(p->g, n + 1, all, 1);
    return past;
}

static void keep_frame(zm_vae_pass *p, zm_tensor *x, zm_tensor *state)
{
    if (state && !zm_graph_failed(p->g))
        zm_output(p->g, zm_node(p->g, &op_keep, &(zm_attr){0}, 2, (zm_tensor *[]){x, state}));
}

void zm_vae_past_keep(zm_vae_pass *p, const zm_vae_past *past)
{
    if (past->n == 0 || zm_graph_failed(p->g))
        return;
    int n = past->n, frames = (int)past->x->shape.dim[1];
    /* In pieces the newest take the place of the oldest; else the oldest stays first, and what remains moves up. */
    for (int i = 0; !p->in_pieces && p->chunk->mode == ZM_VAE_NEXT && i < n - frames; i++)
        keep_frame(p, past->frame[i + frames], past->frame[i]);
    for (int i = frames > n ? frames - n : 0; i < frames; i++) {
        int to = p->in_pieces ? i % n : n - frames + i;
        keep_frame(p, zm_slice(p->g, past->x, 1, i, 1), past->frame[to]);
    }
}

zm_tensor *zm_vae_crop(zm_vae_pass *p, zm_tensor *x, int64_t n)
{
    int64_t top = p->open[0] ? n : 0, bottom = p->open[1] ? n : 0;
    if (zm_graph_failed(p->g) || top + bottom == 0)
        return x;
    return zm_slice(p->g, x, 2, top, x->shape.dim[2] - top - bottom);
}

zm_tensor *zm_vae_causal_conv(zm_vae_pass *p, zm_tensor *x, const zm_vae_conv *c)
{
    int kf = c->kernel[0];
    bool next = p->chunk->mode == ZM_VAE_NEXT;
    zm_vae_past past = kf > 1 ? zm_vae_past_of(p, x, kf - 1, false) : (zm_vae_past){.seen = x};
    int h = c->kernel[1] / 2, w = c->kernel[2] / 2;
    zm_conv_shape s = {
        .stride = {1, 1, 1}, .before = {next ? 0 : kf - 1, p->open[0] ? 0 : h, w}, .after = {0, p->open[1] ? 0 : h, w}};
    zm_tensor *y = zm_conv(p->g, past.seen, kernel(p, c), zm_use(p->b, c->bias), &s);
    zm_vae_past_keep(p, &past);
    return y;
}

zm_tensor *zm_vae_flat_conv(zm_vae_pass *p, zm_tensor *x, const zm_vae_conv *c, int stride, int before, int after)
{
    zm_conv_shape s = {.stride = {1, stride, stride},
                       .before = {0, p->open[0] ? 0 : before, before},
                       .after = {0, p->open[1] ? 0 : after, after}};
    return zm_conv(p->g, x, kernel(p, c), zm_use(p->b, c->bias), &s);
}

zm_tensor *zm_vae_halve_frames(zm_vae_pass *p, zm_tensor *x, const zm_vae_conv *c)
{
    bool next = p->chunk->mode == ZM_VAE_NEXT;
    zm_vae_past past = zm_vae_past_of(p, x, 1, false);
    zm_vae_past_keep(p, &past);
    x = past.seen;
    if (!next && (zm_graph_failed(p->g) || x->shape.dim[1] == 1))
        return x;
    zm_conv_shape s = {.stride = {2, 1, 1}};
    zm_tensor *rest = zm_conv(p->g, x, kernel(p, c), zm_use(p->b, c->bias), &s);
    if (next)
        return rest;
    return zm_concat(p->g, 2, (zm_tensor *[]){zm_slice(p->g, x, 1, 0, 1), rest}, 1);
}

zm_tensor *zm_vae_norm(zm_vae_pass *p, zm_tensor *x, const zm_param *gamma)
{
    zm_tensor *w = zm_use(p->b, gamma);
    if (gamma->shape.rank > 1)
        w = zm_reshape(p->g, w, ZM_SHAPE(gamma->shape.dim[0]));
    return zm_norm(p->g, ZM_NORM_L2, x, w, NULL, 1e-12);
}

zm_tensor *zm_vae_norm_silu(zm_vae_pass *p, zm_tensor *x, const zm_param *gamma)
{
    return zm_unary(p->g, ZM_SILU, zm_vae_norm(p, x, gamma));
}

zm_tensor *zm_vae_fold(zm_vae_pass *p, zm_tensor *x, int f)
{
    if (zm_graph_failed(p->g))
        return x;
    const int64_t *d = x->shape.dim;
    int64_t h = d[2] / f, w = d[3] / f;
    zm_tensor *y = zm_reshape(p->g, x, ZM_SHAPE(d[0] * d[1], h, f, w, f, d[4]));
    y = zm_permute(p->g, y, (int[]){0, 1, 3, 2, 4, 5});
    return zm_reshape(p->g, y, ZM_SHAPE(d[0], d[1], h, w, f * f * d[4]));
}

zm_tensor *zm_vae_unfold(zm_vae_pass *p, zm_tensor *x, int f)
{
    if (zm_graph_failed(p->g))
        return x;
    const int64_t *d = x->shape.dim;
    int64_t c = d[4] / (f * f);
    zm_tensor *y = zm_reshape(p->g, x, ZM_SHAPE(d[0] * d[1], d[2], d[3], f, f, c));
    y = zm_permute(p->g, y, (int[]){0, 1, 3, 2, 4, 5});
    return zm_reshape(p->g, y, ZM_SHAPE(d[0], d[1], d[2] * f, d[3] * f, c));
}

zm_tensor *zm_vae_record(zm_vae_pass *p, zm_tensor *t, const char *fmt, ...)
{
    zm_vae_chunk *c = p->chunk;
    if (!c->keep_taps || c->n_taps == ZM_VAE_TAPS_MAX)
        return t;
    char name[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    char *kept = zm_arena_strdup(zm_graph_arena(p->g), name);
    if (!kept)
        return zm_graph_fail(p->g, ZM_E_NOMEM, "%s: out of memory", name);
    c->tap[c->n_taps++] = (zm_vae_tap){kept, zm_output(p->g, t)};
    return t;
}

void zm_vae_block_begin(zm_vae_pass *p)
{
    if (p->b->checkpoint)
        zm_segment_begin(p->g);
}

void zm_vae_block_end(zm_vae_pass *p)
{
    if (p->b->checkpoint)
        zm_segment_end(p->g);
}
