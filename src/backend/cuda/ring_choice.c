/* Which leaves of a graph pass through the card.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/ring_choice.h"

#include <stdlib.h>

#include "backend/cuda/memory.h"
#include "base/mapfile.h"
#include "tensor/op.h"

static const size_t PAGE = 1 << 21;  /* a driver gives large memory in whole pages of this */
static const size_t SPARE_PART = 32; /* one part in so many of the free memory is left to the driver */

bool zm_gpu_ring_in_file(const zm_tensor *t)
{
    size_t bytes = zm_tensor_bytes(t);
    return bytes && (!t->data || zm_map_holds(t->data, bytes));
}

/* ---- which leaves there are ---- */

static int place_of(zm_gpu_ring_choice *v, const zm_tensor *t)
{
    if (v->place[t->id] < 0) {
        size_t bytes = zm_tensor_bytes(t);
        v->place[t->id] = v->n;
        v->leaf[v->n++] = (zm_gpu_ring_leaf){
            .t = t, .bytes = bytes, .fixed = bytes < ZM_GPU_RING_LEAST || t->needs_grad || t->is_output};
    }
    return v->place[t->id];
}

static void note_uses(zm_gpu_ring_choice *v, const zm_tensor *t, const bool *absent)
{
    int before = v->uses;
    for (int k = 0; k < t->n_in; k++) {
        const zm_tensor *in = t->in[k] ? zm_tensor_base(t->in[k]) : NULL;
        if (!in || in->leaf != ZM_EXTERNAL || absent[in->id])
            continue;
        int of = place_of(v, in);
        bool noted = false;
        for (int i = before; i < v->uses; i++)
            noted = noted || v->use[i].leaf == of;
        if (!noted)
            v->use[v->uses++] = (zm_gpu_ring_use){.node = t->id, .leaf = of};
        v->leaf[of].fixed = v->leaf[of].fixed || (t->op->overwrites && k == 1);
    }
}

void zm_gpu_ring_choice_release(zm_gpu_ring_choice *v)
{
    free(v->leaf);
    free(v->use);
    free(v->place);
    *v = (zm_gpu_ring_choice){0};
}

static zm_status survey(zm_gpu_ring_choice *v, const zm_graph *g, const bool *absent, zm_error *err)
{
    int n = zm_graph_size(g);
    size_t inputs = 1;
    for (int i = 0; i < n; i++)
        inputs += (size_t)zm_graph_at(g, i)->n_in;
    *v = (zm_gpu_ring_choice){.leaf = calloc((size_t)n + 1, sizeof *v->leaf),
                              .use = calloc(inputs, sizeof *v->use),
                              .place = malloc(((size_t)n + 1) * sizeof *v->place)};
    if (!v->leaf || !v->use || !v->place) {
        zm_gpu_ring_choice_release(v);
        return zm_fail(err, ZM_E_NOMEM, "out of memory for the order of weights");
    }
    for (int i = 0; i < n; i++)
        v->place[i] = -1;
    for (int i = 0; i < n; i++) {
        const zm_tensor *t = zm_graph_at(g, i), *base = zm_tensor_base(t);
        if (t->leaf == ZM_COMPUTED && !t->op->is_view)
            note_uses(v, t, absent);
        if (t->is_output && base->leaf == ZM_EXTERNAL && !absent[base->id])
            v->leaf[place_of(v, base)].fixed = true;
    }
    for (int i = 0; i < n; i++) { /* what no node reads */
        const zm_tensor *t = zm_graph_at(g, i);
        if (t->leaf == ZM_EXTERNAL && v->place[i] < 0 && !absent[i])
            v->leaf[place_of(v, t)].fixed = true;
    }
    return ZM_OK;
}

/* The most that two stations in succession read of leaves that pass when those before `from` stay. */
static size_t window(const zm_gpu_ring_choice *v, int from)
{
    size_t most = 0, before = 0, now = 0;
    for (int i = 0; i < v->uses; i++) {
        const zm_gpu_ring_leaf *l = &v->leaf[v->use[i].leaf];
        if (now && v->use[i].node != v->use[i - 1].node) {
            before = now;
            now = 0;
        }
        if (v->use[i].leaf >= from && !l->fixed)
            now += (l->bytes + 255) & ~(size_t)255;
        most = before + now > most ? before + now : most;
    }
    return most;
}

