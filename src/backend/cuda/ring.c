/* Weights that pass through the card.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/ring.h"

#include <stdlib.h>
#include <string.h>

#include "backend/cuda/ring_choice.h"
#include "base/log.h"
#include "base/mapfile.h"

enum { SLOTS = 4, BLOCK = 1 << 20 };
typedef zm_gpu_ring_leaf leaf;

typedef struct piece {
    leaf *of;
    const struct piece *next; /* NULL: the last one */
    char *slot;               /* of this run */
    size_t from, to, bytes;   /* offsets in the leaf and in the ring */
} piece;

typedef struct load {
    int node, after; /* its station; the load whose station its copy waits for, -1: none (R2) */
    int first, n;    /* pieces */
    size_t at, bytes;
    bool given;           /* something of it was copied in this run */
    void *arrived, *done; /* marks of copy and of main */
} load;

struct zm_gpu_ring {
    zm_gpu *gpu;
    zm_gpu_ring_choice v;
    load *load;
    piece *piece;
    int loads, pieces;
    size_t bytes, slot_bytes;
    char *memory, *pinned;
    void *filled[SLOTS], *copied[SLOTS]; /* marks of stage and of copy */
    void *begin, *end[ZM_GPU_STREAMS];
    int now, next; /* the load whose station comes next, and the one that is given next */
    int64_t slots; /* taken in this run */
};

/* ---- loads, once ---- */

static bool starts_load(const zm_gpu_ring *r, int i)
{
    return !r->loads || r->load[r->loads - 1].node != r->v.use[i].node;
}

/* Loads and their pieces, `to` counted from the load's own beginning. */
static zm_status cut(zm_gpu_ring *r, size_t slot, zm_error *err)
{
    size_t pieces = 1;
    for (int i = 0; i < r->v.uses; i++)
        pieces += r->v.leaf[r->v.use[i].leaf].bytes / slot + 1;
    r->load = calloc((size_t)r->v.uses + 1, sizeof *r->load);
    r->piece = calloc(pieces, sizeof *r->piece);
    if (!r->load || !r->piece)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for the order of weights");
    for (int i = 0; i < r->v.uses; i++) {
        leaf *l = &r->v.leaf[r->v.use[i].leaf];
        if (!l->passes)
            continue;
        if (starts_load(r, i))
            r->load[r->loads++] = (load){.node = r->v.use[i].node, .after = -1, .first = r->pieces};
        load *to = &r->load[r->loads - 1];
        for (size_t at = 0; at < l->bytes; at += slot) {
            size_t bytes = l->bytes - at < slot ? l->bytes - at : slot;
            r->piece[r->pieces++] = (piece){.of = l, .from = at, .to = to->bytes + at, .bytes = bytes};
            r->slot_bytes = bytes > r->slot_bytes ? bytes : r->slot_bytes;
            to->n++;
        }
        to->bytes += (l->bytes + 255) & ~(size_t)255;
    }
    for (int i = 0; i + 1 < r->pieces; i++)
        r->piece[i].next = &r->piece[i + 1];
    return ZM_OK;
}

/* A stretch of the ring for each load: behind the one before it, or at the beginning where it would end outside. */
static void lay_out(zm_gpu_ring *r)
{
    size_t at = 0, all = 0;
    for (int i = 0; i < r->loads; i++)
        all += r->load[i].bytes;
    r->bytes = all < r->bytes ? all : r->bytes;
    for (int i = 0; i < r->loads; i++) {
        load *l = &r->load[i];
        l->at = at + l->bytes > r->bytes ? 0 : at;
        at = l->at + l->bytes;
        for (int k = l->first; k < l->first + l->n; k++)
            r->piece[k].to += l->at;
        l->after = i ? r->load[i - 1].after : -1; /* copies keep their order */
        for (int k = l->after + 1; k < i; k++)
            if (r->load[k].at < l->at + l->bytes && l->at < r->load[k].at + r->load[k].bytes)
                l->after = k;
    }
}

