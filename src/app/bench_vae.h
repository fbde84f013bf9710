/* zouma bench vae-decode: latent to clip, a latent frame at a time, as generation does it.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_BENCH_VAE_H
#define ZM_APP_BENCH_VAE_H

#include "app/bench_rows.h"
#include "backend/backend.h"

/* A row for the clip of b's sizes, with the most memory that was resident, weights included. */
ZM_MUST zm_status zm_bench_vae_decode(zm_bench *b, zm_error *err);
/* Seconds to decode a latent of so many frames, height and width, best of at most `runs`; *flops as the whole clip's
 * graph counts them: 2 for each tap of a convolution, though Winograd's need a quarter of that. */
ZM_MUST zm_status zm_bench_vae_time(const zm_bench *b, zm_precision precision, int frames, int height, int width,
                                    int runs, double *seconds, double *flops, zm_error *err);

#endif
