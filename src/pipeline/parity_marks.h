/* Named intermediates of a graph, kept and compared with a fixture's.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_PARITY_MARKS_H
#define ZM_PIPELINE_PARITY_MARKS_H

#include "backend/backend.h"
#include "pipeline/parity.h"

enum { ZM_PARITY_MARKS_MAX = 512 };

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

/* Compare every tensor PREFIX + NAME of the fixture with the mark NAME.  Where an axis of the fixture has `padded`
 * entries (a sequence length), only the first `valid` of them count; padded 0: all count.  ZM_E_MISSING: a tensor of
 * the fixture that the network did not name; ZM_E_SHAPE: sizes differ. */
ZM_MUST zm_status zm_parity_marks_compare(const zm_parity_marks *m, zm_exec *x, const zm_parity_dir *d,
                                          const char *prefix, int64_t padded, int64_t valid, zm_parity_group *g,
                                          zm_error *err);

/* Finish g and make it runnable. */
ZM_MUST zm_status zm_parity_exec(zm_exec **out, zm_graph *g, zm_error *err);

#endif
