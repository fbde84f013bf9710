/* tokenizer.json: read (Hugging Face's form, and ours with a "zouma" key) and written.
 * SPDX-License-Identifier: MIT */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"
#include "text/base64.h"
#include "text/tokenizer.h"

enum { FILE_LIMIT = 64 << 20 };

typedef struct arrays {
    const char **piece;
    float *score;
    uint8_t *type;
    size_t n;
    unsigned char *charsmap;
} arrays;

static void arrays_release(arrays *a)
{
    free(a->piece);
    free(a->score);
    free(a->type);
    free(a->charsmap);
}

static zm_status read_vocab(arrays *a, json_t *vocab, const char *name, zm_error *err)
{
    a->n = json_array_size(vocab);
    if (!json_is_array(vocab) || !a->n || a->n > ZM_TEXT_MAX_PIECES)
        return zm_fail(err, ZM_E_FORMAT, "%s: model.vocab must be an array of 1 to %d entries.", name,
                       ZM_TEXT_MAX_PIECES);
    a->piece = calloc(a->n, sizeof *a->piece);
    a->score = calloc(a->n, sizeof *a->score);
    a->type = calloc(a->n, 1);
    if (!a->piece || !a->score || !a->type)
        return zm_fail(err, ZM_E_NOMEM, "%s: there is no memory for %zu pieces.", name, a->n);
    for (size_t i = 0; i < a->n; i++) {
        json_t *row = json_array_get(vocab, i), *score = json_array_get(row, 1);
        a->piece[i] = json_string_value(json_array_get(row, 0));
        if (!a->piece[i] || !json_is_number(score))
            return zm_fail(err, ZM_E_FORMAT, "%s: model.vocab[%zu] must be [piece, score].", name, i);
        a->score[i] = (float)json_number_value(score);
        a->type[i] = ZM_PIECE_NORMAL;
    }
    return ZM_OK;
}

/* Types by name, as zm_tokenizer_new would, but the unknown piece is where the file says. */
static zm_status read_types(arrays *a, json_t *model, json_t *own, const char *name, zm_error *err)
{
    json_t *unk = json_object_get(model, "unk_id"), *types = json_object_get(own, "types");
    if (!json_is_integer(unk) || json_integer_value(unk) < 0 || (size_t)json_integer_value(unk) >= a->n)
        return zm_fail(err, ZM_E_FORMAT, "%s: model.unk_id must be an id below %zu.", name, a->n);
    bool bytes = !json_is_false(json_object_get(model, "byte_fallback"));
    for (size_t i = 0; i < a->n; i++) {
        const char *p = a->piece[i];
        if (!strcmp(p, "<pad>") || !strcmp(p, "</s>") || !strcmp(p, "<s>"))
            a->type[i] = ZM_PIECE_CONTROL;
        else if (bytes && strlen(p) == 6 && !strncmp(p, "<0x", 3) && p[5] == '>' &&
                 strspn(p + 3, "0123456789ABCDEF") == 2)
            a->type[i] = ZM_PIECE_BYTE;
    }
    a->type[json_integer_value(unk)] = ZM_PIECE_UNKNOWN;
    const char *key;
    json_t *value;
    json_object_foreach(types, key, value)
    { /* the exceptions: {"id": type} */
        char *end;
        unsigned long id = strtoul(key, &end, 10);
        json_int_t type = json_integer_value(value);
        if (*end || id >= a->n || type < ZM_PIECE_NORMAL || type > ZM_PIECE_BYTE)
            return zm_fail(err, ZM_E_FORMAT, "%s: zouma.types has a bad entry \"%.40s\".", name, key);
        a->type[id] = (uint8_t)type;
    }
    return ZM_OK;
}

static const char *find_charsmap(json_t *normaliser)
{
    const char *map = json_string_value(json_object_get(normaliser, "precompiled_charsmap"));
    json_t *parts = json_object_get(normaliser, "normalizers");
    for (size_t i = 0; !map && i < json_array_size(parts); i++)
        map = json_string_value(json_object_get(json_array_get(parts, i), "precompiled_charsmap"));
    return map;
}

