/* Give the tensors of an open weight file other names: rules of another program's names become a view of the file.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "format/weights_build.h"

/* One tensor of the file with what the namer said of it. */
typedef struct row {
    const zm_weight *from;
    const char *name; /* in the arena */
    int part, parts, rank;
    bool spare, scale;
    size_t order; /* place in the file */
    int64_t dim[ZM_WEIGHT_RANK_MAX];
} row;

typedef struct renaming {
    zm_weights *w;
    row *rows;
    size_t n;
    zm_weight *out;     /* the new table */
    const row **source; /* of each tensor of it, its first row */
    size_t n_out;
    zm_error *err;
} renaming;

static zm_status no_memory(const renaming *r)
{
    return zm_fail(r->err, ZM_E_NOMEM, "%s: out of memory for the names of %zu tensors", r->w->path, r->w->n);
}

static zm_status ask(renaming *r, zm_weight_namer namer, void *user)
{
    for (size_t i = 0; i < r->w->n; i++) {
        const zm_weight *t = &r->w->tensors[i];
        zm_weight_alias a = {.parts = 1, .rank = -1};
        size_t n = strlen(t->name);
        memcpy(a.name, t->name, n < sizeof a.name ? n + 1 : 0);
        if (!namer(&a, t, user))
            continue;
        ZM_ASSERT(a.parts >= 1 && a.part >= 0 && a.part < a.parts && a.rank <= ZM_WEIGHT_RANK_MAX);
        if (!zm_weights_name_ok(a.name, strlen(a.name)))
            return zm_fail(r->err, ZM_E_FORMAT, "%s: the name of tensor %.100s... is longer than %zu bytes", t->file,
                           t->name, sizeof a.name - 1);
        row *to = &r->rows[r->n];
        *to = (row){t, NULL, a.part, a.parts, a.rank, a.spare, a.scale, i, {0}};
        memcpy(to->dim, a.dim, sizeof to->dim);
        if (!(to->name = zm_arena_strdup(r->w->arena, a.name)))
            return no_memory(r);
        r->n++;
    }
    return ZM_OK;
}

