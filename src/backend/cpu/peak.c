/* Measuring the rate of large matrix products.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/peak.h"

#include <stdlib.h>

#include "backend/cpu/gemm.h"
#include "base/arena.h"
#include "base/clock.h"

#ifdef ZM_HAVE_DNNL
#include <oneapi/dnnl/dnnl.h>
#endif

typedef struct size3 {
    int64_t m, n, k;
} size3;

/* Square, and tokens by width: one of them suits any machine. */
static const size3 sizes[] = {{1024, 1024, 1024}, {2048, 1024, 256}, {1536, 1536, 384}};
enum { FLOATS_A = 1 << 20, FLOATS_B = 1 << 20, FLOATS_C = 2304 * 1024 };

typedef struct yard {
    float *a, *b, *c;
    void *scratch;
} yard;

static void run_own(const yard *y, size3 s)
{
    zm_gemm_matrix a = {y->a, s.k}, b = {y->b, s.n};
    zm_gemm g = {.isa = zm_gemm_isa_best(), .m = s.m, .n = s.n, .k = s.k, .piece = s.k};
    g.rows_of = zm_gemm_rows_of_matrix, g.pack = zm_gemm_pack_matrix;
    g.a_ctx = &a, g.b_ctx = &b, g.c = y->c, g.c_step = s.n;
    zm_gemm_run(&g, y->scratch);
}

static size_t scratch_bytes(void)
{
    size_t most = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        zm_gemm g = {.isa = zm_gemm_isa_best(), .m = sizes[i].m, .n = sizes[i].n, .k = sizes[i].k};
        g.rows_of = zm_gemm_rows_of_matrix, g.piece = g.k;
        size_t want = zm_gemm_scratch(&g);
        most = want > most ? want : most;
    }
    return most;
}

static void run_other(const yard *y, size3 s)
{
#ifdef ZM_HAVE_DNNL
    dnnl_sgemm('N', 'N', s.m, s.n, s.k, 1, y->a, s.k, y->b, s.n, 0, y->c, s.n);
#else
    run_own(y, s);
#endif
}

static double measure(const yard *y, double seconds)
{
    double best = 0, end = zm_now() + seconds;
    do
        for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
            size3 s = sizes[i / 2];
            double start = zm_now();
            (i % 2 ? run_other : run_own)(y, s);
            double rate = 2e-9 * (double)s.m * (double)s.n * (double)s.k / (zm_now() - start);
            best = rate > best ? rate : best;
        }
    while (zm_now() < end);
    return best;
}

double zm_measure_sgemm_peak(double seconds_budget)
{
    yard y = {.a = zm_aligned_alloc(FLOATS_A * sizeof(float)),
              .b = zm_aligned_alloc(FLOATS_B * sizeof(float)),
              .c = zm_aligned_alloc(FLOATS_C * sizeof(float)),
              .scratch = zm_aligned_alloc(scratch_bytes())};
    double best = 0;
    if (y.a && y.b && y.c && y.scratch) {
        for (size_t i = 0; i < FLOATS_A; i++)
            y.a[i] = y.b[i] = (float)(i % 17) - 8;
        best = measure(&y, seconds_budget);
    }
    free(y.a);
    free(y.b);
    free(y.c);
    free(y.scratch);
    return best;
}
