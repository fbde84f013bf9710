/* Convolution by Winograd's minimal filtering: a quarter of the multiplications, on activations as they lie.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_WINOGRAD_H
#define ZM_BACKEND_CPU_WINOGRAD_H

#include <stddef.h>

#include "backend/cpu/conv_source.h"
#include "backend/cpu/gemm_isa.h"
#include "backend/cpu/simd.h"
#include "ops/conv_shape.h"

/* 3x3 in height and width with stride 1, kf >= 1 frames of stride 1 that begin before[0] frames early (zeros, or
 * `past`) and never reach beyond the last one; channels in and out multiples of 16.  doubled: x is kept at half of its
 * height and width, both even, and each of its places stands for 2x2. */
typedef struct zm_winograd {
    const zm_gemm_isa *isa;
    const zm_winograd_fns *fns;
    zm_conv_sizes size;
    bool doubled;
    int threads;
    /* filled by zm_winograd_plan */
    int64_t images, frames, from_frames; /* a 1x3x3 kernel sees every frame as an image of its own */
    int64_t down, across;                /* tiles of 4x4 places */
    int64_t block, units;                /* tiles of a unit of work, and how many there are */
    int64_t chunk;                       /* output channels whose weights are transformed at a time */
    int64_t u_plane, v_row, v_plane, v_frame, m_row, m_plane;
    size_t share; /* floats of one thread's scratch */
} zm_winograd;

typedef struct zm_winograd_data {
    const float *x, *w, *bias;           /* w [O,C,kf,3,3]; bias may be NULL */
    const float *past[ZM_CONV_PAST_MAX]; /* before[0] frames [batch,1,H,W,C], oldest first, or NULL: zeros */
    float *y;
} zm_winograd_data;

/* NULL, or why these sizes are not for it (or not worth it). */
const char *zm_winograd_decline(const zm_conv_sizes *size);
/* Needs isa, fns, size, threads.  Returns the bytes of scratch that a run takes, 64-byte aligned. */
size_t zm_winograd_plan(zm_winograd *w);
void zm_winograd_run(const zm_winograd *w, const zm_winograd_data *d, void *scratch);

#endif