/* By name; of one name the scale last, spare copies behind the others, bands in order. */
static int order_rows(const void *a, const void *b)
{
    const row *x = a, *y = b;
    int c = strcmp(x->name, y->name);
    if (c)
        return c;
    if (x->scale != y->scale)
        return x->scale ? 1 : -1;
    if (x->spare != y->spare)
        return x->spare ? 1 : -1;
    if (x->part != y->part)
        return x->part < y->part ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static zm_status reshape(renaming *r, zm_weight *t, const row *from)
{
    size_t n = 1;
    if (from->rank < 0)
        return ZM_OK;
    bool fits = true;
    for (int i = 0; i < from->rank && fits; i++)
        fits = from->dim[i] >= 0 && zm_size_mul(&n, n, (size_t)from->dim[i]);
    if (!fits || n != zm_weight_elems(t))
        return zm_fail(r->err, ZM_E_FORMAT, "%s: tensor %s has %zu elements, not as many as the shape it is to have",
                       t->file, from->from->name, zm_weight_elems(t));
    t->rank = from->rank;
    memcpy(t->dim, from->dim, sizeof t->dim);
    return ZM_OK;
}

/* The bands first .. first + parts of the sorted rows become one tensor. */
static zm_status stack(renaming *r, zm_weight *t, const row *first, size_t left)
{
    zm_weights *w = r->w;
    int parts = first->parts;
    zm_weights_stack *all = realloc(w->stacks, (w->n_stacks + 1) * sizeof *all);
    zm_weight *part = zm_arena_array(w->arena, (size_t)parts, sizeof *part);
    if (all)
        w->stacks = all;
    if (!all || !part)
        return no_memory(r);
    for (int i = 0; i < parts; i++) {
        const row *band = first + i;
        if ((size_t)i >= left || strcmp(band->name, first->name) || band->scale || band->part != i)
            return zm_fail(r->err, ZM_E_MISSING, "%s: tensor %s is band %d of %d of %s, and band %d is missing",
                           first->from->file, first->from->name, first->part + 1, parts, first->name, i + 1);
        const zm_weight *b = band->from;
        bool fits = b->dtype == t->dtype && b->rank == t->rank && t->rank > 0 && b->dtype < ZM_DTYPE_COUNT;
        for (int k = 1; fits && k < t->rank; k++)
            fits = b->dim[k] == t->dim[k];
        if (!fits || (i && (__builtin_add_overflow(t->dim[0], b->dim[0], &t->dim[0]) ||
                            !zm_size_add(&t->bytes, t->bytes, b->bytes))))
            return zm_fail(r->err, ZM_E_FORMAT, "%s: tensors %s and %s do not fit into one, %s", b->file,
                           first->from->name, b->name, first->name);
        part[i] = *b;
    }
    t->data = NULL;
    w->stacks[w->n_stacks++] = (zm_weights_stack){r->n_out, parts, part, NULL};
    return ZM_OK;
}

/* Turn the sorted rows into the new table. */
static zm_status build(renaming *r)
{
    for (size_t i = 0; i < r->n;) {
        const row *a = &r->rows[i];
        zm_weight *t = &r->out[r->n_out];
        const zm_weight *before = r->n_out ? t - 1 : NULL;
        bool again = before && !strcmp(before->name, a->name);
        if (a->scale) {
            if (!again || before->scale)
                return zm_fail(r->err, ZM_E_FORMAT, "%s: tensor %s scales %s, which %s", a->from->file, a->from->name,
                               a->name, again ? "has a scale already" : "is not there");
            if (!before->data)
                return zm_fail(r->err, ZM_E_UNSUPPORTED, "%s: tensor %s scales one of the tensors that make up %s",
                               a->from->file, a->from->name, a->name);
            r->out[r->n_out - 1].scale = a->from;
            i++;
            continue;
        }
        if (again && a->spare) {
            i++;
            continue;
        }
        if (again)
            return zm_fail(r->err, ZM_E_FORMAT, "%s: tensors %s and %s are both %s", a->from->file,
                           r->source[r->n_out - 1]->from->name, a->from->name, a->name);
        *t = *a->from;
        t->name = a->name;
        zm_status s = a->parts > 1 ? stack(r, t, a, r->n - i) : reshape(r, t, a);
        if (s)
            return s;
        r->source[r->n_out++] = a;
        i += (size_t)a->parts;
    }
    return ZM_OK;
}

/* Scales outlive the file's table. */
static zm_status keep_scales(renaming *r)
{
    for (size_t i = 0; i < r->n_out; i++) {
        const zm_weight *from = r->out[i].scale;
        if (!from)
            continue;
        zm_weight *copy = zm_arena_alloc(r->w->arena, sizeof *copy);
        if (!copy)
            return no_memory(r);
        *copy = *from;
        bool float_type = copy->dtype == ZM_F32 || copy->dtype == ZM_F16 || copy->dtype == ZM_BF16;
        size_t n = zm_weight_elems(copy);
        bool rows = r->out[i].rank > 0 && n == (size_t)r->out[i].dim[0];
        if (!float_type || (n != 1 && !rows))
            return zm_fail(r->err, ZM_E_UNSUPPORTED, "%s: tensor %s, a scale, has %zu elements of %s", copy->file,
                           copy->name, n, copy->dtype_name);
        r->out[i].scale = copy;
    }
    return ZM_OK;
}

zm_status zm_weights_rename(zm_weights *w, zm_weight_namer namer, void *user, zm_error *err)
{
    renaming r = {.w = w, .err = err};
    ZM_ASSERT(!w->n_stacks);
    r.rows = calloc(w->n + 1, sizeof *r.rows);
    r.out = calloc(w->n + 1, sizeof *r.out);
    r.source = calloc(w->n + 1, sizeof *r.source);
    zm_status s = r.rows && r.out && r.source ? ask(&r, namer, user) : no_memory(&r);
    if (!s) {
        qsort(r.rows, r.n, sizeof *r.rows, order_rows);
        s = build(&r);
    }
    if (!s)
        s = keep_scales(&r);
    if (!s) {
        free(w->tensors);
        w->tensors = r.out;
        w->n = r.n_out;
        w->room = 0; /* nothing is added any more */
        r.out = NULL;
        for (size_t i = 0; i < w->n; i++)
            w->by_name[i] = &w->tensors[i]; /* the table is sorted by name now */
    }
    free(r.rows);
    free(r.out);
    free(r.source);
    return s;
}

static zm_status gather(zm_weights_stack *st, zm_weight *t, zm_error *err)
{
    unsigned char *own = malloc(t->bytes ? t->bytes : 1);
    if (!own)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory for %zu bytes of tensor %s", t->file, t->bytes, t->name);
    size_t at = 0;
    for (int i = 0; i < st->parts; i++) {
        if (st->part[i].bytes)
            memcpy(own + at, st->part[i].data, st->part[i].bytes);
        at += st->part[i].bytes;
    }
    t->data = st->own = own;
    return ZM_OK;
}

zm_status zm_weights_gather(const zm_weights *w, const zm_weight *t, zm_error *err)
{
    zm_status s = ZM_OK;
#pragma omp critical(zm_weights_gather)
    for (size_t i = 0; i < w->n_stacks; i++)
        if (&w->tensors[w->stacks[i].tensor] == t && !w->stacks[i].own)
            s = gather(&w->stacks[i], &w->tensors[w->stacks[i].tensor], err);
    return s;
}
