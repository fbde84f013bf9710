/* Sizes of an official autoencoder checkpoint from its tensors' names and shapes.
 * SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>

#include "model/vae_parts.h"

typedef struct source {
    const zm_weights *w;
    const char *prefix;
} source;

/* The tensor PREFIX + name, or NULL. */
ZM_PRINTF(2, 3) static const zm_weight *tensor(const source *s, const char *fmt, ...)
{
    char name[160], full[320];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    snprintf(full, sizeof full, "%s%s", s->prefix, name);
    const zm_weight *t = NULL;
    if (!zm_weights_has(s->w, full) || zm_weights_find(&t, s->w, full, NULL))
        return NULL;
    return t->rank > 0 ? t : NULL;
}

/* Outermost dim as an int; 0 when the tensor is absent or absurdly large, which the check of sizes refuses. */
static int width(const zm_weight *t)
{
    return t && t->dim[0] > 0 && t->dim[0] < 1 << 20 ? (int)t->dim[0] : 0;
}

/* Wan 2.1: one flat list; a change of rate ends a stage. */
static void walk_flat(zm_vae_config *c, const source *s)
{
    int in_stage = 0;
    c->n_stages = 1;
    for (int i = 0; i < 256; i++) {
        const zm_weight *res = tensor(s, "encoder.downsamples.%d.residual.2.weight", i);
        if (res) {
            c->dim_mult[c->n_stages - 1] = width(res) / c->dim;
            in_stage++;
            c->num_res_blocks = in_stage > c->num_res_blocks ? in_stage : c->num_res_blocks;
        } else if (tensor(s, "encoder.downsamples.%d.resample.1.weight", i) && c->n_stages < ZM_VAE_STAGES_MAX) {
            c->temporal_down[c->n_stages - 1] = tensor(s, "encoder.downsamples.%d.time_conv.weight", i) != NULL;
            c->n_stages++;
            in_stage = 0;
        } else {
            return;
        }
    }
}

/* Wan 2.2: a module per stage. */
static void walk_nested(zm_vae_config *c, const source *s)
{
    for (int i = 0; i < ZM_VAE_STAGES_MAX; i++) {
        const zm_weight *res;
        int k = 0;
        for (; k < 64 && (res = tensor(s, "encoder.downsamples.%d.downsamples.%d.residual.2.weight", i, k)); k++)
            c->dim_mult[i] = width(res) / c->dim;
        if (k == 0)
            return;
        c->num_res_blocks = k;
        c->temporal_down[i] = tensor(s, "encoder.downsamples.%d.downsamples.%d.time_conv.weight", i, k) != NULL;
        c->n_stages = i + 1;
    }
}

zm_status zm_vae_config_detect(zm_vae_config *out, const zm_weights *w, const char *prefix, zm_error *err)
{
    source s = {w, prefix ? prefix : ""};
    const zm_weight *first = tensor(&s, "encoder.conv1.weight"), *last = tensor(&s, "decoder.head.2.weight");
    zm_vae_config c = {.dim = width(first), .patch = 1, .z_dim = width(tensor(&s, "conv2.weight"))};
    if (!c.dim || !c.z_dim || !last || first->rank != 5 || last->rank != 5)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: no video autoencoder of the Wan families is in here",
                       zm_weights_path(w));
    bool nested = tensor(&s, "encoder.downsamples.0.downsamples.0.residual.2.weight") != NULL;
    c.kind = nested ? ZM_VAE_WAN22 : ZM_VAE_WAN21;
    while (c.patch < 16 && 3 * c.patch * c.patch < first->dim[1])
        c.patch++;
    if (nested)
        walk_nested(&c, &s);
    else
        walk_flat(&c, &s);
    c.dec_dim = c.dim_mult[0] ? (int)(last->dim[1] / c.dim_mult[0]) : 0;
    zm_vae_config_official_stats(&c);
    zm_status st = zm_vae_config_check(&c, err);
    if (st)
        zm_error_prefix(err, "%s", zm_weights_path(w));
    else
        *out = c;
    return st;
}
