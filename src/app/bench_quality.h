/* What the tiers of --quality cost and save, on the bundled model.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_BENCH_QUALITY_H
#define ZM_APP_BENCH_QUALITY_H

#include "app/bench_rows.h"

/* A row for each tier: mean time of a clip at 50 steps, share of steps evaluated, speed-up, and PSNR of the 8-bit
 * frames against those of "best" with the same prompt and seed (mean squared error over all clips).  ZM_E_MISSING
 * without a model. */
ZM_MUST zm_status zm_bench_quality(zm_bench *b, zm_error *err);

#endif
