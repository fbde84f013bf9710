/* zouma convert: the type of each tensor, and the metadata.
 * SPDX-License-Identifier: MIT */
#include "app/convert_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"
#include "format/companion.h"
#include "model/dit.h"
#include "model/names.h"

enum { SMALL_ELEMS = 1024, CONFIG_BYTES_MAX = 1 << 20 };

/* Beginnings of a name's components.  What few weights do to everything - when, where, how strongly - is worth its
 * bits: usual converters leave the same out. */
static const struct {
    const char *start;
    bool f32; /* else 16 bits */
} sensitive[] = {
    {"modulation", true},
    {"scale_shift_table", true},
    {"pos_embedding", true},
    {"relative_attention_bias", true},
    {"cls_embedding", true},
    {"pos_embed", true},
    {"position_embedding", true},
    {"patch_embedding", false},
    {"text_embedding", false},
    {"time_embedding", false},
    {"time_projection", false},
    {"img_emb", false},
    {"head.", false},
    {"condition_embedder", false},
    {"proj_out.", false},
    {"x_embedder", false},
    {"t_embedder", false},
    {"y_embedder", false},
    {"context_embedder", false},
    {"time_text_embed", false},
    {"final_layer", false},
};

/* The next type to try where rows are not whole blocks: nearest in bits, in blocks of 32. */
static zm_dtype smaller_blocks(zm_dtype t)
{
    switch (t) {
    case ZM_Q2_K:
    case ZM_Q3_K:
        return ZM_Q4_0;
    case ZM_Q4_K:
        return ZM_Q5_0;
    case ZM_Q5_K:
        return ZM_Q5_1;
    case ZM_Q6_K:
        return ZM_Q8_0;
    default:
        return ZM_F16;
    }
}

/* 0: no; 16 or 32: bits to keep. */
static int sensitive_bits(const char *name)
{
    for (const char *at = name; at; at = strchr(at, '.') ? strchr(at, '.') + 1 : NULL)
        for (size_t i = 0; i < sizeof sensitive / sizeof *sensitive; i++)
            if (!strncmp(at, sensitive[i].start, strlen(sensitive[i].start)))
                return sensitive[i].f32 ? 32 : 16;
    return 0;
}

/* 16 bits that lose nothing of a 16-bit source. */
static zm_dtype sixteen(const zm_weight *t)
{
    return t->dtype == ZM_BF16 ? ZM_BF16 : ZM_F16;
}

static zm_dtype choose(zm_convert_reason *why, const zm_weight *t, zm_dtype type)
{
    int bits = sensitive_bits(t->name);
    *why = ZM_CONVERT_AS_ASKED;
    if (!zm_dtype_is_weight(t->dtype) && t->dtype != ZM_F64) {
        *why = ZM_CONVERT_NUMBERS;
        return t->dtype;
    }
    if (type == ZM_F32)
        return ZM_F32;
    if (t->rank < 2 || zm_weight_elems(t) <= SMALL_ELEMS) {
        *why = ZM_CONVERT_SMALL;
        return ZM_F32;
    }
    if (bits == 32 || (bits && zm_dtype_is_quantised(type))) {
        *why = ZM_CONVERT_SENSITIVE;
        return bits == 32 ? ZM_F32 : sixteen(t);
    }
    while (t->dim[t->rank - 1] % (int64_t)zm_dtype_block_elems(type)) {
        *why = ZM_CONVERT_ROWS;
        type = smaller_blocks(type);
        if (type == ZM_F16)
            type = sixteen(t);
    }
    return type;
}

static zm_status check_scale(const zm_weight *t, const zm_weight *scale, zm_error *err)
{
    size_t n = zm_weight_elems(scale);
    if (!zm_dtype_is_weight(scale->dtype) || zm_dtype_is_quantised(scale->dtype) ||
        (n != 1 && (t->rank < 1 || scale->dim[0] != t->dim[0] || n != (size_t)t->dim[0])))
        return zm_fail(err, ZM_E_SHAPE, "%s: the scale of %s has %zu elements of %s, one or one a row is needed",
                       t->file, t->name, n, scale->dtype_name);
    return ZM_OK;
}

