/* The products of simd_attention_tile.h in bf16 on tiles (AMX): both operands are rounded and packed where they are used,
 * a block of k and of columns at a time; sums are f32.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_SIMD_ATTENTION_AMX_H
#define ZM_BACKEND_CPU_SIMD_ATTENTION_AMX_H

#define LANES 16
#define ONCE  32
#define TURNS
#include "backend/cpu/amx.h"
#include "backend/cpu/gemm_bf16.h"

enum {
    DEEP = ZM_TILE_STEPS * 2, /* of k at once */
    SLAB = 2 * SIDE,          /* rows at once */
    ACROSS = 128              /* columns at once */
};

/* Rows i0.. of A, k0 .. k0+count-1, as rows of pairs; zeros follow to a multiple of sixteen steps. */
static void pack_slab(float *to, bool by_rows, const product *p, int64_t i0, int rows, int64_t k0, int count)
{
    if (by_rows) {
        const int steps = (count + 1) / 2, padded = (steps + SIDE - 1) / SIDE * SIDE;
        for (int i = 0; i < rows; i++) {
            round_row(to + i * ZM_TILE_PITCH, p->a + (i0 + i) * p->lda + k0, count);
            for (int s = steps; s < padded; s++)
                to[i * ZM_TILE_PITCH + s] = 0;
        }
        return;
    }
    for (int k = 0; k < count; k += ONCE) {
        const float *column[ONCE];
        const int some = count - k < ONCE ? count - k : ONCE;
        for (int c = 0; c < some; c++)
            column[c] = p->a + (k0 + k + c) * p->lda;
        zip_columns(to + k / 2, column, i0, rows, some);
    }
}

/* Columns at..at+cols-1 of B as panels [steps][width] of two registers, or one; zeros follow, too. */
static void pack_panels(float *to, const product *p, int64_t at, int cols, int64_t k0, int count)
{
    const int padded = ((count + 1) / 2 + SIDE - 1) / SIDE * SIDE;
    for (int j = 0; j < cols; j += SLAB) {
        const int width = cols - j < SLAB ? cols - j : SLAB;
        for (int s = 0; s < padded; s++, to += width) {
            const float *even = p->b + (k0 + 2 * s) * p->ldb + at + j;
            if (2 * s < count)
                zip(to, even, 2 * s + 1 < count ? even + p->ldb : NULL, width);
            else
                memset(to, 0, (size_t)width * sizeof *to);
        }
    }
}

INLINE void tile_on(const bool tall, const bool wide, const float *a, const float *b, int steps, float *c, int64_t ldc,
                    bool add)
{
    if (add)
        move_sums(tall, wide, false, c, ldc);
    else
        clear_sums(tall, wide);
    for (int s = 0; s < steps; s += SIDE)
        multiply_steps(tall, wide, a + s, ZM_TILE_PITCH, b + s * (wide ? SLAB : SIDE), wide ? SLAB : SIDE);
    move_sums(tall, wide, true, c, ldc);
}

static void run_slab(const float *a, int rows, const float *b, int cols, int steps, float *c, int64_t ldc, bool add)
{
    if (shaped != rows)
        shape(rows);
    __asm__ volatile("" ::: "memory"); /* what was packed is read by tiles */
    for (int j = 0; j < cols; j += SLAB, b += SLAB * steps) {
        const bool tall = rows > SIDE, wide = cols - j > SIDE;
        if (tall && wide)
            tile_on(true, true, a, b, steps, c + j, ldc, add);
        else if (tall)
            tile_on(true, false, a, b, steps, c + j, ldc, add);
        else if (wide)
            tile_on(false, true, a, b, steps, c + j, ldc, add);
        else
            tile_on(false, false, a, b, steps, c + j, ldc, add);
    }
}

static void scale_columns(const product *p, int64_t M, int64_t width)
{
    for (int64_t i = 0; i < M; i++)
        for (int64_t j = 0; j < width; j += VW)
            vstore(p->c + i * p->ldc + j, vload(p->c + i * p->ldc + j) * vload(p->alpha + j));
}

/* C[M, width] for any width that is a multiple of VW. */
static __attribute__((noinline)) void multiply(bool by_rows, product p, int64_t M, int64_t width)
{
    _Alignas(64) float left[SLAB * ZM_TILE_PITCH], right[ACROSS * ZM_TILE_STEPS];
    if (p.alpha)
        scale_columns(&p, M, width);
    for (int64_t at = 0; at < width; at += ACROSS)
        for (int64_t k0 = 0; k0 < p.K; k0 += DEEP) {
            const int count = (int)(p.K - k0 < DEEP ? p.K - k0 : DEEP);
            const int cols = (int)(width - at < ACROSS ? width - at : ACROSS);
            const int steps = ((count + 1) / 2 + SIDE - 1) / SIDE * SIDE;
            pack_panels(right, &p, at, cols, k0, count);
            for (int64_t i = 0; i < M; i += SLAB) {
                const int rows = (int)(M - i < SLAB ? M - i : SLAB);
                pack_slab(left, by_rows, &p, i, rows, k0, count);
                run_slab(left, rows, right, cols, steps, p.c + i * p.ldc + at, p.ldc, k0 || p.alpha);
            }
        }
}

INLINE void products_end(void)
{
    release();
}

#endif
