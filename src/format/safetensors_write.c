/* Write named tensors as one safetensors file.
 * SPDX-License-Identifier: MIT */
#include "format/safetensors_write.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/mapfile.h"
#include "format/write_check.h"

static const char *const dtype_names[ZM_DTYPE_COUNT] = {
    [ZM_F32] = "F32", [ZM_F16] = "F16", [ZM_BF16] = "BF16",       [ZM_F64] = "F64",         [ZM_I32] = "I32",
    [ZM_I64] = "I64", [ZM_U8] = "U8",   [ZM_F8_E4M3] = "F8_E4M3", [ZM_F8_E5M2] = "F8_E5M2",
};

static json_t *shape_of(const zm_weight *t)
{
    json_t *shape = json_array();
    for (int i = 0; i < t->rank; i++)
        if (json_array_append_new(shape, json_integer(t->dim[i]))) {
            json_decref(shape);
            return NULL;
        }
    return shape;
}

/* NULL when out of memory or when a name is not UTF-8. */
static json_t *header_of(const zm_weight *tensors, size_t n, const zm_meta *meta, size_t n_meta)
{
    json_t *root = json_object();
    if (n_meta) {
        json_t *strings = json_object();
        for (size_t i = 0; i < n_meta; i++)
            if (json_object_set_new(strings, meta[i].key, json_stringn(meta[i].str, meta[i].n))) {
                json_decref(strings);
                json_decref(root);
                return NULL;
            }
        if (json_object_set_new(root, "__metadata__", strings)) {
            json_decref(root);
            return NULL;
        }
    }
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const zm_weight *t = &tensors[i];
        json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_names[t->dtype], "shape", shape_of(t),
                                  "data_offsets", (json_int_t)at, (json_int_t)(at + t->bytes));
        if (json_object_set_new(root, t->name, entry)) {
            json_decref(root);
            return NULL;
        }
        at += t->bytes;
    }
    return root;
}

static zm_status check(const char *path, const zm_weight *tensors, size_t n, const zm_meta *meta, size_t n_meta,
                       zm_error *err)
{
    size_t total = 0;
    zm_status s = zm_write_check(path, tensors, n, meta, n_meta, 65535, false, err);
    if (s)
        return s;
    for (size_t i = 0; i < n_meta; i++)
        if (meta[i].type != ZM_META_STR || strlen(meta[i].str) != meta[i].n)
            return zm_fail(err, ZM_E_USAGE, "%s: metadata %s is not a string without NUL, all that safetensors holds",
                           path, meta[i].key);
    for (size_t i = 0; i < n; i++) {
        if (!dtype_names[tensors[i].dtype])
            return zm_fail(err, ZM_E_USAGE, "%s: tensor %s is %s, which safetensors cannot hold", path, tensors[i].name,
                           zm_dtype_name(tensors[i].dtype));
        if (!strcmp(tensors[i].name, "__metadata__") || !zm_size_add(&total, total, tensors[i].bytes) ||
            total > INT64_MAX)
            return zm_fail(err, ZM_E_USAGE, "%s: tensor %zu, %s, cannot be in a safetensors file", path, i,
                           tensors[i].name);
    }
    return ZM_OK;
}

static zm_status write_all(zm_save *to, const char *header, const zm_weight *tensors, size_t n, zm_error *err)
{
    static const char spaces[8] = "        ";
    size_t bytes = strlen(header), padding = (8 - bytes % 8) % 8;
    unsigned char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)(bytes + padding) >> 8 * i);
    zm_status s = zm_save_write(to, length, 8, err);
    if (!s)
        s = zm_save_write(to, header, bytes, err);
    if (!s)
        s = zm_save_write(to, spaces, padding, err);
    for (size_t i = 0; i < n && !s; i++)
        s = zm_save_write(to, tensors[i].data, tensors[i].bytes, err);
    return s;
}

zm_status zm_safetensors_write(const char *path, const zm_weight *tensors, size_t n, const zm_meta *meta, size_t n_meta,
                               zm_error *err)
{
    zm_status s = check(path, tensors, n, meta, n_meta, err);
    if (s)
        return s;
    json_t *root = header_of(tensors, n, meta, n_meta);
    char *header = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (!header)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory for the header, or a name is not UTF-8", path);
    zm_save to;
    s = zm_save_open(&to, path, err);
    if (!s) {
        s = write_all(&to, header, tensors, n, err);
        if (s)
            zm_save_abandon(&to);
        else
            s = zm_save_commit(&to, err);
    }
    free(header);
    return s;
}
