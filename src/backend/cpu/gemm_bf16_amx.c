/* Inner loops of matrix products in bf16 on tiles of registers (AMX): sixteen rows by sixteen columns get the products of
 * sixteen pairs of k in one instruction.  Rows of pairs, and panels of B as gemm.c packs them, are tiles as they lie.
 * SPDX-License-Identifier: MIT */
#define ISA_NAME  "amx_bf16"
#define ISA_TABLE zm_gemm_bf16_amx
#define LANES     16
#define ROWS      32
#define VECTORS   2
#define ONCE      32
#define PANELS    (256 * 1024) /* 1 MiB: who has tiles has 2 MiB */
#define TURNS
#define END release
#include "backend/cpu/amx.h"
#include "backend/cpu/gemm_bf16.h"

/* Fewer than sixteen steps, with zeros after them. */
INLINE void multiply_rest(const bool tall, const bool wide, const zm_tile *t, const float *a, const float *b, int steps)
{
    _Alignas(64) float left[ROWS][SIDE] = {0}, right[SIDE][VECTORS * SIDE] = {0};
    for (int i = 0; i < t->rows; i++)
        memcpy(left[i], a + (int64_t)i * ZM_TILE_PITCH, (size_t)steps * sizeof(float));
    for (int k = 0; k < steps; k++)
        memcpy(right[k], b + (int64_t)k * t->width, (size_t)t->width * sizeof(float));
    __asm__ volatile("" ::: "memory");
    multiply_steps(tall, wide, left[0], SIDE, right[0], VECTORS * SIDE);
}

INLINE void tile_of(const bool tall, const bool wide, const zm_tile *t)
{
    const float *a = t->segments ? t->a[0] : t->packed, *b = t->b;
    const bool whole = t->cols == t->width;
    int steps = t->length, k = 0;
    for (int i = 0; i < t->rows; i++) /* where the sums go comes from far while they are made */
        for (int j = 0; j < t->cols; j += SIDE)
            __builtin_prefetch(t->c + i * t->c_step + j, 1);
    __asm__ volatile("" ::: "memory"); /* what was written before is read by tiles */
    if (t->add && whole)
        move_sums(tall, wide, false, t->c, t->c_step);
    else
        clear_sums(tall, wide);
    for (; k + SIDE <= steps; k += SIDE)
        multiply_steps(tall, wide, a + k, ZM_TILE_PITCH, b + (int64_t)k * t->width, t->width);
    if (k < steps)
        multiply_rest(tall, wide, t, a + k, b + (int64_t)k * t->width, steps - k);
    if (whole) {
        move_sums(tall, wide, true, t->c, t->c_step);
        return;
    }
    _Alignas(64) float sums[ROWS][VECTORS * SIDE];
    move_sums(tall, wide, true, sums[0], VECTORS * SIDE);
    for (int i = 0; i < t->rows; i++)
        for (int j = 0; j < t->cols; j++)
            t->c[i * t->c_step + j] = (t->add ? t->c[i * t->c_step + j] : 0) + sums[i][j];
}

static void tile(const zm_tile *t)
{
    const bool tall = t->rows > SIDE, wide = t->width > SIDE;
    ZM_ASSERT(t->segments <= 1);
    if (shaped != t->rows)
        shape(t->rows);
    if (tall && wide)
        tile_of(true, true, t);
    else if (tall)
        tile_of(true, false, t);
    else if (wide)
        tile_of(false, true, t);
    else
        tile_of(false, false, t);
}

#include "backend/cpu/gemm_table.h"
