/* The bundled model's own autoencoder: pixels folded first, then 2-D blocks with light causal mixing in time.
 *
 * Two ideas keep it cheap on a small machine: folding pixels into channels before the first convolution (Wan 2.2,
 * 2025), and kernels factorised into space and time (Tran et al. 2018, "A closer look at spatiotemporal
 * convolutions").  Shortcuts around changes of rate average or repeat frames (Chen et al. 2024, "Deep compression
 * autoencoder"), so that an untrained network already passes the picture through.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>

#include "model/vae_parts.h"

enum { BLOCKS_MAX = 16, PLACES = 4 };

typedef struct block {
    const zm_param *norm[2];
    zm_vae_conv conv[2]; /* 1x3x3, then 1x3x3 (high resolution) or 3x1x1 */
} block;

typedef struct side {
    zm_vae_conv in, out, change; /* change: between the two widths */
    zm_vae_conv time[2];         /* rate changes, in the order they are applied */
    const zm_param *out_norm;
    block at[PLACES][BLOCKS_MAX];
} side;

typedef struct light {
    side enc, dec;
} light;

/* Starting log variance: the untrained encoder's noise is small beside its signal. */
static const double log_var_start = -6.0;
static const double log_var_bound = 20.0;

static zm_vae_conv conv(zm_vae_scope *s, int in, int out, int kf, int k, double gain, const char *name)
{
    zm_vae_conv c = zm_vae_conv_declare(s, in, out, kf, k, k, false, name);
    zm_param *w = c.weight;
    if (gain == 0) {
        w->init = ZM_INIT_ZEROS;
    } else {
        w->init = ZM_INIT_NORMAL;
        w->scale = (float)(gain / sqrt((double)in * kf * k * k));
    }
    return c;
}

static void declare_blocks(zm_vae_scope *s, side *to, const int *count, const int *channels, const char *name)
{
    static const char *const place[PLACES] = {"high", "all", "half", "quarter"};
    for (int i = 0; i < PLACES; i++) {
        for (int k = 0; k < count[i]; k++) {
            block *b = &to->at[i][k];
            int c = channels[i > 0], kf = i > 0 ? 3 : 1, ks = i > 0 ? 1 : 3;
            char at[64];
            for (int j = 0; j < 2; j++) {
                snprintf(at, sizeof at, "%s.%s.%d.norm%d.gamma", name, place[i], k, j + 1);
                b->norm[j] = zm_vae_gamma_declare(s, c, 0, at);
                snprintf(at, sizeof at, "%s.%s.%d.conv%d", name, place[i], k, j + 1);
                b->conv[j] = j ? conv(s, c, c, kf, ks, 0, at) : conv(s, c, c, 1, 3, 1.4, at);
            }
        }
    }
}

static void *declare(const zm_vae_config *c, zm_arena *arena, zm_vae_scope *s)
{
    light *n = zm_arena_alloc(arena, sizeof *n);
    if (!n)
        return NULL;
    int pixels = 3 * c->fold * c->fold, lo = c->channels[0], hi = c->channels[1], z = c->z_dim;
    n->enc.in = conv(s, pixels, lo, 1, 3, 1, "encoder.in");
    n->enc.change = conv(s, 4 * lo, hi, 1, 1, 1, "encoder.change");
    n->enc.time[0] = conv(s, hi, hi, 3, 1, 0.1, "encoder.time.0");
    n->enc.time[1] = conv(s, hi, hi, 3, 1, 0.1, "encoder.time.1");
    declare_blocks(s, &n->enc, c->enc_blocks, c->channels, "encoder");
    n->enc.out_norm = zm_vae_gamma_declare(s, hi, 0, "encoder.out_norm.gamma");
    n->enc.out = conv(s, hi, 2 * z, 1, 3, 1, "encoder.out");

    n->dec.in = conv(s, z, hi, 1, 3, 1, "decoder.in");
    n->dec.time[0] = conv(s, hi, 2 * hi, 3, 1, 0.1, "decoder.time.0");
    n->dec.time[1] = conv(s, hi, 2 * hi, 3, 1, 0.1, "decoder.time.1");
    n->dec.change = conv(s, hi, 4 * lo, 1, 1, 1, "decoder.change");
    declare_blocks(s, &n->dec, c->dec_blocks, c->channels, "decoder");
    n->dec.out_norm = zm_vae_gamma_declare(s, lo, 0, "decoder.out_norm.gamma");
    n->dec.out = conv(s, lo, pixels, 1, 3, 0.2, "decoder.out");
    return n;
}

static zm_tensor *blocks(zm_vae_pass *p, zm_tensor *x, const block *b, int count)
{
    for (int i = 0; i < count; i++, b++) {
        zm_vae_block_begin(p);
        zm_tensor *y = zm_vae_causal_conv(p, zm_vae_norm_silu(p, x, b->norm[0]), &b->conv[0]);
        y = zm_vae_causal_conv(p, zm_vae_norm_silu(p, y, b->norm[1]), &b->conv[1]);
        x = zm_add(p->g, x, y);
        zm_vae_block_end(p);
    }
    return x;
}

