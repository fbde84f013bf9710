/* Inner loops of matrix products for one vector length; a file includes this after defining LANES, ROWS and VECTORS, and
 * is compiled for its instruction set.  Included after gemm_bf16.h, a step is a pair of bf16.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_GEMM_TILE_H
#define ZM_BACKEND_CPU_GEMM_TILE_H

#include <string.h>

#include "backend/cpu/gemm_act.h"
#include "backend/cpu/gemm_isa.h"

#ifndef DEPTH
#define DEPTH 1
/* sums += left times the panel's row */
INLINE void multiply(const int vectors, vec *sums, const float *left, const vec *right)
{
    vec one = *left - (vec){0};
#pragma GCC unroll 16
    for (int j = 0; j < vectors; j++)
        sums[j] += one * right[j];
}

INLINE void fetch_ahead(const int vectors, const float *b)
{
    (void)vectors;
    (void)b;
}
#endif

/* The tile's part of c comes from far while its sums are made. */
INLINE void fetch_tile(const int rows, const int vectors, const zm_tile *t)
{
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vectors * LANES; j += 16)
            __builtin_prefetch(t->c + i * t->c_step + j, 1);
}

INLINE void put_tile(const int rows, const int vectors, vec acc[ROWS][VECTORS], const zm_tile *t)
{
    if (t->cols == vectors * LANES) {
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 16
            for (int j = 0; j < vectors; j++) {
                float *c = t->c + i * t->c_step + j * LANES;
                store(c, t->add ? load(c) + acc[i][j] : acc[i][j]);
            }
        return;
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
        float row[VECTORS * LANES] = {0}, *c = t->c + i * t->c_step;
#pragma GCC unroll 16
        for (int j = 0; j < vectors; j++)
            store(row + j * LANES, acc[i][j]);
        for (int j = 0; j < t->cols; j++)
            c[j] = t->add ? c[j] + row[j] : row[j];
    }
}

/* rows and vectors are constants at every call, so that acc lives in registers. */
INLINE void tile_by_rows(const int rows, const int vectors, const zm_tile *t)
{
    vec acc[ROWS][VECTORS];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 16
        for (int j = 0; j < vectors; j++)
            acc[i][j] = (vec){0};
    fetch_tile(rows, vectors, t);
    for (int s = 0; s < t->segments; s++) {
        const float *a[ROWS], *b = t->b + (int64_t)t->piece[s] * t->length * vectors * LANES;
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++)
            a[i] = t->a[s * ZM_TILE_ROWS + i];
        for (int64_t k = 0; k < t->length; k++, b += vectors * LANES) {
            vec right[VECTORS];
#pragma GCC unroll 16
            for (int j = 0; j < vectors; j++)
                right[j] = load(b + j * LANES);
            fetch_ahead(vectors, b);
#pragma GCC unroll 16
            for (int i = 0; i < rows; i++)
                multiply(vectors, acc[i], a[i] + k, right);
        }
    }
    put_tile(rows, vectors, acc, t);
}

INLINE void tile_by_columns(const int rows, const int vectors, const zm_tile *t)
{
    vec acc[ROWS][VECTORS];
    const float *b = t->b;
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 16
        for (int j = 0; j < vectors; j++)
            acc[i][j] = (vec){0};
    fetch_tile(rows, vectors, t);
    for (int64_t k = 0; k < t->length; k++, b += vectors * LANES) {
        const float *a = t->packed + k * rows;
        vec right[VECTORS];
#pragma GCC unroll 16
        for (int j = 0; j < vectors; j++)
            right[j] = load(b + j * LANES);
        fetch_ahead(vectors, b);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++)
            multiply(vectors, acc[i], a + i, right);
    }
    put_tile(rows, vectors, acc, t);
}

typedef void tile_fn(const zm_tile *t);

#define TILE(r, v)                                                                                                     \
    static void rows_##r##x##v(const zm_tile *t)                                                                       \
    {                                                                                                                  \
        tile_by_rows(r, v, t);                                                                                         \
    }                                                                                                                  \
    static void columns_##r##x##v(const zm_tile *t)                                                                    \
    {                                                                                                                  \
        tile_by_columns(r, v, t);                                                                                      \
    }
#if VECTORS == 3
#define TILES(r) TILE(r, 1) TILE(r, 2) TILE(r, 3)
#define BY_ROWS(r)                                                                                                     \
    {                                                                                                                  \
        rows_##r##x1, rows_##r##x2, rows_##r##x3                                                                       \
    }
#define BY_COLUMNS(r)                                                                                                  \
    {                                                                                                                  \
        columns_##r##x1, columns_##r##x2, columns_##r##x3                                                              \
    }
#else
#define TILES(r) TILE(r, 1) TILE(r, 2)
#define BY_ROWS(r)                                                                                                     \
    {                                                                                                                  \
        rows_##r##x1, rows_##r##x2                                                                                     \
    }
#define BY_COLUMNS(r)                                                                                                  \
    {                                                                                                                  \
        columns_##r##x1, columns_##r##x2                                                                               \
    }
#endif

TILES(1)
TILES(2)
TILES(3)
TILES(4)
TILES(5)
TILES(6)
#if ROWS == 8
TILES(7)
TILES(8)
#endif

static tile_fn *const by_rows[ROWS][VECTORS] = {BY_ROWS(1), BY_ROWS(2), BY_ROWS(3), BY_ROWS(4), BY_ROWS(5), BY_ROWS(6),
#if ROWS == 8
                                                BY_ROWS(7), BY_ROWS(8)
#endif
};
static tile_fn *const by_columns[ROWS][VECTORS] = {BY_COLUMNS(1), BY_COLUMNS(2), BY_COLUMNS(3),
                                                   BY_COLUMNS(4), BY_COLUMNS(5), BY_COLUMNS(6),
#if ROWS == 8
                                                   BY_COLUMNS(7), BY_COLUMNS(8)
#endif
};

static void tile(const zm_tile *t)
{
    int row = t->rows - 1, column = t->width / LANES - 1;
    if (t->segments)
        by_rows[row][column](t);
    else
        by_columns[row][column](t);
}

#endif
