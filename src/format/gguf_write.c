/* Write named tensors as one GGUF file (version 3, alignment 32).
 * SPDX-License-Identifier: MIT */
#include "format/gguf_write.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/mapfile.h"
#include "format/gguf_types.h"
#include "format/write_check.h"

enum { ALIGNMENT = 32, NAME_BYTES_MAX = 127 };

/* Sticky: after the first failure every put does nothing and the status stays. */
typedef struct output {
    zm_save file;
    uint64_t at; /* bytes written */
    zm_status status;
    zm_error *err;
} output;

static void put(output *o, const void *data, size_t bytes)
{
    if (!o->status)
        o->status = zm_save_write(&o->file, data, bytes, o->err);
    o->at += bytes;
}

static void put_uint(output *o, uint64_t v, size_t bytes)
{
    unsigned char b[8];
    for (size_t i = 0; i < bytes; i++)
        b[i] = (unsigned char)(v >> 8 * i);
    put(o, b, bytes);
}

static void put_text(output *o, const char *s, size_t bytes)
{
    put_uint(o, bytes, 8);
    put(o, s, bytes);
}

static void put_padding(output *o)
{
    static const unsigned char zeros[ALIGNMENT];
    put(o, zeros, (size_t)(-o->at % ALIGNMENT));
}

static void put_float(output *o, double v)
{
    float f = (float)v;
    uint32_t narrow;
    uint64_t wide;
    memcpy(&narrow, &f, 4);
    memcpy(&wide, &v, 8);
    bool exact = (double)f == v || v != v;
    put_uint(o, exact ? ZM_GGUF_F32 : ZM_GGUF_F64, 4);
    put_uint(o, exact ? narrow : wide, exact ? 4 : 8);
}

static void put_array_head(output *o, uint32_t type, size_t n)
{
    put_uint(o, ZM_GGUF_ARRAY, 4);
    put_uint(o, type, 4);
    put_uint(o, n, 8);
}

static void put_meta(output *o, const zm_meta *m)
{
    bool small;
    put_text(o, m->key, strlen(m->key));
    switch (m->type) {
    case ZM_META_STR:
        put_uint(o, ZM_GGUF_STRING, 4);
        put_text(o, m->str, m->n);
        return;
    case ZM_META_U64:
        small = m->u64 <= UINT32_MAX;
        put_uint(o, small ? ZM_GGUF_U32 : ZM_GGUF_U64, 4);
        put_uint(o, m->u64, small ? 4 : 8);
        return;
    case ZM_META_I64:
        small = m->i64 >= INT32_MIN && m->i64 <= INT32_MAX;
        put_uint(o, small ? ZM_GGUF_I32 : ZM_GGUF_I64, 4);
        put_uint(o, (uint64_t)m->i64, small ? 4 : 8);
        return;
    case ZM_META_F64:
        put_float(o, m->f64);
        return;
    case ZM_META_BOOL:
        put_uint(o, ZM_GGUF_BOOL, 4);
        put_uint(o, m->u64 != 0, 1);
        return;
    case ZM_META_STRS:
        put_array_head(o, ZM_GGUF_STRING, m->n);
        for (size_t i = 0; i < m->n; i++)
            put_text(o, m->strs[i], m->lens ? m->lens[i] : strlen(m->strs[i]));
        return;
    case ZM_META_F32S:
        put_array_head(o, ZM_GGUF_F32, m->n);
        put(o, m->f32s, m->n * 4);
        return;
    case ZM_META_I32S:
        put_array_head(o, ZM_GGUF_I32, m->n);
        put(o, m->i32s, m->n * 4);
        return;
    case ZM_META_BYTES:
        put_array_head(o, ZM_GGUF_U8, m->n);
        put(o, m->str, m->n);
        return;
    case ZM_META_OTHER:
        ZM_ASSERT(!"refused by check");
    }
}

