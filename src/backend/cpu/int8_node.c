/* The rule for nodes on bytes, and keeping their weights.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/int8_node.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

const char *zm_int8_decline(const zm_tensor *node)
{
    if (zm_int8_isa_best() == &zm_int8_plain)
        return "no instructions for products of bytes";
    /* a kernel of two axes stands in the graph with five: a view */
    const zm_tensor *w = node->in[1], *leaf = zm_tensor_base(w);
    bool whole = zm_shape_elems(leaf->shape) == zm_shape_elems(w->shape);
    return leaf->leaf != ZM_EXTERNAL || leaf->needs_grad || !whole ? "b is no weight" : NULL;
}

size_t zm_int8_keeps(const void *state)
{
    const zm_int8_kept *kept = state;
    return zm_int8_weights_bytes(kept->w.isa, kept->w.n, kept->w.k);
}

void zm_int8_release(void *state)
{
    zm_int8_kept *kept = state;
    if (kept)
        free(kept->memory);
    free(state);
}

zm_status zm_int8_load(zm_int8_kept *kept, const zm_tensor *node,
                       void (*column)(const zm_tensor *node, const zm_int8_kept *kept, int64_t j, float *out),
                       zm_error *err)
{
    enum { TOGETHER = 64 }; /* columns of neighbouring panels, so that threads do not share lines */
    size_t bytes = zm_int8_keeps(kept);
    int failed = 0;
    if (!(kept->memory = zm_aligned_alloc(bytes)))
        return zm_fail(err, ZM_E_NOMEM, "%s: no memory for %zu bytes of int8 weights", node->in[1]->name, bytes);
    memset(kept->memory, 0, bytes);
    zm_int8_weights_init(&kept->w, kept->w.isa, kept->w.n, kept->w.k, kept->memory);
    int64_t n = kept->w.n;
#pragma omp parallel for schedule(static) reduction(| : failed)
    for (int64_t j0 = 0; j0 < n; j0 += TOGETHER) {
        float *values = zm_aligned_alloc((size_t)kept->w.k * sizeof *values);
        for (int64_t j = j0; values && j < n && j < j0 + TOGETHER; j++) {
            column(node, kept, j, values);
            zm_int8_weights_set(&kept->w, j, values);
        }
        failed |= !values;
        free(values);
    }
    return failed ? zm_fail(err, ZM_E_NOMEM, "%s: no memory for a row of weights", node->in[1]->name) : ZM_OK;
}
