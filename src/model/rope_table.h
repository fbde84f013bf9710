/* Host tables that networks take as inputs: rotary angles of a video's tokens, timestep sinusoids, bucket indices.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MODEL_ROPE_TABLE_H
#define ZM_MODEL_ROPE_TABLE_H

#include <stdint.h>

/* Where a clip's tokens lie on the rotary axes.  {frames, height, width} in tokens; positions of the frame axis are
 * frame_offset + frame_scale * f (scale 0 means 1), for windows of a longer clip and other frame rates. */
typedef struct zm_rope_grid {
    int64_t frames, height, width;
    double frame_offset, frame_scale;
} zm_rope_grid;

/* cos and sin [frames*height*width, head_dim/2], token order f,h,w.  The head's c = head_dim/2 pairs are shared out as
 * c - 2(c/3) for the frame axis, then c/3 for height and c/3 for width; each axis turns pair i of its n by
 * position * 10000^(-i/n) (Su et al. 2021, RoFormer, per axis as in Wan 2.1).  Angles in double, rounded once. */
void zm_rope_table(float *cos_out, float *sin_out, int head_dim, const zm_rope_grid *grid);

/* out [n, dim]: cos(t 10000^(-i/(dim/2))) for i < dim/2, then the sines (Vaswani et al. 2017, 3.5, in Wan's order);
 * double inside.  dim is even. */
void zm_time_sinusoid(float *out, const double *t, int64_t n, int dim);

/* out [len, len]: bucket of key k for query q at [q,k], by k - q in both directions (Raffel et al. 2020, T5, 2.1):
 * half the buckets for each sign, half of those exact, the rest logarithmic up to max_distance. */
void zm_relative_buckets(int32_t *out, int64_t len, int buckets, int max_distance);
/* Bucket of one distance k - q. */
int32_t zm_relative_bucket(int64_t distance, int buckets, int max_distance);

#endif
