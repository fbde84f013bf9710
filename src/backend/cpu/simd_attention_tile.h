/* Small matrix products of attention: C[M,n] = alpha C + A B, a tile of C held in registers.
 *
 * Columns of B and C are one or two registers wide; A is read one number at a time, so it may stand as it likes:
 * A(i,k) = a[i * lda + k] ("rows") or a[k * lda + i] ("columns").
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_SIMD_ATTENTION_TILE_H
#define ZM_BACKEND_CPU_SIMD_ATTENTION_TILE_H

#include <stdbool.h>
#include <stddef.h>

#include "backend/cpu/simd_vec.h"

enum {
    PANEL = 2 * VW,            /* columns of a full panel */
    TALL = VW == 16 ? 12 : 6,  /* rows of the largest tile: what the register file holds */
    MIDDLE = VW == 16 ? 8 : 4, /* the next one */
};

typedef struct product {
    float *c;
    const float *a, *b, *alpha; /* alpha: a factor for each column of C; NULL: C is overwritten */
    int64_t ldc, lda, ldb, K;
} product;

#ifdef ZM_TILES
#include "backend/cpu/simd_attention_amx.h"
#else
INLINE void tile(const int rows, const int vecs, const bool by_rows, const product *p)
{
    vf acc[TALL][2];
    const float *a = p->a, *b = p->b;
    const int64_t lda = p->lda, ldb = p->ldb, K = p->K;
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vecs; v++)
            acc[i][v] = p->alpha ? vload(p->c + i * p->ldc + v * VW) * vload(p->alpha + v * VW) : vset(0);
    for (int64_t k = 0; k < K; k++) {
        vf b0 = vload(b + k * ldb), b1 = vecs > 1 ? vload(b + k * ldb + VW) : b0;
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            float s = by_rows ? a[i * lda + k] : a[k * lda + i];
            acc[i][0] += s * b0;
            if (vecs > 1)
                acc[i][1] += s * b1;
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vecs; v++)
            vstore(p->c + i * p->ldc + v * VW, acc[i][v]);
}

/* All M rows; the compiler makes one function for each pair (vecs, by_rows). */
INLINE void tiles(const int vecs, const bool by_rows, product p, int64_t M)
{
    while (M > 0) {
        int rows = 1;
        if (M >= TALL && M != 2 * MIDDLE) {
            tile(rows = TALL, vecs, by_rows, &p);
        } else if (M >= MIDDLE) {
            tile(rows = MIDDLE, vecs, by_rows, &p);
        } else if (M >= 4 && MIDDLE > 4) {
            tile(rows = 4, vecs, by_rows, &p);
        } else if (M >= 2) {
            tile(rows = 2, vecs, by_rows, &p);
        } else {
            tile(1, vecs, by_rows, &p);
        }
        p.c += rows * p.ldc;
        p.a += rows * (by_rows ? p.lda : 1);
        M -= rows;
    }
}

static __attribute__((noinline)) void tiles_rows2(product p, int64_t M)
{
    tiles(2, true, p, M);
}

static __attribute__((noinline)) void tiles_rows1(product p, int64_t M)
{
    tiles(1, true, p, M);
}

static __attribute__((noinline)) void tiles_cols2(product p, int64_t M)
{
    tiles(2, false, p, M);
}

static __attribute__((noinline)) void tiles_cols1(product p, int64_t M)
{
    tiles(1, false, p, M);
}

/* C[M, width] for any width that is a multiple of VW: b, c and alpha advance together along their columns. */
INLINE void multiply(bool by_rows, product p, int64_t M, int64_t width)
{
    for (int64_t at = 0; at < width; at += PANEL) {
        if (width - at >= PANEL)
            (by_rows ? tiles_rows2 : tiles_cols2)(p, M);
        else
            (by_rows ? tiles_rows1 : tiles_cols1)(p, M);
        p.b += PANEL;
        p.c += PANEL;
        p.alpha = p.alpha ? p.alpha + PANEL : NULL;
    }
}

INLINE void products_end(void)
{
}
#endif

/* y[c * y_stride + r] = factor x[r * x_stride + c]; columns r = rows..padded-1 of y become zero. */
INLINE void turn_scaled(float *y, int64_t y_stride, const float *x, int64_t x_stride, int64_t rows, int64_t padded,
                        int64_t cols, float factor)
{
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        int64_t c = 0;
        for (; c + 4 <= cols; c += 4)
            vtranspose4(y + c * y_stride + r, y_stride, x + r * x_stride + c, x_stride);
        for (; c < cols; c++)
            for (int64_t i = r; i < r + 4; i++)
                y[c * y_stride + i] = x[i * x_stride + c];
    }
    for (int64_t c = 0; c < cols; c++) {
        for (int64_t i = r; i < padded; i++)
            y[c * y_stride + i] = i < rows ? x[i * x_stride + c] : 0;
        for (int64_t i = 0; i < padded && factor != 1.0F; i += VW)
            vstore(y + c * y_stride + i, vload(y + c * y_stride + i) * factor);
    }
}

/* The way back: y[r * y_stride + c] = x[c * x_stride + r] for `rows` r and `cols` c. */
INLINE void turn_back(float *y, int64_t y_stride, const float *x, int64_t x_stride, int64_t rows, int64_t cols)
{
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        int64_t c = 0;
        for (; c + 4 <= cols; c += 4)
            vtranspose4(y + r * y_stride + c, y_stride, x + c * x_stride + r, x_stride);
        for (; c < cols; c++)
            for (int64_t i = r; i < r + 4; i++)
                y[i * y_stride + c] = x[c * x_stride + i];
    }
    for (; r < rows; r++)
        for (int64_t c = 0; c < cols; c++)
            y[r * y_stride + c] = x[c * x_stride + r];
}

#endif
