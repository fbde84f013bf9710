/* Inner loops of products on bytes for AVX-512 (BW).
 * SPDX-License-Identifier: MIT */
#define ISA_NAME  "avx512"
#define ISA_TABLE zm_int8_avx512
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

INLINE __m512i times(const left *l, int q, const int8_t *b, int64_t line)
{
    return _mm512_maddubs_epi16(l->four[q], _mm512_loadu_si512(b + q * line));
}

/* Four sums of 16 bits before one is widened: I1 of int8.h. */
INLINE ivec dot_step(ivec acc, const left *l, const int8_t *b, int64_t line)
{
    __m512i s = _mm512_add_epi16(times(l, 0, b, line), times(l, 1, b, line));
    s = _mm512_add_epi16(s, times(l, 2, b, line));
    s = _mm512_add_epi16(s, times(l, 3, b, line));
    return (ivec)_mm512_add_epi32((__m512i)acc, _mm512_madd_epi16(s, _mm512_set1_epi16(1)));
}

#include "backend/cpu/int8_tile.h"
