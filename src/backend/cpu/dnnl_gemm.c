/* Matrix products through oneDNN's sgemm, in the forms in which it is fast.
 *
 * Measured on two cores of Zen 5 (peak 500 GFLOPS), tokens 7680: a [m,k] times b [n,k] turned by sgemm itself gives
 * 340-410 when k > 384, by us before the call 480-490; sums of 7680 steps into [256,1024] give 380 in one call, 460
 * when each thread sums its part of the steps with the smaller side as rows.
 * On one core of Zen 3, without AVX-512 (peak 90), tokens 5760: sgemm does a turned a, which every gradient of weights
 * has, at 35-75, our own loops at 70-78; a b of [256,256], turned and with a bias, at 79 against 85-87,
 * since ours adds the bias while the sums are near.  Larger b: 81-95 against 76-83.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/dnnl_kernels.h"

#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/gemm.h"
#include "backend/cpu/simd.h"
#include "ops/matmul.h"

enum {
    ROWS_TO_TURN = 512,       /* rows of a from which turning b pays */
    FEW_ROWS = 16,            /* below: sgemm has its own way with vectors */
    TURNED_FLOATS = 1 << 21,  /* of b, at most */
    PARTIAL_FLOATS = 1 << 22, /* of all partial sums, at most */
    STEPS_OF_PART = 512,      /* of k for one thread, at least */
    SMALL_FLOATS = 1 << 17    /* of a turned b with which our own loops are ahead, at most */
};

typedef struct job {
    int64_t m, n, k;
    bool ta, tb, turn;
    int parts; /* > 0: so many partial sums, one thread each */
    bool swap; /* partial sums are [n,m] */
} job;

static job job_of(const zm_tensor *node)
{
    const zm_tensor *a = node->in[0], *b = node->in[1];
    job j = {.ta = node->attr.i[0] != 0, .tb = node->attr.i[1] != 0};
    j.n = zm_dim(node, -1), j.k = zm_dim(a, j.ta ? -2 : -1);
    j.m = b->shape.rank == 2 ? zm_shape_elems(node->shape) / j.n : zm_dim(node, -2);
    j.turn = j.tb && !j.ta && j.m >= ROWS_TO_TURN && j.n * j.k <= TURNED_FLOATS;
    int threads = zm_thread_count();
    if (j.ta && !j.tb && j.k / threads >= STEPS_OF_PART && j.m * j.n <= PARTIAL_FLOATS / threads) {
        j.parts = threads;
        j.swap = j.m > j.n;
    }
    return j;
}

static const char *decline(const zm_tensor *node)
{
    const zm_tensor *b = node->in[1];
    if (b->dtype != ZM_F32)
        return "weights are stored in another type than f32";
    if (b->shape.rank > 2 && zm_shape_elems(node->shape) > zm_dim(node, -1) * zm_dim(node, -2))
        return "a batch of products";
    job j = job_of(node);
    if (zm_gemm_isa_best()->lanes < ZM_DNNL_WIDE_LANES && (j.ta || (j.tb && j.n * j.k <= SMALL_FLOATS)))
        return "a turned a, or a small turned b, without AVX-512";
    return j.tb && j.m >= FEW_ROWS && j.m < ROWS_TO_TURN ? "a turned b and few rows" : NULL;
}

static zm_status prepare(const zm_tensor *node, void **state, size_t *scratch, zm_error *err)
{
    job *j = malloc(sizeof *j);
    if (!j)
        return zm_fail(err, ZM_E_NOMEM, "matmul: out of memory");
    *j = job_of(node);
    *scratch = sizeof(float) * (size_t)(j->turn ? j->n * j->k : j->parts * j->m * j->n);
    *state = j;
    return ZM_OK;
}

static void sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float *a, const float *b, float *c)
{
    dnnl_status_t s = dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, 1, a, ta ? m : k, b, tb ? k : n, 0, c, n);
    ZM_ASSERT(s == dnnl_success);
}

void zm_dnnl_finish(float *y, int64_t rows, int64_t n, const float *bias, zm_unary_kind act)
{
    if (!bias && act == ZM_IDENTITY)
        return;
    const zm_gemm_isa *isa = zm_gemm_isa_best();
#pragma omp parallel for schedule(static) if (rows * n > ZM_GRAIN)
    for (int64_t i = 0; i < rows; i++)
        isa->finish(y + i * n, n, bias, (int)act);
}

/* to[c][r] = from[r][c] */
static void turn(float *to, const float *from, int64_t rows, int64_t cols)
{
    const zm_elementwise_fns *f = zm_elementwise();
#pragma omp parallel for schedule(static) if (rows * cols > ZM_GRAIN)
    for (int64_t r = 0; r < rows; r += 16)
        f->transpose(to + r, rows, from + r * cols, cols, rows - r < 16 ? rows - r : 16, cols);
}

/* Sum of `parts` arrays of n floats, into the first. */
static void add_up(float *sum, int parts, int64_t n)
{
#pragma omp parallel for schedule(static) if (n > ZM_GRAIN)
    for (int64_t at = 0; at < n; at += 1024)
        for (int p = 1; p < parts; p++)
            for (int64_t i = at; i < n && i < at + 1024; i++)
                sum[i] += sum[p * n + i];
}

/* c [m,n] = a [k,m]^T b [k,n], each thread its part of the steps. */
static void run_parts(const job *j, const float *a, const float *b, float *c, float *partial)
{
#pragma omp parallel for schedule(static, 1) num_threads(j->parts)
    for (int p = 0; p < j->parts; p++) {
        int64_t k0 = j->k * p / j->parts, steps = j->k * (p + 1) / j->parts - k0;
        const float *from = a + k0 * j->m, *with = b + k0 * j->n;
        float *to = partial + p * j->m * j->n;
        if (j->swap)
            sgemm(true, false, j->n, j->m, steps, with, from, to);
        else
            sgemm(true, false, j->m, j->n, steps, from, with, j->parts == 1 ? c : to);
    }
    add_up(partial, j->parts, j->m * j->n);
    if (j->swap)
        turn(c, partial, j->n, j->m);
    else if (j->parts > 1)
        memcpy(c, partial, sizeof(float) * (size_t)(j->m * j->n));
}

static void run(const zm_tensor *node, void *state, void *scratch)
{
    const job *j = state;
    const float *a = node->in[0]->data, *b = node->in[1]->data;
    if (j->parts) {
        run_parts(j, a, b, node->data, scratch);
    } else if (j->turn) {
        turn(scratch, b, j->n, j->k);
        sgemm(false, false, j->m, j->n, j->k, a, scratch, node->data);
    } else {
        sgemm(j->ta, j->tb, j->m, j->n, j->k, a, b, node->data);
    }
    zm_dnnl_finish(node->data, j->m, j->n, node->n_in > 2 && node->in[2] ? node->in[2]->data : NULL,
                   (zm_unary_kind)node->attr.i[2]);
}

const zm_kernel zm_dnnl_gemm = {
    .op = &zm_op_matmul,
    .name = "dnnl_gemm",
    .decline = decline,
    .prepare = prepare,
    .run = run,
    .release = free,
};
