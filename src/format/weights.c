/* Open, index and look up weight files of any container.
 * SPDX-License-Identifier: MIT */
#include "format/weights.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "format/nearest.h"
#include "format/weights_build.h"

enum { NAME_BYTES_MAX = 65535 };

static void *grow(void *old, size_t n, size_t *room, size_t each)
{
    if (n < *room)
        return old;
    size_t want = *room ? *room * 2 : 32, bytes;
    if (!zm_size_mul(&bytes, want, each))
        return NULL;
    void *p = realloc(old, bytes);
    if (p)
        *room = want;
    return p;
}

zm_weight *zm_weights_add(zm_weights *w)
{
    zm_weight *p = grow(w->tensors, w->n, &w->room, sizeof *p);
    if (!p)
        return NULL;
    w->tensors = p;
    return memset(&p[w->n++], 0, sizeof *p);
}

zm_meta *zm_weights_add_meta(zm_weights *w)
{
    zm_meta *p = grow(w->meta, w->n_meta, &w->meta_room, sizeof *p);
    if (!p)
        return NULL;
    w->meta = p;
    return memset(&p[w->n_meta++], 0, sizeof *p);
}

bool zm_weights_name_ok(const char *s, size_t bytes)
{
    if (!bytes || bytes > NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < bytes; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            return false;
    return true;
}

zm_status zm_weights_set_bytes(zm_weight *t, size_t block_elems, size_t block_bytes, zm_error *err)
{
    size_t n = 1;
    for (int i = 0; i < t->rank; i++) {
        if (t->dim[i] < 0)
            return zm_fail(err, ZM_E_FORMAT, "%s: tensor %s: dim %d is %lld", t->file, t->name, i,
                           (long long)t->dim[i]);
        if (!zm_size_mul(&n, n, (size_t)t->dim[i]))
            return zm_fail(err, ZM_E_FORMAT, "%s: tensor %s: dims overflow at dim %d = %lld", t->file, t->name, i,
                           (long long)t->dim[i]);
    }
    int64_t inner = t->rank ? t->dim[t->rank - 1] : 1;
    if ((uint64_t)inner % block_elems)
        return zm_fail(err, ZM_E_FORMAT, "%s: tensor %s: innermost dim %lld is not a multiple of %zu as %s needs",
                       t->file, t->name, (long long)inner, block_elems, t->dtype_name);
    if (!zm_size_mul(&t->bytes, n / block_elems, block_bytes))
        return zm_fail(err, ZM_E_FORMAT, "%s: tensor %s: %zu elements of %s overflow", t->file, t->name, n,
                       t->dtype_name);
    return ZM_OK;
}

static int order_by_data(const void *a, const void *b)
{
    const zm_weight *x = *(const zm_weight *const *)a, *y = *(const zm_weight *const *)b;
    return (x->data > y->data) - (x->data < y->data);
}

static zm_status check_overlap(const zm_weights_file *f, size_t first, zm_error *err)
{
    const zm_weights *w = f->into;
    if (f->may_overlap || w->n == first)
        return ZM_OK;
    const zm_weight **order = malloc((w->n - first) * sizeof *order);
    if (!order)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory for %zu tensors", f->name, w->n - first);
    size_t n = 0;
    for (size_t i = first; i < w->n; i++)
        if (w->tensors[i].bytes)
            order[n++] = &w->tensors[i];
    qsort(order, n, sizeof *order, order_by_data);
    zm_status s = ZM_OK;
    for (size_t i = 1; i < n && !s; i++) {
        const unsigned char *end = (const unsigned char *)order[i - 1]->data + order[i - 1]->bytes;
        const unsigned char *at = order[i]->data;
        if (at < end)
            s = zm_fail(err, ZM_E_FORMAT, "%s: tensor %s at byte %zu overlaps tensor %s that ends at byte %zu", f->name,
                        order[i]->name, (size_t)(at - f->at), order[i - 1]->name, (size_t)(end - f->at));
    }
    free(order);
    return s;
}

static zm_status parse_any(zm_weights_file *f, zm_error *err)
{
    zm_weights *w = f->into;
    size_t first = w->n;
    zm_status s;
    const char *kind;
    if (f->size >= 4 && !memcmp(f->at, "GGUF", 4)) {
        kind = "gguf";
        s = zm_gguf_parse(f, err);
    } else if (f->size >= 4 && !memcmp(f->at, "PK\3\4", 4)) {
        kind = "pth";
        f->may_overlap = true;
        s = zm_pth_parse(f, err);
    } else if (f->size < 9) {
        return zm_fail(err, ZM_E_FORMAT, "%s: %zu bytes, too short for a weight file", f->name, f->size);
    } else if (f->at[8] == '{') {
        kind = "safetensors";
        s = zm_safetensors_parse(f, err);
    } else if (f->size >= 19 && !memcmp(f->at, "version https://git", 19)) {
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: a Git LFS pointer of %zu bytes stands in place of the weights",
                       f->name, f->size);
    } else {
        return zm_fail(err, ZM_E_UNSUPPORTED,
                       "%s: begins with bytes %02x %02x %02x %02x, which is none of safetensors, GGUF and PyTorch zip",
                       f->name, f->at[0], f->at[1], f->at[2], f->at[3]);
    }
    if (!w->container)
        w->container = kind;
    return s ? s : check_overlap(f, first, err);
}

