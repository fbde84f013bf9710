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

/* Zero in both what stands beyond a sample's end along any axis of `padded` entries, so that it compares equal.  A
 * tensor that all samples share is blanked by the longest of them. */
static void blank(float *got, float *want, zm_shape s, const zm_parity_part *p)
{
    int64_t n = zm_shape_elems(s), inner = n, longest = 0;
    int64_t sample = s.rank && s.dim[0] == p->batch ? n / p->batch : n;
    for (int64_t b = 0; b < p->batch; b++)
        longest = p->valid[b] > longest ? p->valid[b] : longest;
    for (int axis = 0; axis < s.rank; axis++) {
        inner /= s.dim[axis];
        if (s.dim[axis] != p->padded)
            continue;
        for (int64_t i = 0; i < n; i++)
            if (i / inner % p->padded >= (sample < n || p->batch == 1 ? p->valid[i / sample] : longest))
                got[i] = want[i] = 0;
    }
}

/* Where the part of a fixture's tensor lies that one sample without padding computes; -1: it does not fit. */
static int64_t cut(zm_shape s, int64_t ours, const zm_parity_part *p)
{
    int64_t n = zm_shape_elems(s), at = 0;
    if (n == ours)
        return 0;
    if (s.rank && p->batch > 1 && s.dim[0] == p->batch) {
        n /= p->batch;
        at = p->sample * n;
    }
    bool rows = s.rank > 1 && p->padded > 0 && s.dim[1] == p->padded && p->valid;
    if (n != ours && rows)
        n = n / p->padded * p->valid[0];
    return n == ours ? at : -1;
}

zm_status zm_parity_mark_compare(const zm_parity_marks *m, zm_exec *x, const zm_parity_dir *d, const char *full,
                                 const char *name, const zm_parity_part *part, zm_parity_group *g, zm_error *err)
{
    zm_tensor *t = find(m, name);
    if (!t)
        return ZM_OK;
    zm_shape s;
    float *want, *got = NULL;
    zm_status st = zm_parity_read(&want, &s, d->io, err, "%s", full);
    int64_t n = zm_shape_elems(t->shape), at = 0;
    if (!st)
        at = part->one ? cut(s, n, part) : n == zm_shape_elems(s) ? 0 : -1;
    if (!st && at < 0)
        st = zm_fail(err, ZM_E_SHAPE, "%s: %s has %lld elements, this build computes %lld", d->path, full,
                     (long long)zm_shape_elems(s), (long long)n);
    if (!st && !(got = malloc(((size_t)n + 1) * sizeof *got)))
        st = zm_fail(err, ZM_E_NOMEM, "%s: out of memory for %s", d->path, full);
    if (!st) {
        zm_exec_read(x, t, got);
        if (part->padded > 0 && !part->one)
            blank(got, want, s, part);
        zm_parity_add(g, full, got, want + at, (size_t)n);
    }
    free(got);
    free(want);
    return st;
}

zm_status zm_parity_marks_compare(const zm_parity_marks *m, zm_exec *x, const zm_parity_dir *d, const char *prefix,
                                  const zm_parity_part *part, zm_parity_group *g, zm_error *err)
{
    size_t len = strlen(prefix);
    zm_status st = ZM_OK;
    for (size_t i = 0; i < zm_weights_count(d->io) && !st; i++) {
        const char *full = zm_weights_at(d->io, i)->name;
        if (!strncmp(full, prefix, len))
            st = zm_parity_mark_compare(m, x, d, full, full + len, part, g, err);
    }
    return st;
}

zm_status zm_parity_exec(zm_exec **out, zm_graph *g, zm_error *err)
{
    *out = NULL;
    zm_status st = zm_graph_finish(g, err);
    return st ? st : zm_exec_new(out, g, NULL, err);
}
