/* Inner loops of products on bytes for AVX-512 with VNNI.
 * SPDX-License-Identifier: MIT */
#define ISA_NAME  "vnni"
#define ISA_TABLE zm_int8_vnni
#define LANES     16
#define ROWS      8
#define VECTORS   3
#define FOURS
#include <immintrin.h>

#include "backend/cpu/int8_dot.h"

/* One instruction multiplies 64 bytes, as many as one load brings: a panel's vectors are read once for all rows (24 sums
 * and 3 of them fit in 32 registers), or loads would be twice the products. */
INLINE void add_step(const int rows, const int vectors, ivec acc[ROWS][VECTORS], const uint8_t *const *a, int64_t k,
                     const int8_t *b)
{
    for (int q = 0; q < 4; q++, b += vectors * LANES * 4) {
        __m512i panel[VECTORS];
#pragma GCC unroll 16
        for (int j = 0; j < vectors; j++)
            panel[j] = _mm512_loadu_si512(b + j * LANES * 4);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            int32_t four;
            __builtin_memcpy(&four, a[i] + k + 4 * q, 4);
            __m512i left = _mm512_set1_epi32(four);
#pragma GCC unroll 16
            for (int j = 0; j < vectors; j++)
                acc[i][j] = (ivec)_mm512_dpbusd_epi32((__m512i)acc[i][j], left, panel[j]);
        }
    }
}

#include "backend/cpu/int8_tile.h"
