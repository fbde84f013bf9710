/* One memory plan per graph: every tensor's place in one block, by lifetime.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TENSOR_PLAN_H
#define ZM_TENSOR_PLAN_H

#include "tensor/tensor.h"

typedef struct zm_plan {
    size_t bytes;    /* of the whole block */
    size_t *offset;  /* by id; SIZE_MAX for external leaves; views carry their own offset */
    zm_arena *arena; /* owns offset */
} zm_plan;

/* Lay out a finished graph.  Inputs and outputs keep their place for the whole run; other tensors share by
 * lifetime (largest first, lowest gap that is free; in-place where the op allows).  64-byte alignment.
 * skipped: by id, nodes that are never computed, because what reads them takes their inputs instead: they have no
 * memory, and their inputs live as long as they would; NULL: none. */
ZM_MUST zm_status zm_plan_make(zm_plan *out, const zm_graph *g, const bool *skipped, zm_error *err);
void zm_plan_release(zm_plan *p);
/* Point every planned tensor into `block` (plan.bytes large, 64-byte aligned) and views into their bases. */
void zm_plan_bind(const zm_plan *p, const zm_graph *g, void *block);

#endif
