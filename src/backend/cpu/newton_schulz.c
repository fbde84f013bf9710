/* Newton-Schulz orthogonalisation.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/newton_schulz.h"

#include "backend/cpu/gemm.h"
#include "backend/cpu/gemm_isa.h"
#include "backend/cpu/simd.h"

enum { PIECES = 4, LEAST_ROWS = 48 }; /* blocks of rows of a symmetric result */

typedef struct room {
    const zm_gemm_isa *isa;
    float *square, *mix, *next;
    void *gemm;
} room;

static size_t floats_aligned(int64_t n)
{
    return ((size_t)n + 15) & ~(size_t)15;
}

static const zm_gemm_isa *isa_of(bool bf16)
{
    return bf16 ? zm_gemm_bf16_best() : zm_gemm_isa_best();
}

static zm_gemm product(const zm_gemm_isa *isa, int64_t m, int64_t n, int64_t k)
{
    return (zm_gemm){
        .isa = isa, .m = m, .n = n, .k = k, .rows_of = zm_gemm_rows_of_matrix, .piece = k, .groups = 1, .threads = 1};
}

size_t zm_newton_schulz_scratch(int64_t rows, int64_t columns, bool bf16)
{
    const zm_gemm_isa *isa = isa_of(bf16);
    zm_gemm wide = product(isa, rows, columns, rows), tall = product(isa, rows, rows, columns);
    size_t a = zm_gemm_scratch(&wide), b = zm_gemm_scratch(&tall);
    return (2 * floats_aligned(rows * rows) + floats_aligned(rows * columns)) * sizeof(float) + (a > b ? a : b) + 64;
}

/* c [m,n] = a [m,k] b, b [n,k] turned or [k,n]. */
static void multiply(const room *r, float *c, int64_t m, int64_t n, int64_t k, const float *a, const float *b,
                     int64_t b_step, int turned)
{
    zm_gemm g = product(r->isa, m, n, k);
    zm_gemm_matrix left = {a, k}, right = {b, b_step};
    g.a_ctx = &left;
    g.b_ctx = &right;
    g.pack = turned ? zm_gemm_pack_turned : zm_gemm_pack_matrix;
    g.c = c;
    g.c_step = n;
    zm_gemm_run(&g, r->gemm);
}

/* c [n,n] = a a^T for a [n,k], its lower half by blocks of rows; the upper half is its mirror. */
static void symmetric(const room *r, float *c, int64_t n, int64_t k, const float *a)
{
    const zm_elementwise_fns *f = zm_elementwise();
    int64_t each = (n + PIECES - 1) / PIECES;
    each = each < LEAST_ROWS ? LEAST_ROWS : (each + 7) / 8 * 8;
    for (int64_t i = 0; i < n; i += each) {
        int64_t m = n - i < each ? n - i : each;
        zm_gemm g = product(r->isa, m, i + m, k);
        zm_gemm_matrix left = {a + i * k, k}, right = {a, k};
        g.a_ctx = &left;
        g.b_ctx = &right;
        g.pack = zm_gemm_pack_turned;
        g.c = c + i * n;
        g.c_step = n;
        zm_gemm_run(&g, r->gemm);
        if (i)
            f->transpose(c + i, n, c + i * n, n, m, i);
    }
}

void zm_newton_schulz(float *x, int64_t rows, int64_t columns, int steps, bool bf16, void *scratch)
{
    static const float a = 3.4445F, b = -4.7750F, c = 2.0315F;
    room r = {.isa = isa_of(bf16), .square = scratch};
    r.mix = r.square + floats_aligned(rows * rows);
    r.next = r.mix + floats_aligned(rows * rows);
    r.gemm = r.next + floats_aligned(rows * columns);
    for (int s = 0; s < steps; s++) {
        symmetric(&r, r.square, rows, columns, x);
        symmetric(&r, r.mix, rows, rows, r.square); /* A is its own transpose */
        for (int64_t i = 0; i < rows * rows; i++)
            r.mix[i] = b * r.square[i] + c * r.mix[i];
        multiply(&r, r.next, rows, columns, rows, r.mix, x, columns, 0);
        for (int64_t i = 0; i < rows * columns; i++)
            x[i] = a * x[i] + r.next[i];
    }
}
