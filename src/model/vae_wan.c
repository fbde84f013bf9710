/* Graphs of the Wan autoencoders: residual blocks, attention in the middle, changes of rate.
 * SPDX-License-Identifier: MIT */
#include "model/vae_wan.h"

zm_tensor *zm_wan_res_block(zm_vae_pass *p, zm_tensor *x, const zm_wan_res *r)
{
    zm_vae_block_begin(p);
    zm_tensor *skip = zm_vae_crop(p, x, 2);
    skip = r->shortcut.weight ? zm_vae_causal_conv(p, skip, &r->shortcut) : skip;
    for (int i = 0; i < 2; i++)
        x = zm_vae_causal_conv(p, zm_vae_norm_silu(p, x, r->norm[i]), &r->conv[i]);
    x = zm_add(p->g, x, skip);
    zm_vae_block_end(p);
    return x;
}

static zm_tensor *project(zm_vae_pass *p, zm_tensor *x, const zm_vae_conv *c)
{
    const int64_t *d = c->weight->shape.dim;
    zm_tensor *w = zm_reshape(p->g, zm_use(p->b, c->weight), ZM_SHAPE(d[0], d[1]));
    return zm_linear(p->g, x, w, zm_use(p->b, c->bias), ZM_IDENTITY);
}

zm_tensor *zm_wan_attend(zm_vae_pass *p, zm_tensor *x, const zm_wan_attention *a)
{
    if (zm_graph_failed(p->g))
        return x;
    zm_vae_block_begin(p);
    const int64_t *d = x->shape.dim;
    int64_t frames = d[0] * d[1], n = d[2] * d[3], c = d[4];
    zm_tensor *all = project(p, zm_vae_norm(p, x, a->norm), &a->qkv), *part[3];
    for (int i = 0; i < 3; i++)
        part[i] = zm_reshape(p->g, zm_slice(p->g, all, 4, i * c, c), ZM_SHAPE(frames, n, 1, c));
    zm_tensor *y = zm_attention(p->g, part[0], part[1], part[2], NULL, NULL, 0);
    y = project(p, zm_reshape(p->g, y, x->shape), &a->proj);
    x = zm_add(p->g, x, y);
    zm_vae_block_end(p);
    return x;
}

/* Twice the channels become twice the frames: the first half is the earlier frame of each pair. */
static zm_tensor *split_frames(zm_vae_pass *p, zm_tensor *y)
{
    if (zm_graph_failed(p->g))
        return y;
    const int64_t *d = y->shape.dim;
    int64_t c = d[4] / 2;
    zm_tensor *x = zm_reshape(p->g, y, ZM_SHAPE(d[0] * d[1], d[2] * d[3], 2, c));
    x = zm_permute(p->g, x, (int[]){0, 2, 1, 3});
    return zm_reshape(p->g, x, ZM_SHAPE(d[0], 2 * d[1], d[2], d[3], c));
}

/* The clip's first frame stays single, and the convolution of later ones does not see it. */
static zm_tensor *double_frames(zm_vae_pass *p, zm_tensor *x, const zm_vae_conv *c)
{
    if (zm_graph_failed(p->g))
        return x;
    if (p->chunk->mode == ZM_VAE_FIRST)
        return zm_vae_past_of(p, x, c->kernel[0] - 1, true).seen;
    if (p->chunk->mode == ZM_VAE_NEXT)
        return split_frames(p, zm_vae_causal_conv(p, x, c));
    int64_t n = x->shape.dim[1];
    if (n == 1)
        return x;
    zm_tensor *rest = split_frames(p, zm_vae_causal_conv(p, zm_slice(p->g, x, 1, 1, n - 1), c));
    return zm_concat(p->g, 2, (zm_tensor *[]){zm_slice(p->g, x, 1, 0, 1), rest}, 1);
}

