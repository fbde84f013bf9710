/* Memory plans of random graphs: nothing that is still needed is overwritten, values are those of a plan without
 * sharing, and a second run allocates nothing.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <time.h>

#include "backend/backend.h"
#include "base/rng.h"
#include "count_allocations.h"
#include "ops/ops.h"
#include "tap.h"
#include "tensor/plan.h"

static zm_rng fresh;

/* ---- random graphs ---- */

enum { POOL = 400, INPUTS = 3 };

typedef struct random_graph {
    zm_graph *g;
    zm_tensor *pool[POOL];
    int n;
} random_graph;

static zm_tensor *pick(random_graph *r)
{
    /* mostly recent tensors, so that older ones die */
    uint32_t back = zm_rng_below(&fresh, zm_rng_below(&fresh, 4) ? 6 : (uint32_t)r->n);
    return r->pool[(int)back < r->n ? r->n - 1 - (int)back : 0];
}

static zm_tensor *as_matrix(random_graph *r, zm_tensor *t)
{
    int64_t n = zm_shape_elems(t->shape), columns = n % 4 ? 1 : 4;
    return zm_reshape(r->g, t, ZM_SHAPE(n / columns, columns));
}

static zm_tensor *random_node(random_graph *r)
{
    zm_graph *g = r->g;
    zm_tensor *a = pick(r), *b = pick(r);
    int64_t rows = zm_dim(a, 0);
    switch (zm_rng_below(&fresh, 12)) {
    case 0:
        return zm_unary(g, ZM_TANH, a);
    case 1:
        return zm_affine(g, a, 0.75, 0.125);
    case 2: /* a single row spread over b: broadcasting either way */
        a = zm_slice(g, a, 0, zm_rng_below(&fresh, (uint32_t)rows), 1);
        return zm_dim(a, 1) == zm_dim(b, 1) ? zm_rng_below(&fresh, 2) ? zm_add(g, a, b) : zm_sub(g, b, a) : a;
    case 3: /* the same tensor twice */
        return zm_mul(g, a, a);
    case 4: /* part of a tensor, a view with an offset, then an op that may work in place */
        if (rows > 1) {
            int64_t start = zm_rng_below(&fresh, (uint32_t)rows);
            a = zm_slice(g, a, 0, start, rows - start);
        }
        return zm_unary(g, ZM_SILU, a);
    case 5:
        return zm_permute(g, a, (const int[]){1, 0});
    case 6:
        return zm_shape_elems(a->shape) + zm_shape_elems(b->shape) < 4096 && zm_dim(a, 1) == zm_dim(b, 1)
                   ? zm_concat(g, 2, (zm_tensor *[]){a, b}, 0)
                   : zm_unary(g, ZM_SIGMOID, a);
    case 7:
        return zm_unary(g, ZM_TANH, zm_matmul(g, a, b, false, zm_dim(a, 1) == zm_dim(b, 1)));
    case 8:
        return zm_norm(g, ZM_NORM_RMS, a, NULL, NULL, 1e-5);
    case 9:
        return as_matrix(r, a);
    case 10: /* a view of a view */
        return zm_shape_elems(a->shape) > 8
                   ? as_matrix(r, zm_view(g, zm_reshape(g, a, ZM_SHAPE(zm_shape_elems(a->shape))), 4, ZM_SHAPE(4)))
                   : a;
    default:
        return zm_shape_equal(a->shape, b->shape) ? zm_add(g, a, b) : zm_unary(g, ZM_RELU, b);
    }
}

static bool fits(const zm_tensor *a)
{
    return a->shape.rank == 2 && zm_shape_elems(a->shape) <= 4096;
}

static bool random_graph_new(random_graph *r, int nodes)
{
    *r = (random_graph){.g = zm_graph_new()};
    static const int64_t size[] = {1, 4, 4, 12, 16};
    for (int i = 0; i < INPUTS; i++)
        r->pool[r->n++] = zm_input(r->g, ZM_F32, ZM_SHAPE(size[zm_rng_below(&fresh, 5)], 4), "x");
    while (r->n < nodes && r->n < POOL) {
        /* a product whose sides do not meet would end the graph, so shapes are tried beforehand */
        zm_tensor *t = NULL;
        for (int tries = 0; !t && tries < 100; tries++) {
            zm_rng before = fresh;
            zm_graph *scratch = zm_graph_new(), *keep = r->g;
            zm_tensor *pool[POOL];
            memcpy(pool, r->pool, sizeof pool);
            for (int i = 0; i < r->n; i++)
                r->pool[i] = zm_input(scratch, ZM_F32, pool[i]->shape, "trial");
            r->g = scratch;
            t = random_node(r);
            bool good = !zm_graph_failed(scratch) && fits(t);
            zm_graph_free(scratch);
            r->g = keep;
            memcpy(r->pool, pool, sizeof pool);
            t = NULL;
            if (good) {
                fresh = before;
                t = random_node(r);
            }
        }
        if (!t)
            break;
        r->pool[r->n++] = t;
        if (zm_rng_below(&fresh, 8) == 0)
            zm_output(r->g, t);
    }
    zm_output(r->g, r->pool[r->n - 1]);
    zm_error err = {0};
    return !zm_graph_finish(r->g, &err);
}

