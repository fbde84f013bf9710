/* Inner loops compiled once per instruction set, chosen at run time, and the threads that share their work.
 *
 * Every src/backend/cpu/simd_*.c is compiled for the baseline, for AVX2+FMA and for AVX-512, each time with another
 * ZM_SIMD suffix; each exports one table of functions that work on plain ranges in one thread.  The files without
 * the prefix split a node into such ranges.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_SIMD_H
#define ZM_BACKEND_CPU_SIMD_H

#include <stdbool.h>
#include <stdint.h>

#include "ops/attention.h"
#include "ops/binary.h"
#include "ops/norm.h"
#include "ops/unary.h"

typedef enum { ZM_SIMD_BASE, ZM_SIMD_AVX2, ZM_SIMD_AVX512 } zm_simd_level;

/* The best level this processor has; environment ZM_SIMD=base or avx2 lowers it (for tests and comparisons). */
zm_simd_level zm_simd_best(void);

/* Call fn(ctx, begin, end) for consecutive ranges of `grain` of 0..n-1, spread over threads.  The ranges depend on n
 * and grain alone, so what is summed per range gives the same number on any count of threads. */
void zm_parallel_ranges(int64_t n, int64_t grain, void (*fn)(void *ctx, int64_t begin, int64_t end), void *ctx);
/* Threads that a parallel region started now may have; at least 1. */
int zm_thread_count(void);
/* Elements from which another thread pays for its start. */
enum { ZM_GRAIN = 16384 };

typedef struct zm_elementwise_fns {
    void (*unary)(zm_unary_kind kind, float *y, const float *x, int64_t n);
    void (*unary_grad)(zm_unary_kind kind, float *y, const float *x, const float *gy, int64_t n);
    void (*affine)(float *y, const float *x, float a, float b, int64_t n);
    /* Steps are 0 (the first element for all) or 1. */
    void (*binary)(zm_binary_kind kind, float *y, const float *a, int a_step, const float *b, int b_step, int64_t n);
    double (*sum)(const float *x, int64_t n);
    /* y[c] = sum over rows r of x[r * stride + c]. */
    void (*sum_rows)(float *y, const float *x, int64_t rows, int64_t stride, int64_t cols);
    /* y[c * y_stride + r] = x[r * x_stride + c]. */
    void (*transpose)(float *y, int64_t y_stride, const float *x, int64_t x_stride, int64_t rows, int64_t cols);
    /* Rows of D: softmax; its gradient from y; -log softmax at a label; the gradient of that times g. */
    void (*softmax)(float *y, const float *x, int64_t rows, int64_t D);
    void (*softmax_grad)(float *dx, const float *y, const float *gy, int64_t rows, int64_t D);
    float (*cross_entropy)(const float *x, int64_t label, int64_t D);
    void (*cross_entropy_grad)(float *dx, const float *x, int64_t label, float g, int64_t D);
    /* Turn H heads of d by one token's table; sign -1 turns backwards; work holds 2 d floats. */
    void (*rope)(float *y, const float *x, const float *cos, const float *sin, float sign, int64_t H, int64_t d,
                 float *work);
} zm_elementwise_fns;
const zm_elementwise_fns *zm_elementwise(void);

/* What all rows of a call share.  y = norm(x) (plus_one + weight) + bias; weight NULL: 1; bias NULL: 0. */
typedef struct zm_norm_rows {
    zm_norm_kind kind;
    float eps, plus_one;
    const float *weight, *bias;
    int64_t D;
} zm_norm_rows;

typedef struct zm_norm_fns {
    void (*norm)(const zm_norm_rows *s, float *y, const float *x, int64_t rows);
    /* dweight, dbias (each D, may be NULL) are overwritten with the sums over these rows. */
    void (*norm_grad)(const zm_norm_rows *s, float *dx, float *dweight, float *dbias, const float *x, const float *gy,
                      int64_t rows);
    void (*gate_add)(float *y, const float *x, const float *h, const float *gate, int64_t rows, int64_t D);
    void (*gate_add_grad)(float *dh, float *dgate, const float *h, const float *gate, const float *gy, int64_t rows,
                          int64_t D);
} zm_norm_fns;
const zm_norm_fns *zm_norm_loops(void);