/* Each pixel becomes 2x2 of itself. */
static zm_tensor *double_pixels(zm_vae_pass *p, zm_tensor *x)
{
    if (zm_graph_failed(p->g))
        return x;
    const int64_t *d = x->shape.dim;
    int64_t rows = d[0] * d[1] * d[2];
    zm_tensor *y = zm_reshape(p->g, x, ZM_SHAPE(rows, 1, d[3], 1, d[4]));
    y = zm_broadcast(p->g, y, ZM_SHAPE(rows, 2, d[3], 2, d[4]));
    return zm_reshape(p->g, y, ZM_SHAPE(d[0], d[1], 2 * d[2], 2 * d[3], d[4]));
}

zm_tensor *zm_wan_change_rate(zm_vae_pass *p, zm_tensor *x, const zm_wan_resample *r)
{
    zm_vae_block_begin(p);
    if (r->up) {
        if (r->temporal)
            x = double_frames(p, x, &r->time);
        x = zm_vae_flat_conv(p, double_pixels(p, x), &r->space, 1, 1, 1);
    } else {
        x = zm_vae_flat_conv(p, x, &r->space, 2, 0, 1); /* zeros at the right and bottom only */
        if (r->temporal)
            x = zm_vae_halve_frames(p, x, &r->time);
    }
    zm_vae_block_end(p);
    return x;
}

zm_tensor *zm_wan_average_down(zm_vae_pass *p, zm_tensor *x, int out, int factor_t, int factor_s)
{
    zm_graph *g = p->g;
    if (zm_graph_failed(g))
        return x;
    if (x->shape.dim[1] % factor_t)
        x = zm_pad(g, x, 1, factor_t - x->shape.dim[1] % factor_t, 0);
    if (zm_graph_failed(g))
        return x;
    const int64_t *d = x->shape.dim;
    int64_t t = d[1] / factor_t, h = d[2] / factor_s, w = d[3] / factor_s;
    int64_t channels = d[4] * factor_t * factor_s * factor_s, group = channels / out;
    if (group * out != channels)
        return zm_graph_fail(g, ZM_E_UNSUPPORTED, "autoencoder: %lld folded channels cannot be averaged to %d",
                             (long long)channels, out);
    zm_tensor *y = zm_reshape(g, x, ZM_SHAPE(d[0] * t, factor_t, h, factor_s, w, factor_s, d[4]));
    y = zm_permute(g, y, (int[]){0, 2, 4, 6, 1, 3, 5});
    if (group > 1) {
        y = zm_reshape(g, y, ZM_SHAPE(d[0] * t * h * w * out, group));
        y = zm_affine(g, zm_sum_to(g, y, ZM_SHAPE(d[0] * t * h * w * out, 1)), 1.0 / (double)group, 0);
    }
    return zm_reshape(g, y, ZM_SHAPE(d[0], t, h, w, out));
}

zm_tensor *zm_wan_repeat_up(zm_vae_pass *p, zm_tensor *x, int out, int factor_t, int factor_s)
{
    zm_graph *g = p->g;
    if (zm_graph_failed(g))
        return x;
    const int64_t *d = x->shape.dim;
    int64_t channels = (int64_t)out * factor_t * factor_s * factor_s, repeats = channels / d[4];
    if (repeats * d[4] != channels)
        return zm_graph_fail(g, ZM_E_UNSUPPORTED, "autoencoder: %lld channels cannot be repeated to %lld",
                             (long long)d[4], (long long)channels);
    int64_t all = d[0] * d[1] * d[2] * d[3] * d[4];
    zm_tensor *y = zm_broadcast(g, zm_reshape(g, x, ZM_SHAPE(all, 1)), ZM_SHAPE(all, repeats));
    y = zm_reshape(g, y, ZM_SHAPE(d[0] * d[1], d[2], d[3], out, factor_t, factor_s, factor_s));
    y = zm_permute(g, y, (int[]){0, 4, 1, 5, 2, 6, 3});
    y = zm_reshape(g, y, ZM_SHAPE(d[0], d[1] * factor_t, d[2] * factor_s, d[3] * factor_s, out));
    if (p->chunk->mode == ZM_VAE_NEXT || factor_t == 1)
        return y;
    return zm_slice(g, y, 1, factor_t - 1, d[1] * factor_t - (factor_t - 1)); /* the first frame stays single */
}

