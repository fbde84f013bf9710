/* Newton-Schulz orthogonalisation of many matrices, a thread each.
 * SPDX-License-Identifier: MIT */
#include "train/orthogonal.h"

#include <stdlib.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "backend/cpu/newton_schulz.h"
#include "base/arena.h"

struct zm_orthogonal {
    int64_t n, rows, columns;
    int threads;
    bool bf16;
    size_t each; /* bytes of a thread's scratch */
    float *at;   /* [n,rows,columns] */
    char *scratch;
};

static int most_threads(void)
{
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

static int this_thread(void)
{
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

zm_status zm_orthogonal_new(zm_orthogonal **out, int64_t n, int64_t rows, int64_t columns, bool bf16, zm_error *err)
{
    *out = NULL;
    zm_orthogonal *o = calloc(1, sizeof *o);
    if (!o)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for the optimiser");
    *o = (zm_orthogonal){.n = n, .rows = rows, .columns = columns, .threads = most_threads(), .bf16 = bf16};
    o->each = (zm_newton_schulz_scratch(rows, columns, bf16) + 63) & ~(size_t)63;
    o->at = zm_aligned_alloc((size_t)(n * rows * columns) * sizeof *o->at);
    o->scratch = zm_aligned_alloc(o->each * (size_t)o->threads);
    if (o->at && o->scratch) {
        *out = o;
        return ZM_OK;
    }
    zm_orthogonal_free(o);
    return zm_fail(err, ZM_E_NOMEM, "no memory for %lld matrices of %lld x %lld in the optimiser", (long long)n,
                   (long long)rows, (long long)columns);
}

void zm_orthogonal_free(zm_orthogonal *o)
{
    if (!o)
        return;
    free(o->at);
    free(o->scratch);
    free(o);
}

float *zm_orthogonal_in(zm_orthogonal *o, int64_t i)
{
    return o->at + i * o->rows * o->columns;
}

const float *zm_orthogonal_out(const zm_orthogonal *o, int64_t i)
{
    return o->at + i * o->rows * o->columns;
}

void zm_orthogonal_run(zm_orthogonal *o)
{
#pragma omp parallel for schedule(dynamic) num_threads(o->threads)
    for (int64_t i = 0; i < o->n; i++)
        zm_newton_schulz(zm_orthogonal_in(o, i), o->rows, o->columns, ZM_ORTHOGONAL_STEPS, o->bf16,
                         o->scratch + o->each * (size_t)this_thread());
}
