/* Named intermediates of a graph, kept and compared with a fixture's.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_PARITY_MARKS_H
#define ZM_PIPELINE_PARITY_MARKS_H

#include "backend/backend.h"
#include "pipeline/parity.h"

enum { ZM_PARITY_MARKS_MAX = 4096 };

typedef struct zm_parity_marks {
    zm_graph *g;
    int n;
    struct {
        char name[64];
        zm_tensor *t;
    } at[ZM_PARITY_MARKS_MAX];
} zm_parity_marks;

/* The `mark` callback of builders; user is a zm_parity_marks with its graph set. */
void zm_parity_mark(void *user, const char *name, zm_tensor *t);

/* Which part of a fixture's tensors a graph computes.  {0}: all of it.
 * Axes of `padded` entries (a sequence length) count only up to valid[b] for sample b of `batch`; the rest is padding
 * whose values mean nothing.  one: the graph computes sample `sample` alone and without its padding, so the fixture's
 * tensor is cut to that: its sample on axis 0, then the first rows of the sequence. */
typedef struct zm_parity_part {
    int64_t padded, batch, sample;
    const int32_t *valid;
    bool one;
} zm_parity_part;

/* Compare tensor `full` of the fixture with the mark `name`.  No such mark: ZM_OK, nothing added - the engine reports
 * tensors that nobody read.  ZM_E_SHAPE: sizes differ. */
ZM_MUST zm_status zm_parity_mark_compare(const zm_parity_marks *m, zm_exec *x, const zm_parity_dir *d, const char *full,
                                         const char *name, const zm_parity_part *part, zm_parity_group *g,
                                         zm_error *err);
/* Every tensor PREFIX + NAME of the fixture with the mark NAME. */
ZM_MUST zm_status zm_parity_marks_compare(const zm_parity_marks *m, zm_exec *x, const zm_parity_dir *d,
                                          const char *prefix, const zm_parity_part *part, zm_parity_group *g,
                                          zm_error *err);

/* Finish g and make it runnable. */
ZM_MUST zm_status zm_parity_exec(zm_exec **out, zm_graph *g, zm_error *err);

#endif
