/* Building static graphs: leaves, nodes, sticky errors, dead-node removal.
 * SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/op.h"

struct zm_graph {
    zm_arena *arena;
    zm_tensor **node; /* in execution order */
    int n, cap;
    int segment, segments;
    zm_error err;
    zm_tensor poison;
};

int64_t zm_shape_elems(zm_shape s)
{
    int64_t n = 1;
    for (int i = 0; i < s.rank; i++)
        n *= s.dim[i];
    return n;
}

bool zm_shape_equal(zm_shape a, zm_shape b)
{
    return a.rank == b.rank && (a.rank <= 0 || !memcmp(a.dim, b.dim, (size_t)a.rank * sizeof *a.dim));
}

const char *zm_shape_text(zm_shape s, char *buf, size_t cap)
{
    size_t at = 0;
    if (cap)
        buf[0] = 0;
    for (int i = 0; i < s.rank && i < ZM_MAX_RANK && at < cap; i++)
        at += (size_t)snprintf(buf + at, cap - at, "%c%lld", i ? ',' : '[', (long long)s.dim[i]);
    if (at < cap)
        snprintf(buf + at, cap - at, "%s", s.rank ? "]" : "[]");
    return buf;
}

int64_t zm_dim(const zm_tensor *t, int i)
{
    int at = i < 0 ? t->shape.rank + i : i;
    return at >= 0 && at < t->shape.rank ? t->shape.dim[at] : 1;
}

size_t zm_tensor_bytes(const zm_tensor *t)
{
    size_t bytes = 0;
    ZM_ASSERT(zm_dtype_bytes(&bytes, t->dtype, (size_t)zm_shape_elems(t->shape)));
    return bytes;
}

float zm_read_stored(const zm_tensor *t, int64_t i)
{
    switch (t->dtype) {
    case ZM_F16:
        return zm_f16_to_f32(((const uint16_t *)t->data)[i]);
    case ZM_BF16:
        return zm_bf16_to_f32(((const uint16_t *)t->data)[i]);
    default:
        break;
    }
    float block[ZM_DTYPE_BLOCK_MAX];
    int64_t n = (int64_t)zm_dtype_block_elems(t->dtype), at = i / n * (int64_t)zm_dtype_block_bytes(t->dtype);
    zm_dtype_to_f32(block, (const char *)t->data + at, t->dtype, (size_t)n);
    return block[i % n];
}

zm_graph *zm_graph_new(void)
{
    zm_graph *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->arena = zm_arena_new();
    g->poison =
        (zm_tensor){.leaf = ZM_INPUT, .dtype = ZM_F32, .shape = {.rank = 1, .dim = {1}}, .name = "poison", .id = -1};
    if (!g->arena) {
        free(g);
        return NULL;
    }
    return g;
}

void zm_graph_free(zm_graph *g)
{
    if (!g)
        return;
    zm_arena_free(g->arena);
    free(g->node);
    free(g);
}

zm_arena *zm_graph_arena(zm_graph *g)
{
    return g->arena;
}