/* A stage's modules; flat counts them for the records of Wan 2.1. */
static zm_tensor *walk_stage(zm_vae_pass *p, zm_tensor *x, const zm_wan_stage *t, const char *list, bool nested,
                             int *flat)
{
    zm_tensor *skip = x;
    for (int k = 0; k < t->n_res; k++) {
        x = zm_wan_res_block(p, x, &t->res[k]);
        if (!nested)
            zm_vae_record(p, x, "%s.%d", list, (*flat)++);
    }
    if (t->resample.present) {
        x = zm_wan_change_rate(p, x, &t->resample);
        if (!nested)
            zm_vae_record(p, x, "%s.%d", list, (*flat)++);
    }
    if (!t->shortcut)
        return x;
    if (t->resample.up)
        skip =
            zm_vae_crop(p, zm_wan_repeat_up(p, skip, t->out, t->factor_t, t->factor_s), 2 * t->n_res * t->factor_s + 1);
    else
        skip = zm_wan_average_down(p, skip, t->out, t->factor_t, t->factor_s);
    return zm_add(p->g, x, skip);
}

/* Stages first .. last - 1. */
static zm_tensor *walk_stages(zm_vae_pass *p, zm_tensor *x, const zm_wan_side *n, int first, int last, const char *list,
                              bool nested, int *flat)
{
    for (int i = first; i < last; i++) {
        x = walk_stage(p, x, &n->stage[i], list, nested, flat);
        if (nested)
            zm_vae_record(p, x, "%s.%d", list, i);
    }
    return x;
}

static zm_tensor *walk_middle(zm_vae_pass *p, zm_tensor *x, const zm_wan_side *n, const char *side)
{
    x = zm_vae_record(p, zm_wan_res_block(p, x, &n->middle[0]), "%s.middle.0", side);
    x = zm_vae_record(p, zm_wan_attend(p, x, &n->attention), "%s.middle.1", side);
    return zm_vae_record(p, zm_wan_res_block(p, x, &n->middle[1]), "%s.middle.2", side);
}

zm_tensor *zm_wan_encode(zm_vae_pass *p, const zm_wan_net *n, zm_tensor *x, bool nested)
{
    x = zm_vae_record(p, zm_vae_causal_conv(p, x, &n->enc.in), "encoder.conv1");
    int flat = 0;
    x = walk_stages(p, x, &n->enc, 0, n->enc.n_stages, "encoder.downsamples", nested, &flat);
    x = walk_middle(p, x, &n->enc, "encoder");
    x = zm_vae_causal_conv(p, zm_vae_norm_silu(p, x, n->enc.head), &n->enc.out);
    zm_vae_record(p, x, "encoder.head.2");
    return zm_vae_causal_conv(p, x, &n->moments);
}

/* Rows first .. last - 1 of a tensor. */
typedef struct rows {
    int64_t first, last;
} rows;

static rows wanted_rows(const zm_vae_pass *p, const zm_wan_side *n, int64_t height)
{
    rows r = {p->chunk->first_row, p->chunk->last_row ? p->chunk->last_row : height};
    for (int i = 0; i < n->n_stages; i++)
        if (n->stage[i].resample.present)
            r = (rows){2 * r.first, 2 * r.last};
    return r;
}

