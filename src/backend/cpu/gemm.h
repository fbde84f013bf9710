/* Blocked matrix products on all threads, from operands that need not lie as matrices (convolutions, stored weights).
 *
 * Terms: C [m,n] = A [m,k] B [k,n].  A *tile* is what one inner loop computes; a *slab* is a row of tiles; a *block*
 * is a range of k for which B is packed into panels that stay in the second-level cache of one core.  A *step* is a
 * number of k, or a pair of them in bf16 (gemm_isa.h): operands lie in f32 and are rounded while they are packed, A slab
 * by slab.
 *  G1  Each thread packs its own panels: no barrier inside a product, except the one before partial sums are added.
 *  G2  The result does not depend on timing: the split among threads follows from sizes alone.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_GEMM_H
#define ZM_BACKEND_CPU_GEMM_H

#include <stddef.h>

#include "backend/cpu/gemm_isa.h"
#include "base/error.h"

/* Floats of zeros that a row or column of A may point to. */
enum {
    ZM_GEMM_ZEROS = 4096,
    ZM_GEMM_PANEL = 64, /* columns of a panel, at most */
    ZM_GEMM_BLOCK = 512 /* numbers of k in a block, at most */
};
extern const float zm_gemm_zeros[ZM_GEMM_ZEROS];

typedef struct zm_gemm {
    const zm_gemm_isa *isa;
    int64_t m, n, k;
    /* A by rows: k is made of pieces of `piece` steps, each piece of a row contiguous.  Fill row[s * ZM_TILE_ROWS + i]
     * for rows i0 <= i0 + i < i0 + rows and the pieces that are not all zero, listing these in live[], of those that
     * make up k0 .. k0 + pieces * length.  Returns how many.  In pairs of bf16: one piece, all of k. */
    int (*rows_of)(const void *ctx, int64_t i0, int rows, int64_t k0, int pieces, int length, const float **row,
                   int *live);
    int64_t piece;
    /* A by columns (rows_of NULL): m = groups * group rows; step k of a group's rows lies at column[k - k0]. */
    void (*columns_of)(const void *ctx, int64_t group, int64_t k0, int count, const float **column);
    int64_t groups;
    /* Pack B's rows k0 .. k0+count-1, columns n0 .. n0+cols-1 as out[step][width], zeros beyond cols. */
    void (*pack)(const struct zm_gemm *g, int64_t k0, int count, int64_t n0, int cols, int width, float *out);
    const void *a_ctx, *b_ctx;
    float *c;
    int64_t c_step;
    const float *bias; /* [n] or NULL */
    int act;           /* zm_unary_kind applied last */
    int threads;       /* 0: as many as zm_gemm_threads says */
} zm_gemm;

/* Operands that lie as plain matrices of f32. */
typedef struct zm_gemm_matrix {
    const float *at;
    int64_t step; /* floats from one row to the next */
} zm_gemm_matrix;
int zm_gemm_rows_of_matrix(const void *ctx, int64_t i0, int rows, int64_t k0, int pieces, int length, const float **row,
                           int *live); /* A [m,k] */
void zm_gemm_columns_of_matrix(const void *ctx, int64_t group, int64_t k0, int count, const float **column); /* [k,m] */
void zm_gemm_pack_matrix(const zm_gemm *g, int64_t k0, int count, int64_t n0, int cols, int width,
                         float *out); /* [k,n] */
void zm_gemm_pack_turned(const zm_gemm *g, int64_t k0, int count, int64_t n0, int cols, int width,
                         float *out); /* [n,k] */
/* For other ways to pack: column j of B lies at row[j], which is changed; cols <= ZM_GEMM_PANEL. */
void zm_gemm_pack_rows(const zm_gemm *g, const float **row, int count, int cols, int width, float *out);

/* Bytes of scratch that zm_gemm_run needs for these sizes with these threads (0: all). */
size_t zm_gemm_scratch(const zm_gemm *g);
void zm_gemm_run(const zm_gemm *g, void *scratch);
/* Threads of a parallel region now. */
int zm_gemm_threads(void);
int zm_gemm_thread(void);

#endif
