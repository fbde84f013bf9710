/* Reading diffusers' directories: their keys for our sizes.
 * SPDX-License-Identifier: MIT */
#include "model/diffusers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"

enum { CONFIG_MAX = 1 << 20 };

bool zm_diffusers_is(const char *dir)
{
    char *path = zm_path_join(dir, "model_index.json");
    bool there = path && zm_path_is_file(path);
    free(path);
    return there;
}

/* DIR/NAME if it is there; NULL stays otherwise. */
static zm_status find(char **out, const char *dir, const char *name, bool folder, zm_error *err)
{
    char *path = *out ? NULL : zm_path_join(dir, "%s", name);
    if (*out)
        return ZM_OK;
    if (!path)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", dir);
    if (folder ? zm_path_is_dir(path) : zm_path_is_file(path))
        *out = path;
    else
        free(path);
    return ZM_OK;
}

/* DIR/config.json of a part; *there says whether it has one. */
static zm_status open_config(zm_json *j, bool *there, const char *dir, const char *name, zm_error *err)
{
    char *path = zm_path_join(dir, "%s", name);
    if (!path)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", dir);
    *there = zm_path_is_file(path);
    zm_status s = *there ? zm_json_load(j, path, CONFIG_MAX, err) : ZM_OK;
    free(path);
    return s;
}

typedef struct int_row {
    const char *key;
    int *to;
    bool required;
    int lo, hi;
} int_row;

static zm_status read_ints(const zm_json *j, const int_row *row, size_t n, zm_error *err)
{
    zm_status s = ZM_OK;
    for (size_t i = 0; !s && i < n; i++) {
        int64_t v = *row[i].to;
        s = zm_json_int(&v, j, row[i].key, row[i].required, row[i].lo, row[i].hi, err);
        *row[i].to = (int)v;
    }
    return s;
}

/* per_frame: the pipeline gives every latent frame a timestep of its own (Wan 2.2 TI2V). */
static zm_status read_transformer(zm_dit_config *out, const zm_json *j, bool per_frame, zm_error *err)
{
    zm_dit_config c = {.patch_size = {1, 2, 2}, .freq_dim = 256, .text_dim = 4096, .text_len = 512, .eps = 1e-6};
    int head = 128, places = 0;
    int64_t patch[3] = {1, 2, 2};
    size_t n = 3;
    const char *norm = NULL;
    const int_row rows[] = {
        {"num_attention_heads", &c.num_heads, true, 1, 1024},
        {"attention_head_dim", &head, true, 2, 4096},
        {"ffn_dim", &c.ffn_dim, true, 1, 1 << 18},
        {"num_layers", &c.num_layers, true, 1, 1024},
        {"in_channels", &c.in_dim, true, 1, 4096},
        {"out_channels", &c.out_dim, true, 1, 4096},
        {"freq_dim", &c.freq_dim, false, 2, 1 << 14},
        {"text_dim", &c.text_dim, false, 1, 1 << 16},
        {"image_dim", &c.img_dim, false, 0, 1 << 14},
        {"pos_embed_seq_len", &places, false, 0, 1 << 16},
    };
    c.cross_attn_norm = true;
    zm_status s = read_ints(j, rows, sizeof rows / sizeof *rows, err);
    if (!s)
        s = zm_json_ints(patch, &n, j, "patch_size", false, 3, 3, 1, 64, err);
    if (!s)
        s = zm_json_f64(&c.eps, j, "eps", false, 0, 1, err);
    if (!s)
        s = zm_json_bool(&c.cross_attn_norm, j, "cross_attn_norm", false, err);
    if (!s)
        s = zm_json_str(&norm, j, "qk_norm", false, err);
    if (s)
        return s;
    if (norm && strcmp(norm, "rms_norm_across_heads") != 0)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: qk_norm is \"%s\", only \"rms_norm_across_heads\" is known", j->file,
                       norm);
    c.qk_norm = norm != NULL;
    if (head % 2 || (int64_t)head * c.num_heads > 1 << 16 || c.freq_dim % 2)
        return zm_fail(err, ZM_E_UNSUPPORTED,
                       "%s: %d heads of %d and freq_dim %d do not make even halves of at most 65536", j->file,
                       c.num_heads, head, c.freq_dim);
    c.dim = head * c.num_heads;
    for (int i = 0; i < 3; i++)
        c.patch_size[i] = (int)patch[i];
    const char *type = c.img_dim && places ? "flf2v" : c.in_dim != c.out_dim ? "i2v" : per_frame ? "ti2v" : "t2v";
    snprintf(c.model_type, sizeof c.model_type, "%s", type);
    *out = c;
    return ZM_OK;
}

