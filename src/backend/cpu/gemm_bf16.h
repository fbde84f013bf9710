/* Pairs of bf16 for gemm_tile.h: rounding f32 to them, and adding the products of a pair to a sum of f32.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_GEMM_BF16_H
#define ZM_BACKEND_CPU_GEMM_BF16_H

#include <stdint.h>
#include <string.h>

#include "backend/cpu/gemm_act.h"
#include "backend/cpu/gemm_isa.h"

#define DEPTH 2
#ifndef ONCE
#define ONCE 8 /* columns of A zipped at once */
#endif

#ifndef TURNS
/* A panel of a block is larger than the nearest cache; eight steps of it are on their way. */
INLINE void fetch_ahead(const int vectors, const float *b)
{
#pragma GCC unroll 16
    for (int j = 0; j < vectors * LANES; j += 16)
        __builtin_prefetch(b + 8 * vectors * LANES + j);
}
#endif

#ifdef __AVX512BF16__
#include <immintrin.h>

#ifndef TURNS
INLINE void multiply(const int vectors, vec *sums, const float *left, const vec *right)
{
    int pair;
    memcpy(&pair, left, sizeof pair);
    __m512bh one = (__m512bh)_mm512_set1_epi32(pair);
#pragma GCC unroll 16
    for (int j = 0; j < vectors; j++)
        sums[j] = (vec)_mm512_dpbf16_ps((__m512)sums[j], one, (__m512bh)right[j]);
}
#endif

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

/* Both columns of a step, as pairs of so many rows. */
INLINE __m512i pairs_of_columns(__mmask16 rows, const float *even, const float *odd)
{
    __m512 high = odd ? _mm512_maskz_loadu_ps(rows, odd) : _mm512_setzero_ps();
    __m512i both = (__m512i)_mm512_cvtne2ps_pbh(high, _mm512_maskz_loadu_ps(rows, even));
    __m512i a = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(both));
    __m512i b = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(both, 1));
    return _mm512_or_si512(a, _mm512_slli_epi32(b, 16));
}

#ifdef TURNS
/* Sixteen rows of sixteen numbers of 32 bits become columns: by pairs, fours, eights, halves. */
INLINE void turn(__m512i r[16])
{
    __m512i t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) {
            r[i + 2 * j] = _mm512_unpacklo_epi64(t[i + j], t[i + j + 2]);
            r[i + 2 * j + 1] = _mm512_unpackhi_epi64(t[i + j], t[i + j + 2]);
        }
#pragma GCC unroll 2
    for (int i = 0; i < 16; i += 8)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            t[i + j] = _mm512_shuffle_i32x4(r[i + j], r[i + j + 4], 0x88);
            t[i + j + 4] = _mm512_shuffle_i32x4(r[i + j], r[i + j + 4], 0xdd);
        }
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++) {
        r[j] = _mm512_shuffle_i32x4(t[j], t[j + 8], 0x88);
        r[j + 8] = _mm512_shuffle_i32x4(t[j], t[j + 8], 0xdd);
    }
}

/* Rows of sixteen steps, zeros after the last. */
static void zip_columns(float *to, const float *const *column, int64_t i0, int rows, int count)
{
    for (int i = 0; i < rows; i += 16) {
        const int some = rows - i < 16 ? rows - i : 16;
        const __mmask16 in = (__mmask16)((1u << some) - 1);
        __m512i step[16];
#pragma GCC unroll 16
        for (int k = 0; k < 16; k++)
            step[k] = 2 * k < count ? pairs_of_columns(in, column[2 * k] + i0 + i,
                                                       2 * k + 1 < count ? column[2 * k + 1] + i0 + i : NULL)
                                    : _mm512_setzero_si512();
        turn(step);
#pragma GCC unroll 16
        for (int r = 0; r < 16; r++)
            if (r < some)
                _mm512_storeu_si512(to + (int64_t)(i + r) * ZM_TILE_PITCH, step[r]);
    }
}
#else
static void zip_columns(float *to, const float *const *column, int64_t i0, int rows, int count)
{
    const __mmask16 in = (__mmask16)((1u << rows) - 1);
    for (int k = 0; k < count; k += 2, to += rows)
        _mm512_mask_storeu_epi32(to, in,
                                 pairs_of_columns(in, column[k] + i0, k + 1 < count ? column[k + 1] + i0 : NULL));
}
#endif
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
