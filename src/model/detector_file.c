/* The detector as a file: weights and sizes in one GGUF.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "format/gguf_write.h"
#include "model/detector.h"

/* One row per size: metadata key and place. */
#define SIZES(X)                                                                                                       \
    X("zouma.detector.classes", classes)                                                                               \
    X("zouma.detector.colours", colours)                                                                               \
    X("zouma.detector.stem", stem)                                                                                     \
    X("zouma.detector.body", body)                                                                                     \
    X("zouma.detector.trunk", trunk)                                                                                   \
    X("zouma.detector.blocks", blocks)                                                                                 \
    X("zouma.detector.width", width)                                                                                   \
    X("zouma.detector.height", height)                                                                                 \
    X("zouma.detector.frames", frames)
#define COUNT_ONE(key, field) +1
enum { N_SIZES = 0 SIZES(COUNT_ONE) };
static const char answers_key[] = "zouma.detector.answers";

static zm_status fill_row(zm_weight *to, const zm_param *from, zm_arena *a, zm_error *err)
{
    *to = zm_param_weight(from);
    if (!from->matrix)
        return ZM_OK;
    size_t elems = zm_weight_elems(to), bytes;
    void *data = zm_dtype_bytes(&bytes, ZM_F16, elems) ? zm_arena_alloc(a, bytes) : NULL;
    if (!data)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", from->name);
    zm_dtype_from_f32(data, from->data, ZM_F16, elems);
    to->data = data;
    to->dtype = ZM_F16;
    to->bytes = bytes;
    return ZM_OK;
}

zm_status zm_detector_write(const zm_detector *d, const zm_params *p, const char *path, zm_error *err)
{
    const zm_detector_config *c = zm_detector_config_of(d);
    int n = zm_params_count(p);
    zm_arena *a = zm_arena_new();
    zm_weight *w = calloc((size_t)n + 1, sizeof *w);
    zm_status s = a && w ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    for (int i = 0; !s && i < n; i++)
        s = fill_row(&w[i], zm_params_at(p, i), a, err);
    int32_t answers[ZM_HEADS];
    for (int i = 0; i < ZM_HEADS; i++)
        answers[i] = c->head[i];
#define META_ONE(k, field) {.key = k, .type = ZM_META_U64, .u64 = (uint64_t)c->field},
    zm_meta meta[] = {{.key = "general.architecture", .type = ZM_META_STR, .str = "zouma-detector", .n = 14},
                      {.key = answers_key, .type = ZM_META_I32S, .i32s = answers, .n = ZM_HEADS},
                      SIZES(META_ONE)};
    if (!s)
        s = zm_gguf_write(path, w, (size_t)n, meta, sizeof meta / sizeof *meta, err);
    free(w);
    zm_arena_free(a);
    return s;
}

static zm_status read_config(zm_detector_config *c, const zm_weights *w, zm_error *err)
{
#define ROW_ONE(k, field) {k, &c->field},
    const struct {
        const char *key;
        int *to;
    } row[N_SIZES] = {SIZES(ROW_ONE)};
    *c = (zm_detector_config){0};
    for (int i = 0; i < N_SIZES; i++) {
        uint64_t v;
        if (!zm_weights_meta_u64(w, row[i].key, &v) || v < 1 || v > 8192)
            return zm_fail(err, ZM_E_FORMAT, "%s: not a detector: %s is missing or not in 1..8192", zm_weights_path(w),
                           row[i].key);
        *row[i].to = (int)v;
    }
    const zm_meta *answers = zm_weights_meta(w, answers_key);
    if (!answers || answers->type != ZM_META_I32S || answers->n != ZM_HEADS)
        return zm_fail(err, ZM_E_FORMAT, "%s: not a detector: %s is missing or not %d whole numbers",
                       zm_weights_path(w), answers_key, ZM_HEADS);
    for (int i = 0; i < ZM_HEADS; i++)
        c->head[i] = answers->i32s[i];
    return ZM_OK;
}

zm_status zm_detector_open(zm_detector **out, zm_params **params, const char *path, zm_error *err)
{
    *out = NULL;
    *params = NULL;
    zm_weights *w = NULL;
    zm_detector_config c;
    zm_params *p = zm_params_new();
    zm_status s = p ? zm_weights_open(&w, path, err) : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    if (!s)
        s = read_config(&c, w, err);
    if (!s)
        s = zm_detector_declare(out, &c, p, err);
    if (!s)
        s = zm_params_load(p, w, "", true, err);
    zm_weights_free(w);
    if (s) {
        zm_detector_free(*out);
        zm_params_free(p);
        *out = NULL;
    } else {
        *params = p;
    }
    return s;
}