/* [x0, convolution of three frames every second one + mean of the pair that it replaces]. */
static zm_tensor *halve(zm_vae_pass *p, zm_tensor *x, const zm_vae_conv *c)
{
    zm_tensor *y = zm_vae_halve_frames(p, x, c);
    if (zm_graph_failed(p->g))
        return y;
    int64_t first = p->chunk->mode == ZM_VAE_NEXT ? 0 : 1, n = (x->shape.dim[1] - first) / 2;
    if (n == 0)
        return y;
    const int64_t *d = x->shape.dim;
    zm_tensor *pairs = first ? zm_slice(p->g, x, 1, 1, 2 * n) : x;
    pairs = zm_reshape(p->g, pairs, ZM_SHAPE(d[0], n, 2, d[2] * d[3] * d[4]));
    zm_tensor *mean = zm_affine(p->g, zm_sum_to(p->g, pairs, ZM_SHAPE(d[0], n, 1, d[2] * d[3] * d[4])), 0.5, 0);
    mean = zm_reshape(p->g, mean, ZM_SHAPE(d[0], n, d[2], d[3], d[4]));
    return zm_add(p->g, y, first ? zm_pad(p->g, mean, 1, 1, 0) : mean);
}

/* Every frame twice plus a causal convolution's two answers; the clip's very first copy is dropped: n -> 2n - 1. */
static zm_tensor *twice(zm_vae_pass *p, zm_tensor *x, const zm_vae_conv *c)
{
    zm_tensor *y = zm_vae_causal_conv(p, x, c);
    if (zm_graph_failed(p->g))
        return y;
    const int64_t *d = x->shape.dim;
    y = zm_reshape(p->g, y, ZM_SHAPE(d[0] * d[1], d[2] * d[3], 2, d[4]));
    y = zm_permute(p->g, y, (int[]){0, 2, 1, 3});
    y = zm_add(p->g, y, zm_reshape(p->g, x, ZM_SHAPE(d[0] * d[1], 1, d[2] * d[3], d[4])));
    y = zm_reshape(p->g, y, ZM_SHAPE(d[0], 2 * d[1], d[2], d[3], d[4]));
    return p->chunk->mode == ZM_VAE_NEXT ? y : zm_slice(p->g, y, 1, 1, 2 * d[1] - 1);
}

static zm_tensor *encode(zm_vae_pass *p, const zm_vae *v, zm_tensor *x)
{
    const zm_vae_config *c = &v->config;
    const side *n = &((const light *)v->net)->enc;
    x = zm_vae_causal_conv(p, zm_vae_fold(p, x, c->fold), &n->in);
    x = blocks(p, x, n->at[0], c->enc_blocks[0]);
    x = zm_vae_causal_conv(p, zm_vae_fold(p, x, 2), &n->change);
    x = blocks(p, x, n->at[1], c->enc_blocks[1]);
    x = blocks(p, halve(p, x, &n->time[0]), n->at[2], c->enc_blocks[2]);
    x = blocks(p, halve(p, x, &n->time[1]), n->at[3], c->enc_blocks[3]);
    x = zm_vae_causal_conv(p, zm_vae_norm_silu(p, x, n->out_norm), &n->out);
    if (zm_graph_failed(p->g))
        return x;
    zm_tensor *mean = zm_slice(p->g, x, 4, 0, c->z_dim), *var = zm_slice(p->g, x, 4, c->z_dim, c->z_dim);
    var = zm_affine(p->g, var, 1 / log_var_bound, log_var_start / log_var_bound);
    var = zm_affine(p->g, zm_unary(p->g, ZM_CLAMP1, var), log_var_bound, 0);
    return zm_concat(p->g, 2, (zm_tensor *[]){mean, var}, 4);
}

static zm_tensor *decode(zm_vae_pass *p, const zm_vae *v, zm_tensor *z)
{
    const zm_vae_config *c = &v->config;
    const side *n = &((const light *)v->net)->dec;
    zm_tensor *x = zm_vae_causal_conv(p, z, &n->in);
    x = blocks(p, x, n->at[3], c->dec_blocks[3]);
    x = blocks(p, twice(p, x, &n->time[0]), n->at[2], c->dec_blocks[2]);
    x = blocks(p, twice(p, x, &n->time[1]), n->at[1], c->dec_blocks[1]);
    x = zm_vae_unfold(p, zm_vae_causal_conv(p, x, &n->change), 2);
    x = blocks(p, x, n->at[0], c->dec_blocks[0]);
    x = zm_vae_causal_conv(p, zm_vae_norm_silu(p, x, n->out_norm), &n->out);
    return zm_vae_unfold(p, x, c->fold);
}

const zm_vae_family zm_vae_family_light = {"light", declare, encode, decode};
