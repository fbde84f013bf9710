/* A pool of training clips in memory.
 * SPDX-License-Identifier: MIT */
#include "train/data.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/arena.h"

/* Clip by clip, side by side. */
static zm_status fill_each(zm_pool *out, const zm_clip_source *source, int64_t first, zm_error *err)
{
    size_t pixels = (size_t)source->width * (size_t)source->height * (size_t)source->frames;
    zm_error first_error = {0};
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < out->n; i++) {
        zm_error e = {0};
        if (source->clip(source->user, first + i, out->rgb + (size_t)i * pixels * 3, out->mask + (size_t)i * pixels,
                         &e)) {
#pragma omp critical(zm_pool_error)
            if (!first_error.code)
                first_error = e;
        }
    }
    return first_error.code ? zm_fail(err, first_error.code, "%s", first_error.text) : ZM_OK;
}

zm_status zm_pool_fill(zm_pool *out, const zm_clip_source *source, int64_t first, int64_t n, zm_error *err)
{
    *out = (zm_pool){.n = n, .width = source->width, .height = source->height, .frames = source->frames};
    size_t pixels = (size_t)source->width * (size_t)source->height * (size_t)source->frames, bytes;
    if (n <= 0 || !zm_size_mul(&bytes, pixels * 3, (size_t)n))
        return zm_fail(err, ZM_E_USAGE, "a pool of %" PRId64 " clips is not possible", n);
    out->rgb = malloc(bytes);
    out->mask = calloc((size_t)n, pixels);
    if (!out->rgb || !out->mask) {
        zm_pool_release(out);
        return zm_fail(err, ZM_E_NOMEM, "no memory for %" PRId64 " clips of %d x %d pixels and %d frames", n,
                       source->width, source->height, source->frames);
    }
    zm_status s = source->clips ? source->clips(source->user, first, n, out->rgb, out->mask, err)
                                : fill_each(out, source, first, err);
    if (s)
        zm_pool_release(out);
    return s;
}

void zm_pool_release(zm_pool *p)
{
    free(p->rgb);
    free(p->mask);
    *p = (zm_pool){0};
}

void zm_pool_window(const zm_pool *p, int64_t clip, int start, int frames, float inside, float *video, float *weight)
{
    size_t frame = (size_t)p->width * (size_t)p->height,
           at = ((size_t)clip * (size_t)p->frames + (size_t)start) * frame;
    size_t n = frame * (size_t)frames;
    const uint8_t *rgb = p->rgb + at * 3, *mask = p->mask + at;
    for (size_t i = 0; i < 3 * n; i++)
        video[i] = (float)rgb[i] * (2.0f / 255) - 1;
    for (size_t i = 0; weight && i < n; i++)
        weight[i] = mask[i] ? inside : 1;
}
