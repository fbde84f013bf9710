/* Read the header of a GGUF file (ggml's container, versions 2 and 3, little-endian).
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "format/gguf_types.h"
#include "format/weights_build.h"

/* Smallest possible entries, so that a count can be refused before anything is allocated for it. */
enum { META_BYTES_MIN = 8 + 1 + 4 + 1, TENSOR_BYTES_MIN = 8 + 1 + 4 + 4 + 8, ALIGNMENT_MAX = 1 << 20 };

/* Read position in one file.  Invariant: pos <= f->size. */
typedef struct cursor {
    const zm_weights_file *f;
    size_t pos;
    zm_error *err;
} cursor;

static zm_status take(const unsigned char **out, cursor *c, uint64_t bytes, const char *what)
{
    *out = c->f->at + c->pos;
    if (bytes > c->f->size - c->pos)
        return zm_fail(c->err, ZM_E_FORMAT, "%s: byte %zu: %s of %llu bytes runs past the end at byte %zu", c->f->name,
                       c->pos, what, (unsigned long long)bytes, c->f->size);
    c->pos += (size_t)bytes;
    return ZM_OK;
}

static zm_status take_u32(uint32_t *out, cursor *c, const char *what)
{
    const unsigned char *p;
    zm_status s = take(&p, c, 4, what);
    if (!s)
        *out = zm_load_u32le(p);
    return s;
}

static zm_status take_u64(uint64_t *out, cursor *c, const char *what)
{
    const unsigned char *p;
    zm_status s = take(&p, c, 8, what);
    if (!s)
        *out = zm_load_u64le(p);
    return s;
}

/* The text is inside the file, without a NUL after it. */
static zm_status take_text(const char **out, size_t *bytes, cursor *c, const char *what)
{
    uint64_t n;
    const unsigned char *p;
    zm_status s = take_u64(&n, c, what);
    if (!s)
        s = take(&p, c, n, what);
    if (!s) {
        *out = (const char *)p;
        *bytes = (size_t)n;
    }
    return s;
}

static zm_status no_memory(const cursor *c)
{
    return zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory at byte %zu", c->f->name, c->pos);
}

static zm_status take_name(const char **out, cursor *c, const char *what)
{
    const char *text;
    size_t n, at = c->pos;
    zm_status s = take_text(&text, &n, c, what);
    if (s)
        return s;
    if (!zm_weights_name_ok(text, n))
        return zm_fail(c->err, ZM_E_FORMAT,
                       "%s: byte %zu: %s of %zu bytes is empty, too long or has control characters", c->f->name, at,
                       what, n);
    char *copy = zm_arena_alloc(c->f->into->arena, n + 1);
    if (!copy)
        return no_memory(c);
    memcpy(copy, text, n);
    *out = copy;
    return ZM_OK;
}

static zm_status take_scalar(zm_meta *m, cursor *c, uint32_t type)
{
    const unsigned char *p;
    zm_status s = take(&p, c, zm_gguf_value_bytes(type), "metadata value");
    if (s)
        return s;
    uint64_t bits = 0;
    size_t bytes = zm_gguf_value_bytes(type);
    for (size_t i = 0; i < bytes; i++)
        bits |= (uint64_t)p[i] << 8 * i;
    switch (type) {
    case ZM_GGUF_I8:
    case ZM_GGUF_I16:
    case ZM_GGUF_I32:
    case ZM_GGUF_I64:
        m->type = ZM_META_I64;
        m->i64 = (int64_t)(bits << (64 - 8 * bytes)) >> (64 - 8 * bytes); /* sign extension */
        return ZM_OK;
    case ZM_GGUF_F32: {
        float v;
        memcpy(&v, p, 4);
        m->type = ZM_META_F64;
        m->f64 = (double)v;
        return ZM_OK;
    }
    case ZM_GGUF_F64:
        m->type = ZM_META_F64;
        memcpy(&m->f64, p, 8);
        return ZM_OK;
    case ZM_GGUF_BOOL:
        m->type = ZM_META_BOOL;
        m->u64 = bits != 0;
        return ZM_OK;
    default:
        m->type = ZM_META_U64;
        m->u64 = bits;
        return ZM_OK;
    }
}

static zm_status take_string(zm_meta *m, cursor *c)
{
    const char *text;
    zm_status s = take_text(&text, &m->n, c, "metadata string");
    if (s)
        return s;
    char *copy = zm_arena_alloc(c->f->into->arena, m->n + 1);
    if (!copy)
        return no_memory(c);
    memcpy(copy, text, m->n);
    m->type = ZM_META_STR;
    m->str = copy;
    return ZM_OK;
}