/* ---- checks ---- */

static const zm_tensor *base_of(const zm_tensor *t)
{
    while (t->op && t->op->is_view)
        t = t->in[0];
    return t;
}

/* Walk the run with a shadow of the block that knows whose value each byte holds. */
static const char *walk(const zm_graph *g, const zm_plan *p, char *why, size_t cap)
{
    int *owner = malloc(p->bytes * sizeof *owner + 1), n = zm_graph_size(g);
    why[0] = 0;
    for (size_t i = 0; i < p->bytes; i++)
        owner[i] = -1;
    for (int i = 0; i < n; i++) {
        const zm_tensor *t = zm_graph_at(g, i);
        if (t->leaf == ZM_INPUT)
            for (size_t k = 0; k < zm_tensor_bytes(t); k++)
                owner[p->offset[i] + k] = i;
    }
    for (int i = 0; i <= n && !why[0]; i++) {
        const zm_tensor *t = i < n ? zm_graph_at(g, i) : NULL;
        if (t && (t->leaf != ZM_COMPUTED || t->op->is_view))
            continue;
        for (int k = 0; k < (t ? t->n_in : n); k++) { /* after the last node: inputs and outputs are whole */
            const zm_tensor *in = t ? t->in[k] : zm_graph_at(g, k);
            if (!in || (!t && !in->is_output && in->leaf != ZM_INPUT))
                continue;
            const zm_tensor *b = base_of(in);
            size_t at = p->offset[b->id], end = at + zm_tensor_bytes(b);
            for (; at < end && owner[at] == b->id; at++)
                ;
            if (at < end)
                snprintf(why, cap, "node %d (%s) reads node %d, whose byte %zu node %d has overwritten", i,
                         t ? t->op->name : "the caller", b->id, at - p->offset[b->id], owner[at]);
        }
        if (!t || why[0])
            continue;
        size_t at = p->offset[i], end = at + zm_tensor_bytes(t);
        for (int k = 0; k < t->n_in; k++) {
            const zm_tensor *in = t->in[k];
            if (!in)
                continue;
            size_t from = (size_t)((char *)in->data - (char *)zm_graph_at(g, 0)->data) + p->offset[0],
                   to = from + zm_tensor_bytes(in);
            bool exact = from == at && to == end && t->op->in_place && k == 0;
            if (from < end && at < to && !exact)
                snprintf(why, cap, "node %d (%s) writes [%zu,%zu) over its operand %d at [%zu,%zu)", i, t->op->name, at,
                         end, k, from, to);
        }
        for (; at < end; at++)
            owner[at] = i;
    }
    free(owner);
    return why;
}

static void run(const zm_graph *g)
{
    for (int i = 0; i < zm_graph_size(g); i++) {
        const zm_tensor *t = zm_graph_at(g, i);
        if (t->leaf == ZM_COMPUTED && !t->op->is_view)
            t->op->reference(t);
    }
}

/* Every tensor in memory of its own; views into their bases.  Returns the block. */
static char *bind_apart(const zm_graph *g)
{
    size_t bytes = 0;
    for (int i = 0; i < zm_graph_size(g); i++)
        bytes += (zm_tensor_bytes(zm_graph_at(g, i)) + 63) & ~(size_t)63;
    char *block = zm_aligned_alloc(bytes), *at = block;
    for (int i = 0; i < zm_graph_size(g); i++) {
        zm_tensor *t = zm_graph_at(g, i);
        if (t->op && t->op->is_view) {
            t->data = (char *)t->in[0]->data + t->attr.i[0] * 4;
        } else {
            t->data = at;
            at += (zm_tensor_bytes(t) + 63) & ~(size_t)63;
        }
    }
    return block;
}

static void fill_inputs(const zm_graph *g, uint64_t seed)
{
    zm_rng r = zm_rng_init(seed, 0);
    for (int i = 0; i < zm_graph_size(g); i++) {
        const zm_tensor *t = zm_graph_at(g, i);
        if (t->leaf == ZM_INPUT)
            zm_rng_normals(&r, t->data, (size_t)zm_shape_elems(t->shape));
    }
}

static bool keep_values(const zm_graph *g, float **kept, bool compare)
{
    bool same = true;
    for (int i = 0; i < zm_graph_size(g); i++) {
        const zm_tensor *t = zm_graph_at(g, i);
        if (!t->is_output && t->leaf != ZM_INPUT)
            continue;
        if (compare) {
            same &= !memcmp(kept[i], t->data, zm_tensor_bytes(t));
            free(kept[i]);
        } else if ((kept[i] = malloc(zm_tensor_bytes(t)))) {
            memcpy(kept[i], t->data, zm_tensor_bytes(t));
        }
    }
    return same;
}

