/* Inner loops of products on bytes for one vector length.  A file includes this after defining ISA_NAME, ISA_TABLE, LANES,
 * ROWS, VECTORS and int8_dot.h's functions for its instruction set; contraction stays off (I2 of int8.h).
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_INT8_TILE_H
#define ZM_BACKEND_CPU_INT8_TILE_H

#include <string.h>

#ifdef FOURS
#define HAS_FOURS true
#else
#define HAS_FOURS false
INLINE void add_step(const int rows, const int vectors, ivec acc[ROWS][VECTORS], const uint8_t *const *a, int64_t k,
                     const int8_t *b)
{
    const int64_t line = (int64_t)vectors * LANES * 4;
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
        left l = left_of(a[i] + k);
        const int8_t *at = b;
        KEEP_IN_MEMORY(at);
#pragma GCC unroll 16
        for (int j = 0; j < vectors; j++)
            acc[i][j] = dot_step(acc[i][j], &l, at + j * LANES * 4, line);
    }
}
#endif

/* acc in registers: rows and vectors are constants at every call. */
INLINE void sums_of(const int rows, const int vectors, ivec acc[ROWS][VECTORS], const zm_int8_tile *t)
{
    const int64_t line = (int64_t)vectors * LANES * 4;
    const int8_t *b = t->b;
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 16
        for (int j = 0; j < vectors; j++)
            acc[i][j] = (ivec){0};
    for (int s = 0; s < t->segments; s++) {
        const uint8_t *a[ROWS];
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++)
            a[i] = t->a[s * ZM_INT8_ROWS + i];
        for (int64_t k = 0; k < t->length; k += ZM_INT8_STEP, b += 4 * line)
            add_step(rows, vectors, acc, a, k, b);
    }
}

INLINE void put_tile(const int rows, const int vectors, ivec acc[ROWS][VECTORS], const zm_int8_tile *t)
{
    const vec none = {0};
#pragma GCC unroll 16
    for (int j = 0; j < vectors; j++) {
        const int at = j * LANES, cols = t->cols - at;
        vec scale = *(const loose_vec *)(t->scale_b + at), bias = none;
        ivec sum = *(const loose_ivec *)(t->sum_b + at);
        if (t->bias && cols >= LANES)
            bias = *(const loose_vec *)(t->bias + at);
        else if (t->bias && cols > 0)
            memcpy(&bias, t->bias + at, sizeof(float) * (size_t)cols);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            vec y = __builtin_convertvector(acc[i][j] - t->zero[i] * sum, vec) * (t->scale_a[i] * scale);
            y = t->bias ? y + bias : y;
            y = t->act ? activate(y, t->act) : y;
            float *c = t->c + i * t->c_step + at;
            if (cols >= LANES)
                *(loose_vec *)c = y;
            else if (cols > 0)
                memcpy(c, &y, sizeof(float) * (size_t)cols);
        }
    }
}

typedef void tile_fn(const zm_int8_tile *t);

#define TILE(r, v)                                                                                                     \
    static void tile_##r##x##v(const zm_int8_tile *t)                                                                  \
    {                                                                                                                  \
        ivec acc[ROWS][VECTORS];                                                                                       \
        sums_of(r, v, acc, t);                                                                                         \
        put_tile(r, v, acc, t);                                                                                        \
    }
#if VECTORS == 3
#define TILES(r) TILE(r, 1) TILE(r, 2) TILE(r, 3)
#define ROW(r)                                                                                                         \
    {                                                                                                                  \
        tile_##r##x1, tile_##r##x2, tile_##r##x3                                                                       \
    }
#else
#define TILES(r) TILE(r, 1) TILE(r, 2)
#define ROW(r)                                                                                                         \
    {                                                                                                                  \
        tile_##r##x1, tile_##r##x2                                                                                     \
    }
#endif

TILES(1)
TILES(2)
TILES(3)
TILES(4)
#if ROWS == 8
TILES(5)
TILES(6)
TILES(7)
TILES(8)
#endif

static tile_fn *const tiles[ROWS][VECTORS] = {ROW(1), ROW(2), ROW(3),
                                              ROW(4),
#if ROWS == 8
                                              ROW(5), ROW(6), ROW(7),
                                              ROW(8)
#endif
};

static void tile(const zm_int8_tile *t)
{
    tiles[t->rows - 1][t->width / LANES - 1](t);
}

static void range(const float *x, int64_t n, float *low, float *high)
{
    vec least = *low - (vec){0}, most = *high - (vec){0};
    int64_t at = 0;
    for (; at + LANES <= n; at += LANES) {
        vec v = *(const loose_vec *)(x + at);
        least = choose((ivec)(v < least), v, least);
        most = choose((ivec)(v > most), v, most);
    }
    for (int i = 0; i < LANES; i++) {
        *low = least[i] < *low ? least[i] : *low;
        *high = most[i] > *high ? most[i] : *high;
    }
    for (; at < n; at++) {
        *low = x[at] < *low ? x[at] : *low;
        *high = x[at] > *high ? x[at] : *high;
    }
}

typedef uint8_t byte_vec __attribute__((vector_size(LANES)));

/* Adding 1.5 * 2^23 rounds to an integer in the low bits. */
INLINE byte_vec bytes_of(vec x, float inverse, int32_t zero)
{
    const vec none = {0};
    vec v = x * inverse, least = none - (float)zero, most = none + (float)(ZM_INT8_TOP - zero);
    v = choose((ivec)(v > least), v, least); /* NaN falls here */
    v = choose((ivec)(v < most), v, most);
    ivec q = (ivec)(v + 12582912.0f) - 0x4b400000 + zero;
    return __builtin_convertvector(q, byte_vec);
}

static void to_bytes(uint8_t *q, const float *x, int64_t n, float inverse, int32_t zero)
{
    int64_t at = 0;
    for (; at + LANES <= n; at += LANES) {
        byte_vec b = bytes_of(*(const loose_vec *)(x + at), inverse, zero);
        memcpy(q + at, &b, LANES);
    }
    if (at < n) {
        vec v = {0};
        memcpy(&v, x + at, sizeof(float) * (size_t)(n - at));
        byte_vec b = bytes_of(v, inverse, zero);
        memcpy(q + at, &b, (size_t)(n - at));
    }
}

const zm_int8_isa ISA_TABLE = {
    .name = ISA_NAME,
    .rows = ROWS,
    .lanes = LANES,
    .vectors = VECTORS,
    .fours = HAS_FOURS,
    .tile = tile,
    .range = range,
    .to_bytes = to_bytes,
};

#endif
