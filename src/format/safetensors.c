/* Read the header of a safetensors file: u64 length, JSON of that length, then raw tensor bytes.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "format/json.h"
#include "format/weights_build.h"

/* jansson takes up to about 25 bytes per byte of hostile JSON, so this also bounds memory.  Real headers have
 * about 100 bytes a tensor. */
enum { HEADER_BYTES_MAX = 32 << 20 };

/* Spelling, our dtype (ZM_DTYPE_COUNT: known, not computed with), bytes of an element. */
static const struct {
    const char *name;
    zm_dtype dtype;
    size_t bytes;
} dtypes[] = {
    {"F32", ZM_F32, 4},         {"F16", ZM_F16, 2},         {"BF16", ZM_BF16, 2},       {"F64", ZM_F64, 8},
    {"I32", ZM_I32, 4},         {"I64", ZM_I64, 8},         {"U8", ZM_U8, 1},           {"BOOL", ZM_DTYPE_COUNT, 1},
    {"I8", ZM_DTYPE_COUNT, 1},  {"I16", ZM_DTYPE_COUNT, 2}, {"U16", ZM_DTYPE_COUNT, 2}, {"U32", ZM_DTYPE_COUNT, 4},
    {"U64", ZM_DTYPE_COUNT, 8}, {"F8_E4M3", ZM_F8_E4M3, 1}, {"F8_E5M2", ZM_F8_E5M2, 1}, {"F8_E8M0", ZM_DTYPE_COUNT, 1},
    {"C64", ZM_DTYPE_COUNT, 8},
};

static zm_status parse_shape(zm_weight *t, const json_t *shape, zm_error *err)
{
    if (!json_is_array(shape))
        return zm_fail(err, ZM_E_FORMAT, "%s: tensor %s: \"shape\" is not a list", t->file, t->name);
    size_t rank = json_array_size(shape);
    if (rank > ZM_WEIGHT_RANK_MAX)
        return zm_fail(err, ZM_E_FORMAT, "%s: tensor %s: rank %zu, at most %d is possible", t->file, t->name, rank,
                       ZM_WEIGHT_RANK_MAX);
    t->rank = (int)rank;
    for (size_t i = 0; i < rank; i++) {
        const json_t *d = json_array_get(shape, i);
        if (!json_is_integer(d))
            return zm_fail(err, ZM_E_FORMAT, "%s: tensor %s: dim %zu is not an integer", t->file, t->name, i);
        if (json_integer_value(d) < 0)
            return zm_fail(err, ZM_E_FORMAT, "%s: tensor %s: dim %zu is %lld, 0 or more is needed", t->file, t->name, i,
                           (long long)json_integer_value(d));
        t->dim[i] = json_integer_value(d);
    }
    return ZM_OK;
}

static zm_status parse_dtype(zm_weight *t, size_t *bytes, const json_t *dtype, zm_arena *arena, zm_error *err)
{
    const char *name = json_string_value(dtype);
    if (!name || !zm_weights_name_ok(name, json_string_length(dtype)))
        return zm_fail(err, ZM_E_FORMAT, "%s: tensor %s: \"dtype\" is not a name", t->file, t->name);
    t->dtype = ZM_DTYPE_COUNT;
    *bytes = 0; /* size unknown: only the byte range can be checked */
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (!strcmp(dtypes[i].name, name)) {
            t->dtype = dtypes[i].dtype;
            t->dtype_name = dtypes[i].name;
            *bytes = dtypes[i].bytes;
            return ZM_OK;
        }
    t->dtype_name = zm_arena_strdup(arena, name);
    return t->dtype_name ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", t->file);
}