/* Walk the strings twice: once to check and measure, once to copy them into one block. */
static zm_status take_strings(zm_meta *m, cursor *c, uint64_t n)
{
    const char *text;
    size_t bytes, start = c->pos, total = 0;
    if (n > (c->f->size - c->pos) / 8)
        return zm_fail(c->err, ZM_E_FORMAT, "%s: byte %zu: an array of %llu strings runs past the end at byte %zu",
                       c->f->name, c->pos, (unsigned long long)n, c->f->size);
    for (uint64_t i = 0; i < n; i++) {
        zm_status s = take_text(&text, &bytes, c, "string of an array");
        if (s)
            return s;
        total += bytes + 1; /* below the file's size + n */
    }
    zm_arena *a = c->f->into->arena;
    const char **strs = zm_arena_array(a, (size_t)n + 1, sizeof *strs);
    size_t *lens = zm_arena_array(a, (size_t)n + 1, sizeof *lens);
    char *block = zm_arena_alloc(a, total + 1);
    if (!strs || !lens || !block)
        return no_memory(c);
    c->pos = start;
    for (uint64_t i = 0; i < n; i++) {
        zm_status s = take_text(&text, &lens[i], c, "string of an array");
        if (s)
            return s;
        memcpy(block, text, lens[i]);
        strs[i] = block;
        block += lens[i] + 1;
    }
    m->type = ZM_META_STRS;
    m->n = (size_t)n;
    m->strs = strs;
    m->lens = lens;
    return ZM_OK;
}

static zm_status take_array(zm_meta *m, cursor *c)
{
    uint32_t type;
    uint64_t n;
    const unsigned char *p;
    zm_status s = take_u32(&type, c, "array type");
    if (!s)
        s = take_u64(&n, c, "array length");
    if (s)
        return s;
    if (type == ZM_GGUF_STRING)
        return take_strings(m, c, n);
    size_t each = zm_gguf_value_bytes(type);
    if (!each)
        return zm_fail(c->err, type == ZM_GGUF_ARRAY ? ZM_E_UNSUPPORTED : ZM_E_FORMAT,
                       "%s: byte %zu: metadata %s is an array of type %u", c->f->name, c->pos - 12, m->key, type);
    if (n > (c->f->size - c->pos) / each)
        return zm_fail(c->err, ZM_E_FORMAT, "%s: byte %zu: metadata %s: %llu values run past the end at byte %zu",
                       c->f->name, c->pos, m->key, (unsigned long long)n, c->f->size);
    s = take(&p, c, n * each, "array");
    if (s)
        return s;
    m->n = (size_t)n;
    m->type = ZM_META_OTHER;
    if (type == ZM_GGUF_U8 || type == ZM_GGUF_I8) {
        m->type = ZM_META_BYTES;
        m->str = (const char *)p; /* the file stays mapped */
        return ZM_OK;
    }
    if (type != ZM_GGUF_F32 && type != ZM_GGUF_I32)
        return ZM_OK;
    void *copy = zm_arena_alloc(c->f->into->arena, m->n * 4 + 1);
    if (!copy)
        return no_memory(c);
    memcpy(copy, p, m->n * 4);
    m->type = type == ZM_GGUF_F32 ? ZM_META_F32S : ZM_META_I32S;
    if (type == ZM_GGUF_F32)
        m->f32s = copy;
    else
        m->i32s = copy;
    return ZM_OK;
}

static zm_status take_meta(cursor *c)
{
    zm_meta skipped = {0}, *m = c->f->keep_meta ? zm_weights_add_meta(c->f->into) : &skipped;
    if (!m)
        return no_memory(c);
    uint32_t type;
    m->key = "";
    zm_status s = take_name(&m->key, c, "metadata key");
    if (!s)
        s = take_u32(&type, c, "metadata type");
    if (s)
        return s;
    if (type == ZM_GGUF_STRING)
        return take_string(m, c);
    if (type == ZM_GGUF_ARRAY)
        return take_array(m, c);
    if (!zm_gguf_value_bytes(type))
        return zm_fail(c->err, ZM_E_FORMAT, "%s: byte %zu: metadata %s has type %u, 0 to 12 are known", c->f->name,
                       c->pos - 4, m->key, type);
    return take_scalar(m, c, type);
}

/* Until the data section is known, `data` holds only the offset in it. */
static zm_status take_tensor(uint64_t *offset, cursor *c)
{
    zm_weight *t = zm_weights_add(c->f->into);
    if (!t)
        return no_memory(c);
    t->file = c->f->name;
    t->name = "";
    uint32_t rank, type;
    zm_status s = take_name(&t->name, c, "tensor name");
    if (!s)
        s = take_u32(&rank, c, "rank");
    if (!s && rank > ZM_WEIGHT_RANK_MAX)
        s = zm_fail(c->err, ZM_E_FORMAT, "%s: byte %zu: tensor %s: rank %u, at most %d is possible", c->f->name,
                    c->pos - 4, t->name, rank, ZM_WEIGHT_RANK_MAX);
    if (s)
        return s;
    t->rank = (int)rank;
    for (uint32_t i = 0; i < rank; i++) {
        uint64_t d;
        if ((s = take_u64(&d, c, "dim")))
            return s;
        if (d > INT64_MAX)
            return zm_fail(c->err, ZM_E_FORMAT, "%s: byte %zu: tensor %s: dim %u is %llu", c->f->name, c->pos - 8,
                           t->name, i, (unsigned long long)d);
        t->dim[rank - 1 - i] = (int64_t)d; /* GGUF writes the innermost dim first */
    }
    s = take_u32(&type, c, "dtype");
    if (!s)
        s = take_u64(offset, c, "tensor offset");
    if (s)
        return s;
    const zm_gguf_dtype *d = zm_gguf_dtype_find(type);
    t->dtype = d ? d->dtype : ZM_DTYPE_COUNT;
    t->dtype_name = d ? d->name : zm_arena_printf(c->f->into->arena, "ggml type %u", type);
    if (!t->dtype_name)
        return no_memory(c);
    return d ? zm_weights_set_bytes(t, d->block_elems, d->block_bytes, c->err) : ZM_OK;
}

