/* Streaming weights through memory.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/stream.h"

#include <stdlib.h>

#include "base/mapfile.h"
#include "ops/lookup.h"
#include "tensor/op.h"

typedef struct leaf {
    const void *at;
    size_t bytes;
    int first, last; /* nodes that use it */
    bool stays;
} leaf;

struct zm_stream {
    leaf *leaf; /* by first use */
    int n;
    int used, asked;       /* leaves whose use has begun in this run, and those that were read ahead */
    size_t ahead, waiting; /* bytes to read ahead, and those that were and are not used yet */
    int *order, *chain;    /* leaves by last use: order[node], then chain[leaf] */
};

static bool is_mapped(const zm_tensor *t)
{
    size_t bytes = zm_tensor_bytes(t);
    return t->leaf == ZM_EXTERNAL && bytes && (!t->data || zm_map_holds(t->data, bytes));
}

/* Every mapped leaf with its first and last use; malloc'd, NULL when out of memory. */
static leaf *list(const zm_graph *g, const bool *loaded, int *count)
{
    int n = zm_graph_size(g), *place = malloc(((size_t)n + 1) * sizeof *place);
    leaf *out = malloc(((size_t)n + 1) * sizeof *out);
    *count = 0;
    if (!place || !out) {
        free(place);
        free(out);
        return NULL;
    }
    for (int i = 0; i < n; i++)
        place[i] = -1;
    for (int i = 0; i < n; i++) {
        const zm_tensor *t = zm_graph_at(g, i);
        if (t->leaf != ZM_COMPUTED || t->op->is_view)
            continue;
        for (int k = 0; k < t->n_in; k++) {
            if (t->op == &zm_op_embedding && k == 0) /* a few rows of a table: only they are touched */
                continue;
            if (k == 1 && loaded && loaded[i])
                continue;
            const zm_tensor *in = t->in[k] ? zm_tensor_base(t->in[k]) : NULL;
            if (!in || !is_mapped(in))
                continue;
            if (place[in->id] < 0) {
                place[in->id] = (*count)++;
                out[place[in->id]] = (leaf){.at = in->data, .bytes = zm_tensor_bytes(in), .first = i};
            }
            out[place[in->id]].last = i;
        }
    }
    free(place);
    return out;
}

static void weigh(const leaf *l, int n, size_t *mapped, size_t *window)
{
    *mapped = *window = 0;
    for (int i = 0; i < n; i++) {
        size_t two = l[i].bytes + (i + 1 < n ? l[i + 1].bytes : 0);
        *mapped += l[i].bytes;
        *window = two > *window ? two : *window;
    }
}

void zm_stream_measure(const zm_graph *g, const bool *loaded, size_t *mapped, size_t *window)
{
    int n;
    leaf *l = list(g, loaded, &n);
    weigh(l, l ? n : 0, mapped, window);
    free(l);
}

/* As many as fit beside the window stay: the first ones, so that the beginning of a run waits for nothing. */
static void choose(zm_stream *s, size_t resident_bytes, size_t mapped, size_t window)
{
    size_t room = resident_bytes > window ? resident_bytes - window : 0, used = 0;
    if (mapped <= resident_bytes) /* all stay while the graph lives */
        room = mapped;
    for (int i = 0; i < s->n; i++) {
        s->leaf[i].stays = used + s->leaf[i].bytes <= room;
        used += s->leaf[i].stays ? s->leaf[i].bytes : 0;
    }
    s->ahead = window;
}

zm_status zm_stream_new(zm_stream **out, const zm_graph *g, const bool *loaded, size_t resident_bytes, zm_error *err)
{
    size_t mapped, window, nodes = (size_t)zm_graph_size(g) + 1;
    *out = NULL;
    if (!resident_bytes || resident_bytes == SIZE_MAX)
        return ZM_OK;
    zm_stream *s = calloc(1, sizeof *s);
    if (!s || !(s->leaf = list(g, loaded, &s->n)))
        goto no_memory;
    weigh(s->leaf, s->n, &mapped, &window);
    s->order = malloc(nodes * sizeof *s->order);
    s->chain = malloc(((size_t)s->n + 1) * sizeof *s->chain);
    if (!s->order || !s->chain)
        goto no_memory;
    choose(s, resident_bytes, mapped, window);
    for (size_t i = 0; i < nodes; i++)
        s->order[i] = -1;
    for (int i = 0; i < s->n; i++) {
        s->chain[i] = s->order[s->leaf[i].last];
        s->order[s->leaf[i].last] = i;
    }
    *out = s;
    return ZM_OK;
no_memory:
    zm_stream_free(s);
    return zm_fail(err, ZM_E_NOMEM, "out of memory for the order of weights");
}

void zm_stream_free(zm_stream *s)
{
    if (!s)
        return;
    for (int i = 0; s->order && i < s->n; i++)
        if (s->leaf[i].at)
            zm_map_drop(s->leaf[i].at, s->leaf[i].bytes);
    free(s->leaf);
    free(s->order);
    free(s->chain);
    free(s);
}

void zm_stream_begin(zm_stream *s)
{
    if (s)
        s->used = s->asked = 0, s->waiting = 0;
}

void zm_stream_before(zm_stream *s, int id)
{
    if (!s)
        return;
    for (; s->used < s->n && s->leaf[s->used].first <= id; s->used++)
        if (s->used < s->asked && !s->leaf[s->used].stays)
            s->waiting -= s->leaf[s->used].bytes;
    s->asked = s->asked < s->used ? s->used : s->asked;
    for (; s->asked < s->n && s->waiting < s->ahead; s->asked++)
        if (!s->leaf[s->asked].stays) {
            zm_map_expect(s->leaf[s->asked].at, s->leaf[s->asked].bytes);
            s->waiting += s->leaf[s->asked].bytes;
        }
}

void zm_stream_after(zm_stream *s, int id)
{
    if (!s)
        return;
    for (int i = s->order[id]; i >= 0; i = s->chain[i])
        if (!s->leaf[i].stays)
            zm_map_drop(s->leaf[i].at, s->leaf[i].bytes);
}