static zm_status read_rules(zm_tokenizer_rules *rules, arrays *a, json_t *root, const char *name, zm_error *err)
{
    json_t *own = json_object_get(root, "zouma");
    const struct {
        const char *key;
        bool *flag;
    } flags[] = {{"raw", &rules->raw},
                 {"casefold", &rules->casefold},
                 {"punctuation", &rules->punctuation},
                 {"no_dummy_prefix", &rules->no_dummy_prefix},
                 {"keep_spaces", &rules->keep_spaces}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        json_t *v = json_object_get(own, flags[i].key);
        if (v && !json_is_boolean(v))
            return zm_fail(err, ZM_E_FORMAT, "%s: zouma.%s must be true or false.", name, flags[i].key);
        *flags[i].flag = json_is_true(v);
    }
    const char *map = find_charsmap(json_object_get(root, "normalizer"));
    if (!map)
        return ZM_OK;
    a->charsmap = zm_base64_decode(map, &rules->charsmap_bytes);
    if (!a->charsmap)
        return zm_fail(err, ZM_E_FORMAT, "%s: normalizer.precompiled_charsmap is not base64.", name);
    rules->charsmap = a->charsmap;
    return ZM_OK;
}

zm_status zm_tokenizer_from_json(zm_tokenizer **out, const char *text, size_t bytes, const char *name, zm_error *err)
{
    json_error_t why;
    *out = NULL;
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        return zm_fail(err, ZM_E_FORMAT, "%s:%d:%d: %s", name, why.line, why.column, why.text);
    json_t *model = json_object_get(root, "model");
    const char *type = json_string_value(json_object_get(model, "type"));
    zm_tokenizer_rules rules = {0};
    arrays a = {0};
    zm_status st = ZM_OK;
    if (!json_is_object(model))
        st = zm_fail(err, ZM_E_FORMAT, "%s: there is no object \"model\".", name);
    else if (type && strcmp(type, "Unigram"))
        st = zm_fail(err, ZM_E_UNSUPPORTED, "%s: model.type is \"%.40s\", only Unigram is read.", name, type);
    if (!st)
        st = read_vocab(&a, json_object_get(model, "vocab"), name, err);
    if (!st)
        st = read_types(&a, model, json_object_get(root, "zouma"), name, err);
    if (!st)
        st = read_rules(&rules, &a, root, name, err);
    if (!st && (st = zm_tokenizer_new(out, a.piece, a.score, a.type, a.n, &rules, err)))
        zm_error_prefix(err, "%s", name);
    arrays_release(&a);
    json_decref(root);
    return st;
}

/* A protobuf begins with the tag 0x0a, which is a line break too: look at the first byte that is not space. */
static bool looks_like_json(const char *text, size_t bytes, const char *path)
{
    size_t n = strlen(path), at = 0;
    while (at < bytes && strchr(" \t\r\n", text[at]) && text[at])
        at++;
    char first = at < bytes ? text[at] : 0;
    return first == '{' || first == '[' || (n > 5 && !strcmp(path + n - 5, ".json"));
}

zm_status zm_tokenizer_from_memory(zm_tokenizer **out, const void *data, size_t bytes, const char *name, zm_error *err)
{
    const char *text = data;
    *out = NULL;
    return bytes && looks_like_json(text, bytes, name) ? zm_tokenizer_from_json(out, text, bytes, name, err)
                                                       : zm_tokenizer_from_sentencepiece(out, text, bytes, name, err);
}

zm_status zm_tokenizer_load(zm_tokenizer **out, const char *path, zm_error *err)
{
    char *text;
    size_t bytes;
    *out = NULL;
    zm_status st = zm_file_read(&text, &bytes, path, FILE_LIMIT, err);
    if (st)
        return st;
    st = zm_tokenizer_from_memory(out, text, bytes, path, err);
    free(text);
    return st;
}

/* ---- write ---------------------------------------------------------------------------------------------- */

static zm_status put(zm_save *s, const char *text, zm_error *err)
{
    return zm_save_write(s, text, strlen(text), err);
}

