/* Inner loops of products on bytes for AVX-512 with VNNI.
 * SPDX-License-Identifier: MIT */
#define ISA_NAME  "vnni"
#define ISA_TABLE zm_int8_vnni
#define LANES     16
#define ROWS      8
#define VECTORS   3
#include <immintrin.h>

#include "backend/cpu/int8_dot.h"

typedef struct left {
    __m512i four[4];
} left;

INLINE left left_of(const uint8_t *a)
{
    left l;
    for (int q = 0; q < 4; q++) {
        int32_t v;
        __builtin_memcpy(&v, a + 4 * q, 4);
        l.four[q] = _mm512_set1_epi32(v);
    }
    return l;
}

INLINE ivec dot_step(ivec acc, const left *l, const int8_t *b, int64_t line)
{
    for (int q = 0; q < 4; q++)
        acc = (ivec)_mm512_dpbusd_epi32((__m512i)acc, l->four[q], _mm512_loadu_si512(b + q * line));
    return acc;
}

#include "backend/cpu/int8_tile.h"
