/* Linear maps on bytes: each row of activations with its own scale and zero point.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "backend/coarse.h"
#include "backend/cpu/int8_node.h"
#include "backend/cpu/simd.h"
#include "backend/cpu/widen.h"
#include "ops/matmul.h"

enum {
    CHUNK_BYTES = 8 << 20, /* of activations as bytes, at a time */
    CHUNK_ROWS = 64        /* for each thread, at least */
};

typedef struct job {
    zm_int8_kept kept; /* first: see int8_node.h */
    int64_t m, k, chunk;
    int threads;
    size_t scale_at, zero_at, product_at; /* in scratch */
} job;

static int64_t rows_of_node(const zm_tensor *node)
{
    return zm_shape_elems(node->shape) / zm_dim(node, -1);
}

static const char *decline(const zm_tensor *node)
{
    const zm_tensor *b = node->in[1];
    const char *why = zm_int8_decline(node);
    if (!why)
        why = zm_coarse_linear(node);
    return !why && b->shape.dim[1] > ZM_INT8_K_MAX ? "sums too long for 32 bits" : why;
}

typedef struct bytes {
    const uint8_t *at;
    int64_t step;
} bytes;

static void row_of(const void *ctx, int64_t i0, int rows, const uint8_t **row)
{
    const bytes *b = ctx;
    for (int i = 0; i < rows; i++)
        row[i] = b->at + (i0 + i) * b->step;
}

static size_t place(size_t *scratch, size_t size)
{
    size_t at = *scratch;
    *scratch += (size + 63) & ~(size_t)63;
    return at;
}

static zm_status prepare(const zm_tensor *node, void **state, size_t *scratch, zm_error *err)
{
    job *j = calloc(1, sizeof *j);
    if (!j)
        return zm_fail(err, ZM_E_NOMEM, "matmul: out of memory");
    const zm_tensor *b = node->in[1];
    j->m = rows_of_node(node), j->k = b->shape.dim[1];
    j->threads = zm_thread_count();
    j->kept.w = (zm_int8_weights){.isa = zm_int8_isa_best(), .n = b->shape.dim[0]};
    j->kept.w.k = (j->k + ZM_INT8_STEP - 1) / ZM_INT8_STEP * ZM_INT8_STEP;
    int64_t least = (int64_t)CHUNK_ROWS * j->threads, chunk = CHUNK_BYTES / j->kept.w.k;
    chunk = chunk > least ? chunk : least;
    j->chunk = chunk < j->m ? chunk : j->m;
    place(scratch, (size_t)(j->chunk * j->kept.w.k));
    j->scale_at = place(scratch, (size_t)j->chunk * sizeof(float));
    j->zero_at = place(scratch, (size_t)j->chunk * sizeof(int32_t));
    zm_int8_product p = {.w = &j->kept.w, .m = j->chunk, .piece = j->kept.w.k, .threads = j->threads};
    j->product_at = place(scratch, zm_int8_scratch(&p));
    *state = j;
    return ZM_OK;
}

static void column(const zm_tensor *node, const zm_int8_kept *kept, int64_t j, float *out)
{
    const zm_tensor *b = node->in[1];
    int64_t k = b->shape.dim[1];
    size_t row = (size_t)k / zm_dtype_block_elems(b->dtype) * zm_dtype_block_bytes(b->dtype);
    zm_widen()(out, (const char *)b->data + (size_t)j * row, b->dtype, (size_t)k);
    memset(out + k, 0, (size_t)(kept->w.k - k) * sizeof *out);
}

static zm_status load(const zm_tensor *node, void *state, zm_error *err)
{
    return zm_int8_load(state, node, column, err);
}

static void quantise(const job *j, const float *x, uint8_t *q, float *scale, int32_t *zero, int64_t i)
{
    const zm_int8_isa *isa = j->kept.w.isa;
    float low = 0, high = 0;
    isa->range(x + i * j->k, j->k, &low, &high);
    zm_int8_grid g = zm_int8_grid_of(low, high);
    isa->to_bytes(q + i * j->kept.w.k, x + i * j->k, j->k, g.inverse, g.zero);
    memset(q + i * j->kept.w.k + j->k, 0, (size_t)(j->kept.w.k - j->k));
    scale[i] = g.scale;
    zero[i] = g.zero;
}

static void run(const zm_tensor *node, void *state, void *scratch)
{
    const job *j = state;
    uint8_t *q = scratch;
    float *scale = (float *)((char *)scratch + j->scale_at);
    int32_t *zero = (int32_t *)((char *)scratch + j->zero_at);
    const int64_t n = j->kept.w.n;
    bytes rows = {q, j->kept.w.k};
    for (int64_t i0 = 0; i0 < j->m; i0 += j->chunk) {
        int64_t m = j->m - i0 < j->chunk ? j->m - i0 : j->chunk;
        const float *x = (const float *)node->in[0]->data + i0 * j->k;
#pragma omp parallel for schedule(static) if (m * j->k > ZM_GRAIN)
        for (int64_t i = 0; i < m; i++)
            quantise(j, x, q, scale, zero, i);
        zm_int8_product p = {.w = &j->kept.w,
                             .m = m,
                             .rows_of = row_of,
                             .ctx = &rows,
                             .piece = j->kept.w.k,
                             .scale = scale,
                             .zero = zero,
                             .c = (float *)node->data + i0 * n,
                             .bias = node->n_in > 2 && node->in[2] ? node->in[2]->data : NULL,
                             .act = (int)node->attr.i[2],
                             .threads = j->threads};
        zm_int8_run(&p, (char *)scratch + j->product_at);
    }
}

const zm_kernel zm_int8_matmul = {
    .op = &zm_op_matmul,
    .name = "int8_matmul",
    .decline = decline,
    .prepare = prepare,
    .keeps = zm_int8_keeps,
    .load = load,
    .run = run,
    .release = zm_int8_release,
};