/* What the stages must be given for the wanted rows of their result; opens the edges that are not the picture's. */
static zm_tensor *begin_rows(zm_vae_pass *p, zm_tensor *x, const zm_wan_side *n, rows *r)
{
    if (zm_graph_failed(p->g))
        return x;
    int64_t height = x->shape.dim[2];
    *r = wanted_rows(p, n, height);
    rows need = {r->first - 1, r->last + 1}; /* of the head's convolution */
    for (int i = n->n_stages - 1; i >= 0; i--) {
        const zm_wan_stage *t = &n->stage[i];
        if (t->resample.present)
            need = (rows){(need.first - 1) / 2, (need.last + 2) / 2};
        need = (rows){need.first - 2 * t->n_res, need.last + 2 * t->n_res};
    }
    p->open[0] = need.first > 0, p->open[1] = need.last < height;
    need = (rows){p->open[0] ? need.first : 0, p->open[1] ? need.last : height};
    int64_t first = need.first; /* then: where the result begins */
    for (int i = 0; p->open[0] && i < n->n_stages; i++) {
        first += 2 * n->stage[i].n_res;
        if (n->stage[i].resample.present)
            first = 2 * first + 1;
    }
    first += p->open[0]; /* the head's */
    *r = (rows){r->first - first, r->last - first};
    return zm_slice(p->g, x, 2, need.first, need.last - need.first);
}

static zm_tensor *end_rows(zm_vae_pass *p, zm_tensor *x, rows r)
{
    p->open[0] = p->open[1] = false;
    if (zm_graph_failed(p->g) || (r.first == 0 && r.last == x->shape.dim[2]))
        return x;
    return zm_slice(p->g, x, 2, r.first, r.last - r.first);
}

static zm_tensor *walk_end(zm_vae_pass *p, zm_tensor *x, const zm_wan_side *n, int first, bool nested, int *flat)
{
    x = walk_stages(p, x, n, first, n->n_stages, "decoder.upsamples", nested, flat);
    return zm_vae_causal_conv(p, zm_vae_norm_silu(p, x, n->head), &n->out);
}

/* Where frames are no longer doubled they meet in states alone.  There, where pictures are large, a later chunk's frames
 * go through one by one, each over the states that the one before left: the same sums in the memory of one frame. */
static zm_tensor *walk_end_in_pieces(zm_vae_pass *p, zm_tensor *x, const zm_wan_side *n, int first, bool nested,
                                     int *flat)
{
    if (zm_graph_failed(p->g))
        return x;
    int frames = (int)x->shape.dim[1], slot = p->slot;
    if (p->chunk->mode != ZM_VAE_NEXT || p->chunk->keep_taps || frames % 2 || frames > ZM_MAX_IN)
        return walk_end(p, x, n, first, nested, flat);
    zm_tensor *part[ZM_MAX_IN];
    p->in_pieces = true; /* states of two frames, and an even number of frames */
    for (p->passed = 0; p->passed < frames; p->passed++) {
        p->slot = slot;
        part[p->passed] = walk_end(p, zm_slice(p->g, x, 1, p->passed, 1), n, first, nested, flat);
    }
    p->in_pieces = false, p->passed = 0;
    return zm_concat(p->g, frames, part, 1);
}

zm_tensor *zm_wan_decode(zm_vae_pass *p, const zm_wan_net *n, zm_tensor *z, bool nested)
{
    rows r = {0, 0};
    zm_tensor *x = zm_vae_causal_conv(p, z, &n->latent);
    x = zm_vae_record(p, zm_vae_causal_conv(p, x, &n->dec.in), "decoder.conv1");
    x = begin_rows(p, walk_middle(p, x, &n->dec, "decoder"), &n->dec, &r);
    int flat = 0, first = n->dec.n_stages;
    while (first > 0 && !(n->dec.stage[first - 1].resample.present && n->dec.stage[first - 1].resample.temporal))
        first--;
    x = walk_stages(p, x, &n->dec, 0, first, "decoder.upsamples", nested, &flat);
    x = end_rows(p, walk_end_in_pieces(p, x, &n->dec, first, nested, &flat), r);
    return zm_vae_record(p, x, "decoder.head.2");
}
