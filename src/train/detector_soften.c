/* Clips made a little worse.
 * SPDX-License-Identifier: MIT */
#include "train/detector_soften.h"

#include <stdlib.h>

void zm_detector_plain(const uint8_t *rgb, size_t n, float *video)
{
    for (size_t i = 0; i < n; i++)
        video[i] = (float)rgb[i] * (2.0f / 255) - 1;
}

/* Weights side, 1 - 2 side, side along an axis of n places, `stride` floats apart; ends are repeated. */
static void blur_line(float *v, int n, size_t stride, float side)
{
    float before = v[0];
    for (int i = 0; i < n; i++) {
        float here = v[(size_t)i * stride], after = i + 1 < n ? v[(size_t)(i + 1) * stride] : here;
        v[(size_t)i * stride] = side * (before + after) + (1 - 2 * side) * here;
        before = here;
    }
}

static void blur_space(float *video, int frames, int height, int width, float side)
{
    for (int f = 0; f < frames; f++) {
        float *at = video + (size_t)f * (size_t)height * (size_t)width * 3;
        for (int y = 0; y < height; y++)
            for (int c = 0; c < 3; c++)
                blur_line(at + (size_t)y * (size_t)width * 3 + c, width, 3, side);
        for (int x = 0; x < 3 * width; x++)
            blur_line(at + x, height, (size_t)width * 3, side);
    }
}

/* Cheap noise of mean 0 and standard deviation about 1: the sum of four bytes of one word. */
static float rough(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    uint32_t v = (uint32_t)(*state >> 32);
    return ((float)(v & 255) + (float)(v >> 8 & 255) + (float)(v >> 16 & 255) + (float)(v >> 24) - 510.0f) *
           (1 / 148.0f);
}

static void add_noise(float *video, int frames, int height, int width, float blotch, float grain, uint64_t state)
{
    for (int f = 0; f < frames; f++)
        for (int y = 0; y < height; y += 4)
            for (int x = 0; x < width; x += 4) {
                float b[3] = {blotch * rough(&state), blotch * rough(&state), blotch * rough(&state)};
                for (int i = 0; i < 16; i++) {
                    int row = y + i / 4, col = x + i % 4;
                    if (row >= height || col >= width)
                        continue;
                    float *v = video + (((size_t)f * (size_t)height + (size_t)row) * (size_t)width + (size_t)col) * 3;
                    float g = grain * rough(&state);
                    for (int c = 0; c < 3; c++)
                        v[c] += b[c] + g;
                }
            }
}

static bool chance(zm_rng *r, float p)
{
    return zm_rng_uniform(r) < p;
}

void zm_detector_soften(const uint8_t *rgb, int frames, int height, int width, bool mirror, zm_rng *r, float *video)
{
    size_t row = (size_t)width * 3, rows = (size_t)frames * (size_t)height;
    float gain[3], shift = zm_rng_range(r, -0.06f, 0.06f), contrast = zm_rng_range(r, 0.9f, 1.1f);
    for (int c = 0; c < 3; c++)
        gain[c] = contrast * zm_rng_range(r, 0.97f, 1.03f) * (2.0f / 255);
    for (size_t y = 0; y < rows; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++)
                video[y * row + (size_t)x * 3 + (size_t)c] =
                    (float)rgb[y * row + (size_t)(mirror ? width - 1 - x : x) * 3 + (size_t)c] * gain[c] - 1 + shift;
    if (chance(r, 0.6f))
        blur_space(video, frames, height, width, zm_rng_range(r, 0.05f, 0.3f));
    if (chance(r, 0.25f))
        blur_space(video, frames, height, width, zm_rng_range(r, 0.1f, 0.3f));
    if (chance(r, 0.3f))
        for (size_t i = 0; i < row * (size_t)height; i++)
            blur_line(video + i, frames, row * (size_t)height, 0.12f);
    float blotch = chance(r, 0.5f) ? zm_rng_range(r, 0, 0.07f) : 0,
          grain = chance(r, 0.4f) ? zm_rng_range(r, 0, 0.05f) : 0;
    uint64_t state = zm_rng_u64(r);
    if (blotch > 0 || grain > 0)
        add_noise(video, frames, height, width, blotch, grain, state);
}
