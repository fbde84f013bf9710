/* zouma bench scaling: how the rates hold as clips grow longer and threads more.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_BENCH_SCALING_H
#define ZM_APP_BENCH_SCALING_H

#include "app/bench_rows.h"

/* Rows of one block at 1k to 32k tokens with 1, 2, 4 .. all threads, and of the decoder at 5 to 65 frames of 128x128;
 * with b->picture, curves of their shares of the peak.  Only when named: it takes minutes. */
ZM_MUST zm_status zm_bench_scaling(zm_bench *b, zm_error *err);

#endif
