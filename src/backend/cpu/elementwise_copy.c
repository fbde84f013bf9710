/* Kernels that only move elements: runs of memory, and tiles where the fastest axis changes.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "backend/cpu/elementwise_walk.h"
#include "backend/cpu/simd.h"
#include "backend/cpu/simd_kernels.h"
#include "ops/layout.h"

typedef struct copy_work { /* y is written in order; x is walked, its last step 0 or 1 */
    float *y;
    const float *x;
    zm_walk walk;
} copy_work;

static void put(float *y, const float *x, int64_t step, int64_t n)
{
    if (step && n >= 16)
        memcpy(y, x, (size_t)n * sizeof *y);
    else
        for (int64_t i = 0; i < n; i++)
            y[i] = x[i * step];
}

static void copy_range(void *ctx, int64_t begin, int64_t end)
{
    const copy_work *c = ctx;
    const zm_walk *w = &c->walk;
    int64_t inner = w->dim[w->rank - 1], step = w->stride[0][w->rank - 1];
    for (int64_t at = begin; at < end;) {
        int64_t col = at % inner, n = inner - col < end - at ? inner - col : end - at, offset[2];
        zm_walk_at(w, at / inner, offset);
        put(c->y + at, c->x + offset[0] + col * step, step, n);
        at += n;
    }
}

static void run_broadcast(const zm_tensor *node, void *state, void *scratch)
{
    (void)state, (void)scratch;
    copy_work c = {.y = node->data, .x = node->in[0]->data, .walk.n = 1};
    zm_walk_repeat(&c.walk, 0, node->in[0]->shape, node->shape);
    zm_walk_join(&c.walk);
    zm_parallel_ranges(zm_shape_elems(node->shape), ZM_GRAIN, copy_range, &c);
}

/* The last axis of the result is not the last of x: axis `fast` of the walk steps through x by one, and planes of
 * (fast, last) are turned in strips of `cols` columns. */
typedef struct turn_work {
    float *y;
    const float *x;
    zm_walk others; /* stride[0]: in x, stride[1]: in y; a last dim of 1 stands at its end */
    int64_t rows, cols, x_stride, y_stride, strip;
} turn_work;

static void turn_range(void *ctx, int64_t begin, int64_t end)
{
    const turn_work *t = ctx;
    int64_t strips = (t->cols + t->strip - 1) / t->strip;
    for (int64_t i = begin; i < end; i++) {
        int64_t offset[2], c = i % strips * t->strip, n = t->cols - c < t->strip ? t->cols - c : t->strip;
        zm_walk_at(&t->others, i / strips, offset);
        zm_elementwise()->transpose(t->y + offset[1] + c * t->y_stride, t->y_stride, t->x + offset[0] + c, t->x_stride,
                                    t->rows, n);
    }
}

static void run_turn(const copy_work *c)
{
    const zm_walk *w = &c->walk;
    int fast = 0, last = w->rank - 1;
    while (fast < last && w->stride[0][fast] != 1)
        fast++;
    turn_work t = {.y = c->y, .x = c->x, .others.n = 2, .rows = w->dim[last], .x_stride = w->stride[0][last]};
    int64_t y_stride = 1, planes = 1;
    for (int i = last; i >= 0; i--) {
        if (i == fast) {
            t.cols = w->dim[i];
            t.y_stride = y_stride;
        }
        y_stride *= w->dim[i];
    }
    for (int i = 0; i < last; i++) {
        y_stride /= w->dim[i];
        if (i == fast)
            continue;
        int k = t.others.rank++;
        t.others.dim[k] = w->dim[i];
        t.others.stride[0][k] = w->stride[0][i];
        t.others.stride[1][k] = y_stride;
        planes *= w->dim[i];
    }
    t.others.dim[t.others.rank++] = 1;
    t.strip = t.rows >= 4 * ZM_GRAIN ? 4 : 64;
    int64_t per_strip = t.rows * (t.cols < t.strip ? t.cols : t.strip);
    int64_t strips = (t.cols + t.strip - 1) / t.strip;
    zm_parallel_ranges(planes * strips, per_strip > ZM_GRAIN ? 1 : ZM_GRAIN / per_strip, turn_range, &t);
}