static zm_status read_text(zm_model_config *c, zm_error *err)
{
    zm_text_config t = {.num_buckets = 32, .max_distance = 128, .eps = 1e-6};
    zm_json j = {0};
    int head = 64;
    const int_row rows[] = {
        {"vocab_size", &t.vocab, true, 1, 1 << 24},
        {"d_model", &t.dim, true, 1, 1 << 16},
        {"d_kv", &head, true, 1, 4096},
        {"d_ff", &t.dim_ffn, true, 1, 1 << 18},
        {"num_heads", &t.num_heads, true, 1, 1024},
        {"num_layers", &t.num_layers, true, 1, 1024},
        {"relative_attention_num_buckets", &t.num_buckets, false, 4, 1024},
        {"relative_attention_max_distance", &t.max_distance, false, 2, 1 << 20},
    };
    zm_status s = open_config(&j, &c->has_text, c->text_path, "config.json", err);
    if (s || !c->has_text)
        return s;
    const char *type = "umt5";
    s = read_ints(&j, rows, sizeof rows / sizeof *rows, err);
    if (!s)
        s = zm_json_f64(&t.eps, &j, "layer_norm_epsilon", false, 0, 1, err);
    if (!s)
        s = zm_json_str(&type, &j, "model_type", false, err);
    t.shared_pos = !s && !strcmp(type, "t5"); /* T5 has one table of positions, UMT5 one a block */
    if (!s && ((int64_t)head * t.num_heads > 1 << 16 || t.num_buckets % 4 || t.max_distance <= t.num_buckets / 4))
        s = zm_fail(err, ZM_E_UNSUPPORTED, "%s: %d heads of %d and %d buckets to distance %d do not fit together",
                    j.file, t.num_heads, head, t.num_buckets, t.max_distance);
    t.dim_attn = head * t.num_heads;
    c->text = t;
    zm_json_close(&j);
    return s;
}

/* The shapes tell all but the means and deviations of the latent's channels. */
static zm_status read_vae(zm_model_config *c, zm_error *err)
{
    zm_json j = {0};
    zm_weights *w;
    bool there;
    double mean[ZM_VAE_Z_MAX], std[ZM_VAE_Z_MAX];
    zm_status s = open_config(&j, &there, c->vae_path, "config.json", err);
    if (s || !there)
        return s;
    s = zm_model_part_open(&w, c, ZM_PART_VAE, err);
    if (!s) {
        s = zm_vae_config_detect(&c->vae, w, "", err);
        zm_weights_free(w);
    }
    size_t z = s ? 0 : (size_t)c->vae.z_dim, n = 0;
    if (!s)
        s = zm_json_f64s(mean, &n, &j, "latents_mean", false, z, z, -1e6, 1e6, err);
    for (size_t i = 0; !s && i < n; i++)
        c->vae.mean[i] = (float)mean[i];
    n = 0;
    if (!s)
        s = zm_json_f64s(std, &n, &j, "latents_std", false, z, z, 1e-6, 1e6, err);
    for (size_t i = 0; !s && i < n; i++)
        c->vae.std[i] = (float)std[i];
    c->has_vae = !s;
    zm_json_close(&j);
    return s;
}

static zm_status find_paths(zm_model_config *c, const char *dir, zm_error *err)
{
    const struct row {
        char **to;
        const char *name;
        bool folder;
    } rows[] = {
        {&c->dit_path, "transformer", true},
        {&c->dit_low_path, "transformer_2", true},
        {&c->text_path, "text_encoder", true},
        {&c->vae_path, "vae", true},
        {&c->clip_path, "image_encoder", true},
        {&c->tokenizer_path, "tokenizer/tokenizer.json", false},
        {&c->tokenizer_path, "tokenizer/spiece.model", false},
    };
    zm_status s = ZM_OK;
    for (size_t i = 0; !s && i < sizeof rows / sizeof *rows; i++)
        s = find(rows[i].to, dir, rows[i].name, rows[i].folder, err);
    if (!s && !c->dit_path)
        s = zm_fail(err, ZM_E_MISSING, "%s: model_index.json is there, the folder transformer is not", dir);
    return s;
}

zm_status zm_diffusers_read(zm_model_config *c, const char *dir, double *shift, zm_error *err)
{
    zm_json part = {0};
    bool there, per_frame = false;
    c->boundary = 0;
    zm_status s = open_config(&c->json, &there, dir, "model_index.json", err);
    if (!s)
        s = find_paths(c, dir, err);
    if (!s)
        s = zm_json_bool(&per_frame, &c->json, "expand_timesteps", false, err);
    if (!s)
        s = zm_json_f64(&c->boundary, &c->json, "boundary_ratio", false, 0, 1, err);
    if (!s)
        s = open_config(&part, &there, c->dit_path, "config.json", err);
    if (!s && !there)
        s = zm_fail(err, ZM_E_MISSING, "%s: no config.json is in it", c->dit_path);
    if (!s)
        s = read_transformer(&c->dit, &part, per_frame, err);
    zm_json_close(&part);
    if (!s && c->text_path)
        s = read_text(c, err);
    if (!s && c->vae_path)
        s = read_vae(c, err);
    if (!s)
        s = open_config(&part, &there, dir, "scheduler/scheduler_config.json", err);
    if (!s && there)
        s = zm_json_f64(shift, &part, "flow_shift", false, 1e-3, 1000, err);
    zm_json_close(&part);
    return s;
}
