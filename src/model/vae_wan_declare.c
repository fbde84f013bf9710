/* Official parameter names and sizes of the Wan autoencoders.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "model/vae_wan.h"

enum { NAME_MAX_BYTES = 96, PATH_MAX_BYTES = 160 };

static zm_vae_conv conv(zm_vae_scope *s, int in, int out, int kf, int k, bool flat, const char *base, const char *name)
{
    char at[PATH_MAX_BYTES];
    snprintf(at, sizeof at, "%s.%s", base, name);
    return zm_vae_conv_declare(s, in, out, kf, k, k, flat, at);
}

static const zm_param *gamma_of(zm_vae_scope *s, int channels, int extra, const char *base, const char *name)
{
    char at[PATH_MAX_BYTES];
    snprintf(at, sizeof at, "%s.%s.gamma", base, name);
    return zm_vae_gamma_declare(s, channels, extra, at);
}

static void declare_res(zm_wan_res *r, zm_vae_scope *s, int in, int out, const char *base)
{
    r->norm[0] = gamma_of(s, in, 3, base, "residual.0");
    r->conv[0] = conv(s, in, out, 3, 3, false, base, "residual.2");
    r->norm[1] = gamma_of(s, out, 3, base, "residual.3");
    r->conv[1] = conv(s, out, out, 3, 3, false, base, "residual.6");
    if (in != out)
        r->shortcut = conv(s, in, out, 1, 1, false, base, "shortcut");
}

static void declare_middle(zm_wan_side *n, zm_vae_scope *s, int c, const char *side)
{
    char at[NAME_MAX_BYTES];
    for (int i = 0; i < 2; i++) {
        snprintf(at, sizeof at, "%s.middle.%d", side, 2 * i);
        declare_res(&n->middle[i], s, c, c, at);
    }
    snprintf(at, sizeof at, "%s.middle.1", side);
    n->attention.norm = gamma_of(s, c, 2, at, "norm");
    n->attention.qkv = conv(s, c, 3 * c, 1, 1, true, at, "to_qkv");
    n->attention.proj = conv(s, c, c, 1, 1, true, at, "proj");
}

static void declare_resample(zm_wan_resample *r, zm_vae_scope *s, int in, int out, const char *base)
{
    r->space = conv(s, in, out, 1, 3, true, base, "resample.1");
    if (r->temporal) {
        char at[PATH_MAX_BYTES];
        snprintf(at, sizeof at, "%s.time_conv", base);
        r->time = zm_vae_conv_declare(s, in, r->up ? 2 * in : in, 3, 1, 1, false, at);
    }
}

/* Names of a stage's modules: "side.list.FLAT" counting through all stages, or "side.list.STAGE.list.K". */
static void stage_name(char *at, const char *side, const char *list, bool nested, int stage, int k, int *flat)
{
    if (nested)
        snprintf(at, NAME_MAX_BYTES, "%s.%s.%d.%s.%d", side, list, stage, list, k);
    else
        snprintf(at, NAME_MAX_BYTES, "%s.%s.%d", side, list, (*flat)++);
}

static void declare_stage(zm_wan_stage *t, zm_vae_scope *s, const char *side, bool nested, int index, int *flat)
{
    char at[NAME_MAX_BYTES];
    const char *list = t->resample.up ? "upsamples" : "downsamples";
    for (int k = 0; k < t->n_res; k++) {
        stage_name(at, side, list, nested, index, k, flat);
        declare_res(&t->res[k], s, k ? t->out : t->in, t->out, at);
    }
    if (t->resample.present) {
        stage_name(at, side, list, nested, index, t->n_res, flat);
        declare_resample(&t->resample, s, t->out, t->resample.up && !nested ? t->out / 2 : t->out, at);
    }
}

static void declare_encoder(zm_wan_side *n, const zm_vae_config *c, zm_vae_scope *s, bool nested)
{
    int width = c->dim, flat = 0, pixels = 3 * c->patch * c->patch;
    n->n_stages = c->n_stages;
    n->in = zm_vae_conv_declare(s, pixels, width, 3, 3, 3, false, "encoder.conv1");
    for (int i = 0; i < c->n_stages; i++) {
        bool last = i == c->n_stages - 1, temporal = !last && c->temporal_down[i];
        n->stage[i] = (zm_wan_stage){
            .in = width,
            .out = c->dim * c->dim_mult[i],
            .n_res = c->num_res_blocks,
            .resample = {.present = !last, .temporal = temporal},
            .shortcut = nested,
            .factor_t = temporal ? 2 : 1,
            .factor_s = last ? 1 : 2,
        };
        width = n->stage[i].out;
        declare_stage(&n->stage[i], s, "encoder", nested, i, &flat);
    }
    declare_middle(n, s, width, "encoder");
    n->head = zm_vae_gamma_declare(s, width, 3, "encoder.head.0.gamma");
    n->out = zm_vae_conv_declare(s, width, 2 * c->z_dim, 3, 3, 3, false, "encoder.head.2");
}

static void declare_decoder(zm_wan_side *n, const zm_vae_config *c, zm_vae_scope *s, bool nested)
{
    int stages = c->n_stages, flat = 0, pixels = 3 * c->patch * c->patch;
    int width = c->dec_dim * c->dim_mult[stages - 1];
    n->n_stages = stages;
    n->in = zm_vae_conv_declare(s, c->z_dim, width, 3, 3, 3, false, "decoder.conv1");
    declare_middle(n, s, width, "decoder");
    for (int i = 0; i < stages; i++) {
        bool last = i == stages - 1, temporal = !last && c->temporal_down[stages - 2 - i];
        n->stage[i] = (zm_wan_stage){
            .in = width,
            .out = c->dec_dim * c->dim_mult[stages - 1 - i],
            .n_res = c->num_res_blocks + 1,
            .resample = {.present = !last, .up = true, .temporal = temporal},
            .shortcut = nested && !last,
            .factor_t = temporal ? 2 : 1,
            .factor_s = 2,
        };
        declare_stage(&n->stage[i], s, "decoder", nested, i, &flat);
        width = nested || last ? n->stage[i].out : n->stage[i].out / 2;
    }
    n->head = zm_vae_gamma_declare(s, width, 3, "decoder.head.0.gamma");
    n->out = zm_vae_conv_declare(s, width, pixels, 3, 3, 3, false, "decoder.head.2");
}

zm_wan_net *zm_wan_declare(const zm_vae_config *c, zm_arena *arena, zm_vae_scope *s, bool nested)
{
    zm_wan_net *n = zm_arena_alloc(arena, sizeof *n);
    if (!n)
        return NULL;
    declare_encoder(&n->enc, c, s, nested);
    n->moments = zm_vae_conv_declare(s, 2 * c->z_dim, 2 * c->z_dim, 1, 1, 1, false, "conv1");
    n->latent = zm_vae_conv_declare(s, c->z_dim, c->z_dim, 1, 1, 1, false, "conv2");
    declare_decoder(&n->dec, c, s, nested);
    return n;
}