static zm_status place(const zm_weights_file *f, zm_weight *t, size_t data_at, uint64_t offset, zm_error *err)
{
    size_t room = f->size - data_at;
    if (offset > room || t->bytes > room - offset)
        return zm_fail(err, ZM_E_FORMAT, "%s: tensor %s: %zu bytes at offset %llu run past the %zu data bytes", f->name,
                       t->name, t->bytes, (unsigned long long)offset, room);
    t->data = f->at + data_at + offset;
    return ZM_OK;
}

/* Converters of video models store tensors of more than 4 dims flattened, beside their true shape. */
static void restore_shape(const zm_weights *w, zm_weight *t)
{
    static const char prefix[] = "comfy.gguf.orig_shape.";
    for (size_t i = 0; i < w->n_meta; i++) {
        const zm_meta *m = &w->meta[i];
        if (m->type != ZM_META_I32S || strncmp(m->key, prefix, sizeof prefix - 1) ||
            strcmp(m->key + sizeof prefix - 1, t->name) || m->n > ZM_WEIGHT_RANK_MAX)
            continue;
        size_t n = 1;
        for (size_t k = 0; k < m->n; k++)
            if (m->i32s[k] < 0 || !zm_size_mul(&n, n, (size_t)m->i32s[k]))
                return;
        if (n != zm_weight_elems(t) || (m->n && m->i32s[m->n - 1] % (int64_t)zm_dtype_block_elems(t->dtype)))
            return;
        t->rank = (int)m->n;
        for (size_t k = 0; k < m->n; k++)
            t->dim[k] = m->i32s[k];
        return;
    }
}

static zm_status take_tensors(cursor *c, uint64_t n)
{
    const zm_weights_file *f = c->f;
    zm_weights *w = f->into;
    uint64_t alignment = 32;
    if (zm_weights_meta(w, "general.alignment") && !zm_weights_meta_u64(w, "general.alignment", &alignment))
        alignment = 0;
    if (!alignment || alignment > ALIGNMENT_MAX || (alignment & (alignment - 1)))
        return zm_fail(c->err, ZM_E_FORMAT, "%s: general.alignment is %llu, a power of two up to %d is needed", f->name,
                       (unsigned long long)alignment, ALIGNMENT_MAX);
    size_t first = w->n;
    uint64_t *offset = zm_arena_array(w->arena, (size_t)n + 1, sizeof *offset);
    if (!offset)
        return no_memory(c);
    zm_status s = ZM_OK;
    for (uint64_t i = 0; i < n && !s; i++)
        s = take_tensor(&offset[i], c);
    size_t data_at = (c->pos + (size_t)alignment - 1) & ~((size_t)alignment - 1);
    if (data_at > f->size) /* a file without tensor data may end before the padding */
        data_at = f->size;
    for (uint64_t i = 0; i < n && !s; i++) {
        zm_weight *t = &w->tensors[first + i];
        s = place(f, t, data_at, offset[i], c->err);
        if (!s && t->dtype < ZM_DTYPE_COUNT)
            restore_shape(w, t);
    }
    return s;
}

zm_status zm_gguf_parse(const zm_weights_file *f, zm_error *err)
{
    cursor c = {.f = f, .pos = 4, .err = err};
    uint32_t version;
    uint64_t n, n_meta;
    zm_status s = take_u32(&version, &c, "version");
    if (s)
        return s;
    if (version != 2 && version != 3)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: GGUF version %u%s, versions 2 and 3 are read", f->name, version,
                       version && !(version & 0xffff) ? " (big-endian)" : "");
    s = take_u64(&n, &c, "tensor count");
    if (!s)
        s = take_u64(&n_meta, &c, "metadata count");
    if (s)
        return s;
    size_t room = f->size - c.pos;
    if (n > room / TENSOR_BYTES_MIN || n_meta > room / META_BYTES_MIN)
        return zm_fail(err, ZM_E_FORMAT, "%s: byte 8: %llu tensors and %llu metadata values cannot fit in %zu bytes",
                       f->name, (unsigned long long)n, (unsigned long long)n_meta, room);
    for (uint64_t i = 0; i < n_meta && !s; i++)
        s = take_meta(&c);
    return s ? s : take_tensors(&c, n);
}