zm_tensor *zm_graph_fail(zm_graph *g, zm_status code, const char *fmt, ...)
{
    char text[sizeof g->err.text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    zm_fail(&g->err, code, "%s", text);
    return &g->poison;
}

bool zm_graph_failed(const zm_graph *g)
{
    return g->err.code != ZM_OK;
}

static bool shape_is_sane(zm_shape s, zm_dtype t)
{
    size_t elems = 1, bytes;
    if (s.rank < 0 || s.rank > ZM_MAX_RANK)
        return false;
    for (int i = 0; i < s.rank; i++)
        if (s.dim[i] <= 0 || !zm_size_mul(&elems, elems, (size_t)s.dim[i]))
            return false;
    return zm_dtype_bytes(&bytes, t, elems) && bytes <= (size_t)1 << 46;
}

static zm_tensor *append(zm_graph *g, const zm_tensor *like)
{
    if (g->n == g->cap) {
        int cap = g->cap ? 2 * g->cap : 256;
        zm_tensor **grown = realloc(g->node, (size_t)cap * sizeof *grown);
        if (!grown)
            return zm_graph_fail(g, ZM_E_NOMEM, "out of memory for a graph of %d nodes", cap);
        g->node = grown;
        g->cap = cap;
    }
    zm_tensor *t = zm_arena_alloc(g->arena, sizeof *t);
    if (!t)
        return zm_graph_fail(g, ZM_E_NOMEM, "out of memory for graph node %d", g->n);
    *t = *like;
    t->id = g->n;
    g->node[g->n++] = t;
    return t;
}

static zm_tensor *leaf(zm_graph *g, const zm_tensor *like, const char *name)
{
    if (g->err.code)
        return &g->poison;
    char text[128];
    if (!shape_is_sane(like->shape, like->dtype))
        return zm_graph_fail(g, ZM_E_SHAPE, "%s: shape %s of %s is not possible", name,
                             zm_shape_text(like->shape, text, sizeof text), zm_dtype_name(like->dtype));
    zm_tensor *t = append(g, like);
    if (t != &g->poison)
        t->name = name ? zm_arena_strdup(g->arena, name) : "";
    return t;
}

zm_tensor *zm_input(zm_graph *g, zm_dtype dtype, zm_shape shape, const char *name)
{
    return leaf(g, &(zm_tensor){.leaf = ZM_INPUT, .dtype = dtype, .shape = shape}, name);
}

zm_tensor *zm_external(zm_graph *g, zm_dtype dtype, zm_shape shape, void *data, const char *name)
{
    return leaf(g, &(zm_tensor){.leaf = ZM_EXTERNAL, .dtype = dtype, .shape = shape, .data = data}, name);
}

zm_tensor *zm_node(zm_graph *g, const zm_op *op, const zm_attr *attr, int n_in, zm_tensor *const *in)
{
    if (g->err.code)
        return &g->poison;
    zm_tensor t = {
        .op = op, .leaf = ZM_COMPUTED, .dtype = ZM_F32, .n_in = n_in, .segment = g->segment, .name = op->name};
    if (attr)
        t.attr = *attr;
    ZM_ASSERT(n_in <= ZM_MAX_IN);
    for (int i = 0; i < n_in; i++) {
        t.in[i] = in[i];
        t.needs_grad |= in[i] && in[i]->needs_grad && op->gradient;
    }
    if (n_in < op->min_in || n_in > op->max_in)
        return zm_graph_fail(g, ZM_E_SHAPE, "%s: %d inputs, %d to %d are needed", op->name, n_in, op->min_in,
                             op->max_in);
    for (int i = 0; i < op->min_in; i++)
        if (!in[i])
            return zm_graph_fail(g, ZM_E_SHAPE, "%s: input %d is missing", op->name, i);
    if (op->shape(&t, &t.shape, &t.dtype, &g->err))
        return &g->poison;
    char text[128];
    if (!shape_is_sane(t.shape, t.dtype))
        return zm_graph_fail(g, ZM_E_SHAPE, "%s: result %s is not possible", op->name,
                             zm_shape_text(t.shape, text, sizeof text));
    return append(g, &t);
}

zm_tensor *zm_output(zm_graph *g, zm_tensor *t)
{
    if (t != &g->poison)
        t->is_output = true;
    return t;
}

void zm_segment_begin(zm_graph *g)
{
    g->segment = ++g->segments;
}

void zm_segment_end(zm_graph *g)
{
    g->segment = 0;
}

zm_status zm_graph_finish(zm_graph *g, zm_error *err)
{
    if (g->err.code)
        return zm_fail(err, g->err.code, "%s", g->err.text);
    bool *needed = calloc((size_t)g->n + 1, sizeof *needed);
    if (!needed)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a graph of %d nodes", g->n);
    for (int i = g->n - 1; i >= 0; i--) {
        needed[i] |= g->node[i]->is_output || g->node[i]->leaf != ZM_COMPUTED;
        for (int k = 0; needed[i] && k < g->node[i]->n_in; k++)
            if (g->node[i]->in[k])
                needed[g->node[i]->in[k]->id] = true;
    }
    int kept = 0;
    for (int i = 0; i < g->n; i++)
        if (needed[i]) {
            g->node[kept] = g->node[i];
            g->node[kept]->id = kept;
            kept++;
        }
    g->n = kept;
    free(needed);
    return ZM_OK;
}

int zm_graph_size(const zm_graph *g)
{
    return g->n;
}

zm_tensor *zm_graph_at(const zm_graph *g, int id)
{
    return g->node[id];
}