static uint64_t round_up(uint64_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void put_header(output *o, const zm_weight *tensors, size_t n, const zm_meta *meta, size_t n_meta)
{
    put(o, "GGUF", 4);
    put_uint(o, 3, 4);
    put_uint(o, n, 8);
    put_uint(o, n_meta, 8);
    for (size_t i = 0; i < n_meta; i++)
        put_meta(o, &meta[i]);
    uint64_t offset = 0;
    for (size_t i = 0; i < n; i++) {
        const zm_weight *t = &tensors[i];
        put_text(o, t->name, strlen(t->name));
        put_uint(o, t->rank ? (uint64_t)t->rank : 1, 4);
        if (!t->rank)
            put_uint(o, 1, 8);
        for (int k = t->rank - 1; k >= 0; k--) /* GGUF wants the innermost dim first */
            put_uint(o, (uint64_t)t->dim[k], 8);
        put_uint(o, zm_gguf_dtype_of(t->dtype)->type, 4);
        put_uint(o, offset, 8);
        offset += round_up(t->bytes);
    }
}

static zm_status check(const char *path, const zm_weight *tensors, size_t n, const zm_meta *meta, size_t n_meta,
                       bool later, zm_error *err)
{
    size_t total = 0;
    zm_status s = zm_write_check(path, tensors, n, meta, n_meta, NAME_BYTES_MAX, later, err);
    for (size_t i = 0; i < n && !s; i++)
        if (!zm_gguf_dtype_of(tensors[i].dtype))
            s = zm_fail(err, ZM_E_UNSUPPORTED, "%s: tensor %s is %s, which GGUF cannot hold", path, tensors[i].name,
                        zm_dtype_name(tensors[i].dtype));
        else if (!zm_size_add(&total, total, tensors[i].bytes) || !zm_size_add(&total, total, ALIGNMENT))
            s = zm_fail(err, ZM_E_USAGE, "%s: tensors of more than 2^64 bytes", path);
    for (size_t i = 0; i < n_meta && !s; i++)
        if (meta[i].type == ZM_META_OTHER || !strcmp(meta[i].key, "general.alignment"))
            s = zm_fail(err, ZM_E_USAGE, "%s: metadata %s cannot be written", path, meta[i].key);
    return s;
}

struct zm_gguf_writer {
    output o;
    size_t *bytes; /* of each tensor */
    size_t n, now; /* tensors; the one being written */
    size_t put;    /* of its bytes */
};

void zm_gguf_abandon(zm_gguf_writer **writer)
{
    zm_gguf_writer *w = *writer;
    if (!w)
        return;
    zm_save_abandon(&w->o.file);
    free(w->bytes);
    free(w);
    *writer = NULL;
}

/* Go past tensors that are complete, those without bytes too. */
static void next_tensor(zm_gguf_writer *w)
{
    while (w->now < w->n && w->put == w->bytes[w->now]) {
        put_padding(&w->o);
        w->now++;
        w->put = 0;
    }
}

static zm_status begin(zm_gguf_writer **out, const char *path, const zm_weight *tensors, size_t n, const zm_meta *meta,
                       size_t n_meta, bool later, zm_error *err)
{
    *out = NULL;
    zm_status s = check(path, tensors, n, meta, n_meta, later, err);
    if (s)
        return s;
    zm_gguf_writer *w = calloc(1, sizeof *w);
    if (w)
        w->bytes = malloc((n + 1) * sizeof *w->bytes);
    if (!w || !w->bytes) {
        free(w);
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory for %zu tensors", path, n);
    }
    w->n = n;
    for (size_t i = 0; i < n; i++)
        w->bytes[i] = tensors[i].bytes;
    w->o.err = err;
    s = zm_save_open(&w->o.file, path, err);
    if (!s) {
        put_header(&w->o, tensors, n, meta, n_meta);
        put_padding(&w->o);
        next_tensor(w);
        s = w->o.status;
        *out = w;
    } else {
        free(w->bytes);
        free(w);
    }
    if (s)
        zm_gguf_abandon(out);
    return s;
}

zm_status zm_gguf_begin(zm_gguf_writer **out, const char *path, const zm_weight *tensors, size_t n, const zm_meta *meta,
                        size_t n_meta, zm_error *err)
{
    return begin(out, path, tensors, n, meta, n_meta, true, err);
}

zm_status zm_gguf_put(zm_gguf_writer *w, const void *data, size_t bytes, zm_error *err)
{
    const unsigned char *p = data;
    w->o.err = err;
    while (bytes && !w->o.status) {
        ZM_ASSERT(w->now < w->n);
        size_t room = w->bytes[w->now] - w->put, part = bytes < room ? bytes : room;
        put(&w->o, p, part);
        p += part, bytes -= part, w->put += part;
        next_tensor(w);
    }
    return w->o.status;
}

zm_status zm_gguf_commit(zm_gguf_writer **writer, zm_error *err)
{
    zm_gguf_writer *w = *writer;
    zm_status s = w->o.status;
    ZM_ASSERT(s || w->now == w->n);
    if (!s)
        s = zm_save_commit(&w->o.file, err);
    zm_gguf_abandon(writer);
    return s;
}

zm_status zm_gguf_write(const char *path, const zm_weight *tensors, size_t n, const zm_meta *meta, size_t n_meta,
                        zm_error *err)
{
    zm_gguf_writer *w;
    zm_status s = begin(&w, path, tensors, n, meta, n_meta, false, err);
    for (size_t i = 0; i < n && !s; i++)
        s = zm_gguf_put(w, tensors[i].data, tensors[i].bytes, err);
    if (!s)
        return zm_gguf_commit(&w, err);
    zm_gguf_abandon(&w);
    return s;
}
