/* RGB pictures: allocation, resizing, cropping, turning, and conversion from and to network floats.
 * SPDX-License-Identifier: MIT */
#include "media/frame.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

zm_status zm_frame_init(zm_frame *f, int width, int height, zm_error *err)
{
    *f = (zm_frame){0};
    if (width < 1 || height < 1 || width > ZM_FRAME_MAX_SIDE || height > ZM_FRAME_MAX_SIDE ||
        (int64_t)width * height > ZM_FRAME_MAX_PIXELS)
        return zm_fail(err, ZM_E_USAGE, "a picture of %dx%d pixels is outside 1..%d a side and %d pixels in all", width,
                       height, ZM_FRAME_MAX_SIDE, ZM_FRAME_MAX_PIXELS);
    size_t bytes = (size_t)width * (size_t)height * 3;
    f->rgb = calloc(bytes, 1);
    if (!f->rgb)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a picture of %dx%d pixels", width, height);
    f->width = width;
    f->height = height;
    return ZM_OK;
}

zm_status zm_frame_copy(zm_frame *out, const zm_frame *in, zm_error *err)
{
    zm_status s = zm_frame_init(out, in->width, in->height, err);
    if (!s)
        memcpy(out->rgb, in->rgb, (size_t)in->width * (size_t)in->height * 3);
    return s;
}

void zm_frame_release(zm_frame *f)
{
    free(f->rgb);
    *f = (zm_frame){0};
}

/* Weights of one axis: output i is the sum over k < taps of weight[i * taps + k] * input[first[i] + k].  Each row of
 * weights sums to exactly ONE, and every first[i] + k is inside the input. */
enum { WEIGHT_BITS = 14, ONE = 1 << WEIGHT_BITS, EXTRA_BITS = 6 };

typedef struct {
    int taps;
    int *first;
    int16_t *weight;
} axis;