zm_status zm_weights_add_file(zm_weights *w, const char *path, zm_error *err)
{
    zm_map *maps = realloc(w->maps, (w->n_maps + 1) * sizeof *maps);
    char *name = zm_arena_strdup(w->arena, path);
    if (maps)
        w->maps = maps;
    if (!maps || !name)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    zm_map *m = &w->maps[w->n_maps];
    zm_status s = zm_map_open(m, path, err);
    if (s)
        return s;
    w->n_maps++;
    return parse_any(
        &(zm_weights_file){.into = w, .name = name, .at = m->at, .size = m->size, .keep_meta = w->n_maps == 1}, err);
}

static int order_by_name(const void *a, const void *b)
{
    return strcmp((*(const zm_weight *const *)a)->name, (*(const zm_weight *const *)b)->name);
}

static int order_meta(const void *a, const void *b)
{
    return strcmp((*(const zm_meta *const *)a)->key, (*(const zm_meta *const *)b)->key);
}

static zm_status check_meta_keys(const zm_weights *w, zm_error *err)
{
    if (w->n_meta < 2)
        return ZM_OK;
    const zm_meta **order = malloc(w->n_meta * sizeof *order);
    if (!order)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory for %zu metadata keys", w->path, w->n_meta);
    for (size_t i = 0; i < w->n_meta; i++)
        order[i] = &w->meta[i];
    qsort(order, w->n_meta, sizeof *order, order_meta);
    zm_status s = ZM_OK;
    for (size_t i = 1; i < w->n_meta && !s; i++)
        if (!strcmp(order[i - 1]->key, order[i]->key))
            s = zm_fail(err, ZM_E_FORMAT, "%s: metadata key %s appears twice", w->path, order[i]->key);
    free(order);
    return s;
}

zm_status zm_weights_index(zm_weights *w, zm_error *err)
{
    w->by_name = malloc((w->n ? w->n : 1) * sizeof *w->by_name);
    if (!w->by_name)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory for %zu tensors", w->path, w->n);
    for (size_t i = 0; i < w->n; i++)
        w->by_name[i] = &w->tensors[i];
    qsort(w->by_name, w->n, sizeof *w->by_name, order_by_name);
    for (size_t i = 1; i < w->n; i++) {
        const zm_weight *a = w->by_name[i - 1], *b = w->by_name[i];
        if (!strcmp(a->name, b->name))
            return zm_fail(err, ZM_E_FORMAT, "%s: tensor %s appears twice (also in %s)", b->file, b->name, a->file);
    }
    return check_meta_keys(w, err);
}

