/* What a matrix product asks of an instruction set: one table of inner loops, chosen at run time.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_GEMM_ISA_H
#define ZM_BACKEND_CPU_GEMM_ISA_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ZM_TILE_ROWS = 8,     /* most rows of a tile in any instruction set */
    ZM_TILE_SEGMENTS = 32 /* most segments of one tile call */
};

/* c[rows][cols] = or += A B, where B is a packed panel [k][width], width a multiple of the vector length >= cols.
 * A lies in one of two ways:
 *  by rows: k runs through `segments` pieces of `length`; piece s of row i lies at a[s * ZM_TILE_ROWS + i] and meets
 *           the panel's rows from piece[s] * length on;
 *  by columns (segments 0): A's `rows` values for step k stand together at packed + k * rows, k < length. */
typedef struct zm_tile {
    int rows, cols, width, segments, length;
    const float *const *a;
    const int *piece;
    const float *packed;
    const float *b;
    float *c;
    int64_t c_step; /* floats from one row of c to the next */
    bool add;
} zm_tile;

typedef struct zm_gemm_isa {
    const char *name;
    int rows;    /* of a full tile, <= ZM_TILE_ROWS */
    int lanes;   /* floats of a vector */
    int vectors; /* of a full tile's width */
    void (*tile)(const zm_tile *t);
    /* out[k * width + j] = row[j][k] for j < n, k < length; zeros for n <= j < width */
    void (*pack_turned)(const float *const *row, int n, int64_t length, int width, float *out);
    /* y = act(y + bias); bias may be NULL; act is a zm_unary_kind */
    void (*finish)(float *y, int64_t n, const float *bias, int act);
} zm_gemm_isa;

extern const zm_gemm_isa zm_gemm_plain;
#if defined(__x86_64__)
extern const zm_gemm_isa zm_gemm_avx2, zm_gemm_avx512;
#endif

/* The best table this processor can run (zm_simd_best). */
const zm_gemm_isa *zm_gemm_isa_best(void);

#endif