static void run_permute(const zm_tensor *node, void *state, void *scratch)
{
    (void)state, (void)scratch;
    const zm_tensor *x = node->in[0];
    copy_work c = {.y = node->data, .x = x->data, .walk = {.rank = x->shape.rank, .n = 1}};
    for (int k = 0; k < x->shape.rank; k++) {
        int64_t stride = 1;
        for (int i = (int)node->attr.i[k] + 1; i < x->shape.rank; i++)
            stride *= x->shape.dim[i];
        c.walk.dim[k] = node->shape.dim[k];
        c.walk.stride[0][k] = stride;
    }
    zm_walk_join(&c.walk);
    if (c.walk.stride[0][c.walk.rank - 1] <= 1)
        zm_parallel_ranges(zm_shape_elems(node->shape), ZM_GRAIN, copy_range, &c);
    else
        run_turn(&c);
}

typedef struct runs_work { /* rows of `run` floats from x (NULL: zeros) to y */
    float *y;
    const float *x;
    int64_t run, y_stride, x_stride;
} runs_work;

static void runs_range(void *ctx, int64_t begin, int64_t end)
{
    const runs_work *r = ctx;
    for (int64_t at = begin; at < end;) {
        int64_t row = at / r->run, col = at % r->run, n = r->run - col < end - at ? r->run - col : end - at;
        float *y = r->y + row * r->y_stride + col;
        if (r->x)
            put(y, r->x + row * r->x_stride + col, 1, n);
        else
            memset(y, 0, (size_t)n * sizeof *y);
        at += n;
    }
}

static void copy_runs(float *y, int64_t y_stride, const float *x, int64_t x_stride, int64_t rows, int64_t run)
{
    if (run > 0)
        zm_parallel_ranges(rows * run, ZM_GRAIN, runs_range,
                           &(runs_work){.y = y, .x = x, .run = run, .y_stride = y_stride, .x_stride = x_stride});
}

/* Elements outside (before) and inside (after) an axis. */
static int64_t product(zm_shape s, int from, int to)
{
    int64_t n = 1;
    for (int i = from; i < to; i++)
        n *= s.dim[i];
    return n;
}

static void run_slice(const zm_tensor *node, void *state, void *scratch)
{
    (void)state, (void)scratch;
    const zm_tensor *x = node->in[0];
    int axis = (int)node->attr.i[0];
    int64_t outer = product(x->shape, 0, axis), inner = product(x->shape, axis + 1, x->shape.rank);
    int64_t run = node->attr.i[2] * inner;
    const float *from = (const float *)x->data + node->attr.i[1] * inner;
    copy_runs(node->data, run, from, x->shape.dim[axis] * inner, outer, run);
}

static void run_pad(const zm_tensor *node, void *state, void *scratch)
{
    (void)state, (void)scratch;
    const zm_tensor *x = node->in[0];
    int axis = (int)node->attr.i[0];
    int64_t outer = product(x->shape, 0, axis), inner = product(x->shape, axis + 1, x->shape.rank);
    int64_t before = node->attr.i[1] * inner, run = x->shape.dim[axis] * inner, after = node->attr.i[2] * inner;
    int64_t stride = before + run + after;
    float *y = node->data;
    copy_runs(y, stride, NULL, 0, outer, before);
    copy_runs(y + before, stride, x->data, run, outer, run);
    copy_runs(y + before + run, stride, NULL, 0, outer, after);
}

static void run_concat(const zm_tensor *node, void *state, void *scratch)
{
    (void)state, (void)scratch;
    int axis = (int)node->attr.i[0];
    int64_t outer = product(node->shape, 0, axis), stride = product(node->shape, axis, node->shape.rank), at = 0;
    for (int i = 0; i < node->n_in; i++) {
        int64_t run = product(node->in[i]->shape, axis, node->shape.rank);
        copy_runs((float *)node->data + at, stride, node->in[i]->data, run, outer, run);
        at += run;
    }
}

static const char *decline_not_four_bytes(const zm_tensor *node)
{
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] && node->in[i]->dtype != ZM_F32 && node->in[i]->dtype != ZM_I32)
            return "an input is neither f32 nor i32";
    return NULL;
}

#define COPY(op_name)                                                                                                  \
    {                                                                                                                  \
        .op = &zm_op_##op_name, .name = "simd", .decline = decline_not_four_bytes, .run = run_##op_name                \
    }
const zm_kernel zm_cpu_broadcast = COPY(broadcast);
const zm_kernel zm_cpu_permute = COPY(permute);
const zm_kernel zm_cpu_slice = COPY(slice);
const zm_kernel zm_cpu_pad = COPY(pad);
const zm_kernel zm_cpu_concat = COPY(concat);
