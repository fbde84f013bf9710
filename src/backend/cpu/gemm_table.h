/* The rest of a table of matrix products: turning, finishing, and the table itself.  A file includes this after defining
 * ISA_NAME, ISA_TABLE, LANES, ROWS and VECTORS and a function `tile` (gemm_tile.h, or its own).
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_GEMM_TABLE_H
#define ZM_BACKEND_CPU_GEMM_TABLE_H

#include <string.h>

#include "backend/cpu/gemm_act.h"
#include "backend/cpu/gemm_isa.h"

#ifndef PANELS
#define PANELS (96 * 1024) /* 384 KiB */
#endif

#ifdef __has_builtin
#if __has_builtin(__builtin_shufflevector)
#define TURN_IN_REGISTERS
#endif
#endif

#ifdef TURN_IN_REGISTERS
typedef float four __attribute__((vector_size(16)));
typedef float loose_four __attribute__((vector_size(16), aligned(4), may_alias));

/* Four rows by four steps, turned in registers. */
INLINE void turn_four(const float *const *row, int64_t k, int width, float *out)
{
    four a = *(const loose_four *)(row[0] + k), b = *(const loose_four *)(row[1] + k);
    four c = *(const loose_four *)(row[2] + k), d = *(const loose_four *)(row[3] + k);
    four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    four cd = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd2 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(loose_four *)out = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    *(loose_four *)(out + width) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
    *(loose_four *)(out + 2 * width) = __builtin_shufflevector(ab2, cd2, 0, 1, 4, 5);
    *(loose_four *)(out + 3 * width) = __builtin_shufflevector(ab2, cd2, 2, 3, 6, 7);
}
#else
INLINE void turn_four(const float *const *row, int64_t k, int width, float *out)
{
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            out[i * width + j] = row[j][k + i];
}
#endif

static void pack_turned(const float *const *row, int n, int64_t length, int width, float *out)
{
    int64_t even = length & ~(int64_t)3;
    if (n < width)
        memset(out, 0, sizeof(float) * (size_t)length * (size_t)width);
    for (int64_t k0 = 0; k0 < even; k0 += 16) { /* a line of every row is used up while it is near */
        int64_t k1 = k0 + 16 < even ? k0 + 16 : even;
        int j = 0;
        for (; j + 4 <= n; j += 4)
            for (int64_t k = k0; k < k1; k += 4)
                turn_four(row + j, k, width, out + k * width + j);
        for (; j < n; j++)
            for (int64_t k = k0; k < k1; k++)
                out[k * width + j] = row[j][k];
    }
    for (int64_t k = even; k < length; k++)
        for (int j = 0; j < n; j++)
            out[k * width + j] = row[j][k];
}

static void finish(float *y, int64_t n, const float *bias, int act)
{
    int64_t at = 0;
    for (; at + LANES <= n; at += LANES)
        store(y + at, activate(bias ? load(y + at) + load(bias + at) : load(y + at), act));
    for (; at < n; at++)
        y[at] = zm_unary_value((zm_unary_kind)act, y[at] + (bias ? bias[at] : 0));
}

const zm_gemm_isa ISA_TABLE = {
    .name = ISA_NAME,
    .rows = ROWS,
    .lanes = LANES,
    .vectors = VECTORS,
    .depth = DEPTH,
    .panels = PANELS,
    .tile = tile,
#ifdef END
    .end = END,
#endif
    .pack_turned = pack_turned,
    .finish = finish,
#if DEPTH == 2
    .once = ONCE,
#ifdef TURNS
    .turns = true,
#endif
    .round = round_row,
    .zip = zip,
    .zip_columns = zip_columns,
#endif
};

#endif
