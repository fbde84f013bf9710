/* Matrix products on our own inner loops: any layout, stored weights widened while they are packed.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/gemm.h"
#include "backend/cpu/gemm_kernels.h"
#include "backend/cpu/widen.h"
#include "ops/matmul.h"

/* Weights in a storage dtype: [n,k] when turned, else [k,n]. */
typedef struct stored {
    const unsigned char *at;
    zm_dtype dtype;
    int64_t step; /* elements of a row */
    zm_widen_fn *to_f32;
} stored;

typedef struct job {
    const zm_gemm_isa *isa;
    int threads;
    int64_t batch, m, n, k;
    bool ta, tb, apart; /* apart: whole products are given to threads instead of parts of one */
    size_t each;        /* scratch of one product */
} job;

enum {
    WIDE = ZM_GEMM_PANEL,
    DEEP = ZM_GEMM_BLOCK,
    AROUND = ZM_DTYPE_BLOCK_MAX, /* a block begins before what is asked for, and ends after it */
    SIDE_LEAST = 32              /* of products in bf16 */
};

/* Elements from .. from+count-1 of row r as f32; `out` has room for a block more on both sides. */
static const float *widen(const stored *b, int64_t r, int64_t from, int64_t count, float *out)
{
    int64_t block = (int64_t)zm_dtype_block_elems(b->dtype), first = (r * b->step + from) / block;
    int64_t last = (r * b->step + from + count - 1) / block;
    b->to_f32(out, b->at + (size_t)first * zm_dtype_block_bytes(b->dtype), b->dtype,
              (size_t)((last - first + 1) * block));
    return out + (r * b->step + from - first * block);
}

/* Blocks of k begin and end where blocks of weights do: both are cut by 32 or, when longer, by 256. */
static void pack_stored_turned(const zm_gemm *g, int64_t k0, int count, int64_t n0, int cols, int width, float *out)
{
    const stored *b = g->b_ctx;
    const int64_t block = (int64_t)zm_dtype_block_elems(b->dtype);
    float wide[WIDE][DEEP];
    const float *row[WIDE];
    ZM_ASSERT(count <= DEEP && cols <= WIDE && k0 % block == 0 && count % block == 0);
    for (int j = 0; j < cols; j++)
        row[j] = widen(b, n0 + j, k0, count, wide[j]);
    zm_gemm_pack_rows(g, row, count, cols, width, out);
}

static void pack_stored(const zm_gemm *g, int64_t k0, int count, int64_t n0, int cols, int width, float *out)
{
    float wide[ZM_TILE_DEPTH][WIDE + 2 * AROUND];
    const int depth = g->isa->depth;
    ZM_ASSERT(cols <= WIDE);
    for (int k = 0; k < count; k += depth, out += width) {
        const float *row = widen(g->b_ctx, k0 + k, n0, cols, wide[0]);
        if (depth == 2)
            g->isa->zip(out, row, k + 1 < count ? widen(g->b_ctx, k0 + k + 1, n0, cols, wide[1]) : NULL, cols);
        else
            memcpy(out, row, sizeof(float) * (size_t)cols);
        if (cols < width)
            memset(out + cols, 0, sizeof(float) * (size_t)(width - cols));
    }
}

static zm_gemm product_of(const job *j)
{
    zm_gemm g = {.isa = j->isa, .m = j->m, .n = j->n, .k = j->k, .c_step = j->n, .groups = 1};
    g.threads = j->apart ? 1 : j->threads;
    if (j->ta) {
        g.columns_of = zm_gemm_columns_of_matrix;
    } else {
        g.rows_of = zm_gemm_rows_of_matrix;
        g.piece = j->k;
    }
    return g;
}

