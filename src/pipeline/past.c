/* What a film still sees of itself.
 * SPDX-License-Identifier: MIT */
#include "pipeline/past.h"

#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"

zm_past_ring zm_past_ring_of(const zm_dit_causal *c, int own_frames)
{
    int own = (own_frames + c->block - 1) / c->block, window = c->window ? c->window : own > 1 ? own : 1;
    return (zm_past_ring){.sink = c->sink, .slots = c->sink + window - 1};
}

int zm_past_filled(const zm_past_ring *r)
{
    return r->made < r->slots ? (int)r->made : r->slots;
}

/* A sink that is not full takes the first blocks; behind it the window goes round. */
static int slot_of(const zm_past_ring *r, int64_t block)
{
    int rolling = r->slots - r->sink;
    if (block < r->sink)
        return (int)block;
    return rolling ? r->sink + (int)((block - r->sink) % rolling) : -1;
}

int zm_past_slot(const zm_past_ring *r)
{
    return slot_of(r, r->made);
}

int zm_past_place(const zm_past_ring *r, int slot)
{
    if (slot < r->sink || r->made <= r->slots)
        return slot;
    int rolling = r->slots - r->sink, oldest = slot_of(r, r->made) - r->sink;
    return r->sink + (slot - r->sink - oldest + rolling) % rolling;
}

/* ---- keys and values ---- */

static int arrays(const zm_past *p)
{
    return p->branches / p->batch * p->layers * 2;
}

size_t zm_past_bytes(const zm_dit_config *c, const zm_past_ring *ring, int64_t tokens)
{
    return (size_t)c->num_layers * 2 * (size_t)ring->slots * (size_t)tokens * (size_t)c->dim * sizeof(float);
}

zm_status zm_past_new(zm_past **out, const zm_dit_config *c, const zm_past_ring *ring, int64_t tokens, int branches,
                      int batch, zm_error *err)
{
    ZM_ASSERT(branches % batch == 0 && tokens > 0);
    size_t bytes;
    zm_past *p = calloc(1, sizeof *p);
    *out = NULL;
    if (!p)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a film's past");
    *p = (zm_past){.ring = *ring, .layers = c->num_layers, .branches = branches, .batch = batch};
    bool fits = zm_size_mul(&p->block, (size_t)tokens, (size_t)c->dim) &&
                zm_size_mul(&bytes, p->block, (size_t)batch * (size_t)ring->slots * sizeof(float));
    int n = ring->slots ? arrays(p) : 0;
    p->at = fits ? calloc((size_t)n + 1, sizeof *p->at) : NULL;
    bool there = p->at != NULL;
    for (int i = 0; there && i < n; i++) {
        there = (p->at[i] = zm_aligned_alloc(bytes)) != NULL;
        if (there)
            memset(p->at[i], 0, bytes); /* masked keys are multiplied by nothing, but read */
    }
    if (!there) {
        zm_past_free(p);
        return zm_fail(err, ZM_E_NOMEM, "no memory for the keys and values of %d blocks of %lld tokens in %d layers",
                       ring->slots, (long long)tokens, c->num_layers);
    }
    *out = p;
    return ZM_OK;
}

void zm_past_free(zm_past *p)
{
    if (!p)
        return;
    for (int i = 0; p->at && p->ring.slots && i < arrays(p); i++)
        free(p->at[i]);
    free(p->at);
    free(p);
}

float *zm_past_layer(const zm_past *p, int first, int layer, int value)
{
    return p->at[(first / p->batch * p->layers + layer) * 2 + value];
}

void zm_past_clear(zm_past *p)
{
    p->ring.made = 0;
}

void zm_past_put(zm_past *p, int first, int layer, int value, const float *from)
{
    int slot = zm_past_slot(&p->ring);
    if (slot < 0)
        return;
    float *to = zm_past_layer(p, first, layer, value);
    for (int b = 0; b < p->batch; b++)
        memcpy(to + ((size_t)b * (size_t)p->ring.slots + (size_t)slot) * p->block, from + (size_t)b * p->block,
               p->block * sizeof *to);
    zm_backend_changed(to);
}

void zm_past_made(zm_past *p)
{
    p->ring.made++;
}
