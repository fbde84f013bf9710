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
#include <immintrin.h>

#include "backend/cpu/gemm_bf16.h"

enum {
    SIDE = 16,       /* rows of a register, and numbers of 32 bits in one of them */
    BYTES = SIDE * 4 /* of a row */
};
/* Registers, by numbers that the instructions' names take: two by two of sums, two of A, two of B. */
#define C00 0
#define C01 1
#define C10 2
#define C11 3
#define A0  4
#define A1  5
#define B0  6
#define B1  7

/* What ldtilecfg reads (Intel SDM, volume 1, 18.2). */
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;
_Static_assert(sizeof(tile_config) == 64, "the form of ldtilecfg");

/* Rows of A that this thread's registers are shaped for; 0: they are free. */
static _Thread_local int shaped;

static void shape(int rows)
{
    int half[2] = {rows < SIDE ? rows : SIDE, rows > SIDE ? rows - SIDE : 0};
    tile_config c = {.palette = 1};
    const int rows_of[8] = {half[0], half[0], half[1], half[1], half[0], half[1], SIDE, SIDE};
    for (int i = 0; i < 8; i++) {
        c.rows[i] = (uint8_t)rows_of[i];
        c.row_bytes[i] = rows_of[i] ? BYTES : 0;
    }
    _tile_loadconfig(&c);
    shaped = rows;
}

static void release(void)
{
    if (shaped)
        _tile_release();
    shaped = 0;
}

/* sums += sixteen steps; tall: a second half of rows, wide: a second half of columns */
INLINE void multiply_steps(const bool tall, const bool wide, const float *a, int64_t a_step, const float *b,
                           int64_t b_step)
{
    _tile_loadd(A0, a, a_step * 4);
    _tile_loadd(B0, b, b_step * 4);
    _tile_dpbf16ps(C00, A0, B0);
    if (wide) {
        _tile_loadd(B1, b + SIDE, b_step * 4);
        _tile_dpbf16ps(C01, A0, B1);
    }
    if (tall) {
        _tile_loadd(A1, a + SIDE * a_step, a_step * 4);
        _tile_dpbf16ps(C10, A1, B0);
        if (wide)
            _tile_dpbf16ps(C11, A1, B1);
    }
}

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

INLINE void move_sums(const bool tall, const bool wide, const bool to_memory, float *c, int64_t step)
{
    float *low = c + SIDE * step;
    if (to_memory) {
        _tile_stored(C00, c, step * 4);
        if (wide)
            _tile_stored(C01, c + SIDE, step * 4);
        if (tall)
            _tile_stored(C10, low, step * 4);
        if (tall && wide)
            _tile_stored(C11, low + SIDE, step * 4);
    } else {
        _tile_loadd(C00, c, step * 4);
        if (wide)
            _tile_loadd(C01, c + SIDE, step * 4);
        if (tall)
            _tile_loadd(C10, low, step * 4);
        if (tall && wide)
            _tile_loadd(C11, low + SIDE, step * 4);
    }
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
    if (t->add && whole) {
        move_sums(tall, wide, false, t->c, t->c_step);
    } else {
        _tile_zero(C00);
        if (wide)
            _tile_zero(C01);
        if (tall)
            _tile_zero(C10);
        if (tall && wide)
            _tile_zero(C11);
    }
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