static zm_status prepare_on(const zm_gemm_isa *isa, const zm_tensor *node, void **state, size_t *scratch, zm_error *err)
{
    const zm_tensor *a = node->in[0], *b = node->in[1];
    job *j = calloc(1, sizeof *j);
    if (!j)
        return zm_fail(err, ZM_E_NOMEM, "matmul: out of memory");
    *j = (job){.isa = isa, .ta = node->attr.i[0] != 0, .tb = node->attr.i[1] != 0};
    j->threads = zm_gemm_threads();
    j->m = zm_dim(node, -2), j->n = zm_dim(node, -1), j->k = zm_dim(a, j->ta ? -2 : -1);
    j->batch = zm_shape_elems(node->shape) / (j->m * j->n);
    if (b->shape.rank == 2) /* leading dimensions join m */
        j->m *= j->batch, j->batch = 1;
    j->apart = j->batch >= j->threads && j->threads > 1;
    zm_gemm g = product_of(j);
    j->each = (zm_gemm_scratch(&g) + 63) & ~(size_t)63;
    *scratch = j->each * (size_t)(j->apart ? j->threads : 1);
    *state = j;
    return ZM_OK;
}

static zm_status prepare(const zm_tensor *node, void **state, size_t *scratch, zm_error *err)
{
    return prepare_on(zm_gemm_isa_best(), node, state, scratch, err);
}

static zm_status prepare_bf16(const zm_tensor *node, void **state, size_t *scratch, zm_error *err)
{
    return prepare_on(zm_gemm_bf16_best(), node, state, scratch, err);
}

/* Small sides have little to win, and what has few rows tells of time and modulates every token. */
const char *zm_bf16_decline(const zm_tensor *node)
{
    const zm_tensor *a = node->in[0], *b = node->in[1];
    int64_t n = zm_dim(node, -1), k = zm_dim(a, node->attr.i[0] ? -2 : -1);
    int64_t m = b->shape.rank == 2 ? zm_shape_elems(node->shape) / n : zm_dim(node, -2);
    return m < SIDE_LEAST || n < SIDE_LEAST || k < SIDE_LEAST ? "a narrow product" : NULL;
}

static void run_one(const zm_tensor *node, const job *j, int64_t z, char *scratch)
{
    const zm_tensor *b = node->in[1];
    zm_gemm g = product_of(j);
    zm_gemm_matrix left = {(const float *)node->in[0]->data + z * j->m * j->k, j->ta ? j->m : j->k}, right;
    stored packed;
    g.a_ctx = &left;
    if (b->dtype == ZM_F32) {
        right = (zm_gemm_matrix){(const float *)b->data + z * j->n * j->k, j->tb ? j->k : j->n};
        g.b_ctx = &right;
        g.pack = j->tb ? zm_gemm_pack_turned : zm_gemm_pack_matrix;
    } else {
        size_t at = (size_t)(z * j->n * j->k) / zm_dtype_block_elems(b->dtype) * zm_dtype_block_bytes(b->dtype);
        packed = (stored){(const unsigned char *)b->data + at, b->dtype, j->tb ? j->k : j->n, zm_widen()};
        g.b_ctx = &packed;
        g.pack = j->tb ? pack_stored_turned : pack_stored;
    }
    g.c = (float *)node->data + z * j->m * j->n;
    g.bias = node->n_in > 2 && node->in[2] ? node->in[2]->data : NULL;
    g.act = (int)node->attr.i[2];
    zm_gemm_run(&g, scratch);
}

static void run(const zm_tensor *node, void *state, void *scratch)
{
    const job *j = state;
    if (!j->apart) {
        for (int64_t z = 0; z < j->batch; z++)
            run_one(node, j, z, scratch);
        return;
    }
#pragma omp parallel for schedule(dynamic) num_threads(j->threads)
    for (int64_t z = 0; z < j->batch; z++)
        run_one(node, j, z, (char *)scratch + j->each * (size_t)zm_gemm_thread());
}

const zm_kernel zm_gemm_matmul = {
    .op = &zm_op_matmul,
    .name = "gemm_matmul",
    .prepare = prepare,
    .run = run,
    .release = free,
};

const zm_kernel zm_gemm_matmul_bf16 = {
    .op = &zm_op_matmul,
    .name = "gemm_matmul_bf16",
    .decline = zm_bf16_decline,
    .prepare = prepare_bf16,
    .run = run,
    .release = free,
};
