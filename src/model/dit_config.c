/* Sizes of the Wan family: from config.json, from a checkpoint's shapes, and back to JSON.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/dit.h"

/* DIR.KEY, or KEY at the root. */
static const char *sub(char *buf, size_t cap, const char *key, const char *name)
{
    snprintf(buf, cap, "%s%s%s", key, *key ? "." : "", name);
    return buf;
}

zm_status zm_dit_config_read(zm_dit_config *out, const zm_json *j, const char *key, zm_error *err)
{
    zm_dit_config c = {.model_type = "t2v",
                       .patch_size = {1, 2, 2},
                       .freq_dim = 256,
                       .text_dim = 4096,
                       .text_len = 512,
                       .qk_norm = true,
                       .cross_attn_norm = true,
                       .eps = 1e-6};
    const struct row {
        const char *name;
        int *to;
        bool required;
        int lo, hi;
    } rows[] = {
        {"dim", &c.dim, true, 4, 1 << 16},
        {"ffn_dim", &c.ffn_dim, true, 1, 1 << 18},
        {"num_heads", &c.num_heads, true, 1, 1024},
        {"num_layers", &c.num_layers, true, 1, 1024},
        {"in_dim", &c.in_dim, true, 1, 4096},
        {"out_dim", &c.out_dim, true, 1, 4096},
        {"freq_dim", &c.freq_dim, false, 2, 1 << 14},
        {"text_dim", &c.text_dim, false, 1, 1 << 16},
        {"text_len", &c.text_len, false, 1, 1 << 14},
        {"img_dim", &c.img_dim, false, 0, 1 << 14},
        {"causal.block", &c.causal.block, false, 0, 1 << 14},
        {"causal.window", &c.causal.window, false, 0, 1 << 14},
        {"causal.sink", &c.causal.sink, false, 0, 1 << 14},
    };
    char buf[160];
    zm_status s = ZM_OK;
    for (size_t i = 0; i < sizeof rows / sizeof *rows && !s; i++) {
        int64_t v = *rows[i].to;
        s = zm_json_int(&v, j, sub(buf, sizeof buf, key, rows[i].name), rows[i].required, rows[i].lo, rows[i].hi, err);
        *rows[i].to = (int)v;
    }
    if (!s)
        s = zm_json_bool(&c.causal.both, j, sub(buf, sizeof buf, key, "causal.both"), false, err);
    int64_t patch[3] = {1, 2, 2};
    size_t n = 3;
    const char *type = c.model_type;
    if (!s)
        s = zm_json_ints(patch, &n, j, sub(buf, sizeof buf, key, "patch_size"), false, 3, 3, 1, 64, err);
    if (!s)
        s = zm_json_f64(&c.eps, j, sub(buf, sizeof buf, key, "eps"), false, 0, 1, err);
    if (!s)
        s = zm_json_bool(&c.qk_norm, j, sub(buf, sizeof buf, key, "qk_norm"), false, err);
    if (!s)
        s = zm_json_bool(&c.cross_attn_norm, j, sub(buf, sizeof buf, key, "cross_attn_norm"), false, err);
    if (!s)
        s = zm_json_str(&type, j, sub(buf, sizeof buf, key, "model_type"), false, err);
    if (s)
        return s;
    for (int i = 0; i < 3; i++)
        c.patch_size[i] = (int)patch[i];
    char copy[sizeof c.model_type];
    snprintf(copy, sizeof copy, "%s", type);
    memcpy(c.model_type, copy, sizeof copy);
    if (c.dim % c.num_heads || c.dim / c.num_heads % 2 || c.freq_dim % 2)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: dim %d, %d heads and freq_dim %d do not make even halves", j->file,
                       c.dim, c.num_heads, c.freq_dim);
    if (c.causal.block % c.patch_size[0] || (!c.causal.block && (c.causal.window || c.causal.sink || c.causal.both)))
        return zm_fail(err, ZM_E_UNSUPPORTED,
                       "%s: blocks of %d latent frames, with a window of %d and a sink of %d, are not possible where "
                       "patches have %d",
                       j->file, c.causal.block, c.causal.window, c.causal.sink, c.patch_size[0]);
    *out = c;
    return ZM_OK;
}

/* Tensor PREFIX + name of rank at least `rank`, or NULL. */
static const zm_weight *peek(const zm_weights *w, const char *prefix, const char *name, int rank)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s", prefix ? prefix : "", name);
    const zm_weight *t;
    if (!zm_weights_has(w, full) || zm_weights_find(&t, w, full, NULL) || t->rank < rank)
        return NULL;
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i] < 1 || t->dim[i] > 1 << 18)
            return NULL;
    return t;
}

/* The sizes that zouma convert kept in the file, if they are of these tensors. */
static bool read_kept(zm_dit_config *out, const zm_weights *w, const zm_weight *patch, const zm_weight *ffn)
{
    const char *text = zm_weights_meta_str(w, "zouma.config");
    zm_json doc;
    if (!text || zm_json_parse(&doc, text, strlen(text), zm_weights_path(w), NULL))
        return false;
    bool ok = !zm_dit_config_read(out, &doc, zm_json_at(&doc, "dit") ? "dit" : "", NULL) && out->dim == patch->dim[0] &&
              out->in_dim == patch->dim[1] && out->ffn_dim == ffn->dim[0];
    zm_json_close(&doc);
    return ok;
}

