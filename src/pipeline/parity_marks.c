/* Named intermediates of a graph, kept and compared with a fixture's.
 * SPDX-License-Identifier: MIT */
#include "pipeline/parity_marks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void zm_parity_mark(void *user, const char *name, zm_tensor *t)
{
    zm_parity_marks *m = user;
    if (m->n == ZM_PARITY_MARKS_MAX)
        return;
    snprintf(m->at[m->n].name, sizeof m->at[m->n].name, "%s", name);
    m->at[m->n++].t = zm_output(m->g, t);
}

static zm_tensor *find(const zm_parity_marks *m, const char *name)
{
    for (int i = 0; i < m->n; i++)
        if (!strcmp(m->at[i].name, name))
            return m->at[i].t;
    return NULL;
}

/* Zero in both what stands at index >= valid along any axis of `padded` entries, so that it compares equal. */
static void blank(float *got, float *want, zm_shape s, int64_t padded, int64_t valid)
{
    int64_t n = zm_shape_elems(s), inner = n;
    for (int axis = 0; axis < s.rank; axis++) {
        inner /= s.dim[axis];
        if (s.dim[axis] != padded)
            continue;
        for (int64_t i = 0; i < n; i++)
            if (i / inner % padded >= valid)
                got[i] = want[i] = 0;
    }
}

static zm_status compare_one(zm_tensor *t, zm_exec *x, const zm_parity_dir *d, const char *full, int64_t padded,
                             int64_t valid, zm_parity_group *g, zm_error *err)
{
    zm_shape s;
    float *want, *got = NULL;
    zm_status st = zm_parity_read(&want, &s, d->io, err, "%s", full);
    size_t n = st ? 0 : (size_t)zm_shape_elems(s);
    if (!st && n != (size_t)zm_shape_elems(t->shape))
        st = zm_fail(err, ZM_E_SHAPE, "%s: %s has %zu elements, this build computes %lld", d->path, full, n,
                     (long long)zm_shape_elems(t->shape));
    if (!st && !(got = malloc((n + 1) * sizeof *got)))
        st = zm_fail(err, ZM_E_NOMEM, "%s: out of memory for %s", d->path, full);
    if (!st) {
        zm_exec_read(x, t, got);
        if (padded > 0)
            blank(got, want, s, padded, valid);
        zm_parity_add(g, full, got, want, n);
    }
    free(got);
    free(want);
    return st;
}

zm_status zm_parity_marks_compare(const zm_parity_marks *m, zm_exec *x, const zm_parity_dir *d, const char *prefix,
                                  int64_t padded, int64_t valid, zm_parity_group *g, zm_error *err)
{
    size_t len = strlen(prefix);
    zm_status st = ZM_OK;
    for (size_t i = 0; i < zm_weights_count(d->io) && !st; i++) {
        const char *full = zm_weights_at(d->io, i)->name;
        if (strncmp(full, prefix, len) != 0)
            continue;
        zm_tensor *t = find(m, full + len);
        st = t ? compare_one(t, x, d, full, padded, valid, g, err)
               : zm_fail(err, ZM_E_MISSING, "%s: this build does not compute %s", d->path, full);
    }
    return st;
}

zm_status zm_parity_exec(zm_exec **out, zm_graph *g, zm_error *err)
{
    *out = NULL;
    zm_status st = zm_graph_finish(g, err);
    return st ? st : zm_exec_new(out, g, NULL, err);
}
