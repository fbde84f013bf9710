/* Convolution and its two gradients as matrix products whose left operand is read in place: a row of A is a list of
 * pointers into the activations, one for each tap of the kernel, so that nothing is unrolled into memory.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "backend/cpu/gemm.h"
#include "backend/cpu/gemm_kernels.h"
#include "ops/conv.h"
#include "ops/conv_shape.h"

typedef struct job {
    const zm_gemm_isa *isa;
    zm_conv_sizes size;
    int threads;
    int64_t taps;
    size_t product; /* scratch of the product; the turned weights stand behind it */
} job;

/* What a product's callbacks see.  `places` are those of the output when forward, else of the input; `from` is the
 * tensor that rows point into. */
typedef struct view {
    const zm_conv_sizes *size;
    const float *from;
    bool back;
    const int64_t *places, *source;
    int64_t channels; /* of `from` */
} view;

/* Coordinate of the source on one axis, seen from place `at` through tap k; -1: padding, or between strides. */
static int64_t source_of(const view *v, int axis, int64_t at, int64_t k)
{
    const zm_conv_sizes *c = v->size;
    int64_t s;
    if (!v->back) {
        s = at * c->stride[axis] + k - c->before[axis];
    } else {
        s = at + c->before[axis] - k;
        if (c->stride[axis] > 1) {
            if (s < 0 || s % c->stride[axis])
                return -1;
            s /= c->stride[axis];
        }
    }
    return s < v->source[axis] ? s : -1;
}

typedef struct place {
    const float *clip;
    int64_t at[3];
} place;

static place place_of(const view *v, int64_t i)
{
    place p;
    for (int axis = 2; axis >= 0; axis--) {
        p.at[axis] = i % v->places[axis];
        i /= v->places[axis];
    }
    p.clip = v->from + i * v->source[0] * v->source[1] * v->source[2] * v->channels;
    return p;
}

static void next_place(const view *v, place *p)
{
    for (int axis = 2; axis >= 0; axis--) {
        if (++p->at[axis] < v->places[axis])
            return;
        p->at[axis] = 0;
    }
    p->clip += v->source[0] * v->source[1] * v->source[2] * v->channels;
}

static int rows_of_conv(const void *ctx, int64_t i0, int rows, int64_t k0, int pieces, int length, const float **row,
                        int *live)
{
    const view *v = ctx;
    const int64_t *kernel = v->size->kernel;
    int64_t tap = k0 / v->channels, shift = k0 % v->channels, frame[ZM_TILE_ROWS], line[ZM_TILE_ROWS];
    place p[ZM_TILE_ROWS];
    int found = 0;
    (void)length;
    p[0] = place_of(v, i0);
    for (int i = 1; i < rows; i++) {
        p[i] = p[i - 1];
        next_place(v, &p[i]);
    }
    for (int s = 0; s < pieces; s++, tap++) {
        int64_t kw = tap % kernel[2], kh = tap / kernel[2] % kernel[1], kf = tap / kernel[2] / kernel[1];
        bool any = false;
        for (int i = 0; i < rows; i++) {
            if (s == 0 || (kw == 0 && kh == 0))
                frame[i] = source_of(v, 0, p[i].at[0], kf);
            if (s == 0 || kw == 0) {
                int64_t h = source_of(v, 1, p[i].at[1], kh);
                line[i] = frame[i] < 0 || h < 0 ? -1 : (frame[i] * v->source[1] + h) * v->source[2];
            }
            int64_t w = line[i] < 0 ? -1 : source_of(v, 2, p[i].at[2], kw);
            row[found * ZM_TILE_ROWS + i] = w < 0 ? zm_gemm_zeros : p[i].clip + (line[i] + w) * v->channels + shift;
            any |= w >= 0;
        }
        if (any)
            live[found++] = s;
    }
    return found;
}

/* Steps are output places, a group is a tap: what the tap saw of x from each place. */
static void columns_of_conv(const void *ctx, int64_t group, int64_t k0, int count, const float **column)
{
    const view *v = ctx;
    const int64_t *kernel = v->size->kernel;
    int64_t kw = group % kernel[2], kh = group / kernel[2] % kernel[1], kf = group / kernel[2] / kernel[1];
    place p = place_of(v, k0);
    for (int i = 0; i < count; i++, next_place(v, &p)) {
        int64_t f = source_of(v, 0, p.at[0], kf), h = source_of(v, 1, p.at[1], kh), w = source_of(v, 2, p.at[2], kw);
        bool inside = f >= 0 && h >= 0 && w >= 0;
        column[i] = inside ? p.clip + ((f * v->source[1] + h) * v->source[2] + w) * v->channels : zm_gemm_zeros;
    }
}