/* A JSON string literal with everything outside printable ASCII and UTF-8 letters escaped by jansson. */
static zm_status put_string(zm_save *s, const char *text, zm_error *err)
{
    json_t *j = json_string(text);
    char *quoted = j ? json_dumps(j, JSON_ENCODE_ANY) : NULL;
    zm_status st = quoted ? put(s, quoted, err) : zm_fail(err, ZM_E_NOMEM, "There is no memory to write a tokenizer.");
    free(quoted);
    json_decref(j);
    return st;
}

static zm_status put_vocab(zm_save *s, const zm_tokenizer *t, zm_error *err)
{
    char line[64];
    zm_status st = ZM_OK;
    for (size_t i = 0; i < t->n && !st; i++) {
        st = put(s, i ? ",\n[" : "\n[", err);
        if (!st)
            st = put_string(s, t->pool + t->start[i], err);
        snprintf(line, sizeof line, ", %.9g]", (double)t->score[i]);
        if (!st)
            st = put(s, line, err);
    }
    return st;
}

/* Types that reading would not guess from the names. */
static zm_status put_types(zm_save *s, const zm_tokenizer *t, zm_error *err)
{
    char line[64];
    bool any = false;
    zm_status st = ZM_OK;
    for (size_t i = 0; i < t->n && !st; i++) {
        if (t->type[i] == ZM_PIECE_NORMAL || (int32_t)i == t->special[ZM_TOKEN_UNK] ||
            (t->type[i] == ZM_PIECE_BYTE && t->byte_fallback))
            continue;
        if (t->type[i] == ZM_PIECE_CONTROL &&
            ((int32_t)i == t->special[ZM_TOKEN_PAD] || (int32_t)i == t->special[ZM_TOKEN_EOS] ||
             (int32_t)i == t->special[ZM_TOKEN_BOS]))
            continue;
        snprintf(line, sizeof line, "%s\"%zu\": %d", any ? ", " : ", \"types\": {", i, t->type[i]);
        st = put(s, line, err);
        any = true;
    }
    return st || !any ? st : put(s, "}", err);
}

static zm_status put_rules(zm_save *s, const zm_tokenizer *t, zm_error *err)
{
    const struct {
        const char *key;
        bool set;
    } flags[] = {{"raw", t->rules.raw},
                 {"casefold", t->rules.casefold},
                 {"punctuation", t->rules.punctuation},
                 {"no_dummy_prefix", t->rules.no_dummy_prefix},
                 {"keep_spaces", t->rules.keep_spaces}};
    zm_status st = put(s, "{\n\"version\": \"1.0\",\n\"zouma\": {", err);
    for (size_t i = 0; i < sizeof flags / sizeof *flags && !st; i++) {
        char line[64];
        snprintf(line, sizeof line, "%s\"%s\": %s", i ? ", " : "", flags[i].key, flags[i].set ? "true" : "false");
        st = put(s, line, err);
    }
    if (!st)
        st = put_types(s, t, err);
    if (st || !t->rules.charsmap)
        return st ? st : put(s, "},\n", err);
    char *map = zm_base64_encode(t->rules.charsmap, t->rules.charsmap_bytes);
    st = map ? put(s, "},\n\"normalizer\": {\"type\": \"Precompiled\", \"precompiled_charsmap\": \"", err)
             : zm_fail(err, ZM_E_NOMEM, "There is no memory to write a tokenizer.");
    if (!st)
        st = put(s, map, err);
    free(map);
    return st ? st : put(s, "\"},\n", err);
}

zm_status zm_tokenizer_save(const zm_tokenizer *t, const char *path, zm_error *err)
{
    zm_save s;
    char line[128];
    zm_status st = zm_save_open(&s, path, err);
    if (st)
        return st;
    st = put_rules(&s, t, err);
    snprintf(line, sizeof line,
             "\"model\": {\"type\": \"Unigram\", \"unk_id\": %d, \"byte_fallback\": %s, \"vocab\": [",
             (int)t->special[ZM_TOKEN_UNK], t->byte_fallback ? "true" : "false");
    if (!st)
        st = put(&s, line, err);
    if (!st)
        st = put_vocab(&s, t, err);
    if (!st)
        st = put(&s, "\n]}\n}\n", err);
    if (!st)
        return zm_save_commit(&s, err);
    zm_save_abandon(&s);
    return st;
}
