/* What a film made block by block still sees of itself: a sink of first blocks that stay and a window that rolls on behind
 * them, and the keys and values that are kept of each.
 *
 * Which block lies where is plain arithmetic (zm_past_ring).  Blocks are numbered from 0; the block that comes next has
 * as its number how many are made.
 *
 * Invariants
 *  B1  After n blocks the kept ones are those that zm_block_causal shows block n but itself: all j < n with
 *      j > n - window or j < sink.
 *  B2  Kept blocks fill the places 0 .. filled-1 without gaps or doubles: the sink first, then the window, the oldest
 *      first; the next block's place is `filled`.  No place is ever beyond sink + window - 1.
 *  B3  Blocks that are kept lie in the slots 0 .. filled-1.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_PAST_H
#define ZM_PIPELINE_PAST_H

#include <stddef.h>
#include <stdint.h>

#include "model/dit.h"

typedef struct zm_past_ring {
    int sink, slots; /* slots: sink + window - 1, as many blocks as are kept at most */
    int64_t made;    /* blocks so far */
} zm_past_ring;

/* A ring of a network's own sizes.  Where its window has no end, it gets that of the longest clip the network knows:
 * `own_frames` latent frames; a film's memory has an end. */
zm_past_ring zm_past_ring_of(const zm_dit_causal *c, int own_frames);
/* Blocks that are kept now. */
int zm_past_filled(const zm_past_ring *r);
/* The slot that the next block goes to; -1: none, it will not be seen. */
int zm_past_slot(const zm_past_ring *r);
/* The place (B2) of the block in a slot 0 .. filled-1. */
int zm_past_place(const zm_past_ring *r, int slot);

/* The ring with its keys and values. */
typedef struct zm_past {
    zm_past_ring ring;
    int layers, branches, batch; /* batch: branches of one run */
    size_t block;                /* numbers of a block's keys of one layer and branch: tokens x width */
    float **at; /* [branches/batch, layers, 2]: keys, then values, [batch, slots, tokens, width] each */
} zm_past;

/* tokens: of a block.  ZM_E_NOMEM.  A ring without slots has no memory. */
ZM_MUST zm_status zm_past_new(zm_past **out, const zm_dit_config *c, const zm_past_ring *ring, int64_t tokens,
                              int branches, int batch, zm_error *err);
void zm_past_free(zm_past *p); /* NULL is fine */
/* Keys (value 0) or values (1) of a layer for the run of branches first .. first+batch-1: [batch, slots, tokens, width]. */
float *zm_past_layer(const zm_past *p, int first, int layer, int value);
/* Nothing is made yet. */
void zm_past_clear(zm_past *p);
/* from [batch, tokens, width] into the next block's slot, for branches first ..; nothing where it has none.  To be
 * followed by zm_past_made once every layer and branch is there. */
void zm_past_put(zm_past *p, int first, int layer, int value, const float *from);
void zm_past_made(zm_past *p);
/* Bytes that a past of these sizes takes for each branch. */
size_t zm_past_bytes(const zm_dit_config *c, const zm_past_ring *ring, int64_t tokens);

#endif