static void test_random_graphs(void)
{
    int graphs = 0, whole = 0, equal = 0, aligned = 1, shared = 0, nodes = 0;
    size_t planned = 0, apart = 0;
    char why[256], first[256] = "";
    for (int i = 0; i < 150; i++) {
        random_graph r;
        zm_plan p;
        zm_error err = {0};
        bool made = random_graph_new(&r, 8 + (int)zm_rng_below(&fresh, 120));
        float *kept[2 * POOL] = {0};
        if (made && zm_graph_size(r.g) <= 2 * POOL && !zm_plan_make(&p, r.g, NULL, &err)) {
            graphs++;
            nodes += zm_graph_size(r.g);
            char *block = bind_apart(r.g);
            fill_inputs(r.g, (uint64_t)i);
            run(r.g);
            keep_values(r.g, kept, false);
            free(block);
            block = zm_aligned_alloc(p.bytes);
            memset(block, 0xff, p.bytes); /* NaN, should anything be read before it is written */
            zm_plan_bind(&p, r.g, block);
            fill_inputs(r.g, (uint64_t)i);
            if (*walk(r.g, &p, why, sizeof why)) {
                if (!first[0])
                    snprintf(first, sizeof first, "%s", why);
            } else {
                whole++;
            }
            run(r.g);
            equal += keep_values(r.g, kept, true);
            for (int k = 0; k < zm_graph_size(r.g); k++) {
                const zm_tensor *t = zm_graph_at(r.g, k);
                bool own = t->leaf != ZM_EXTERNAL && !(t->op && t->op->is_view);
                aligned &= !own || p.offset[k] % 64 == 0;
                apart += own ? (zm_tensor_bytes(t) + 63) & ~(size_t)63 : 0;
                shared += own && t->n_in && t->op->in_place && t->data == t->in[0]->data;
            }
            planned += p.bytes;
            free(block);
            zm_plan_release(&p);
        }
        zm_graph_free(r.g);
    }
    tap_ok(graphs > 100, "%d random graphs of %d nodes", graphs, nodes);
    tap_ok(whole == graphs, "no value is overwritten while it is needed%s%s", first[0] ? ": " : "", first);
    tap_ok(equal == graphs, "values equal those without sharing in %d of %d", equal, graphs);
    tap_ok(aligned, "everything lies at multiples of 64 bytes");
    tap_ok(planned * 10 < apart * 9, "sharing saves memory: %zu bytes instead of %zu", planned, apart);
    tap_ok(shared > 0, "some ops work in place (%d)", shared);
}

static void test_second_run(void)
{
    zm_graph *g = zm_graph_new();
    zm_error err = {0};
    zm_tensor *x = zm_input(g, ZM_F32, ZM_SHAPE(2, 24, 32), "x"),
              *w = zm_want_grad(zm_input(g, ZM_F32, ZM_SHAPE(32, 32), "w"));
    zm_tensor *h = zm_norm(g, ZM_NORM_LAYER, x, NULL, NULL, 1e-5);
    for (int i = 0; i < 3; i++)
        h = zm_add(g, h, zm_linear(g, zm_norm(g, ZM_NORM_RMS, h, NULL, NULL, 1e-5), w, NULL, ZM_GELU_TANH));
    h = zm_permute(g, h, (const int[]){0, 2, 1});
    zm_tensor *loss = zm_output(g, zm_mean(g, zm_unary(g, ZM_SQUARE, h))), *grad;
    zm_gradient(g, &zm_default_grad_ops, loss, zm_affine(g, loss, 0, 1), 1, &w, &grad);
    if (grad)
        zm_output(g, grad);
    zm_exec *e = NULL;
    zm_status s = zm_graph_finish(g, &err);
    if (!s)
        s = zm_exec_new(&e, g, NULL, &err);
    if (tap_ok(!s && grad, "a training graph: %s", err.text)) {
        fill_inputs(g, 1);
        s = zm_exec_run(e, &err);
        float first, again;
        zm_exec_read(e, loss, &first);
        long before = allocations;
        for (int i = 0; i < 3 && !s; i++)
            s = zm_exec_run(e, &err);
        tap_ok(!s && allocations == before, "later runs allocate nothing (%ld times)", allocations - before);
        zm_exec_read(e, loss, &again);
        tap_ok(memcmp(&first, &again, sizeof first) == 0, "and give the same loss, %.9g and %.9g", (double)first,
               (double)again);
    }
    zm_exec_free(e);
    zm_graph_free(g);
}

int main(void)
{
    fresh = zm_rng_init((uint64_t)time(NULL), 2);
    printf("# seed %llu\n", (unsigned long long)fresh.seed);
    test_random_graphs();
    test_second_run();
    return tap_done();
}