static zm_status parse_tensor(const zm_weights_file *f, size_t data_at, const char *name, size_t name_bytes,
                              const json_t *v, zm_error *err)
{
    if (!zm_weights_name_ok(name, name_bytes))
        return zm_fail(err, ZM_E_FORMAT, "%s: tensor %zu: name is empty, too long or has control characters", f->name,
                       f->into->n);
    zm_weight *t = zm_weights_add(f->into);
    if (!t || !(t->name = zm_arena_strdup(f->into->arena, name)))
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory at tensor %zu", f->name, f->into->n);
    t->file = f->name;
    if (!json_is_object(v))
        return zm_fail(err, ZM_E_FORMAT, "%s: tensor %s: its description is not an object", f->name, name);
    size_t each, room = f->size - data_at;
    zm_status s = parse_dtype(t, &each, json_object_get(v, "dtype"), f->into->arena, err);
    if (!s)
        s = parse_shape(t, json_object_get(v, "shape"), err);
    if (!s && each)
        s = zm_weights_set_bytes(t, 1, each, err);
    if (s)
        return s;
    const json_t *range = json_object_get(v, "data_offsets"), *a = json_array_get(range, 0),
                 *b = json_array_get(range, 1);
    if (json_array_size(range) != 2 || !json_is_integer(a) || !json_is_integer(b))
        return zm_fail(err, ZM_E_FORMAT, "%s: tensor %s: \"data_offsets\" is not a list of two integers", f->name,
                       name);
    json_int_t begin = json_integer_value(a), end = json_integer_value(b);
    if (begin < 0 || end < begin || (uint64_t)end > room)
        return zm_fail(err, ZM_E_FORMAT, "%s: tensor %s: data_offsets [%lld, %lld] are not inside the %zu data bytes",
                       f->name, name, (long long)begin, (long long)end, room);
    size_t have = (size_t)(end - begin);
    if (each && have != t->bytes)
        return zm_fail(err, ZM_E_FORMAT, "%s: tensor %s: data_offsets [%lld, %lld] hold %zu bytes, dims of %s need %zu",
                       f->name, name, (long long)begin, (long long)end, have, t->dtype_name, t->bytes);
    t->bytes = have;
    t->data = f->at + data_at + begin;
    return ZM_OK;
}

static zm_status parse_metadata(const zm_weights_file *f, json_t *v, zm_error *err)
{
    if (!json_is_object(v))
        return zm_fail(err, ZM_E_FORMAT, "%s: __metadata__ is not an object", f->name);
    const char *key;
    json_t *value;
    json_object_foreach(v, key, value)
    {
        if (!zm_weights_name_ok(key, strlen(key)) || !json_is_string(value))
            return zm_fail(err, ZM_E_FORMAT, "%s: __metadata__ entry %zu is not a name with a string", f->name,
                           f->into->n_meta);
        zm_meta *m = f->keep_meta ? zm_weights_add_meta(f->into) : NULL;
        if (!f->keep_meta)
            continue;
        if (!m || !(m->key = zm_arena_strdup(f->into->arena, key)) ||
            !(m->str = zm_arena_strdup(f->into->arena, json_string_value(value))))
            return zm_fail(err, ZM_E_NOMEM, "%s: out of memory at metadata %s", f->name, key);
        m->type = ZM_META_STR;
        m->n = json_string_length(value);
    }
    return ZM_OK;
}

zm_status zm_safetensors_parse(const zm_weights_file *f, zm_error *err)
{
    uint64_t header = f->size < 8 ? 0 : zm_load_u64le(f->at);
    if (f->size < 8 || header > f->size - 8)
        return zm_fail(err, ZM_E_FORMAT, "%s: header of %llu bytes runs past the end at byte %zu", f->name,
                       (unsigned long long)header, f->size);
    if (header > HEADER_BYTES_MAX)
        return zm_fail(err, ZM_E_FORMAT, "%s: header of %llu bytes, at most %d is possible", f->name,
                       (unsigned long long)header, HEADER_BYTES_MAX);
    zm_json doc;
    zm_status s = zm_json_parse(&doc, (const char *)f->at + 8, (size_t)header, f->name, err);
    if (s)
        return s;
    if (!json_is_object(doc.root))
        s = zm_fail(err, ZM_E_FORMAT, "%s: header is not a JSON object", f->name);
    const char *key;
    json_t *value;
    json_object_foreach(doc.root, key, value)
    {
        if (s)
            break;
        if (!strcmp(key, "__metadata__"))
            s = parse_metadata(f, value, err);
        else
            s = parse_tensor(f, 8 + (size_t)header, key, strlen(key), value, err);
    }
    zm_json_close(&doc);
    return s;
}
