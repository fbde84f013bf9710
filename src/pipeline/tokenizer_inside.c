/* Reading the tokenizer of a text encoder's own file.
 * SPDX-License-Identifier: MIT */
#include "pipeline/tokenizer_inside.h"

#include <stdlib.h>
#include <string.h>

#include "format/weights.h"

static zm_status from_tensor(zm_tokenizer **out, const zm_weights *w, zm_error *err)
{
    for (size_t i = 0; i < zm_weights_count(w); i++) {
        const zm_weight *t = zm_weights_at(w, i);
        const char *dot = strrchr(t->name, '.');
        if (!strcmp(dot ? dot + 1 : t->name, "spiece_model") && t->rank == 1 && (int64_t)t->bytes == t->dim[0])
            return zm_tokenizer_from_memory(out, t->data, t->bytes, zm_weights_path(w), err);
    }
    return ZM_OK;
}

static const zm_meta *array(const zm_weights *w, const char *key, zm_meta_type type)
{
    const zm_meta *m = zm_weights_meta(w, key);
    return m && m->type == type ? m : NULL;
}

/* A flag; `otherwise` when it is not there. */
static bool flag(const zm_weights *w, const char *key, bool otherwise)
{
    const zm_meta *m = zm_weights_meta(w, key);
    return m && m->type == ZM_META_BOOL ? m->u64 != 0 : otherwise;
}

static zm_status from_metadata(zm_tokenizer **out, const zm_weights *w, zm_error *err)
{
    const char *path = zm_weights_path(w), *kind = zm_weights_meta_str(w, "tokenizer.ggml.model");
    const zm_meta *pieces = array(w, "tokenizer.ggml.tokens", ZM_META_STRS);
    if (!pieces)
        return ZM_OK;
    if (!kind || strcmp(kind, "t5") != 0)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: its tokenizer is of kind \"%s\", only unigram (\"t5\") is known",
                       path, kind ? kind : "");
    const zm_meta *scores = array(w, "tokenizer.ggml.scores", ZM_META_F32S);
    const zm_meta *types = array(w, "tokenizer.ggml.token_type", ZM_META_I32S);
    const zm_meta *map = array(w, "tokenizer.ggml.precompiled_charsmap", ZM_META_BYTES);
    if (!scores || !types || scores->n != pieces->n || types->n != pieces->n || pieces->n > ZM_TEXT_MAX_PIECES)
        return zm_fail(err, ZM_E_FORMAT, "%s: its tokenizer has %zu pieces, %zu scores and %zu types", path, pieces->n,
                       scores ? scores->n : 0, types ? types->n : 0);
    zm_tokenizer_rules rules = {.raw = true, /* without a map characters stay as they are */
                                .no_dummy_prefix = !flag(w, "tokenizer.ggml.add_space_prefix", true),
                                .keep_spaces = !flag(w, "tokenizer.ggml.remove_extra_whitespaces", true),
                                .charsmap = map && map->n ? map->str : NULL,
                                .charsmap_bytes = map ? map->n : 0};
    uint8_t *type = malloc(types->n + 1);
    if (!type)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory for %zu pieces", path, pieces->n);
    for (size_t i = 0; i < types->n; i++)
        type[i] = types->i32s[i] >= 0 && types->i32s[i] < 256 ? (uint8_t)types->i32s[i] : 0;
    zm_status s = zm_tokenizer_new(out, pieces->strs, scores->f32s, type, pieces->n, &rules, err);
    if (s)
        zm_error_prefix(err, "%s", path);
    free(type);
    return s;
}

zm_status zm_tokenizer_inside(zm_tokenizer **out, const char *path, zm_error *err)
{
    zm_weights *w;
    *out = NULL;
    zm_status s = zm_weights_open(&w, path, err);
    if (s)
        return s;
    s = from_tensor(out, w, err);
    if (!s && !*out)
        s = from_metadata(out, w, err);
    zm_weights_free(w);
    return s;
}
