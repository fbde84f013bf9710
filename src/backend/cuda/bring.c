/* Bringing leaves and inputs to the device.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/bring.h"

#include <stdlib.h>

#include "backend/cuda/fp8.h"

enum { SLOTS_A_LIMIT = 16 }; /* of the memory that scratch may take, a slot of the ring takes one part in so many */

typedef zm_cuda_node node;

void zm_cuda_forget(zm_cuda_state *x)
{
    if (x->record)
        x->gpu->fns->record_free(x->gpu, x->record);
    x->record = NULL;
    x->runs = 0;
}

/* Whether a leaf lies on the device as codes only. */
static bool only_codes(const node *n)
{
    return n->quantised && !n->read;
}

bool *zm_cuda_codes_only(const zm_cuda_state *x)
{
    int n = zm_graph_size(x->g);
    bool *absent = calloc((size_t)n + 1, sizeof *absent);
    for (int i = 0; absent && i < n; i++)
        absent[i] = only_codes(&x->node[i]);
    return absent;
}

/* Weights as fp8.h has them, of wherever their owner's memory is now. */
static zm_status bring_codes(zm_cuda_state *x, zm_tensor *t, zm_error *err)
{
    node *n = &x->node[t->id];
    if (!n->codes || n->codes->host != t->data) {
        zm_gpu_copy *c;
        zm_status s = zm_gpu_hold_as(&c, x->gpu, t->data, zm_tensor_bytes(t), ZM_GPU_AS_E4M3, zm_fp8_bytes(t), err);
        if (s)
            return s;
        zm_gpu_let_go(x->gpu, n->codes);
        n->codes = c;
        zm_cuda_forget(x);
    }
    return zm_fp8_bring(x->gpu, n->codes, t, x->scratch, x->scratch_bytes, err);
}

/* Codes first, then what passes is decided: by the room that is left. */
static zm_status bring_codes_and_ring(zm_cuda_state *x, zm_error *err)
{
    zm_status s = ZM_OK;
    for (int i = 0; !s && i < zm_graph_size(x->g); i++) {
        zm_tensor *t = zm_graph_at(x->g, i);
        if (t->leaf == ZM_EXTERNAL && !t->data)
            s = zm_fail(err, ZM_E_MISSING, "%s: external tensor without memory", t->name);
        else if (t->leaf == ZM_EXTERNAL && x->node[i].quantised)
            s = bring_codes(x, t, err);
    }
    if (s || x->chosen)
        return s;
    bool *absent = zm_cuda_codes_only(x);
    s = absent ? zm_gpu_ring_new(&x->ring, x->g, x->gpu, absent, x->call.limit / SLOTS_A_LIMIT, x->resident_bytes, err)
               : zm_fail(err, ZM_E_NOMEM, "out of memory for %d nodes", zm_graph_size(x->g));
    x->chosen = !s;
    free(absent);
    return s;
}

/* The copy of an external leaf, of wherever its owner's memory is now. */
static zm_status bring_leaf(zm_cuda_state *x, zm_tensor *t, zm_error *err)
{
    node *n = &x->node[t->id];
    if (only_codes(n) || zm_gpu_ring_takes(x->ring, t))
        return ZM_OK;
    if (!n->copy || n->copy->host != t->data) {
        zm_gpu_copy *c;
        zm_status s = zm_gpu_hold(&c, x->gpu, t->data, zm_tensor_bytes(t), err);
        if (s)
            return s;
        zm_gpu_let_go(x->gpu, n->copy);
        n->copy = c;
        n->at = c->device;
        zm_cuda_forget(x);
    }
    return zm_gpu_copy_in(x->gpu, n->copy, err);
}

char *zm_cuda_place(const zm_cuda_state *x, const zm_tensor *t)
{
    if (t->op && t->op->is_view)
        return zm_cuda_place(x, t->in[0]) + t->attr.i[0] * (int64_t)zm_dtype_block_bytes(t->dtype);
    char *passing = zm_gpu_ring_address(x->ring, t);
    return passing ? passing : x->node[t->id].at;
}

zm_status zm_cuda_bring(zm_cuda_state *x, zm_error *err)
{
    zm_status s = bring_codes_and_ring(x, err);
    for (int i = 0; !s && i < zm_graph_size(x->g); i++) {
        zm_tensor *t = zm_graph_at(x->g, i);
        node *n = &x->node[i];
        if (t->leaf == ZM_EXTERNAL) {
            s = bring_leaf(x, t, err);
        } else if (t->leaf == ZM_INPUT) {
            if (n->dirty || !n->written)
                s = x->gpu->fns->put(x->gpu, n->at, n->host, zm_tensor_bytes(t), err);
            n->dirty = s != ZM_OK;
        } else if (t->op->is_view) {
            n->at = zm_cuda_place(x, t);
        }
    }
    return s;
}
