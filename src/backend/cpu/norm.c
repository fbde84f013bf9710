/* Kernels of norms, modulation and the gated residual: rows spread over threads, sums per fixed block of rows.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "backend/cpu/simd.h"
#include "backend/cpu/simd_kernels.h"

typedef struct rows_work {
    zm_norm_rows shared;
    int64_t rows, group;   /* rows in all, rows that share a row of weight and bias */
    int64_t block, blocks; /* gradients: rows of a block, blocks of a group */
    const float *x, *h, *gy;
    float *y, *dw, *db, *part; /* part [groups * blocks, 2, D] */
} rows_work;

static const float *data_of(const zm_tensor *node, int i)
{
    return i < node->n_in && node->in[i] ? node->in[i]->data : NULL;
}

/* `like`: the input with x's shape; `groups`: the input with a row for each group, or NULL. */
static rows_work work_of(const zm_tensor *node, const zm_tensor *like, const zm_tensor *groups)
{
    rows_work r = {.shared = {.kind = (zm_norm_kind)node->attr.i[0], .eps = (float)node->attr.f[0]}};
    int64_t D = r.shared.D = zm_dim(like, -1);
    r.rows = zm_shape_elems(like->shape) / D;
    r.group = groups ? r.rows / (zm_shape_elems(groups->shape) / D) : r.rows;
    int64_t most = (r.rows + 511) / 512;
    r.block = ZM_GRAIN / D > 8 ? ZM_GRAIN / D : 8;
    r.block = r.block > most ? r.block : most;
    r.block = r.block < r.group ? r.block : r.group;
    r.blocks = (r.group + r.block - 1) / r.block;
    return r;
}

static int64_t grain_of(const rows_work *r)
{
    return ZM_GRAIN / r->shared.D > 1 ? ZM_GRAIN / r->shared.D : 1;
}

/* The part of rows begin..end-1 that stays in one group. */
static int64_t same_group(const rows_work *r, int64_t begin, int64_t end)
{
    int64_t next = (begin / r->group + 1) * r->group;
    return (next < end ? next : end) - begin;
}

static void norm_range(void *ctx, int64_t begin, int64_t end)
{
    const rows_work *r = ctx;
    int64_t D = r->shared.D;
    for (int64_t n; begin < end; begin += n) {
        zm_norm_rows s = r->shared;
        int64_t at = begin / r->group * D;
        n = same_group(r, begin, end);
        s.weight = s.weight ? s.weight + at : NULL;
        s.bias = s.bias ? s.bias + at : NULL;
        zm_norm_loops()->norm(&s, r->y + begin * D, r->x + begin * D, n);
    }
}

static void run_norm(const zm_tensor *node, void *state, void *scratch)
{
    (void)state, (void)scratch;
    rows_work r = work_of(node, node->in[0], NULL);
    r.x = data_of(node, 0);
    r.shared.weight = data_of(node, 1);
    r.shared.bias = data_of(node, 2);
    r.y = node->data;
    zm_parallel_ranges(r.rows, grain_of(&r), norm_range, &r);
}

static void run_norm_modulate(const zm_tensor *node, void *state, void *scratch)
{
    (void)state, (void)scratch;
    rows_work r = work_of(node, node->in[0], node->in[1]);
    r.x = data_of(node, 0);
    r.shared.weight = data_of(node, 1);
    r.shared.bias = data_of(node, 2);
    r.shared.plus_one = 1;
    r.y = node->data;
    zm_parallel_ranges(r.rows, grain_of(&r), norm_range, &r);
}

static void gate_add_range(void *ctx, int64_t begin, int64_t end)
{
    const rows_work *r = ctx;
    int64_t D = r->shared.D;
    for (int64_t n; begin < end; begin += n) {
        n = same_group(r, begin, end);
        zm_norm_loops()->gate_add(r->y + begin * D, r->x + begin * D, r->h + begin * D,
                                  r->shared.weight + begin / r->group * D, n, D);
    }
}

static void run_gate_add(const zm_tensor *node, void *state, void *scratch)
{
    (void)state, (void)scratch;
    rows_work r = work_of(node, node->in[0], node->in[2]);
    r.x = data_of(node, 0);
    r.h = data_of(node, 1);
    r.shared.weight = data_of(node, 2);
    r.y = node->data;
    zm_parallel_ranges(r.rows, grain_of(&r), gate_add_range, &r);
}

/* Where unit i = (group, block) adds up sum number k: the result itself when a group is one block. */
static float *sum_of(const rows_work *r, int64_t i, int k)
{
    float *out = k ? r->db : r->dw;
    if (!out)
        return NULL;
    return r->blocks == 1 ? out + i * r->shared.D : r->part + (i * 2 + k) * r->shared.D;
}