zm_status zm_dit_config_detect(zm_dit_config *out, const zm_weights *w, const char *prefix, zm_error *err)
{
    const zm_weight *patch = peek(w, prefix, "patch_embedding.weight", 5), *ffn, *text, *time, *head, *image;
    ffn = peek(w, prefix, "blocks.0.ffn.0.weight", 2);
    text = peek(w, prefix, "text_embedding.0.weight", 2);
    time = peek(w, prefix, "time_embedding.0.weight", 2);
    head = peek(w, prefix, "head.head.weight", 2);
    image = peek(w, prefix, "img_emb.proj.0.weight", 1);
    if (!patch || !ffn || !text || !time || !head)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: not a diffusion transformer of the Wan family", zm_weights_path(w));
    if (read_kept(out, w, patch, ffn))
        return ZM_OK;
    zm_dit_config c = {.text_len = 512, .qk_norm = true, .cross_attn_norm = true, .eps = 1e-6};
    c.dim = (int)patch->dim[0];
    c.in_dim = (int)patch->dim[1];
    int64_t area = 1;
    for (int i = 0; i < 3; i++) {
        c.patch_size[i] = (int)patch->dim[2 + i];
        area = area < 4096 ? area * patch->dim[2 + i] : area;
    }
    c.ffn_dim = (int)ffn->dim[0];
    c.text_dim = (int)text->dim[1];
    c.freq_dim = (int)time->dim[1];
    c.out_dim = (int)(head->dim[0] / area);
    c.img_dim = image ? (int)image->dim[0] : 0;
    c.num_heads = c.dim / 128;
    char name[64];
    do
        snprintf(name, sizeof name, "blocks.%d.ffn.0.weight", ++c.num_layers);
    while (c.num_layers < 1024 && peek(w, prefix, name, 2));
    if (c.dim % 128 || c.out_dim < 1 || c.freq_dim % 2)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: a width of %d does not split into heads of 128; give a config.json",
                       zm_weights_path(w), c.dim);
    bool pair = peek(w, prefix, "img_emb.emb_pos", 3) != NULL; /* learnt places of two pictures' features */
    const char *plain = c.out_dim == 48 ? "ti2v" : "t2v";
    snprintf(c.model_type, sizeof c.model_type, "%s", pair ? "flf2v" : c.in_dim != c.out_dim ? "i2v" : plain);
    *out = c;
    return ZM_OK;
}

char *zm_dit_config_json(const zm_dit_config *c)
{
    size_t cap = 1024;
    char *text = malloc(cap), causal[96] = "";
    if (c->causal.block)
        snprintf(causal, sizeof causal, ", \"causal\": {\"block\": %d, \"window\": %d, \"sink\": %d%s}",
                 c->causal.block, c->causal.window, c->causal.sink, c->causal.both ? ", \"both\": true" : "");
    if (text)
        snprintf(text, cap,
                 "{\"model_type\": \"%s\", \"dim\": %d, \"ffn_dim\": %d, \"num_heads\": %d, \"num_layers\": %d, "
                 "\"in_dim\": %d, \"out_dim\": %d, \"patch_size\": [%d, %d, %d], \"freq_dim\": %d, \"text_dim\": %d, "
                 "\"text_len\": %d, \"img_dim\": %d, \"qk_norm\": %s, \"cross_attn_norm\": %s, \"eps\": %.9g%s}",
                 c->model_type, c->dim, c->ffn_dim, c->num_heads, c->num_layers, c->in_dim, c->out_dim,
                 c->patch_size[0], c->patch_size[1], c->patch_size[2], c->freq_dim, c->text_dim, c->text_len,
                 c->img_dim, c->qk_norm ? "true" : "false", c->cross_attn_norm ? "true" : "false", c->eps, causal);
    return text;
}

const char *zm_dit_causal_text(const zm_dit_causal *c, char *buf, size_t cap)
{
    char window[32] = "", sink[32] = "";
    if (c->window)
        snprintf(window, sizeof window, ", a window of %d block%s", c->window, c->window == 1 ? "" : "s");
    if (c->sink)
        snprintf(sink, sizeof sink, ", a sink of %d", c->sink);
    snprintf(buf, cap, "looks back only: blocks of %d latent frame%s%s%s%s", c->block, c->block == 1 ? "" : "s", window,
             sink, c->both ? "; or both ways, in clips" : "");
    if (!c->block && cap)
        *buf = 0;
    return buf;
}

zm_block_causal zm_dit_causal_mask(const zm_dit_causal *c, int64_t frame_tokens, int patch_frames)
{
    return (zm_block_causal){.block = c->block / patch_frames * frame_tokens, .window = c->window, .sink = c->sink};
}
