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
    WIDE = 64,                  /* columns of a panel, at most */
    DEEP = 256,                 /* steps of a block, at most */
    AROUND = ZM_DTYPE_BLOCK_MAX /* a block begins before what is asked for, and ends after it */
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

/* Blocks of steps begin and end where blocks of weights do: both are cut by 32 or, when longer, by 256. */
static void pack_stored_turned(const zm_gemm *g, int64_t k0, int count, int64_t n0, int cols, int width, float *out)
{
    const stored *b = g->b_ctx;
    const int64_t block = (int64_t)zm_dtype_block_elems(b->dtype);
    float wide[WIDE][DEEP];
    const float *row[WIDE];
    ZM_ASSERT(count <= DEEP && cols <= WIDE && k0 % block == 0 && count % block == 0);
    for (int j = 0; j < cols; j++)
        row[j] = widen(b, n0 + j, k0, count, wide[j]);
    g->isa->pack_turned(row, cols, count, width, out);
}

static void pack_stored(const zm_gemm *g, int64_t k0, int count, int64_t n0, int cols, int width, float *out)
{
    float wide[WIDE + 2 * AROUND];
    ZM_ASSERT(cols <= WIDE);
    for (int k = 0; k < count; k++, out += width) {
        memcpy(out, widen(g->b_ctx, k0 + k, n0, cols, wide), sizeof(float) * (size_t)cols);
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

static zm_status prepare(const zm_tensor *node, void **state, size_t *scratch, zm_error *err)
{
    const zm_tensor *a = node->in[0], *b = node->in[1];
    job *j = calloc(1, sizeof *j);
    if (!j)
        return zm_fail(err, ZM_E_NOMEM, "matmul: out of memory");
    *j = (job){.isa = zm_gemm_isa_best(), .ta = node->attr.i[0] != 0, .tb = node->attr.i[1] != 0};
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
