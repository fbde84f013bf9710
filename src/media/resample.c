/* Lanczos on bytes and bicubic on floats.
 * SPDX-License-Identifier: MIT */
#include "media/resample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

enum { WEIGHT_BITS = 22 }; /* 32 less 8 of a pixel less 2 for overshoot, as Pillow has it */

/* What each output pixel of one axis takes: n[i] inputs from first[i], weights at weight + i * most. */
typedef struct taps {
    int most;
    int *first, *n;
    int32_t *weight;
} taps;

static void taps_free(taps *t)
{
    free(t->first);
    free(t->n);
    free(t->weight);
}

static double lanczos3(double x)
{
    const double pi = 3.14159265358979323846;
    if (x < -3 || x >= 3)
        return 0;
    if (x == 0)
        return 1;
    return sin(pi * x) / (pi * x) * sin(pi * x / 3) / (pi * x / 3);
}

static zm_status taps_make(taps *t, int in, int out, zm_error *err)
{
    double scale = (double)in / out, wide = scale > 1 ? scale : 1, support = 3 * wide;
    size_t most = (size_t)ceil(support) * 2 + 1, bytes;
    double *w = malloc(most * sizeof *w);
    *t = (taps){.most = (int)most,
                .first = calloc((size_t)out, sizeof *t->first),
                .n = calloc((size_t)out, sizeof *t->n),
                .weight = zm_size_mul(&bytes, most * sizeof *t->weight, (size_t)out) ? malloc(bytes) : NULL};
    if (!w || !t->first || !t->n || !t->weight) {
        free(w);
        taps_free(t);
        return zm_fail(err, ZM_E_NOMEM, "no memory to resize a picture from %d to %d pixels", in, out);
    }
    for (int i = 0; i < out; i++) {
        double centre = (i + 0.5) * scale, sum = 0;
        int from = (int)(centre - support + 0.5), to = (int)(centre + support + 0.5);
        from = from < 0 ? 0 : from;
        to = to > in ? in : to;
        for (int k = from; k < to; k++)
            sum += w[k - from] = lanczos3((k - centre + 0.5) / wide);
        t->first[i] = from;
        t->n[i] = to - from;
        for (int k = 0; k < t->n[i]; k++) {
            double x = (sum != 0 ? w[k] / sum : w[k]) * (1 << WEIGHT_BITS);
            t->weight[(size_t)i * most + (size_t)k] = (int32_t)(x < 0 ? x - 0.5 : x + 0.5);
        }
    }
    free(w);
    return ZM_OK;
}

/* One axis: `step` bytes lie between neighbours along it in `in`. */
static void blend(uint8_t *to, const uint8_t *in, const taps *t, int i, size_t step)
{
    const int32_t *w = t->weight + (size_t)i * (size_t)t->most;
    const uint8_t *from = in + (size_t)t->first[i] * step;
    for (int c = 0; c < 3; c++) {
        int64_t sum = (int64_t)1 << (WEIGHT_BITS - 1);
        for (int k = 0; k < t->n[i]; k++)
            sum += (int64_t)w[k] * from[(size_t)k * step + (size_t)c];
        sum = sum < 0 ? 0 : sum >> WEIGHT_BITS;
        to[c] = (uint8_t)(sum > 255 ? 255 : sum);
    }
}

static zm_status widen(zm_frame *out, const zm_frame *in, zm_error *err)
{
    taps t;
    zm_status s = taps_make(&t, in->width, out->width, err);
    if (s)
        return s;
    for (int y = 0; y < out->height; y++)
        for (int x = 0; x < out->width; x++)
            blend(out->rgb + 3 * ((size_t)y * (size_t)out->width + (size_t)x),
                  in->rgb + 3 * (size_t)y * (size_t)in->width, &t, x, 3);
    taps_free(&t);
    return ZM_OK;
}

static zm_status heighten(zm_frame *out, const zm_frame *in, zm_error *err)
{
    taps t;
    zm_status s = taps_make(&t, in->height, out->height, err);
    if (s)
        return s;
    for (int y = 0; y < out->height; y++)
        for (int x = 0; x < out->width; x++)
            blend(out->rgb + 3 * ((size_t)y * (size_t)out->width + (size_t)x), in->rgb + 3 * (size_t)x, &t, y,
                  3 * (size_t)in->width);
    taps_free(&t);
    return ZM_OK;
}

zm_status zm_frame_lanczos(zm_frame *out, const zm_frame *in, zm_error *err)
{
    bool wide = out->width != in->width, high = out->height != in->height;
    if (!wide && !high) {
        memcpy(out->rgb, in->rgb, (size_t)in->width * (size_t)in->height * 3);
        return ZM_OK;
    }
    if (!wide || !high)
        return wide ? widen(out, in, err) : heighten(out, in, err);
    zm_frame between;
    zm_status s = zm_frame_init(&between, out->width, in->height, err);
    if (s)
        return s;
    s = widen(&between, in, err);
    if (!s)
        s = heighten(out, &between, err);
    zm_frame_release(&between);
    return s;
}

/* ---- bicubic ---- */

/* Four inputs of an output pixel and their weights. */
typedef struct cubic {
    int at[4];
    double w[4];
} cubic;

/* Keys 1981, eq. 4, with a = -0.75. */
static double cubic_weight(double x)
{
    const double a = -0.75;
    x = fabs(x);
    return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
}

static cubic *cubic_make(int in, int out)
{
    cubic *c = calloc((size_t)out, sizeof *c);
    for (int i = 0; c && i < out; i++) {
        double at = (i + 0.5) * ((double)in / out) - 0.5, low = floor(at);
        for (int k = 0; k < 4; k++) {
            int j = (int)low - 1 + k;
            c[i].at[k] = j < 0 ? 0 : j < in ? j : in - 1;
            c[i].w[k] = cubic_weight(at - low + 1 - k);
        }
    }
    return c;
}

zm_status zm_resample_cubic(float *out, int height, int width, const float *in, int in_height, int in_width,
                            zm_error *err)
{
    size_t row = (size_t)in_width * 3;
    if (height == in_height && width == in_width) {
        memcpy(out, in, (size_t)height * row * sizeof *out);
        return ZM_OK;
    }
    cubic *cx = cubic_make(in_width, width), *cy = cubic_make(in_height, height);
    for (int y = 0; cx && cy && y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++) {
                double sum = 0;
                for (int k = 0; k < 4; k++) {
                    const float *line = in + (size_t)cy[y].at[k] * row + c;
                    double across = 0;
                    for (int l = 0; l < 4; l++)
                        across += cx[x].w[l] * (double)line[3 * (size_t)cx[x].at[l]];
                    sum += cy[y].w[k] * across;
                }
                out[((size_t)y * (size_t)width + (size_t)x) * 3 + (size_t)c] = (float)sum;
            }
    zm_status s = cx && cy ? ZM_OK
                           : zm_fail(err, ZM_E_NOMEM, "no memory to resize a picture from %dx%d to %dx%d", in_width,
                                     in_height, width, height);
    free(cx);
    free(cy);
    return s;
}
