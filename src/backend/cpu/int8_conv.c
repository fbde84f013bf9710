/* Convolution on bytes: one scale and zero point for the whole input, rows of pointers into it as in gemm_conv.c.
 *
 * The bytes are those of the node's input, but made from what the input was made of where that is known (conv_source.h):
 * frames that would be joined are written one behind the other, and of pixels that would be doubled there is one.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/conv_source.h"
#include "backend/cpu/int8_node.h"
#include "backend/cpu/simd.h"
#include "backend/cpu/winograd.h"
#include "ops/conv.h"
#include "ops/conv_shape.h"

enum { CHANNELS_LEAST = 64, PLACES_LEAST = 64, PLACES_OF_WINOGRAD = 4096 };

typedef struct job {
    zm_int8_kept kept;            /* first: see int8_node.h */
    zm_conv_sizes size;           /* of the node, as if its input were there */
    int half;                     /* of a place in the bytes: two places of the input lie on it */
    int64_t taps, padded, places; /* channels in whole steps; places of the bytes */
    int threads;
    size_t product_at; /* in scratch */
} job;

static int64_t padded_to_steps(int64_t n)
{
    return (n + ZM_INT8_STEP - 1) / ZM_INT8_STEP * ZM_INT8_STEP;
}

/* Whether f32 takes less time: it needs a quarter of the products then (see int8_node.h). */
static bool winograd_is_faster(const zm_tensor *node, const zm_conv_sizes *c)
{
    return !zm_int8_isa_best()->fours && node->in[1]->dtype == ZM_F32 && !zm_winograd_decline(c) &&
           c->batch * c->out[0] * c->out[1] * c->out[2] >= PLACES_OF_WINOGRAD;
}

static const char *decline(const zm_tensor *node)
{
    const char *why = zm_int8_decline(node);
    zm_conv_source from = zm_conv_source_of(node);
    zm_conv_sizes c = zm_conv_sizes_of(node);
    if (why)
        return why;
    if (c.c < CHANNELS_LEAST || c.o < CHANNELS_LEAST)
        return "few channels";
    if (c.batch * c.out[0] * c.out[1] * c.out[2] < PLACES_LEAST)
        return "few places";
    if (c.kernel[0] * c.kernel[1] * c.kernel[2] * padded_to_steps(c.c) > ZM_INT8_K_MAX)
        return "sums too long for 32 bits";
    if (winograd_is_faster(node, &from.size))
        return "a quarter of the products in f32 takes less time";
    return NULL;
}

static const zm_tensor *made_before(const zm_tensor *node)
{
    return zm_conv_source_of(node).made;
}

static const char *decline_source(const zm_tensor *node)
{
    return made_before(node) ? decline(node) : "its input is read as it lies";
}

typedef struct view {
    const job *j;
    const uint8_t *x, *padding; /* [places][padded], and a place of zero points */
} view;

/* Rows are places of the output, pieces are taps. */
static void rows_of(const void *ctx, int64_t i0, int rows, const uint8_t **row)
{
    const view *v = ctx;
    const zm_conv_sizes *c = &v->j->size;
    const int half = v->j->half;
    const int64_t height = c->in[1] >> half, width = c->in[2] >> half, step = v->j->padded;
    for (int i = 0; i < rows; i++) {
        int64_t at = i0 + i, w = at % c->out[2] * c->stride[2] - c->before[2];
        int64_t h = at / c->out[2] % c->out[1] * c->stride[1] - c->before[1];
        int64_t f = at / (c->out[2] * c->out[1]) % c->out[0] * c->stride[0] - c->before[0];
        int64_t clip = at / (c->out[2] * c->out[1] * c->out[0]) * c->in[0];
        const uint8_t **to = row + i;
        for (int64_t kf = 0; kf < c->kernel[0]; kf++)
            for (int64_t kh = 0; kh < c->kernel[1]; kh++) {
                bool inside = f + kf >= 0 && f + kf < c->in[0] && h + kh >= 0 && h + kh < c->in[1];
                const uint8_t *line = v->x + ((clip + f + kf) * height + ((h + kh) >> half)) * width * step;
                for (int64_t kw = 0; kw < c->kernel[2]; kw++, to += ZM_INT8_ROWS)
                    *to = inside && w + kw >= 0 && w + kw < c->in[2] ? line + ((w + kw) >> half) * step : v->padding;
            }
    }
}

static zm_int8_product product_of(const job *j)
{
    const zm_conv_sizes *c = &j->size;
    return (zm_int8_product){.w = &j->kept.w,
                             .m = c->batch * c->out[0] * c->out[1] * c->out[2],
                             .rows_of = rows_of,
                             .piece = j->padded,
                             .shared = 1,
                             .threads = j->threads};
}

static zm_status make(void **state, size_t *scratch, const zm_tensor *node, bool doubled, zm_error *err)
{
    job *j = calloc(1, sizeof *j);
    if (!j)
        return zm_fail(err, ZM_E_NOMEM, "conv: out of memory");
    const zm_conv_sizes c = j->size = zm_conv_sizes_of(node);
    j->half = doubled;
    j->taps = c.kernel[0] * c.kernel[1] * c.kernel[2];
    j->padded = padded_to_steps(c.c);
    j->places = c.batch * c.in[0] * (c.in[1] >> j->half) * (c.in[2] >> j->half);
    j->threads = zm_thread_count();
    j->kept.w = (zm_int8_weights){.isa = zm_int8_isa_best(), .n = c.o, .k = j->taps * j->padded};
    zm_int8_product p = product_of(j);
    j->product_at = ((size_t)((j->places + 1) * j->padded) + 63) & ~(size_t)63;
    *scratch = j->product_at + zm_int8_scratch(&p);
    *state = j;
    return ZM_OK;
}

