/* Sizes of a multimodal diffusion transformer, from its configuration or its tensors.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/mmdit.h"

static const char *dotted(char *out, size_t cap, const char *key, const char *name)
{
    snprintf(out, cap, "%s%s%s", key, *key ? "." : "", name);
    return out;
}

static zm_status read_dual(zm_mmdit_config *c, const zm_json *j, const char *key, zm_error *err)
{
    for (int i = 0; i < ZM_MMDIT_BLOCKS_MAX; i++) {
        char name[96], at[64];
        int64_t layer = 0;
        snprintf(at, sizeof at, "x_block_self_attn_layers[%d]", i);
        if (!zm_json_at(j, dotted(name, sizeof name, key, at)))
            return ZM_OK;
        zm_status s = zm_json_int(&layer, j, name, true, 0, c->depth - 1, err);
        if (s)
            return s;
        c->dual[layer] = true;
    }
    return ZM_OK;
}

zm_status zm_mmdit_config_read(zm_mmdit_config *out, const zm_json *j, const char *key, zm_error *err)
{
    char name[96];
    int64_t depth = 0, patch = 2, in = 16, most = 192, adm = 0, context = 0, out_channels = 0;
    const char *norm = NULL;
    *out = (zm_mmdit_config){.mlp_ratio = 4, .qkv_bias = true};
    zm_status s = zm_json_int(&depth, j, dotted(name, sizeof name, key, "depth"), true, 1, ZM_MMDIT_BLOCKS_MAX, err);
    if (!s)
        s = zm_json_int(&patch, j, dotted(name, sizeof name, key, "patch_size"), false, 1, 64, err);
    if (!s)
        s = zm_json_int(&in, j, dotted(name, sizeof name, key, "in_channels"), false, 1, 1024, err);
    out_channels = in;
    if (!s && zm_json_at(j, dotted(name, sizeof name, key, "out_channels")))
        s = zm_json_int(&out_channels, j, name, false, 1, 1024, err);
    if (!s)
        s = zm_json_int(&most, j, dotted(name, sizeof name, key, "pos_embed_max_size"), false, 1, 4096, err);
    if (!s && zm_json_at(j, dotted(name, sizeof name, key, "adm_in_channels")))
        s = zm_json_int(&adm, j, name, false, 0, 1 << 16, err);
    if (!s)
        s = zm_json_int(&context, j, dotted(name, sizeof name, key, "context_embedder_config.params.in_features"),
                        false, 0, 1 << 16, err);
    if (!s)
        s = zm_json_f64(&out->mlp_ratio, j, dotted(name, sizeof name, key, "mlp_ratio"), false, 0.01, 64, err);
    if (!s)
        s = zm_json_bool(&out->qkv_bias, j, dotted(name, sizeof name, key, "qkv_bias"), false, err);
    if (!s && zm_json_at(j, dotted(name, sizeof name, key, "qk_norm")) && !json_is_null(zm_json_at(j, name)))
        s = zm_json_str(&norm, j, name, false, err);
    if (!s && norm && strcmp(norm, "rms") != 0)
        s = zm_fail(err, ZM_E_UNSUPPORTED, "%s: qk_norm is \"%s\"; \"rms\" or none can be computed", j->file, norm);
    if (s)
        return s;
    out->depth = (int)depth;
    out->patch_size = (int)patch;
    out->in_channels = (int)in;
    out->out_channels = (int)out_channels;
    out->pos_embed_max_size = (int)most;
    out->adm_in_channels = (int)adm;
    out->context_dim = (int)context;
    out->qk_norm = norm != NULL;
    return read_dual(out, j, key, err);
}

static const zm_weight *find(const zm_weights *w, const char *prefix, const char *name)
{
    char full[256];
    const zm_weight *t = NULL;
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return zm_weights_has(w, full) && !zm_weights_find(&t, w, full, NULL) ? t : NULL;
}

zm_status zm_mmdit_config_detect(zm_mmdit_config *out, const zm_weights *w, const char *prefix, zm_error *err)
{
    prefix = prefix ? prefix : "";
    const zm_weight *x = find(w, prefix, "x_embedder.proj.weight"), *pos = find(w, prefix, "pos_embed"),
                    *last = find(w, prefix, "final_layer.linear.weight"),
                    *fc = find(w, prefix, "joint_blocks.0.x_block.mlp.fc1.weight"),
                    *y = find(w, prefix, "y_embedder.mlp.0.weight"), *text = find(w, prefix, "context_embedder.weight");
    *out = (zm_mmdit_config){0};
    if (!x || !pos || !last || !fc || x->rank != 4 || pos->rank < 2 || last->rank != 2 || fc->rank != 2 ||
        x->dim[0] % 64 || x->dim[0] / 64 > ZM_MMDIT_BLOCKS_MAX || x->dim[0] < 64 || x->dim[2] < 1 || x->dim[2] > 64 ||
        (y && y->rank != 2) || (text && text->rank != 2))
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: not a multimodal diffusion transformer of the SD3 kind",
                       zm_weights_path(w));
    int64_t side = (int64_t)lrint(sqrt((double)pos->dim[pos->rank - 2]));
    if (side < 1 || side * side != pos->dim[pos->rank - 2] || last->dim[0] % (x->dim[2] * x->dim[2]) ||
        x->dim[1] > 1024 || side > 4096)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: a table of %lld positions is no square", zm_weights_path(w),
                       (long long)pos->dim[pos->rank - 2]);
    *out = (zm_mmdit_config){.depth = (int)(x->dim[0] / 64),
                             .patch_size = (int)x->dim[2],
                             .in_channels = (int)x->dim[1],
                             .out_channels = (int)(last->dim[0] / (x->dim[2] * x->dim[2])),
                             .adm_in_channels = y ? (int)y->dim[1] : 0,
                             .context_dim = text ? (int)text->dim[1] : 0,
                             .pos_embed_max_size = (int)side,
                             .mlp_ratio = (double)fc->dim[0] / (double)x->dim[0],
                             .qk_norm = find(w, prefix, "joint_blocks.0.x_block.attn.ln_q.weight") != NULL,
                             .qkv_bias = find(w, prefix, "joint_blocks.0.x_block.attn.qkv.bias") != NULL};
    for (int i = 0; i < out->depth; i++) {
        char name[96];
        snprintf(name, sizeof name, "joint_blocks.%d.x_block.attn2.qkv.weight", i);
        out->dual[i] = find(w, prefix, name) != NULL;
    }
    return ZM_OK;
}