static zm_status add_job(zm_convert_plan *p, const zm_weight *t, const zm_weight *scale, zm_dtype type, zm_error *err)
{
    if (t->dtype == ZM_DTYPE_COUNT && zm_weight_elems(t) > SMALL_ELEMS)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: tensor %s has dtype %s, which this build cannot compute with",
                       t->file, t->name, t->dtype_name);
    if (t->dtype == ZM_DTYPE_COUNT || t->dtype == ZM_U8) {
        p->unwritable = p->unwritable ? p->unwritable : t->name;
        p->skipped++;
        return ZM_OK;
    }
    zm_status s = scale ? check_scale(t, scale, err) : ZM_OK;
    zm_convert_job *j = &p->job[p->n];
    *j = (zm_convert_job){.from = t, .scale = scale, .to = *t};
    j->to.dtype = choose(&j->why, t, type);
    j->to.data = NULL;
    if (!s && !zm_dtype_bytes(&j->to.bytes, j->to.dtype, zm_weight_elems(t)))
        s = zm_fail(err, ZM_E_SHAPE, "%s: tensor %s does not fit in memory as %s", t->file, t->name,
                    zm_dtype_name(j->to.dtype));
    p->n += !s;
    return s;
}

static zm_status add_jobs(zm_convert_plan *p, const zm_weights *w, zm_dtype type, zm_error *err)
{
    size_t n = zm_weights_count(w);
    char stem[512];
    p->job = calloc(n + 1, sizeof *p->job);
    zm_status s = p->job ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for %zu tensors", n);
    for (size_t i = 0; i < n && !s; i++) {
        const zm_weight *t = zm_weights_at(w, i);
        if (zm_companion_of(stem, sizeof stem, t->name))
            p->skipped++;
        else
            s = add_job(p, t, zm_companion_scale(w, t), type, err);
    }
    return s;
}

static void put_str(zm_convert_plan *p, const char *key, const char *text)
{
    p->meta[p->n_meta++] = (zm_meta){.key = key, .type = ZM_META_STR, .str = text, .n = strlen(text)};
}

/* ggml's number for a file of mostly this type. */
static uint64_t file_type(zm_dtype t)
{
    static const unsigned char number[ZM_DTYPE_COUNT] = {
        [ZM_F16] = 1,  [ZM_BF16] = 32, [ZM_Q4_0] = 2,  [ZM_Q4_1] = 3,  [ZM_Q5_0] = 8,  [ZM_Q5_1] = 9,
        [ZM_Q8_0] = 7, [ZM_Q2_K] = 10, [ZM_Q3_K] = 11, [ZM_Q4_K] = 14, [ZM_Q5_K] = 16, [ZM_Q6_K] = 18,
    };
    return number[t];
}

/* The text of the config.json that lies in the directory `path`, or beside the file; NULL when there is none. */
static char *config_text(const char *path)
{
    const char *slash = strrchr(path, '/');
    bool whole = zm_path_is_dir(path);
    char *dir = whole ? strdup(path) : slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    char *file = dir ? zm_path_join(dir, "config.json") : NULL, *text = NULL;
    size_t bytes;
    zm_error ignored = {0};
    if (file && zm_path_is_file(file) && zm_file_read(&text, &bytes, file, CONFIG_BYTES_MAX, &ignored))
        text = NULL;
    free(file);
    free(dir);
    return text;
}

/* Dimension `axis` of a tensor; -1 when there is no such one. */
static int64_t dim_of(const zm_weights *w, const char *name, int axis)
{
    const zm_weight *t;
    return zm_weights_has(w, name) && !zm_weights_find(&t, w, name, NULL) && t->rank > axis ? t->dim[axis] : -1;
}

/* Whether a config read from JSON is about these weights: other models may lie in the same directory. */
static bool fits(const zm_dit_config *c, const zm_weights *w)
{
    return dim_of(w, "patch_embedding.weight", 0) == c->dim && dim_of(w, "patch_embedding.weight", 1) == c->in_dim &&
           dim_of(w, "blocks.0.ffn.0.weight", 0) == c->ffn_dim;
}

/* The official keys of the transformer in `path`, whatever its tensors are called, from a config that fits or from
 * shapes; NULL when it is none. */