/* One attention node.  Token n, head h of batch entry b of q stands at q + ((b * Nq + n) * H + h) * d. */
typedef struct zm_attention_job {
    int64_t B, Nq, Nk, H, d, dv;
    float scale;
    const float *q, *k, *v, *bias, *key_bias; /* bias [H,Nq,Nk] or NULL; key_bias [B,Nk] or NULL */
    const int32_t *k_len;                     /* [B] or NULL */
    zm_block_causal mask;                     /* block 0: none; with one there is no bias */
    float *y;                                 /* forward: [B,Nq,H,dv] */
    const float *gy;                          /* backward: gradient of y */
    float *dq, *dk, *dv_out, *dbias;
    int64_t block; /* queries of one piece of work; a multiple of `lanes` */
} zm_attention_job;

typedef struct zm_attention_fns {
    int64_t lanes; /* queries computed side by side */
    /* Floats of scratch (64-byte aligned) that one call of forward or backward needs. */
    int64_t (*forward_scratch)(const zm_attention_job *j);
    int64_t (*backward_scratch)(const zm_attention_job *j);
    /* Queries first..first+block-1 (or to the end) of one head. */
    void (*forward)(const zm_attention_job *j, int64_t b, int64_t h, int64_t first, float *scratch);
    /* All of one head; dbias is set when add_bias is false and added to otherwise. */
    void (*backward)(const zm_attention_job *j, int64_t b, int64_t h, bool add_bias, float *scratch);
} zm_attention_fns;
const zm_attention_fns *zm_attention_loops(void);
/* With the products in bf16 and sums in f32, where that is faster (AMX); else NULL. */
const zm_attention_fns *zm_attention_bf16_loops(void);

typedef struct zm_optim_fns {
    /* p -= c[0] p; m, v: running means of g and g^2; p -= c[1] m / (sqrt(v) c[2] + c[3]); see optim.h. */
    void (*adamw)(float *p, const float *g, float *m, float *v, int64_t n, float beta1, float beta2, const float c[4]);
    void (*axpby)(float *y, const float *x, int64_t n, float a, float b);
    double (*sum_squares)(const float *x, int64_t n);
} zm_optim_fns;
const zm_optim_fns *zm_optim_loops(void);

/* Winograd's F(4x4,3x3) for n channels side by side, a multiple of 16; point p of 36 lies at p * step. */
typedef struct zm_winograd_fns {
    /* The 6x6 places of a window, row by row, to its points. */
    void (*input)(float *v, int64_t v_step, const float *const place[36], int64_t n);
    /* taps[9][n]: 3x3 kernels, to their points. */
    void (*weights)(float *u, int64_t u_step, const float *taps, int64_t n);
    /* The products of both to 4x4 places, bias (may be NULL) added; NULL: a place that is not wanted. */
    void (*output)(float *const place[16], const float *m, int64_t m_step, const float *bias, int64_t n);
} zm_winograd_fns;
const zm_winograd_fns *zm_winograd_loops(void);

/* For the simd_*.c files: the name of this instruction set's table. */
#define ZM_SIMD_JOIN2(a, b) a##_##b
#define ZM_SIMD_JOIN(a, b)  ZM_SIMD_JOIN2(a, b)
#ifdef ZM_SIMD
#define ZM_SIMD_NAME(name) ZM_SIMD_JOIN(name, ZM_SIMD)
#endif
#define ZM_SIMD_TABLES(level)                                                                                          \
    extern const zm_elementwise_fns zm_elementwise_##level;                                                            \
    extern const zm_norm_fns zm_norm_##level;                                                                          \
    extern const zm_attention_fns zm_attention_##level;                                                                \
    extern const zm_optim_fns zm_optim_##level;                                                                        \
    extern const zm_winograd_fns zm_winograd_##level;
ZM_SIMD_TABLES(base)
ZM_SIMD_TABLES(avx2)
ZM_SIMD_TABLES(avx512)
#ifdef ZM_HAVE_AMX
extern const zm_attention_fns zm_attention_amx; /* simd_attention.c once more, with tiles (ZM_TILES) */
#endif

#endif
