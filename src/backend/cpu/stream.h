/* Weights that do not all fit: which leaves of a graph stay in memory, and which pass through it at every run.
 *
 * Mapped leaves are pages of files: touching them makes them this process's memory, dropping them gives it back, and
 * what was dropped is read again (from the system's cache while that has room).  Leaves are used in a fixed order, so
 * the first of them that fit stay for good, and each other one is let go after its last use of a run while the next
 * ones are read ahead.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_STREAM_H
#define ZM_BACKEND_CPU_STREAM_H

#include "tensor/tensor.h"

typedef struct zm_stream zm_stream;

/* loaded: nodes (by id) that do not read in[1] in a run; NULL: none such.
 * resident_bytes: of mapped leaves at a time; 0, SIZE_MAX: *out is NULL, nothing is streamed or dropped.  Enough for all
 * of them: they stay until zm_stream_free.  Fewer than the window (see zm_stream_measure) are taken as the window.
 * ZM_E_NOMEM. */
ZM_MUST zm_status zm_stream_new(zm_stream **out, const zm_graph *g, const bool *loaded, size_t resident_bytes,
                                zm_error *err);
/* Drops the pages of every mapped leaf, those that stayed too.  NULL is fine. */
void zm_stream_free(zm_stream *s);
/* At the start of a run, and before and after its node `id`; NULL is fine. */
void zm_stream_begin(zm_stream *s);
void zm_stream_before(zm_stream *s, int id);
void zm_stream_after(zm_stream *s, int id);

/* Bytes of external leaves that lie in files (those without data count), and the least that must be resident: the
 * largest leaf with the one used after it. */
void zm_stream_measure(const zm_graph *g, const bool *loaded, size_t *mapped, size_t *window);

#endif
