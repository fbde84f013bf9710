/* Sizes of the CLIP picture encoder: from JSON, from a checkpoint's shapes, and back to JSON.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/clip.h"

static const char *const activation_names[] = {
    [ZM_CLIP_GELU] = "gelu",
    [ZM_CLIP_QUICK_GELU] = "quick_gelu",
    [ZM_CLIP_SWI_GLU] = "swi_glu",
};

static const char *sub(char *buf, size_t cap, const char *key, const char *name)
{
    snprintf(buf, cap, "%s%s%s", key, *key ? "." : "", name);
    return buf;
}

static zm_status read_words(zm_clip_config *c, const zm_json *j, const char *key, zm_error *err)
{
    const char *activation = "gelu", *pool = "token";
    char buf[160];
    zm_status s = zm_json_str(&activation, j, sub(buf, sizeof buf, key, "activation"), false, err);
    if (!s)
        s = zm_json_str(&pool, j, sub(buf, sizeof buf, key, "pool_type"), false, err);
    if (s)
        return s;
    size_t i = 0, n = sizeof activation_names / sizeof *activation_names;
    while (i < n && strcmp(activation, activation_names[i]) != 0)
        i++;
    if (i == n)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: activation \"%s\" is none of gelu, quick_gelu, swi_glu", j->file,
                       activation);
    c->activation = (zm_clip_activation)i;
    if (strcmp(pool, "token") != 0 && strcmp(pool, "token_fc") != 0 && strcmp(pool, "attn_pool") != 0)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: pool_type \"%s\" is none of token, token_fc, attn_pool", j->file,
                       pool);
    c->class_token = strcmp(pool, "attn_pool") != 0;
    return ZM_OK;
}

zm_status zm_clip_config_read(zm_clip_config *out, const zm_json *j, const char *key, zm_error *err)
{
    zm_clip_config c = {.mlp_ratio = 4, .pre_norm = true, .norm_eps = 1e-5};
    const struct row {
        const char *name;
        int *to;
        int hi;
    } rows[] = {
        {"image_size", &c.image_size, 1 << 14}, {"patch_size", &c.patch_size, 1 << 10}, {"dim", &c.dim, 1 << 16},
        {"num_heads", &c.num_heads, 1024},      {"num_layers", &c.num_layers, 1024},
    };
    char buf[160];
    zm_status s = ZM_OK;
    for (size_t i = 0; i < sizeof rows / sizeof *rows && !s; i++) {
        int64_t v = 0;
        s = zm_json_int(&v, j, sub(buf, sizeof buf, key, rows[i].name), true, 1, rows[i].hi, err);
        *rows[i].to = (int)v;
    }
    if (!s)
        s = zm_json_f64(&c.mlp_ratio, j, sub(buf, sizeof buf, key, "mlp_ratio"), false, 0, 64, err);
    if (!s)
        s = zm_json_f64(&c.norm_eps, j, sub(buf, sizeof buf, key, "norm_eps"), false, 0, 1, err);
    if (!s)
        s = zm_json_bool(&c.pre_norm, j, sub(buf, sizeof buf, key, "pre_norm"), false, err);
    if (!s)
        s = zm_json_bool(&c.post_norm, j, sub(buf, sizeof buf, key, "post_norm"), false, err);
    if (!s)
        s = read_words(&c, j, key, err);
    if (!s && (c.dim % c.num_heads || c.patch_size > c.image_size || c.dim * c.mlp_ratio < 1))
        s = zm_fail(err, ZM_E_UNSUPPORTED,
                    "%s: a width of %d (x %g) with %d heads and patches of %d in %d pixels do not fit together",
                    j->file, c.dim, c.mlp_ratio, c.num_heads, c.patch_size, c.image_size);
    if (!s)
        *out = c;
    return s;
}

/* Tensor PREFIX + name of rank at least `rank`, or NULL. */
static const zm_weight *peek(const zm_weights *w, const char *prefix, const char *name, int rank)
{
    char full[256];
    const zm_weight *t;
    snprintf(full, sizeof full, "%s%s", prefix ? prefix : "", name);
    if (!zm_weights_has(w, full) || zm_weights_find(&t, w, full, NULL) || t->rank < rank)
        return NULL;
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i] < 1 || t->dim[i] > 1 << 18)
            return NULL;
    return t;
}

static int head_width(int dim)
{
    return dim == 1280 ? 80 : dim == 1408 ? 88 : dim == 1664 ? 104 : 64;
}

zm_status zm_clip_config_detect(zm_clip_config *out, const zm_weights *w, const char *prefix, zm_error *err)
{
    const zm_weight *patch = peek(w, prefix, "patch_embedding.weight", 4), *pos, *fc;
    pos = peek(w, prefix, "pos_embedding", 3);
    fc = peek(w, prefix, "transformer.0.mlp.0.weight", 2);
    zm_clip_config c = {.norm_eps = 1e-5};
    if (!fc) {
        fc = peek(w, prefix, "transformer.0.mlp.fc1.weight", 2);
        c.activation = fc ? ZM_CLIP_SWI_GLU : ZM_CLIP_GELU;
    }
    if (!patch || !pos || !fc || patch->dim[1] != 3 || patch->dim[2] != patch->dim[3])
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: not a picture encoder of the CLIP family", zm_weights_path(w));
    c.dim = (int)patch->dim[0];
    c.patch_size = (int)patch->dim[2];
    c.class_token = peek(w, prefix, "cls_embedding", 1) != NULL;
    c.pre_norm = peek(w, prefix, "pre_norm.weight", 1) != NULL;
    c.mlp_ratio = (double)fc->dim[0] / (double)c.dim;
    c.num_heads = c.dim / head_width(c.dim);
    int64_t patches = pos->dim[1] - c.class_token;
    int side = (int)lround(sqrt((double)(patches > 0 ? patches : 0)));
    char name[64];
    do
        snprintf(name, sizeof name, "transformer.%d.attn.to_qkv.weight", ++c.num_layers);
    while (c.num_layers < 1024 && peek(w, prefix, name, 2));
    if (c.num_heads < 1 || c.dim % c.num_heads || side < 1 || (int64_t)side * side != patches ||
        c.patch_size > 1 << 10 || side * c.patch_size > 1 << 14)
        return zm_fail(err, ZM_E_UNSUPPORTED,
                       "%s: %lld positions of width %d are no square of patches with heads of %d", zm_weights_path(w),
                       (long long)pos->dim[1], c.dim, head_width(c.dim));
    c.image_size = side * c.patch_size;
    *out = c;
    return ZM_OK;
}

char *zm_clip_config_json(const zm_clip_config *c)
{
    size_t cap = 512;
    char *text = malloc(cap);
    if (text)
        snprintf(text, cap,
                 "{\"image_size\": %d, \"patch_size\": %d, \"dim\": %d, \"num_heads\": %d, \"num_layers\": %d, "
                 "\"mlp_ratio\": %.17g, \"pool_type\": \"%s\", \"pre_norm\": %s, \"post_norm\": %s, "
                 "\"activation\": \"%s\", \"norm_eps\": %.9g}",
                 c->image_size, c->patch_size, c->dim, c->num_heads, c->num_layers, c->mlp_ratio,
                 c->class_token ? "token" : "attn_pool", c->pre_norm ? "true" : "false",
                 c->post_norm ? "true" : "false", activation_names[c->activation], c->norm_eps);
    return text;
}

int64_t zm_clip_tokens(const zm_clip_config *c)
{
    int64_t side = c->image_size / c->patch_size;
    return side * side + c->class_token;
}