zm_status zm_gpu_ring_measure(size_t *mapped, size_t *least, const zm_graph *g, const bool *absent, zm_error *err)
{
    zm_gpu_ring_choice v;
    *mapped = *least = 0;
    zm_status s = survey(&v, g, absent, err);
    for (int i = 0; !s && i < v.n; i++) {
        zm_gpu_ring_leaf *l = &v.leaf[i];
        bool counts = zm_gpu_ring_in_file(l->t);
        *mapped += counts ? l->bytes : 0;
        *least += counts && l->fixed ? l->bytes : 0;
        l->fixed = l->fixed || !counts;
    }
    if (s)
        return s;
    *least += window(&v, 0);
    *least = *least < *mapped ? *least : *mapped;
    zm_gpu_ring_choice_release(&v);
    return ZM_OK;
}

/* ---- which of them pass ---- */

bool zm_gpu_ring_has_copy(const zm_gpu *g, const zm_gpu_ring_leaf *l)
{
    const zm_gpu_copy *c = zm_gpu_copy_of(g, l->t->data);
    while (c && (c->host != l->t->data || c->bytes != l->bytes || c->form != ZM_GPU_AS_IS))
        c = c->next;
    return c != NULL;
}

static size_t on_card(size_t bytes)
{
    size_t grain = bytes < PAGE / 2 ? 512 : PAGE;
    return (bytes + grain - 1) / grain * grain;
}

static zm_status too_small(const zm_gpu *g, size_t least, size_t room, zm_error *err)
{
    return zm_fail(err, ZM_E_NOMEM,
                   "%s has no room for %.1f MB of weights, the least that this graph has on it at a time: %.1f of its "
                   "%.0f MB are free; a smaller size, fewer frames or --device cpu needs less of it",
                   g->name, 1e-6 * (double)least, 1e-6 * (double)room, 1e-6 * (double)g->total_bytes);
}

zm_status zm_gpu_ring_choose(zm_gpu_ring_choice *v, size_t *bytes, const zm_graph *g, zm_gpu *gpu, const bool *absent,
                             size_t resident_bytes, zm_error *err)
{
    size_t fixed = 0, stay = 0, held = 0, states = 0, room = gpu->fns->room(gpu), left = room - room / SPARE_PART;
    *bytes = 0;
    zm_status s = survey(v, g, absent, err);
    for (int i = 0; !s && i < v->n; i++) {
        zm_gpu_ring_leaf *l = &v->leaf[i];
        bool copied = zm_gpu_ring_has_copy(gpu, l), state = l->fixed && !zm_gpu_ring_in_file(l->t);
        held += copied && !state ? l->bytes : 0;
        states += !copied && state ? on_card(l->bytes) : 0;
        fixed += !copied && l->fixed ? on_card(l->bytes) : 0;
        stay += !copied && !l->fixed ? on_card(l->bytes) : 0;
        l->fixed = l->fixed || copied;
    }
    if (s || !stay) /* when what is fixed does not fit, the card says so itself */
        return s;
    size_t least = fixed + window(v, 0);
    if (least > room) {
        zm_gpu_ring_choice_release(v);
        return too_small(gpu, least, room, err);
    }
    left = left > least ? left : least;
    if (resident_bytes && resident_bytes < SIZE_MAX - states) {
        size_t allowed = resident_bytes + states;
        allowed = allowed > held + least ? allowed - held : least;
        left = allowed < left ? allowed : left;
    }
    int p = v->n;
    for (; fixed + stay + window(v, p) > left; p--) /* ends: with p 0 it is the least */
        stay -= v->leaf[p - 1].fixed ? 0 : on_card(v->leaf[p - 1].bytes);
    for (int i = p; i < v->n; i++)
        v->leaf[i].passes = !v->leaf[i].fixed;
    *bytes = window(v, p) ? left - fixed - stay : 0;
    return ZM_OK;
}