static void norm_grad_range(void *ctx, int64_t begin, int64_t end)
{
    const rows_work *r = ctx;
    int64_t D = r->shared.D;
    for (int64_t i = begin; i < end; i++) {
        int64_t group = i / r->blocks, first = i % r->blocks * r->block, at = (group * r->group + first) * D;
        int64_t rows = r->group - first < r->block ? r->group - first : r->block;
        zm_norm_rows s = r->shared;
        s.weight = s.weight ? s.weight + group * D : NULL;
        zm_norm_loops()->norm_grad(&s, r->y + at, sum_of(r, i, 0), sum_of(r, i, 1), r->x + at, r->gy + at, rows);
    }
}

static void gate_add_grad_range(void *ctx, int64_t begin, int64_t end)
{
    const rows_work *r = ctx;
    int64_t D = r->shared.D;
    for (int64_t i = begin; i < end; i++) {
        int64_t group = i / r->blocks, first = i % r->blocks * r->block, at = (group * r->group + first) * D;
        int64_t rows = r->group - first < r->block ? r->group - first : r->block;
        zm_norm_loops()->gate_add_grad(r->y + at, sum_of(r, i, 0), r->h + at, r->shared.weight + group * D, r->gy + at,
                                       rows, D);
    }
}

static void combine_range(void *ctx, int64_t begin, int64_t end)
{
    const rows_work *r = ctx;
    int64_t D = r->shared.D;
    for (int64_t g = begin; g < end; g++)
        for (int k = 0; k < 2; k++)
            if (k ? r->db : r->dw)
                zm_elementwise()->sum_rows((k ? r->db : r->dw) + g * D, r->part + (g * r->blocks * 2 + k) * D,
                                           r->blocks, 2 * D, D);
}

static void run_grad(rows_work *r, void (*range)(void *, int64_t, int64_t), void *scratch)
{
    int64_t groups = r->rows / r->group, per_unit = r->block * r->shared.D;
    r->part = scratch;
    zm_parallel_ranges(groups * r->blocks, per_unit > ZM_GRAIN / 2 ? 1 : ZM_GRAIN / per_unit, range, r);
    if (r->blocks > 1 && (r->dw || r->db))
        zm_parallel_ranges(groups, 1, combine_range, r);
}

static void run_norm_grad(const zm_tensor *node, void *state, void *scratch)
{
    (void)state;
    rows_work r = work_of(node, node->in[0], NULL);
    float *sums = (float *)node->data + r.rows * r.shared.D;
    r.x = data_of(node, 0);
    r.shared.weight = data_of(node, 1);
    r.gy = data_of(node, 2);
    r.y = node->data;
    r.dw = r.shared.weight ? sums : NULL;
    r.db = node->attr.i[1] ? sums + (r.dw ? r.shared.D : 0) : NULL;
    run_grad(&r, norm_grad_range, scratch);
}

static void run_norm_modulate_grad(const zm_tensor *node, void *state, void *scratch)
{
    (void)state;
    rows_work r = work_of(node, node->in[0], node->in[1]);
    r.x = data_of(node, 0);
    r.shared.weight = data_of(node, 1);
    r.shared.plus_one = 1;
    r.gy = data_of(node, 2);
    r.y = node->data;
    r.dw = r.y + r.rows * r.shared.D;
    r.db = r.dw + zm_shape_elems(node->in[1]->shape);
    run_grad(&r, norm_grad_range, scratch);
}

static void run_gate_add_grad(const zm_tensor *node, void *state, void *scratch)
{
    (void)state;
    rows_work r = work_of(node, node->in[0], node->in[1]);
    r.h = data_of(node, 0);
    r.shared.weight = data_of(node, 1);
    r.gy = data_of(node, 2);
    r.y = node->data;
    r.dw = r.y + r.rows * r.shared.D;
    run_grad(&r, gate_add_grad_range, scratch);
}

/* in[0] has x's shape in every gradient op; in[1] is the row of each group but for norm_grad. */
static zm_status prepare_grad(const zm_tensor *node, void **state, size_t *scratch, zm_error *err)
{
    (void)state, (void)err;
    rows_work r = work_of(node, node->in[0], node->op == &zm_op_norm_grad ? NULL : node->in[1]);
    *scratch = r.blocks > 1 ? (size_t)(r.rows / r.group * r.blocks * 2 * r.shared.D) * sizeof(float) : 0;
    return ZM_OK;
}

#define ROWS(op_name)                                                                                                  \
    {                                                                                                                  \
        .op = &zm_op_##op_name, .name = "simd", .run = run_##op_name                                                   \
    }
#define ROWS_GRAD(op_name)                                                                                             \
    {                                                                                                                  \
        .op = &zm_op_##op_name, .name = "simd", .prepare = prepare_grad, .run = run_##op_name                          \
    }
const zm_kernel zm_cpu_norm = ROWS(norm);
const zm_kernel zm_cpu_norm_modulate = ROWS(norm_modulate);
const zm_kernel zm_cpu_gate_add = ROWS(gate_add);
const zm_kernel zm_cpu_norm_grad = ROWS_GRAD(norm_grad);
const zm_kernel zm_cpu_norm_modulate_grad = ROWS_GRAD(norm_modulate_grad);
const zm_kernel zm_cpu_gate_add_grad = ROWS_GRAD(gate_add_grad);