static char *transformer_sizes(const char *path, const char *text)
{
    static const char *const keys[] = {"dit", "model", ""}; /* ours, reference fixtures', official directories' */
    zm_weights *w;
    zm_dit_config c;
    zm_json doc = {0};
    zm_error ignored = {0};
    bool found = false;
    if (zm_weights_open(&w, path, &ignored)) /* once more: here its tensors get official names */
        return NULL;
    bool named = !zm_names_apply(w, ZM_PART_DIT, &ignored);
    if (named && text && !zm_json_parse(&doc, text, strlen(text), "config.json", &ignored)) {
        for (size_t i = 0; i < sizeof keys / sizeof *keys && !found; i++) {
            zm_error_clear(&ignored);
            found = (!*keys[i] || zm_json_at(&doc, keys[i])) && !zm_dit_config_read(&c, &doc, keys[i], &ignored) &&
                    fits(&c, w);
        }
        zm_json_close(&doc);
    }
    zm_error_clear(&ignored);
    found = found || (named && !zm_dit_config_detect(&c, w, "", &ignored));
    zm_weights_free(w);
    return found ? zm_dit_config_json(&c) : NULL;
}

static bool is_kept(const zm_meta *m)
{
    static const char *const ours[] = {"general.alignment", "general.file_type", "general.quantization_version",
                                       "general.architecture", "zouma.config"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (!strcmp(m->key, ours[i]))
            return false;
    return m->type != ZM_META_OTHER && strncmp(m->key, "comfy.gguf.orig_shape.", 22) != 0; /* shapes are restored */
}

static zm_status make_meta(zm_convert_plan *p, const zm_weights *w, const char *path, zm_dtype type, zm_error *err)
{
    size_t n = zm_weights_meta_count(w);
    p->meta = calloc(n + 4, sizeof *p->meta);
    if (!p->meta || !p->arena)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for the metadata of %s", path);
    char *text = config_text(path), *sizes = transformer_sizes(path, text);
    const char *architecture = zm_weights_meta_str(w, "general.architecture"), *config = sizes;
    if (!config)
        config = zm_weights_meta_str(w, "zouma.config");
    if (!config && zm_path_is_dir(path))
        config = text;
    config = config ? zm_arena_strdup(p->arena, config) : NULL;
    put_str(p, "general.architecture", architecture ? architecture : sizes ? "wan" : "zouma");
    p->meta[p->n_meta++] = (zm_meta){.key = "general.file_type", .type = ZM_META_U64, .u64 = file_type(type)};
    if (zm_dtype_is_quantised(type))
        p->meta[p->n_meta++] = (zm_meta){.key = "general.quantization_version", .type = ZM_META_U64, .u64 = 2};
    if (config)
        put_str(p, "zouma.config", config);
    for (size_t i = 0; i < n; i++)
        if (is_kept(zm_weights_meta_at(w, i)))
            p->meta[p->n_meta++] = *zm_weights_meta_at(w, i);
    free(sizes);
    free(text);
    return ZM_OK;
}

zm_status zm_convert_plan_make(zm_convert_plan *out, const zm_weights *w, const char *path, zm_dtype type,
                               zm_error *err)
{
    *out = (zm_convert_plan){.arena = zm_arena_new()};
    zm_status s = add_jobs(out, w, type, err);
    if (!s)
        s = make_meta(out, w, path, type, err);
    if (s)
        zm_convert_plan_free(out);
    return s;
}

zm_status zm_convert_plan_average(zm_convert_plan *p, const zm_weights *other, const char *path, zm_error *err)
{
    zm_status s = ZM_OK;
    for (size_t i = 0; !s && i < p->n; i++) {
        zm_convert_job *j = &p->job[i];
        const zm_weight *t = j->from;
        if (j->scale)
            return zm_fail(err, ZM_E_UNSUPPORTED, "%s has a scale; the mean of such tensors is not taken", t->name);
        s = zm_weights_find(&j->with, other, t->name, err);
        if (!s && (j->with->rank != t->rank || memcmp(j->with->dim, t->dim, sizeof *t->dim * (size_t)t->rank) != 0))
            s = zm_fail(err, ZM_E_SHAPE, "%s: %s has another shape than in the first file", path, t->name);
        if (!s && j->why == ZM_CONVERT_NUMBERS)
            j->with = NULL;
    }
    if (!s && zm_weights_count(other) != p->n + p->skipped)
        s = zm_fail(err, ZM_E_SHAPE, "%s has %zu tensors, the first file %zu: the mean is taken of equal networks",
                    path, zm_weights_count(other), p->n + p->skipped);
    return s;
}

void zm_convert_plan_free(zm_convert_plan *p)
{
    free(p->job);
    free(p->meta);
    zm_arena_free(p->arena);
    *p = (zm_convert_plan){0};
}
