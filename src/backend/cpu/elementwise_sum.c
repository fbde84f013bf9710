/* Sums back to a smaller shape: fixed blocks of rows side by side, then the blocks in order.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/simd.h"
#include "backend/cpu/simd_kernels.h"

/* x seen as [outer, rows, cols], summed over rows. */
typedef struct sum_work {
    int64_t outer, rows, cols;
    int64_t block, blocks; /* rows of a block, blocks of an outer index */
    const float *x;
    float *y, *part; /* part [outer, blocks, cols] when blocks > 1 */
} sum_work;

enum { STRIP = 4096, MOST_BLOCKS = 256 };

/* false when kept and summed dims alternate more than this file handles. */
static bool measure(const zm_tensor *node, sum_work *s)
{
    zm_shape x = node->in[0]->shape, y = node->shape;
    int groups = 0;
    bool summed[ZM_MAX_RANK];
    int64_t size[ZM_MAX_RANK];
    for (int i = 0; i < x.rank; i++) {
        int k = i - (x.rank - y.rank);
        bool sums = k < 0 || y.dim[k] != x.dim[i];
        if (x.dim[i] == 1)
            continue;
        if (groups && summed[groups - 1] == sums) {
            size[groups - 1] *= x.dim[i];
        } else {
            summed[groups] = sums;
            size[groups++] = x.dim[i];
        }
    }
    *s = (sum_work){.outer = 1, .rows = 1, .cols = 1};
    int at = 0;
    if (at < groups && !summed[at])
        s->outer = size[at++];
    if (at < groups)
        s->rows = size[at++];
    if (at < groups)
        s->cols = size[at++];
    s->block = s->cols > 1 ? (ZM_GRAIN + s->cols - 1) / s->cols : ZM_GRAIN;
    if (s->block < 16)
        s->block = 16;
    if (s->block < (s->rows + MOST_BLOCKS - 1) / MOST_BLOCKS)
        s->block = (s->rows + MOST_BLOCKS - 1) / MOST_BLOCKS;
    s->blocks = (s->rows + s->block - 1) / s->block;
    return at == groups;
}

static const char *decline(const zm_tensor *node)
{
    sum_work s;
    if (node->in[0]->dtype != ZM_F32)
        return "the input is not f32";
    return measure(node, &s) ? NULL : "kept and summed dims alternate too often";
}

static zm_status prepare(const zm_tensor *node, void **state, size_t *scratch, zm_error *err)
{
    (void)state, (void)err;
    sum_work s;
    measure(node, &s);
    *scratch = s.blocks > 1 ? (size_t)(s.outer * s.blocks * s.cols) * sizeof(float) : 0;
    return ZM_OK;
}

static int64_t strips_of(const sum_work *s)
{
    return (s->cols + STRIP - 1) / STRIP;
}

/* Units: (outer, block, strip of columns). */
static void block_range(void *ctx, int64_t begin, int64_t end)
{
    const sum_work *s = ctx;
    int64_t strips = strips_of(s);
    for (int64_t i = begin; i < end; i++) {
        int64_t col = i % strips * STRIP, unit = i / strips, first = unit % s->blocks * s->block;
        int64_t cols = s->cols - col < STRIP ? s->cols - col : STRIP;
        int64_t rows = s->rows - first < s->block ? s->rows - first : s->block;
        const float *x = s->x + (unit / s->blocks * s->rows + first) * s->cols + col;
        float *y = (s->part ? s->part : s->y) + unit * s->cols + col;
        if (s->cols == 1)
            *y = (float)zm_elementwise()->sum(x, rows);
        else
            zm_elementwise()->sum_rows(y, x, rows, s->cols, cols);
    }
}

/* Units: (outer, strip of columns). */
static void combine_range(void *ctx, int64_t begin, int64_t end)
{
    const sum_work *s = ctx;
    int64_t strips = strips_of(s);
    for (int64_t i = begin; i < end; i++) {
        int64_t col = i % strips * STRIP, unit = i / strips;
        const float *part = s->part + unit * s->blocks * s->cols + col;
        if (s->cols == 1)
            s->y[unit] = (float)zm_elementwise()->sum(part, s->blocks);
        else
            zm_elementwise()->sum_rows(s->y + unit * s->cols + col, part, s->blocks, s->cols,
                                       s->cols - col < STRIP ? s->cols - col : STRIP);
    }
}

static void run(const zm_tensor *node, void *state, void *scratch)
{
    (void)state;
    sum_work s;
    measure(node, &s);
    s.x = node->in[0]->data;
    s.y = node->data;
    s.part = s.blocks > 1 ? scratch : NULL;
    int64_t rows = s.rows < s.block ? s.rows : s.block, per_unit = rows * (s.cols < STRIP ? s.cols : STRIP);
    int64_t grain = per_unit > ZM_GRAIN / 2 ? 1 : ZM_GRAIN / per_unit;
    zm_parallel_ranges(s.outer * s.blocks * strips_of(&s), grain, block_range, &s);
    if (s.part)
        zm_parallel_ranges(s.outer * strips_of(&s), s.blocks * s.cols > ZM_GRAIN / 2 ? 1 : 64, combine_range, &s);
}

const zm_kernel zm_cpu_sum_to = {
    .op = &zm_op_sum_to, .name = "simd", .decline = decline, .prepare = prepare, .run = run};
