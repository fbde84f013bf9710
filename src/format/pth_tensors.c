/* Turn an unpickled PyTorch checkpoint into a table of tensors.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "format/pth_pickle.h"

enum { DICT_DEPTH_MAX = 6, ENTRY_BYTES = 64, BUDGET_FACTOR = 16 };

typedef zm_pth_value value;

typedef struct walker {
    const zm_weights_file *file;
    zm_arena *arena; /* of the values */
    size_t budget;   /* bytes that names may still take */
    zm_error *err;
} walker;

/* A pickle can refer to one dict or name many times, so the work is bounded by its size. */
static zm_status spend(walker *m, size_t bytes)
{
    bytes += ENTRY_BYTES;
    if (bytes > m->budget)
        return zm_fail(m->err, ZM_E_FORMAT, "%s: data.pkl repeats its dicts without bound", m->file->name);
    m->budget -= bytes;
    return ZM_OK;
}

static bool contiguous(const zm_weight *t, const value *stride)
{
    int64_t want = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        const value *s = zm_pth_item(stride, (size_t)i);
        if (t->dim[i] != 1 && (!s || s->kind != ZM_PTH_INT || s->integer != want))
            return false;
        if (__builtin_mul_overflow(want, t->dim[i], &want))
            return false;
    }
    return true;
}

static zm_status place(walker *m, zm_weight *t, const value *v)
{
    const zm_pth_entry *e = v->tensor.storage->storage.entry;
    const zm_pth_storage_type *type = v->tensor.storage->storage.type;
    const value *offset = zm_pth_item(v->tensor.args, 1), *size = zm_pth_item(v->tensor.args, 2);
    if (!offset || offset->kind != ZM_PTH_INT || offset->integer < 0 || !size || size->kind != ZM_PTH_TUPLE ||
        size->n > ZM_WEIGHT_RANK_MAX)
        return zm_fail(m->err, ZM_E_FORMAT, "%s: tensor %s: its offset or size is not a number or tuple of numbers",
                       t->file, t->name);
    t->rank = (int)size->n;
    for (int i = 0; i < t->rank; i++) {
        const value *d = size->items[i];
        if (d->kind != ZM_PTH_INT || d->integer < 0)
            return zm_fail(m->err, ZM_E_FORMAT, "%s: tensor %s: dim %d is not a number of 0 or more", t->file, t->name,
                           i);
        t->dim[i] = d->integer;
    }
    t->dtype = type ? type->dtype : ZM_DTYPE_COUNT;
    t->dtype_name = type ? type->dtype_name : "unknown storage";
    t->data = e->at;
    if (!type)
        return ZM_OK;
    size_t skip;
    zm_status s = zm_weights_set_bytes(t, 1, type->bytes, m->err);
    if (s)
        return s;
    if (t->bytes && !contiguous(t, zm_pth_item(v->tensor.args, 3))) {
        t->dtype = ZM_DTYPE_COUNT; /* opens, but cannot be asked for */
        t->dtype_name = "strided view";
        t->bytes = 0;
    }
    if (!zm_size_mul(&skip, (size_t)offset->integer, type->bytes) || skip > e->size || t->bytes > e->size - skip)
        return zm_fail(m->err, ZM_E_FORMAT, "%s: tensor %s: %zu bytes from element %lld of a storage of %zu bytes",
                       t->file, t->name, t->bytes, (long long)offset->integer, e->size);
    t->data = e->at + skip;
    return ZM_OK;
}

static zm_status emit(walker *m, const char *prefix, const value *key, const value *v)
{
    const zm_weights_file *f = m->file;
    if (!zm_weights_name_ok(key->text.at, key->text.bytes))
        return zm_fail(m->err, ZM_E_FORMAT, "%s: tensor %zu: name is empty, too long or has control characters",
                       f->name, f->into->n);
    zm_status s = spend(m, strlen(prefix) + key->text.bytes);
    if (s)
        return s;
    zm_weight *t = zm_weights_add(f->into);
    if (!t)
        return zm_fail(m->err, ZM_E_NOMEM, "%s: out of memory", m->file->name);
    t->file = f->name;
    t->name = zm_arena_printf(f->into->arena, "%s%.*s", prefix, (int)key->text.bytes, key->text.at);
    return t->name ? place(m, t, v) : zm_fail(m->err, ZM_E_NOMEM, "%s: out of memory", m->file->name);
}

/* Tensors of a dict and of dicts in it, names joined by dots. */
static zm_status walk(walker *m, const value *dict, const char *prefix, int depth)
{
    zm_status s = ZM_OK;
    for (size_t i = 0; i + 1 < dict->n && !s; i += 2) {
        const value *key = dict->items[i], *v = dict->items[i + 1];
        if (key->kind != ZM_PTH_TEXT)
            continue;
        if (v->kind == ZM_PTH_TENSOR) {
            s = emit(m, prefix, key, v);
        } else if (v->kind == ZM_PTH_DICT && depth < DICT_DEPTH_MAX && key->text.bytes < 256) {
            if ((s = spend(m, strlen(prefix) + key->text.bytes)))
                break;
            const char *inner = zm_arena_printf(m->arena, "%s%.*s.", prefix, (int)key->text.bytes, key->text.at);
            s = inner ? walk(m, v, inner, depth + 1) : zm_fail(m->err, ZM_E_NOMEM, "%s: out of memory", m->file->name);
        }
    }
    return s;
}

/* {"state_dict": {...}, "step": 5}: the only dict of a root without tensors is meant. */
static const value *unwrap(const value *root)
{
    const value *only = NULL;
    for (size_t i = 0; i + 1 < root->n; i += 2) {
        const value *v = root->items[i + 1];
        if (v->kind == ZM_PTH_TENSOR || (v->kind == ZM_PTH_DICT && only))
            return root;
        if (v->kind == ZM_PTH_DICT)
            only = v;
    }
    return only ? only : root;
}

zm_status zm_pth_tensors(const zm_pth_archive *a, const zm_pth_entry *pickle, zm_error *err)
{
    walker m = {.file = a->file, .arena = zm_arena_new(), .budget = BUDGET_FACTOR * pickle->size + 1024, .err = err};
    if (!m.arena)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", a->file->name);
    const value *root;
    zm_status s = zm_pth_unpickle(&root, a, pickle, m.arena, err);
    if (!s && root->kind != ZM_PTH_DICT)
        s = zm_fail(err, ZM_E_UNSUPPORTED, "%s: the pickled value is not a dict of tensors", a->file->name);
    if (!s)
        s = walk(&m, unwrap(root), "", 0);
    zm_arena_free(m.arena);
    return s;
}