static zm_status marks(zm_gpu_ring *r, zm_error *err)
{
    const zm_gpu_fns *f = r->gpu->fns;
    zm_status s = f->mark_new(r->gpu, &r->begin, err);
    for (int i = ZM_GPU_STAGE; !s && i < ZM_GPU_STREAMS; i++)
        s = f->mark_new(r->gpu, &r->end[i], err);
    for (int i = 0; !s && i < SLOTS; i++) {
        s = f->mark_new(r->gpu, &r->filled[i], err);
        if (!s)
            s = f->mark_new(r->gpu, &r->copied[i], err);
    }
    for (int i = 0; !s && i < r->loads; i++) {
        s = f->mark_new(r->gpu, &r->load[i].arrived, err);
        if (!s)
            s = f->mark_new(r->gpu, &r->load[i].done, err);
    }
    return s;
}

static zm_status build(zm_gpu_ring *r, size_t slot, zm_error *err)
{
    const zm_gpu_fns *f = r->gpu->fns;
    void *memory = NULL, *pinned = NULL;
    zm_status s = cut(r, slot, err);
    if (s)
        return s;
    lay_out(r);
    s = f->alloc(r->gpu, &memory, r->bytes, err);
    r->memory = memory;
    if (!s)
        s = f->host_alloc(r->gpu, &pinned, SLOTS * r->slot_bytes, err);
    r->pinned = pinned;
    return s ? s : marks(r, err);
}

zm_status zm_gpu_ring_new(zm_gpu_ring **out, const zm_graph *g, zm_gpu *gpu, const bool *absent, size_t slot,
                          size_t resident_bytes, zm_error *err)
{
    *out = NULL;
    zm_gpu_ring *r = calloc(1, sizeof *r);
    if (!r)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for the order of weights");
    r->gpu = gpu;
    zm_status s = zm_gpu_ring_choose(&r->v, &r->bytes, g, gpu, absent, resident_bytes, err);
    bool passes = !s && r->bytes;
    if (passes)
        s = build(r, slot, err);
    if (s || !passes) {
        zm_gpu_ring_free(r);
        return s;
    }
    zm_log(ZM_LOG_DEBUG, "weights pass through %zu MB of the card, %d loads a run", r->bytes >> 20, r->loads);
    *out = r;
    return ZM_OK;
}

static void drop(zm_gpu *g, void *mark)
{
    if (mark)
        g->fns->mark_free(g, mark);
}

void zm_gpu_ring_free(zm_gpu_ring *r)
{
    if (!r)
        return;
    for (int i = 0; i < SLOTS; i++) {
        drop(r->gpu, r->filled[i]);
        drop(r->gpu, r->copied[i]);
    }
    for (int i = 0; i < r->loads; i++) {
        drop(r->gpu, r->load[i].arrived);
        drop(r->gpu, r->load[i].done);
    }
    for (int i = 0; i < ZM_GPU_STREAMS; i++)
        drop(r->gpu, r->end[i]);
    drop(r->gpu, r->begin);
    if (r->memory)
        r->gpu->fns->release(r->gpu, r->memory);
    if (r->pinned)
        r->gpu->fns->host_release(r->gpu, r->pinned);
    free(r->load);
    free(r->piece);
    zm_gpu_ring_choice_release(&r->v);
    free(r);
}

/* ---- a run ---- */

bool zm_gpu_ring_takes(zm_gpu_ring *r, const zm_tensor *t)
{
    int i = r ? r->v.place[t->id] : -1;
    if (i < 0 || !r->v.leaf[i].passes)
        return false;
    leaf *l = &r->v.leaf[i];
    l->passes = !zm_gpu_ring_has_copy(r->gpu, l); /* R7 */
    l->from = t->data;
    l->mapped = zm_gpu_ring_in_file(t);
    return l->passes;
}

/* On a thread of the driver: one piece into its slot, the next one's pages asked for. */
static void fill(void *user)
{
    const piece *p = user, *next = p->next;
    const char *from = p->of->from + p->from;
    if (next && next->of->passes && next->of->mapped)
        zm_map_expect(next->of->from + next->from, next->bytes);
    int64_t blocks = (int64_t)((p->bytes + BLOCK - 1) / BLOCK);
#pragma omp parallel for schedule(static) if (blocks > 1)
    for (int64_t i = 0; i < blocks; i++) {
        size_t at = (size_t)i * BLOCK, left = p->bytes - at;
        memcpy(p->slot + at, from + at, left < BLOCK ? left : BLOCK);
    }
}