static zm_status prepare(const zm_tensor *node, void **state, size_t *scratch, zm_error *err)
{
    return make(state, scratch, node, false, err);
}

static zm_status prepare_source(const zm_tensor *node, void **state, size_t *scratch, zm_error *err)
{
    return make(state, scratch, node, zm_conv_source_of(node).doubled, err);
}

static void column(const zm_tensor *node, const zm_int8_kept *kept, int64_t j, float *out)
{
    const zm_tensor *w = node->in[1];
    int64_t channels = w->shape.dim[1], taps = zm_shape_elems(w->shape) / (channels * w->shape.dim[0]);
    int64_t padded = kept->w.k / taps;
    memset(out, 0, (size_t)kept->w.k * sizeof *out);
    for (int64_t c = 0; c < channels; c++)
        for (int64_t t = 0; t < taps; t++)
            out[t * padded + c] = zm_read_f32(w, (j * channels + c) * taps + t);
}

static zm_status load(const zm_tensor *node, void *state, zm_error *err)
{
    return zm_int8_load(state, node, column, err);
}

/* Widen [*low, *high] to hold x[0..n-1]. */
static void widen(const job *j, const float *x, int64_t n, float *low, float *high)
{
    const zm_int8_isa *isa = j->kept.w.isa;
    float l = *low, h = *high;
#pragma omp parallel for schedule(static) reduction(min : l) reduction(max : h) if (n > ZM_GRAIN)
    for (int64_t at = 0; at < n; at += ZM_GRAIN)
        isa->range(x + at, n - at < ZM_GRAIN ? n - at : ZM_GRAIN, &l, &h);
    *low = l, *high = h;
}

/* `places` places of x as bytes. */
static void quantise(const job *j, const float *x, int64_t places, uint8_t *q, const zm_int8_grid *g)
{
    const zm_int8_isa *isa = j->kept.w.isa;
    const int64_t c = j->size.c, padded = j->padded, group = ZM_GRAIN / padded + 1;
#pragma omp parallel for schedule(static) if (places > group)
    for (int64_t i0 = 0; i0 < places; i0 += group) {
        int64_t n = places - i0 < group ? places - i0 : group;
        if (padded == c)
            isa->to_bytes(q + i0 * c, x + i0 * c, n * c, g->inverse, g->zero);
        for (int64_t i = i0; padded > c && i < i0 + n; i++) {
            isa->to_bytes(q + i * padded, x + i * c, c, g->inverse, g->zero);
            memset(q + i * padded + c, 0, (size_t)(padded - c));
        }
    }
}

/* What the input is made of, joined along the frames. */
typedef struct parts {
    const float *x[ZM_CONV_PAST_MAX + 1];
    int64_t frames[ZM_CONV_PAST_MAX + 1];
    int n;
} parts;

static void convolve(const zm_tensor *node, const job *j, const parts *in, uint8_t *scratch)
{
    const int64_t batch = j->size.batch, plane = j->places / (batch * j->size.in[0]);
    float low = 0, high = 0;
    for (int i = 0; i < in->n; i++)
        widen(j, in->x[i], batch * in->frames[i] * plane * j->size.c, &low, &high);
    zm_int8_grid g = zm_int8_grid_of(low, high);
    uint8_t *q = scratch;
    for (int64_t b = 0; b < batch; b++)
        for (int i = 0; i < in->n; i++) {
            int64_t places = in->frames[i] * plane;
            quantise(j, in->x[i] + b * places * j->size.c, places, q, &g);
            q += places * j->padded;
        }
    memset(q, g.zero, (size_t)j->padded);
    view v = {j, scratch, q};
    zm_int8_product p = product_of(j);
    p.ctx = &v;
    p.scale = &g.scale, p.zero = &g.zero;
    p.c = node->data;
    p.bias = node->n_in > 2 && node->in[2] ? node->in[2]->data : NULL;
    zm_int8_run(&p, scratch + j->product_at);
}

static void run(const zm_tensor *node, void *state, void *scratch)
{
    const job *j = state;
    convolve(node, j, &(parts){.x = {node->in[0]->data}, .frames = {j->size.in[0]}, .n = 1}, scratch);
}

static void run_source(const zm_tensor *node, void *state, void *scratch)
{
    zm_conv_source from = zm_conv_source_of(node);
    parts in = {.n = 0};
    for (int i = 0; i < ZM_CONV_PAST_MAX && from.past[i]; i++, in.n++)
        in.x[i] = from.past[i]->data, in.frames[i] = 1;
    in.x[in.n] = from.x->data, in.frames[in.n++] = from.size.in[0];
    convolve(node, state, &in, scratch);
}

/* Reads what stands before the convolution: no copy of a causal cache with its frames, no enlarged picture. */
const zm_kernel zm_int8_conv_source = {
    .op = &zm_op_conv,
    .name = "int8_source",
    .decline = decline_source,
    .skips = made_before,
    .prepare = prepare_source,
    .keeps = zm_int8_keeps,
    .load = load,
    .run = run_source,
    .release = zm_int8_release,
};

const zm_kernel zm_int8_conv = {
    .op = &zm_op_conv,
    .name = "int8_conv",
    .decline = decline,
    .prepare = prepare,
    .keeps = zm_int8_keeps,
    .load = load,
    .run = run,
    .release = zm_int8_release,
};