static zm_weights *weights_new(const char *path)
{
    zm_weights *w = calloc(1, sizeof *w);
    if (w && (!(w->arena = zm_arena_new()) || !(w->path = zm_arena_strdup(w->arena, path)))) {
        zm_weights_free(w);
        w = NULL;
    }
    return w;
}

static zm_status weights_finish(zm_weights **out, zm_weights *w, zm_status s, zm_error *err)
{
    if (!s && !w->by_name)
        s = zm_weights_index(w, err);
    if (s)
        zm_weights_free(w);
    else
        *out = w;
    return s;
}

zm_status zm_weights_open(zm_weights **out, const char *path, zm_error *err)
{
    *out = NULL;
    zm_weights *w = weights_new(path);
    if (!w)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    static const char index[] = ".safetensors.index.json";
    size_t n = strlen(path), m = sizeof index - 1;
    zm_status s = zm_path_is_dir(path)                    ? zm_weights_add_dir(w, path, err)
                  : n > m && !strcmp(path + n - m, index) ? zm_weights_add_index(w, path, err)
                                                          : zm_weights_add_file(w, path, err);
    return weights_finish(out, w, s, err);
}

zm_status zm_weights_open_memory(zm_weights **out, const void *data, size_t bytes, const char *name, zm_error *err)
{
    *out = NULL;
    zm_weights *w = weights_new(name);
    if (!w)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", name);
    zm_weights_file f = {.into = w, .name = w->path, .at = data, .size = bytes, .keep_meta = true};
    return weights_finish(out, w, parse_any(&f, err), err);
}

void zm_weights_free(zm_weights *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->n_maps; i++)
        zm_map_close(&w->maps[i]);
    for (size_t i = 0; i < w->n_stacks; i++)
        free(w->stacks[i].own);
    free(w->stacks);
    free(w->maps);
    free(w->tensors);
    free(w->by_name);
    free(w->meta);
    zm_arena_free(w->arena);
    free(w);
}

const char *zm_weights_container(const zm_weights *w)
{
    return w->container;
}

const char *zm_weights_path(const zm_weights *w)
{
    return w->path;
}

size_t zm_weights_count(const zm_weights *w)
{
    return w->n;
}

const zm_weight *zm_weights_at(const zm_weights *w, size_t i)
{
    ZM_ASSERT(i < w->n);
    return &w->tensors[i];
}

static const zm_weight *lookup(const zm_weights *w, const char *name)
{
    size_t lo = 0, hi = w->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(w->by_name[mid]->name, name);
        if (!c)
            return w->by_name[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

bool zm_weights_has(const zm_weights *w, const char *name)
{
    return lookup(w, name) != NULL;
}

zm_status zm_weights_find(const zm_weight **out, const zm_weights *w, const char *name, zm_error *err)
{
    enum { COMPARED_MAX = 8192, NEAR = 8 };
    *out = NULL;
    const zm_weight *t = lookup(w, name), *nearest = NULL;
    if (t && t->dtype < ZM_DTYPE_COUNT) {
        zm_status s = w->n_stacks ? zm_weights_gather(w, t, err) : ZM_OK;
        if (!s)
            *out = t;
        return s;
    }
    if (t)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: tensor %s has dtype %s, which this build cannot compute with",
                       t->file, t->name, t->dtype_name);
    size_t best = NEAR + 1;
    for (size_t i = 0; i < w->n && i < COMPARED_MAX; i++) {
        size_t d = zm_edit_distance(w->tensors[i].name, name);
        if (d < best) {
            best = d;
            nearest = &w->tensors[i];
        }
    }
    if (nearest)
        return zm_fail(err, ZM_E_MISSING, "%s: no tensor %s among %zu (the nearest name is %s)", w->path, name, w->n,
                       nearest->name);
    return zm_fail(err, ZM_E_MISSING, "%s: no tensor %s among %zu", w->path, name, w->n);
}

size_t zm_weight_elems(const zm_weight *t)
{
    size_t n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= (size_t)t->dim[i];
    return n;
}
