/* Registers of sixteen rows by sixteen numbers of 32 bits (AMX), two by two of them with sums: what products in bf16 on
 * them share.  A file that includes this is compiled for AMX and runs where zm_gemm_bf16_best says so only.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_AMX_H
#define ZM_BACKEND_CPU_AMX_H

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

#ifndef INLINE
#define INLINE static inline __attribute__((always_inline, unused))
#endif

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

/* For so many rows of A, 1 to 32; free again with release. */
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

INLINE void clear_sums(const bool tall, const bool wide)
{
    _tile_zero(C00);
    if (wide)
        _tile_zero(C01);
    if (tall)
        _tile_zero(C10);
    if (tall && wide)
        _tile_zero(C11);
}

/* Sums from or to c, whose rows are `step` apart. */
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

#endif
