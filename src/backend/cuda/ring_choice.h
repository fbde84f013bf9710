/* Which leaves of a graph pass through the card (ring.h): who reads them in which order, and what the card has room for.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CUDA_RING_CHOICE_H
#define ZM_BACKEND_CUDA_RING_CHOICE_H

#include "backend/cuda/ring.h"

typedef struct zm_gpu_ring_leaf {
    const zm_tensor *t;
    size_t bytes;
    bool fixed;  /* stays, whatever the room */
    bool passes; /* decided; once false it never passes again */
    bool mapped; /* lies in a file */
    const char *from;
    size_t at; /* in the ring, for the station that runs */
} zm_gpu_ring_leaf;

typedef struct zm_gpu_ring_use {
    int node, leaf;
} zm_gpu_ring_use;

/* External leaves by first use, and who uses them: by node, each leaf once a node. */
typedef struct zm_gpu_ring_choice {
    zm_gpu_ring_leaf *leaf;
    zm_gpu_ring_use *use;
    int n, uses;
    int *place; /* by id: of the leaf; -1: no leaf, or absent */
} zm_gpu_ring_choice;

/* Choose; *bytes: of the ring, 0: nothing passes.  Arguments and errors as of zm_gpu_ring_new. */
ZM_MUST zm_status zm_gpu_ring_choose(zm_gpu_ring_choice *out, size_t *bytes, const zm_graph *g, zm_gpu *gpu,
                                     const bool *absent, size_t resident_bytes, zm_error *err);
void zm_gpu_ring_choice_release(zm_gpu_ring_choice *c);
/* R7 */
bool zm_gpu_ring_has_copy(const zm_gpu *g, const zm_gpu_ring_leaf *l);
bool zm_gpu_ring_in_file(const zm_tensor *t);

#endif
