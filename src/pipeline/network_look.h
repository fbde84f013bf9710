/* Looking into the transformer while it runs: which text each patch attends to, and what the parts of a step take.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_NETWORK_LOOK_H
#define ZM_PIPELINE_NETWORK_LOOK_H

#include "backend/backend.h"
#include "model/dit.h"

/* Where the work of a step goes. */
typedef enum { ZM_WORK_LINEAR, ZM_WORK_SELF, ZM_WORK_CROSS, ZM_WORK_OTHER, ZM_WORK_COUNT } zm_work;

/* Of one run of a step's graph; what the looking itself takes is left out. */
typedef struct zm_network_cost {
    double seconds[ZM_WORK_COUNT], flops[ZM_WORK_COUNT];
} zm_network_cost;

/* Who looks.  A network that is looked into has graphs of its own kind: further nodes behind those it has anyway, so the
 * velocity is the same, bit for bit, and a network that nobody looks into pays nothing.  Members may be NULL. */
typedef struct zm_network_look {
    void *user;
    /* Cross-attention of one block with the prompt, mean over heads: map [tokens,stride], of whose columns the first
     * `rows` are told; they sum to 1.  Column r is row r of the text; where the text is shorter than the context, the last
     * one is all the empty rows together.  Borrowed. */
    void (*attention)(void *user, int block, const float *map, int64_t tokens, int rows, int stride);
    /* Both answers of a step, [n] each, before guidance mixes them; uncond NULL: there is no guidance. */
    void (*branches)(void *user, const float *cond, const float *uncond, int64_t n);
    /* A run has ended: one a step, or one for each branch. */
    void (*ran)(void *user, const zm_network_cost *cost);
} zm_network_look;

/* The nodes of one graph that are there for it. */
typedef struct zm_lookout {
    const zm_network_look *look; /* NULL: nobody looks */
    zm_graph *g;
    const zm_dit_inputs *in;
    int per_block;          /* kept tensors of a block */
    int blocks, n;          /* of the network; maps built so far */
    zm_tensor *eye, *mean;  /* one-hot values [B,rows,H,rows]; [rows,H*rows] */
    zm_tensor **map, **own; /* [blocks] outputs [B,N,rows]; [3*blocks] nodes made here; in the graph's arena */
    double *seconds;        /* by node; owned */
    float *host;            /* a map; owned */
} zm_lookout;

/* Before the graph is built: attend to its marks.  in: its leaves, kept keys among them; borrowed, its mark and user are
 * set.  look NULL: nothing happens. */
void zm_lookout_begin(zm_lookout *l, const zm_network_look *look, zm_graph *g, zm_dit_inputs *in, int blocks);
/* Once it is planned: count its time.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_lookout_ready(zm_lookout *l, zm_exec *x, zm_error *err);
/* After a run: its cost, and where its first sample is the prompt's, its maps.  visible: rows that count. */
void zm_lookout_tell(zm_lookout *l, zm_exec *x, bool prompt, int visible);
/* After a run that is no step's: it is not counted. */
void zm_lookout_pass(zm_lookout *l);
void zm_lookout_release(zm_lookout *l); /* {0} afterwards */

#endif
