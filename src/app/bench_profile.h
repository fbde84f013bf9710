/* Where the time of a graph goes: nodes gathered by op, kernel and result shape.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_BENCH_PROFILE_H
#define ZM_APP_BENCH_PROFILE_H

#include "backend/backend.h"

/* Run x three times and print to stdout, longest first, the groups that take at least half a percent: ms of a run,
 * share of the run, GFLOPS where arithmetic is counted, nodes, kernel, op and shapes.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_bench_profile(zm_exec *x, const zm_graph *g, const char *title, zm_error *err);

#endif
