/* Convolution on bytes: one scale and zero point for the whole input, rows of pointers into it as in gemm_conv.c.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/int8_node.h"
#include "backend/cpu/simd.h"
#include "ops/conv.h"
#include "ops/conv_shape.h"

enum { CHANNELS_LEAST = 64, PLACES_LEAST = 64 };

typedef struct job {
    zm_int8_kept kept; /* first: see int8_node.h */
    zm_conv_sizes size;
    int64_t taps, padded, places; /* channels in whole steps; places of the input */
    int threads;
    size_t product_at; /* in scratch */
} job;

static int64_t padded_to_steps(int64_t n)
{
    return (n + ZM_INT8_STEP - 1) / ZM_INT8_STEP * ZM_INT8_STEP;
}

static const char *decline(const zm_tensor *node)
{
    const char *why = zm_int8_decline(node);
    zm_conv_sizes c = zm_conv_sizes_of(node);
    if (why)
        return why;
    if (c.c < CHANNELS_LEAST || c.o < CHANNELS_LEAST)
        return "few channels";
    if (c.batch * c.out[0] * c.out[1] * c.out[2] < PLACES_LEAST)
        return "few places";
    if (c.kernel[0] * c.kernel[1] * c.kernel[2] * padded_to_steps(c.c) > ZM_INT8_K_MAX)
        return "sums too long for 32 bits";
    return NULL;
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
    for (int i = 0; i < rows; i++) {
        int64_t at = i0 + i, w = at % c->out[2] * c->stride[2] - c->before[2];
        int64_t h = at / c->out[2] % c->out[1] * c->stride[1] - c->before[1];
        int64_t f = at / (c->out[2] * c->out[1]) % c->out[0] * c->stride[0] - c->before[0];
        int64_t clip = at / (c->out[2] * c->out[1] * c->out[0]) * c->in[0];
        const uint8_t **to = row + i;
        for (int64_t kf = 0; kf < c->kernel[0]; kf++)
            for (int64_t kh = 0; kh < c->kernel[1]; kh++) {
                bool inside = f + kf >= 0 && f + kf < c->in[0] && h + kh >= 0 && h + kh < c->in[1];
                int64_t line = ((clip + f + kf) * c->in[1] + h + kh) * c->in[2];
                for (int64_t kw = 0; kw < c->kernel[2]; kw++, to += ZM_INT8_ROWS)
                    *to =
                        inside && w + kw >= 0 && w + kw < c->in[2] ? v->x + (line + w + kw) * v->j->padded : v->padding;
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

static zm_status prepare(const zm_tensor *node, void **state, size_t *scratch, zm_error *err)
{
    job *j = calloc(1, sizeof *j);
    if (!j)
        return zm_fail(err, ZM_E_NOMEM, "conv: out of memory");
    const zm_conv_sizes c = j->size = zm_conv_sizes_of(node);
    j->taps = c.kernel[0] * c.kernel[1] * c.kernel[2];
    j->padded = padded_to_steps(c.c);
    j->places = c.batch * c.in[0] * c.in[1] * c.in[2];
    j->threads = zm_thread_count();
    j->kept.w = (zm_int8_weights){.isa = zm_int8_isa_best(), .n = c.o, .k = j->taps * j->padded};
    zm_int8_product p = product_of(j);
    j->product_at = ((size_t)((j->places + 1) * j->padded) + 63) & ~(size_t)63;
    *scratch = j->product_at + zm_int8_scratch(&p);
    *state = j;
    return ZM_OK;
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

static zm_int8_grid grid_of(const job *j, const float *x)
{
    const zm_int8_isa *isa = j->kept.w.isa;
    const int64_t all = j->places * j->size.c;
    float low = 0, high = 0;
#pragma omp parallel for schedule(static) reduction(min : low) reduction(max : high) if (all > ZM_GRAIN)
    for (int64_t at = 0; at < all; at += ZM_GRAIN) {
        float l = 0, h = 0;
        isa->range(x + at, all - at < ZM_GRAIN ? all - at : ZM_GRAIN, &l, &h);
        low = l < low ? l : low;
        high = h > high ? h : high;
    }
    return zm_int8_grid_of(low, high);
}

/* The input as bytes, a place more of zero points behind it; returns that. */
static const uint8_t *quantise(const job *j, const float *x, uint8_t *q, const zm_int8_grid *g)
{
    const zm_int8_isa *isa = j->kept.w.isa;
    const int64_t c = j->size.c, padded = j->padded, group = ZM_GRAIN / padded + 1;
#pragma omp parallel for schedule(static) if (j->places > group)
    for (int64_t i0 = 0; i0 < j->places; i0 += group) {
        int64_t n = j->places - i0 < group ? j->places - i0 : group;
        if (padded == c)
            isa->to_bytes(q + i0 * c, x + i0 * c, n * c, g->inverse, g->zero);
        for (int64_t i = i0; padded > c && i < i0 + n; i++) {
            isa->to_bytes(q + i * padded, x + i * c, c, g->inverse, g->zero);
            memset(q + i * padded + c, 0, (size_t)(padded - c));
        }
    }
    return memset(q + j->places * padded, g->zero, (size_t)padded);
}

static void run(const zm_tensor *node, void *state, void *scratch)
{
    const job *j = state;
    const float *x = node->in[0]->data;
    zm_int8_grid g = grid_of(j, x);
    view v = {j, scratch, quantise(j, x, scratch, &g)};
    zm_int8_product p = product_of(j);
    p.ctx = &v;
    p.scale = &g.scale, p.zero = &g.zero;
    p.c = node->data;
    p.bias = node->n_in > 2 && node->in[2] ? node->in[2]->data : NULL;
    zm_int8_run(&p, (char *)scratch + j->product_at);
}

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
