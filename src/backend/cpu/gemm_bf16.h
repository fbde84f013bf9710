/* Pairs of bf16 for gemm_tile.h: rounding f32 to them, and adding the products of a pair to a sum of f32.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_GEMM_BF16_H
#define ZM_BACKEND_CPU_GEMM_BF16_H

#include <stdint.h>
#include <string.h>

#include "backend/cpu/gemm_act.h"

#define INLINE static inline __attribute__((always_inline))
#define DEPTH  2

/* A panel of a block is larger than the nearest cache; eight steps of it are on their way. */
INLINE void fetch_ahead(const int vectors, const float *b)
{
#pragma GCC unroll 16
    for (int j = 0; j < vectors * LANES; j += 16)
        __builtin_prefetch(b + 8 * vectors * LANES + j);
}

#ifdef __AVX512BF16__
#include <immintrin.h>

INLINE void multiply(const int vectors, vec *sums, const float *left, const vec *right)
{
    int pair;
    memcpy(&pair, left, sizeof pair);
    __m512bh one = (__m512bh)_mm512_set1_epi32(pair);
#pragma GCC unroll 16
    for (int j = 0; j < vectors; j++)
        sums[j] = (vec)_mm512_dpbf16_ps((__m512)sums[j], one, (__m512bh)right[j]);
}

static void round_row(float *to, const float *from, int64_t n)
{
    int64_t k = 0;
    for (; k + 32 <= n; k += 32)
        _mm512_storeu_si512(to + k / 2,
                            (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + k + 16), _mm512_loadu_ps(from + k)));
    for (; k < n; k += 16) {
        int left = n - k < 16 ? (int)(n - k) : 16;
        __m256i pairs = (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps((__mmask16)((1 << left) - 1), from + k));
        _mm256_mask_storeu_epi32(to + k / 2, (__mmask8)((1 << (left + 1) / 2) - 1), pairs);
    }
}

static void zip(float *to, const float *even, const float *odd, int64_t n)
{
    for (int64_t j = 0; j < n; j += 16) {
        __mmask16 in = (__mmask16)(n - j < 16 ? (1 << (n - j)) - 1 : 0xffff);
        __m512 high = odd ? _mm512_maskz_loadu_ps(in, odd + j) : _mm512_setzero_ps();
        __m512i a = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(in, even + j)));
        __m512i b = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(high));
        _mm512_mask_storeu_epi32(to + j, in, _mm512_or_si512(a, _mm512_slli_epi32(b, 16)));
    }
}

/* Eight rows at most: both columns are rounded by one instruction. */
static void zip_columns(float *to, const float *const *column, int64_t i0, int rows, int count)
{
    const __mmask8 in = (__mmask8)((1 << rows) - 1);
    for (int k = 0; k < count; k += 2, to += rows) {
        __m256 even = _mm256_maskz_loadu_ps(in, column[k] + i0);
        __m256 odd = k + 1 < count ? _mm256_maskz_loadu_ps(in, column[k + 1] + i0) : _mm256_setzero_ps();
        __m256i both = (__m256i)_mm512_cvtneps_pbh(_mm512_insertf32x8(_mm512_castps256_ps512(even), odd, 1));
        __m256i a = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(both));
        __m256i b = _mm256_cvtepu16_epi32(_mm256_extracti128_si256(both, 1));
        _mm256_mask_storeu_epi32(to, in, _mm256_or_si256(a, _mm256_slli_epi32(b, 16)));
    }
}
#else
typedef uint32_t uvec __attribute__((vector_size(LANES * 4)));

/* A pair's numbers are f32 whose lower halves are gone. */
INLINE void multiply(const int vectors, vec *sums, const float *left, const vec *right)
{
    uint32_t pair;
    memcpy(&pair, left, sizeof pair);
    const uvec one = pair - (uvec){0}, upper = 0xffff0000u - (uvec){0};
#pragma GCC unroll 16
    for (int j = 0; j < vectors; j++) {
        sums[j] += (vec)(one << 16) * (vec)((uvec)right[j] << 16);
        sums[j] += (vec)(one & upper) * (vec)((uvec)right[j] & upper);
    }
}

/* As the upper half of 32 bits; what is no number stays none. */
INLINE uint32_t rounded(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    uint32_t near = u + 0x7fff + (u >> 16 & 1);
    return (u & 0x7fffffff) > 0x7f800000 ? u | 0x400000 : near;
}

INLINE void put_pair(float *to, float even, float odd)
{
    uint32_t pair = rounded(even) >> 16 | (rounded(odd) & 0xffff0000);
    memcpy(to, &pair, sizeof pair);
}

static void round_row(float *to, const float *from, int64_t n)
{
    for (int64_t k = 0; k + 1 < n; k += 2)
        put_pair(to + k / 2, from[k], from[k + 1]);
    if (n & 1)
        put_pair(to + n / 2, from[n - 1], 0);
}

static void zip(float *to, const float *even, const float *odd, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        put_pair(to + j, even[j], odd ? odd[j] : 0);
}

static void zip_columns(float *to, const float *const *column, int64_t i0, int rows, int count)
{
    for (int k = 0; k < count; k += 2, to += rows)
        for (int i = 0; i < rows; i++)
            put_pair(to + i, column[k][i0 + i], k + 1 < count ? column[k + 1][i0 + i] : 0);
}
#endif

#endif
