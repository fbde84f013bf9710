/* Matrix products on bytes: unsigned activations with a scale and a zero point, signed weights with a scale a column.
 *
 * Terms: C [m,n] = A [m,k] B [k,n].  A *step* is ZM_INT8_STEP bytes of k; rows of A and columns of B are padded to whole
 * steps.  A *panel* is B for as many columns as a tile has, packed as [k/4][width][4].  x of a row is scale (q - zero).
 *
 * Processors without instructions for sums of four products (VNNI) multiply bytes into sums of 16 bits, which are slow
 * to widen and saturate.  So the weights give way:
 *  I1  Among the eight weights of a step whose products meet in one 16-bit sum (k mod 4 in {0,1}, or in {2,3}), those
 *      above zero add up to ZM_INT8_LANE at most, and those below zero too.  No order of summing such a step can leave 16
 *      bits; a column that would break this gets a larger scale.  That costs a bit of precision where weights are even
 *      in size, and makes one widening do for four multiplications.
 *  I2  Sums are exact, and what follows them is rounded operation by operation: every instruction set gives the same
 *      bits.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_INT8_H
#define ZM_BACKEND_CPU_INT8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
    ZM_INT8_STEP = 16,
    ZM_INT8_TOP = 255,                  /* of activations */
    ZM_INT8_LANE = 32767 / ZM_INT8_TOP, /* see I1 */
    ZM_INT8_K_MAX = 1 << 17,            /* the longest sum that 32 bits hold with its zero point */
    ZM_INT8_ROWS = 8                    /* most rows of a tile in any instruction set */
};

/* c[rows][cols] = act(scale_a[i] scale_b[j] (sum - zero[i] sum_b[j]) + bias[j]); row i of A consists of `segments` pieces
 * of `length` bytes, piece s at a[s * ZM_INT8_ROWS + i].  width: of the panel, whole vectors, >= cols. */
typedef struct zm_int8_tile {
    int rows, cols, width, segments;
    int64_t length;
    const uint8_t *const *a;
    const int8_t *b;
    const float *scale_a, *scale_b;
    const int32_t *zero, *sum_b;
    float *c;
    int64_t c_step;
    const float *bias; /* NULL: none */
    int act;           /* zm_unary_kind */
} zm_int8_tile;

typedef struct zm_int8_isa {
    const char *name;
    int rows, lanes, vectors; /* of a full tile; its width is lanes * vectors */
    bool fours;               /* an instruction adds up four products */
    void (*tile)(const zm_int8_tile *t);
    /* Widen [*low, *high] to hold x[0..n-1]. */
    void (*range)(const float *x, int64_t n, float *low, float *high);
    /* q[i] = x[i] / scale + zero, rounded to nearest even, kept within 0 .. ZM_INT8_TOP (NaN: 0). */
    void (*to_bytes)(uint8_t *q, const float *x, int64_t n, float inverse, int32_t zero);
} zm_int8_isa;

extern const zm_int8_isa zm_int8_plain;
#if defined(__x86_64__)
extern const zm_int8_isa zm_int8_avx2, zm_int8_avx512, zm_int8_vnni;
#endif
/* The best table this processor can run (zm_simd_best; ZM_SIMD=avx512 leaves VNNI out). */
const zm_int8_isa *zm_int8_isa_best(void);

/* How numbers within [low, high] become bytes; zero itself becomes `zero` exactly. */
typedef struct zm_int8_grid {
    float scale, inverse;
    int32_t zero;
} zm_int8_grid;
zm_int8_grid zm_int8_grid_of(float low, float high);

/* B, quantised and packed for one instruction set. */
typedef struct zm_int8_weights {
    const zm_int8_isa *isa;
    int64_t n, k; /* k: bytes of a column, whole steps */
    int8_t *panels;
    float *scale; /* [n], rounded up to whole vectors as the next */
    int32_t *sum;
} zm_int8_weights;
/* Bytes of memory for n columns of k. */
size_t zm_int8_weights_bytes(const zm_int8_isa *isa, int64_t n, int64_t k);
/* Lay out in zeroed memory of that many bytes, borrowed. */
void zm_int8_weights_init(zm_int8_weights *w, const zm_int8_isa *isa, int64_t n, int64_t k, void *memory);
/* Quantise column j, given as k numbers: scale such that the largest is 127, or larger (I1).  Different columns may be
 * set from different threads. */
void zm_int8_weights_set(zm_int8_weights *w, int64_t j, const float *column);
/* First column of panel p, which may be the number of panels; *panels: how many there are. */
int64_t zm_int8_panel_start(const zm_int8_weights *w, int64_t p, int64_t *panels);
/* Byte k of column j. */
int8_t zm_int8_weights_at(const zm_int8_weights *w, int64_t j, int64_t k);

typedef struct zm_int8_product {
    const zm_int8_weights *w;
    int64_t m;
    /* Where A lies: fill row[s * ZM_INT8_ROWS + i] for rows i0 .. i0+rows-1 and every piece s. */
    void (*rows_of)(const void *ctx, int64_t i0, int rows, const uint8_t **row);
    const void *ctx;
    int64_t piece;      /* bytes, whole steps */
    const float *scale; /* [m] of A, or [1] when `shared` */
    const int32_t *zero;
    int shared;
    float *c; /* [m,n] */
    const float *bias;
    int act;
    int threads; /* 0: as many as zm_thread_count says */
} zm_int8_product;

/* Bytes of scratch that zm_int8_run needs, for any m; the weights need not be set yet. */
size_t zm_int8_scratch(const zm_int8_product *p);
void zm_int8_run(const zm_int8_product *p, void *scratch);

#endif