/* Keys 1981, eq. 4 with a = -1/2. */
static double cubic(double x)
{
    x = fabs(x);
    if (x < 1)
        return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

/* Real weights of output i, written at w[0..taps); returns the first input index, which may be outside 0..n_in. */
static int real_weights(double *w, int taps, int i, int n_out, int n_in)
{
    double ratio = (double)n_in / n_out;
    if (n_out < n_in) { /* the overlap of [i, i+1) * ratio with each input pixel */
        double lo = i * ratio, hi = lo + ratio;
        int first = (int)lo;
        for (int k = 0; k < taps; k++)
            w[k] = fmax(0, fmin(hi, first + k + 1) - fmax(lo, first + k)) / ratio;
        return first;
    }
    double centre = (i + 0.5) * ratio - 0.5;
    int first = taps == 1 ? i : (int)floor(centre) - 1;
    for (int k = 0; k < taps; k++)
        w[k] = taps == 1 ? 1 : cubic(centre - (first + k));
    return first;
}

static void axis_release(axis *a)
{
    free(a->first);
    free(a->weight);
}

static bool axis_init(axis *a, int n_out, int n_in)
{
    int reach = n_out == n_in ? 1 : n_out > n_in ? 4 : (n_in + n_out - 1) / n_out + 1;
    a->taps = reach < n_in ? reach : n_in; /* what reaches past an edge is folded inwards below */
    a->first = malloc((size_t)n_out * sizeof *a->first);
    a->weight = calloc((size_t)n_out * (size_t)a->taps, sizeof *a->weight);
    double *w = malloc((size_t)reach * sizeof *w);
    bool ok = a->first && a->weight && w;
    for (int i = 0; ok && i < n_out; i++) {
        int at = real_weights(w, reach, i, n_out, n_in);
        int first = at < 0 ? 0 : at > n_in - a->taps ? n_in - a->taps : at, given = 0;
        int16_t *q = a->weight + (size_t)i * (size_t)a->taps;
        double sum = 0;
        for (int k = 0; k < reach; k++) {
            sum += w[k]; /* rounding the running sum makes the row add up to ONE with no weight off by more than 1 */
            int v = (int)lrint(sum * ONE) - given;
            int j = at + k < 0 ? 0 : at + k >= n_in ? n_in - 1 : at + k;
            q[j - first] = (int16_t)(q[j - first] + v);
            given += v;
        }
        a->first[i] = first;
    }
    free(w);
    return ok;
}

/* One input row to the output width, with EXTRA_BITS kept below the point. */
static void row_across(int16_t *out, const uint8_t *in, const axis *x, int width)
{
    for (int i = 0; i < width; i++) {
        const uint8_t *p = in + (size_t)x->first[i] * 3;
        const int16_t *w = x->weight + (size_t)i * (size_t)x->taps;
        int r = 0, g = 0, b = 0;
        for (int k = 0; k < x->taps; k++, p += 3) {
            r += w[k] * p[0];
            g += w[k] * p[1];
            b += w[k] * p[2];
        }
        enum { SHIFT = WEIGHT_BITS - EXTRA_BITS, HALF = 1 << (SHIFT - 1) };
        out[i * 3] = (int16_t)((r + HALF) >> SHIFT);
        out[i * 3 + 1] = (int16_t)((g + HALF) >> SHIFT);
        out[i * 3 + 2] = (int16_t)((b + HALF) >> SHIFT);
    }
}

static void row_down(uint8_t *out, const int16_t *in, const axis *y, int row, size_t bytes, int32_t *sum)
{
    memset(sum, 0, bytes * sizeof *sum);
    for (int k = 0; k < y->taps; k++) {
        const int16_t *p = in + (size_t)(y->first[row] + k) * bytes;
        int w = y->weight[(size_t)row * (size_t)y->taps + (size_t)k];
        if (w)
            for (size_t i = 0; i < bytes; i++)
                sum[i] += w * p[i];
    }
    enum { SHIFT = WEIGHT_BITS + EXTRA_BITS, HALF = 1 << (SHIFT - 1) };
    for (size_t i = 0; i < bytes; i++) {
        int v = (sum[i] + HALF) >> SHIFT;
        out[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
}

/* `in` points at the first pixel of a width x height part of a picture whose rows are `stride` bytes apart. */
static zm_status resize(zm_frame *out, const uint8_t *in, int width, int height, size_t stride, zm_error *err)
{
    axis x = {0}, y = {0};
    size_t bytes = (size_t)out->width * 3;
    int16_t *middle = malloc(bytes * (size_t)height * sizeof *middle);
    int32_t *sum = malloc(bytes * sizeof *sum);
    zm_status s = ZM_OK;
    if (!middle || !sum || !axis_init(&x, out->width, width) || !axis_init(&y, out->height, height)) {
        s = zm_fail(err, ZM_E_NOMEM, "out of memory to resize a picture from %dx%d to %dx%d", width, height, out->width,
                    out->height);
    } else {
        for (int i = 0; i < height; i++)
            row_across(middle + (size_t)i * bytes, in + (size_t)i * stride, &x, out->width);
        for (int i = 0; i < out->height; i++)
            row_down(out->rgb + (size_t)i * bytes, middle, &y, i, bytes, sum);
    }
    axis_release(&x);
    axis_release(&y);
    free(sum);
    free(middle);
    return s;
}

zm_status zm_frame_resize(zm_frame *out, const zm_frame *in, zm_error *err)
{
    return resize(out, in->rgb, in->width, in->height, (size_t)in->width * 3, err);
}

zm_status zm_frame_fit(zm_frame *out, const zm_frame *in, zm_error *err)
{
    int64_t across = (int64_t)in->width * out->height, down = (int64_t)in->height * out->width;
    int width = in->width, height = in->height;
    if (across > down)
        width = (int)((down + out->height / 2) / out->height);
    else
        height = (int)((across + out->width / 2) / out->width);
    if (width < 1)
        width = 1;
    if (height < 1)
        height = 1;
    size_t stride = (size_t)in->width * 3;
    size_t at = (size_t)((in->height - height) / 2) * stride + (size_t)((in->width - width) / 2) * 3;
    return resize(out, in->rgb + at, width, height, stride, err);
}

void zm_frame_repeat(zm_frame *out, const zm_frame *in, int factor)
{
    ZM_ASSERT(factor > 0 && out->width == in->width * factor && out->height == in->height * factor);
    size_t row = (size_t)out->width * 3;
    for (int y = 0; y < out->height; y++) {
        uint8_t *to = out->rgb + (size_t)y * row;
        if (y % factor) {
            memcpy(to, to - row, row);
            continue;
        }
        const uint8_t *from = in->rgb + (size_t)(y / factor) * (size_t)in->width * 3;
        for (int x = 0; x < out->width; x++)
            memcpy(to + (size_t)x * 3, from + (size_t)(x / factor) * 3, 3);
    }
}

zm_status zm_frame_orient(zm_frame *f, int orientation, zm_error *err)
{
    if (orientation < 2 || orientation > 8)
        return ZM_OK;
    bool swap = orientation >= 5; /* 5..8: stored rows are columns of the scene */
    /* Whether the scene's x (y) runs against the stored axis it lies on. */
    bool flip_x = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
    bool flip_y = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
    zm_frame out;
    zm_status s = zm_frame_init(&out, swap ? f->height : f->width, swap ? f->width : f->height, err);
    if (s)
        return s;
    for (int y = 0; y < out.height; y++)
        for (int x = 0; x < out.width; x++) {
            int u = flip_x ? out.width - 1 - x : x, v = flip_y ? out.height - 1 - y : y;
            size_t from = swap ? (size_t)u * (size_t)f->width + (size_t)v : (size_t)v * (size_t)f->width + (size_t)u;
            memcpy(out.rgb + ((size_t)y * (size_t)out.width + (size_t)x) * 3, f->rgb + from * 3, 3);
        }
    zm_frame_release(f);
    *f = out;
    return ZM_OK;
}

void zm_frame_from_f32(zm_frame *out, const float *chw, size_t plane)
{
    size_t n = (size_t)out->width * (size_t)out->height;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < 3; c++) {
            float v = 127.5f * (chw[c * plane + i] + 1);
            out->rgb[i * 3 + c] = (uint8_t)(v >= 255 ? 255 : v > 0 ? lrintf(v) : 0); /* a NaN is not > 0 */
        }
}

void zm_frame_to_f32(float *chw, size_t plane, const zm_frame *in)
{
    size_t n = (size_t)in->width * (size_t)in->height;
    for (size_t c = 0; c < 3; c++)
        for (size_t i = 0; i < n; i++)
            chw[c * plane + i] = (float)in->rgb[i * 3 + c] / 127.5f - 1;
}
