/* What a matrix product asks of an instruction set: one table of inner loops, chosen at run time.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_GEMM_ISA_H
#define ZM_BACKEND_CPU_GEMM_ISA_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ZM_TILE_ROWS = 32,                 /* most rows of a tile in any instruction set */
    ZM_TILE_SEGMENTS = 32,             /* most segments of one tile call */
    ZM_TILE_DEPTH = 2,                 /* most numbers of k in a step */
    ZM_TILE_STEPS = 256,               /* most steps of a block */
    ZM_TILE_PITCH = ZM_TILE_STEPS + 16 /* of rows of pairs: the same places of neighbours lie in several sets */
};

/* A *step* is 32 bits of k: one f32 where `depth` is 1; where it is 2, a pair of bf16, the lower half first, whose two
 * products are added to one sum of f32.  What is packed is so [steps][..] of 32 bits either way, and only who packs and
 * who multiplies know what is in them; a k that is odd ends with a zero.
 *
 * c[rows][cols] = or += A B, where B is a packed panel [k][width], width a multiple of the vector length >= cols.
 * A lies in one of two ways:
 *  by rows: k runs through `segments` pieces of `length`; piece s of row i lies at a[s * ZM_TILE_ROWS + i] and meets
 *           the panel's rows from piece[s] * length on; pairs stand ZM_TILE_PITCH apart from row to row;
 *  by columns (segments 0): A's `rows` values for step k stand together at packed + k * rows, k < length; for a table
 *           with `turns`, the values of row i at packed + i * ZM_TILE_PITCH.
 * k and length count steps. */
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
    int depth;   /* numbers of k in a step */
    int panels;  /* steps of all panels of a block: a part of the second-level cache */
    int once;    /* depth 2: columns of A that zip_columns takes at once */
    bool turns;  /* depth 2: zip_columns writes rows */
    void (*tile)(const zm_tile *t);
    void (*end)(void); /* NULL, or: this thread has no more tiles for now */
    /* out[k * width + j] = row[j][k] for j < n, k < length steps; zeros for n <= j < width */
    void (*pack_turned)(const float *const *row, int n, int64_t length, int width, float *out);
    /* y = act(y + bias); bias may be NULL; act is a zm_unary_kind */
    void (*finish)(float *y, int64_t n, const float *bias, int act);
    /* Depth 2 only, rounding to the nearest bf16, to even where two are as near (subnormal numbers may become zero):
     *  round:       step i of `to` = (from[2i], from[2i + 1]), 2i < n, the last of an odd n with a zero;
     *  zip:         step j of `to` = (even[j], odd[j]), j < n; odd NULL: zeros;
     *  zip_columns: step i of to + k * rows (with `turns`: step k of to + i * ZM_TILE_PITCH) = (column[2k][i0 + i],
 *               column[2k + 1][i0 + i]), i < rows, 2k < count <= once. */
    void (*round)(float *to, const float *from, int64_t n);
    void (*zip)(float *to, const float *even, const float *odd, int64_t n);
    void (*zip_columns)(float *to, const float *const *column, int64_t i0, int rows, int count);
} zm_gemm_isa;

extern const zm_gemm_isa zm_gemm_plain, zm_gemm_bf16_plain;
#if defined(__x86_64__)
extern const zm_gemm_isa zm_gemm_avx2, zm_gemm_avx512;
/* Of depth 2: loops that widen each half, and vdpbf16ps (AVX512_BF16), which multiplies pairs at the rate of f32. */
extern const zm_gemm_isa zm_gemm_bf16_avx2, zm_gemm_bf16_avx512, zm_gemm_bf16_dot;
#ifdef ZM_HAVE_AMX
/* Of depth 2 on tiles of registers (AMX), at up to sixteen times the rate of f32. */
extern const zm_gemm_isa zm_gemm_bf16_amx;
#endif
#endif

/* The best table this processor can run (zm_simd_best). */
const zm_gemm_isa *zm_gemm_isa_best(void);
/* The best one of depth 2 (ZM_SIMD=avx512 leaves AVX512_BF16 and AMX out, ZM_SIMD=avx512_bf16 AMX alone), and whether it
 * is faster than f32. */
const zm_gemm_isa *zm_gemm_bf16_best(void);
bool zm_gemm_bf16_fast(void);

#endif
