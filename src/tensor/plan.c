/* Memory planning by lifetime.
 * SPDX-License-Identifier: MIT */
#include "tensor/plan.h"

#include <stdlib.h>
#include <string.h>

#include "tensor/op.h"

typedef struct span { /* one piece of memory, shared by a tensor, its views and in-place successors */
    size_t bytes, offset;
    int first, last; /* ids of the node that writes it and of the last one that reads it */
} span;

typedef struct layout {
    const zm_graph *g;
    const bool *skipped;
    int n;
    span *span;
    int *of; /* tensor id -> span id, -1 for external */
} layout;

static size_t round64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static int find_spans(layout *l)
{
    int n = 0;
    for (int i = 0; i < l->n; i++) {
        const zm_tensor *t = zm_graph_at(l->g, i);
        if (t->leaf == ZM_EXTERNAL) {
            l->of[i] = -1;
        } else if (t->op && t->op->is_view) {
            l->of[i] = l->of[t->in[0]->id];
        } else {
            l->of[i] = n;
            l->span[n++] =
                (span){.bytes = round64(zm_tensor_bytes(t)), .first = t->leaf == ZM_INPUT ? -1 : i, .last = i};
        }
        for (int k = 0; k < t->n_in; k++)
            if (t->in[k] && l->of[t->in[k]->id] >= 0)
                l->span[l->of[t->in[k]->id]].last = i;
    }
    for (int i = 0; i < l->n; i++) { /* what the caller writes or reads lives for the whole run */
        const zm_tensor *t = zm_graph_at(l->g, i);
        if (l->of[i] >= 0 && (t->leaf == ZM_INPUT || t->is_output))
            l->span[l->of[i]].last = l->n;
    }
    return n;
}

/* Later nodes first: what a skipped node would have read may itself be skipped. */
static void hand_on(layout *l)
{
    for (int i = l->n - 1; l->skipped && i >= 0; i--) {
        if (!l->skipped[i])
            continue;
        const zm_tensor *t = zm_graph_at(l->g, i);
        span *own = &l->span[l->of[i]];
        own->bytes = 0;
        for (int k = 0; k < t->n_in; k++) {
            span *from = t->in[k] && l->of[t->in[k]->id] >= 0 ? &l->span[l->of[t->in[k]->id]] : own;
            from->last = from->last < own->last ? own->last : from->last;
        }
    }
}

/* Whether t begins where its memory begins: over a view from the middle, threads would write what others still read. */
static bool same_start(const zm_tensor *t)
{
    for (; t->op && t->op->is_view; t = t->in[0])
        if (t->attr.i[0])
            return false;
    return true;
}

static void share_in_place(layout *l)
{
    for (int i = 0; i < l->n; i++) {
        const zm_tensor *t = zm_graph_at(l->g, i);
        if (!t->op || !t->op->in_place || t->is_output)
            continue;
        int from = l->of[t->in[0]->id], to = l->of[i];
        if (from < 0 || from == to || l->span[to].bytes == 0)
            continue;
        bool dies_here = l->span[from].last == i && same_start(t->in[0]) &&
                         zm_tensor_bytes(t->in[0]) == zm_tensor_bytes(t) && l->span[from].bytes == l->span[to].bytes;
        for (int k = 1; k < t->n_in; k++) /* the same memory read as another operand would be overwritten early */
            dies_here &= !t->in[k] || l->of[t->in[k]->id] != from;
        if (!dies_here)
            continue;
        l->span[from].last = l->span[to].last;
        l->span[to].bytes = 0;
        for (int k = i; k < l->n; k++)
            if (l->of[k] == to)
                l->of[k] = from;
    }
}

static int larger_first(const void *a, const void *b)
{
    const span *x = *(span *const *)a, *y = *(span *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return (x->first > y->first) - (x->first < y->first);
}

static int by_offset(const void *a, const void *b)
{
    const span *x = *(span *const *)a, *y = *(span *const *)b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static size_t place(span **order, int n, span **busy)
{
    size_t total = 0;
    for (int i = 0; i < n; i++) {
        span *s = order[i];
        int n_busy = 0;
        for (int k = 0; k < i; k++)
            if (order[k]->bytes && order[k]->first <= s->last && s->first <= order[k]->last)
                busy[n_busy++] = order[k];
        qsort(busy, (size_t)n_busy, sizeof *busy, by_offset);
        size_t at = 0;
        for (int k = 0; k < n_busy && busy[k]->offset < at + s->bytes; k++) {
            size_t end = busy[k]->offset + busy[k]->bytes;
            at = end > at ? end : at;
        }
        s->offset = at;
        total = at + s->bytes > total ? at + s->bytes : total;
    }
    return total;
}

zm_status zm_plan_make(zm_plan *out, const zm_graph *g, const bool *skipped, zm_error *err)
{
    *out = (zm_plan){.arena = zm_arena_new()};
    layout l = {.g = g, .skipped = skipped, .n = zm_graph_size(g)};
    size_t n = (size_t)l.n + 1;
    l.span = calloc(n, sizeof *l.span);
    l.of = calloc(n, sizeof *l.of);
    span **order = calloc(2 * n, sizeof *order);
    out->offset = out->arena ? zm_arena_array(out->arena, n, sizeof *out->offset) : NULL;
    zm_status s = ZM_OK;
    if (!l.span || !l.of || !order || !out->offset) {
        s = zm_fail(err, ZM_E_NOMEM, "out of memory for the plan of %d nodes", l.n);
        zm_plan_release(out);
    } else {
        int n_spans = find_spans(&l);
        hand_on(&l);
        share_in_place(&l);
        for (int i = 0; i < n_spans; i++)
            order[i] = &l.span[i];
        qsort(order, (size_t)n_spans, sizeof *order, larger_first);
        out->bytes = place(order, n_spans, order + n);
        for (int i = 0; i < l.n; i++)
            out->offset[i] = l.of[i] < 0 ? SIZE_MAX : l.span[l.of[i]].offset;
    }
    free(l.span);
    free(l.of);
    free(order);
    return s;
}

void zm_plan_release(zm_plan *p)
{
    zm_arena_free(p->arena);
    *p = (zm_plan){0};
}

void zm_plan_bind(const zm_plan *p, const zm_graph *g, void *block)
{
    for (int i = 0; i < zm_graph_size(g); i++) {
        zm_tensor *t = zm_graph_at(g, i);
        if (t->op && t->op->is_view)
            t->data =
                t->in[0]->data ? (char *)t->in[0]->data + t->attr.i[0] * (int64_t)zm_dtype_block_bytes(t->dtype) : NULL;
        else if (t->leaf != ZM_EXTERNAL)
            t->data = (char *)block + p->offset[i];
    }
}