/* R4 */
static zm_status give_piece(zm_gpu_ring *r, piece *p, zm_error *err)
{
    const zm_gpu_fns *f = r->gpu->fns;
    int slot = (int)(r->slots % SLOTS);
    zm_status s = r->slots++ < SLOTS ? ZM_OK : f->await(r->gpu, ZM_GPU_STAGE, r->copied[slot], err);
    p->slot = r->pinned + (size_t)slot * r->slot_bytes;
    if (!s)
        s = f->call(r->gpu, ZM_GPU_STAGE, fill, p, err);
    if (!s)
        s = f->mark(r->gpu, ZM_GPU_STAGE, r->filled[slot], err);
    if (!s)
        s = f->await(r->gpu, ZM_GPU_COPY, r->filled[slot], err);
    if (!s)
        s = f->put_on(r->gpu, ZM_GPU_COPY, r->memory + p->to, p->slot, p->bytes, err);
    return s ? s : f->mark(r->gpu, ZM_GPU_COPY, r->copied[slot], err);
}

static zm_status give_load(zm_gpu_ring *r, load *l, zm_error *err)
{
    const zm_gpu_fns *f = r->gpu->fns;
    zm_status s = l->after < 0 ? ZM_OK : f->await(r->gpu, ZM_GPU_COPY, r->load[l->after].done, err); /* R2 */
    l->given = false;
    for (int i = l->first; !s && i < l->first + l->n; i++) {
        if (!r->piece[i].of->passes)
            continue;
        l->given = true;
        s = give_piece(r, &r->piece[i], err);
    }
    return s || !l->given ? s : f->mark(r->gpu, ZM_GPU_COPY, l->arrived, err);
}

/* R5 */
static zm_status give(zm_gpu_ring *r, zm_error *err)
{
    zm_status s = ZM_OK;
    while (!s && r->next < r->loads && r->load[r->next].after < r->now)
        s = give_load(r, &r->load[r->next++], err);
    return s;
}

zm_status zm_gpu_ring_begin(zm_gpu_ring *r, zm_error *err)
{
    if (!r)
        return ZM_OK;
    const zm_gpu_fns *f = r->gpu->fns;
    r->now = r->next = 0;
    r->slots = 0;
    zm_status s = f->mark(r->gpu, ZM_GPU_MAIN, r->begin, err); /* R1 */
    for (int i = ZM_GPU_STAGE; !s && i < ZM_GPU_STREAMS; i++)
        s = f->await(r->gpu, (zm_gpu_stream)i, r->begin, err);
    return s ? s : give(r, err);
}

static load *load_of(zm_gpu_ring *r, int id)
{
    return r && r->now < r->loads && r->load[r->now].node == id ? &r->load[r->now] : NULL;
}

zm_status zm_gpu_ring_before(zm_gpu_ring *r, int id, zm_error *err)
{
    load *l = load_of(r, id);
    if (!l)
        return ZM_OK;
    for (int i = l->first; i < l->first + l->n; i++)
        if (!r->piece[i].from)
            r->piece[i].of->at = r->piece[i].to;
    return l->given ? r->gpu->fns->await(r->gpu, ZM_GPU_MAIN, l->arrived, err) : ZM_OK; /* R3 */
}

zm_status zm_gpu_ring_after(zm_gpu_ring *r, int id, zm_error *err)
{
    load *l = load_of(r, id);
    if (!l)
        return ZM_OK;
    zm_status s = r->gpu->fns->mark(r->gpu, ZM_GPU_MAIN, l->done, err);
    r->now++;
    return s ? s : give(r, err);
}

zm_status zm_gpu_ring_end(zm_gpu_ring *r, zm_error *err)
{
    zm_status s = ZM_OK;
    for (int i = ZM_GPU_STAGE; r && !s && i < ZM_GPU_STREAMS; i++) { /* R6 */
        s = r->gpu->fns->mark(r->gpu, (zm_gpu_stream)i, r->end[i], err);
        if (!s)
            s = r->gpu->fns->await(r->gpu, ZM_GPU_MAIN, r->end[i], err);
    }
    return s;
}

char *zm_gpu_ring_address(const zm_gpu_ring *r, const zm_tensor *t)
{
    int i = r ? r->v.place[t->id] : -1;
    return i >= 0 && r->v.leaf[i].passes ? r->memory + r->v.leaf[i].at : NULL;
}
