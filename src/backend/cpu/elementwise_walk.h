/* Walking a result element by element while operands repeat or jump: dims joined where all operands allow.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_ELEMENTWISE_WALK_H
#define ZM_BACKEND_CPU_ELEMENTWISE_WALK_H

#include "tensor/tensor.h"

typedef struct zm_walk {
    int rank, n; /* at least one dim; operands */
    int64_t dim[ZM_MAX_RANK], stride[2][ZM_MAX_RANK];
} zm_walk;

/* Join neighbouring dims that every operand walks as one, and drop dims of 1. */
static inline void zm_walk_join(zm_walk *w)
{
    int kept = 0;
    for (int i = 0; i < w->rank; i++) {
        if (w->dim[i] == 1)
            continue;
        bool joins = kept > 0;
        for (int k = 0; k < w->n; k++)
            joins = joins && w->stride[k][kept - 1] == w->stride[k][i] * w->dim[i];
        int to = joins ? kept - 1 : kept++;
        w->dim[to] = joins ? w->dim[to] * w->dim[i] : w->dim[i];
        for (int k = 0; k < w->n; k++)
            w->stride[k][to] = w->stride[k][i];
    }
    if (!kept) {
        w->dim[0] = 1;
        w->stride[0][0] = w->stride[1][0] = 0;
        kept = 1;
    }
    w->rank = kept;
}

/* Operand k is a tensor of shape s repeated over `over` by numpy's rule. */
static inline void zm_walk_repeat(zm_walk *w, int k, zm_shape s, zm_shape over)
{
    int64_t at = 1;
    w->rank = over.rank;
    for (int i = over.rank - 1; i >= 0; i--) {
        int from = i - (over.rank - s.rank);
        int64_t d = from < 0 ? 1 : s.dim[from];
        w->dim[i] = over.dim[i];
        w->stride[k][i] = d == 1 ? 0 : at;
        at *= d;
    }
}

/* Offsets of the operands at row number `row` (all dims but the last). */
static inline void zm_walk_at(const zm_walk *w, int64_t row, int64_t offset[2])
{
    offset[0] = offset[1] = 0;
    for (int i = w->rank - 2; i >= 0; i--) {
        int64_t index = row % w->dim[i];
        row /= w->dim[i];
        for (int k = 0; k < w->n; k++)
            offset[k] += index * w->stride[k][i];
    }
}

#endif