static zm_gemm product_of(const job *j, const zm_op *op)
{
    const zm_conv_sizes *c = &j->size;
    zm_gemm g = {.isa = j->isa, .threads = j->threads, .pack = zm_gemm_pack_matrix, .groups = 1};
    int64_t in = c->batch * c->in[0] * c->in[1] * c->in[2], out = c->batch * c->out[0] * c->out[1] * c->out[2];
    if (op == &zm_op_conv_grad_w) {
        g.groups = j->taps;
        g.m = j->taps * c->c, g.n = c->o, g.k = out;
        g.columns_of = columns_of_conv;
    } else {
        bool back = op == &zm_op_conv_grad_x;
        g.m = back ? in : out, g.n = back ? c->c : c->o;
        g.piece = back ? c->o : c->c;
        g.k = j->taps * g.piece;
        g.rows_of = rows_of_conv;
    }
    g.c_step = g.n;
    return g;
}

static const char *decline(const zm_tensor *node)
{
    zm_conv_sizes c = zm_conv_sizes_of(node);
    return node->op == &zm_op_conv_grad_w && c.c > ZM_GEMM_ZEROS ? "more channels than zeros to point to" : NULL;
}

static zm_status prepare(const zm_tensor *node, void **state, size_t *scratch, zm_error *err)
{
    job *j = calloc(1, sizeof *j);
    if (!j)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", node->op->name);
    *j = (job){.isa = zm_gemm_isa_best(), .size = zm_conv_sizes_of(node), .threads = zm_gemm_threads()};
    j->taps = j->size.kernel[0] * j->size.kernel[1] * j->size.kernel[2];
    zm_gemm g = product_of(j, node->op);
    j->product = (zm_gemm_scratch(&g) + 63) & ~(size_t)63;
    *scratch = j->product + (size_t)(j->taps * j->size.c * j->size.o) * sizeof(float);
    *state = j;
    return ZM_OK;
}

/* out[tap][c][o] (or [tap][o][c] for the way back) = w[o][c][tap] */
static void turn_weights(const job *j, const zm_tensor *w, bool back, float *out)
{
    int64_t in = back ? j->size.o : j->size.c, to = back ? j->size.c : j->size.o, taps = j->taps;
#pragma omp parallel for schedule(static) if (taps * in * to > 1 << 15)
    for (int64_t i = 0; i < in; i++)
        for (int64_t n = 0; n < to; n++) {
            int64_t from = (back ? i * to + n : n * in + i) * taps;
            for (int64_t t = 0; t < taps; t++)
                out[(t * in + i) * to + n] = zm_read_f32(w, from + t);
        }
}

static view view_of(const job *j, const zm_tensor *from, bool back)
{
    const zm_conv_sizes *c = &j->size;
    return (view){.size = c,
                  .from = from->data,
                  .back = back,
                  .places = back ? c->in : c->out,
                  .source = back ? c->out : c->in,
                  .channels = back ? c->o : c->c};
}

static void run_rows(const zm_tensor *node, void *state, void *scratch)
{
    const job *j = state;
    bool back = node->op == &zm_op_conv_grad_x;
    float *turned = (float *)((char *)scratch + j->product);
    zm_gemm g = product_of(j, node->op);
    view v = view_of(j, node->in[back ? 1 : 0], back);
    zm_gemm_matrix b = {turned, g.n};
    turn_weights(j, node->in[back ? 0 : 1], back, turned);
    g.a_ctx = &v, g.b_ctx = &b, g.c = node->data;
    g.bias = !back && node->n_in > 2 && node->in[2] ? node->in[2]->data : NULL;
    zm_gemm_run(&g, scratch);
}

static void run_weights(const zm_tensor *node, void *state, void *scratch)
{
    const job *j = state;
    int64_t taps = j->taps, c = j->size.c, o = j->size.o;
    float *turned = (float *)((char *)scratch + j->product), *out = node->data;
    zm_gemm g = product_of(j, node->op);
    view v = view_of(j, node->in[0], false);
    zm_gemm_matrix b = {node->in[1]->data, o};
    g.a_ctx = &v, g.b_ctx = &b, g.c = turned;
    zm_gemm_run(&g, scratch);
#pragma omp parallel for schedule(static) if (taps * c * o > 1 << 15)
    for (int64_t i = 0; i < o; i++)
        for (int64_t k = 0; k < c; k++)
            for (int64_t t = 0; t < taps; t++)
                out[(i * c + k) * taps + t] = turned[(t * c + k) * o + i];
}

const zm_kernel zm_gemm_conv = {
    .op = &zm_op_conv,
    .name = "gemm_conv",
    .decline = decline,
    .prepare = prepare,
    .run = run_rows,
    .release = free,
};

const zm_kernel zm_gemm_conv_grad_x = {
    .op = &zm_op_conv_grad_x,
    .name = "gemm_conv_grad_x",
    .decline = decline,
    .prepare = prepare,
    .run = run_rows,
    .release = free,
};

const zm_kernel zm_gemm_conv_grad_w = {
    .op = &zm_op_conv_grad_w,
    .name = "gemm_conv_grad_w",
    .decline = decline,
    .prepare = prepare,
    .run = run_weights,
    .release = free,
};
