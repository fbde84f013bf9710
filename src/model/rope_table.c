/* Rotary angles, timestep sinusoids and relative buckets on the host.
 * SPDX-License-Identifier: MIT */
#include "model/rope_table.h"

#include <math.h>
#include <stddef.h>

static void turn(float *c, float *s, double position, int n)
{
    for (int i = 0; i < n; i++) {
        double angle = position * pow(10000.0, -(double)i / n);
        c[i] = (float)cos(angle);
        s[i] = (float)sin(angle);
    }
}

void zm_rope_table(float *cos_out, float *sin_out, int head_dim, const zm_rope_grid *grid)
{
    int pairs = head_dim / 2, side = pairs / 3, frame = pairs - 2 * side;
    double scale = grid->frame_scale != 0 ? grid->frame_scale : 1;
    size_t at = 0;
    for (int64_t f = 0; f < grid->frames; f++)
        for (int64_t h = 0; h < grid->height; h++)
            for (int64_t w = 0; w < grid->width; w++, at += (size_t)pairs) {
                float *c = cos_out + at, *s = sin_out + at;
                turn(c, s, grid->frame_offset + scale * (double)f, frame);
                turn(c + frame, s + frame, (double)h, side);
                turn(c + frame + side, s + frame + side, (double)w, side);
            }
}

void zm_time_sinusoid(float *out, const double *t, int64_t n, int dim)
{
    int half = dim / 2;
    for (int64_t k = 0; k < n; k++)
        for (int i = 0; i < half; i++) {
            double angle = t[k] * pow(10000.0, -(double)i / half);
            out[k * dim + i] = (float)cos(angle);
            out[k * dim + half + i] = (float)sin(angle);
        }
}

int32_t zm_relative_bucket(int64_t distance, int buckets, int max_distance)
{
    int half = buckets / 2, exact = half / 2;
    int32_t base = distance > 0 ? half : 0;
    int64_t a = distance < 0 ? -distance : distance;
    if (a < exact)
        return base + (int32_t)a;
    /* f32 as the checkpoints were trained: a double would move distances that fall on a boundary */
    float log_ratio = logf((float)a / (float)exact) / (float)log((double)max_distance / exact);
    int32_t large = exact + (int32_t)(log_ratio * (float)(half - exact));
    return base + (large < half - 1 ? large : half - 1);
}

void zm_relative_buckets(int32_t *out, int64_t len, int buckets, int max_distance)
{
    for (int64_t q = 0; q < len; q++)
        for (int64_t k = 0; k < len; k++)
            out[q * len + k] = zm_relative_bucket(k - q, buckets, max_distance);
}
