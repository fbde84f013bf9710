/* One register of floats, as wide as the instruction set this file is compiled for.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_SIMD_VEC_H
#define ZM_BACKEND_CPU_SIMD_VEC_H

#include <stdint.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
enum { VW = 16 };
#define VEC_BYTES 64
#elif defined(__AVX2__)
enum { VW = 8 };
#define VEC_BYTES 32
#else
enum { VW = 4 };
#define VEC_BYTES 16
#endif

typedef float vf __attribute__((vector_size(VEC_BYTES)));
typedef int32_t vi __attribute__((vector_size(VEC_BYTES)));
typedef float vf_loose __attribute__((vector_size(VEC_BYTES), aligned(4), may_alias)); /* at any float's address */
typedef float v4 __attribute__((vector_size(16)));
typedef float v4_loose __attribute__((vector_size(16), aligned(4), may_alias));

#ifndef INLINE
#define INLINE static inline __attribute__((always_inline, unused))
#endif

INLINE vf vload(const float *p)
{
    return *(const vf_loose *)p;
}

INLINE void vstore(float *p, vf v)
{
    *(vf_loose *)p = v;
}

INLINE vf vset(float x)
{
    return (vf){0} + x;
}

INLINE vf vmax(vf a, vf b)
{
#if defined(__AVX512F__)
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
    return (vf)_mm_max_ps((__m128)a, (__m128)b);
#else
    vi m = a > b;
    return (vf)((m & (vi)a) | (~m & (vi)b));
#endif
}

/* Sum of the lanes, halves folded onto each other. */
INLINE float vsum(vf a)
{
#if defined(__AVX512F__)
    return _mm512_reduce_add_ps((__m512)a);
#elif defined(__SSE2__)
#if defined(__AVX2__)
    __m128 h = _mm_add_ps(_mm256_castps256_ps128((__m256)a), _mm256_extractf128_ps((__m256)a, 1));
#else
    __m128 h = (__m128)a;
#endif
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(h, _mm_shuffle_ps(h, h, 1)));
#else
    float s = 0;
    for (int i = 0; i < VW; i++)
        s += a[i];
    return s;
#endif
}

/* 2^z for z <= 0, -infinity included: relative error 1.1e-7, exactly 0 below 2^-126. */
INLINE vf vexp2_negative(vf z)
{
    z = vmax(z, vset(-200.0F));
#if defined(__AVX512F__)
    vf f = z - (vf)_mm512_roundscale_ps((__m512)z, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
    const float magic = 12582912.0F; /* 1.5 * 2^23: adding it rounds to an integer */
    vf t = z + magic, f = z - (t - magic);
#endif
    vf p = f * 1.339086336e-3F + 9.676031918e-3F;
    p = p * f + 5.550357114e-2F;
    p = p * f + 2.402210749e-1F;
    p = p * f + 6.931471880e-1F;
    p = p * f + 1.000000075F;
#if defined(__AVX512F__)
    return (vf)_mm512_scalef_ps((__m512)p,
                                _mm512_roundscale_ps((__m512)z, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#else
    vi n = (vi)t - 0x4b400000;
    vi keep = z > -125.5F;
    return (vf)(((vi)p + (n << 23)) & keep);
#endif
}

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define VEC_SHUFFLE 1
#endif
#endif

/* (x1, x0, x3, x2, ..) */
INLINE vf vswap_pairs(vf v)
{
#if defined(__AVX512F__)
    return (vf)_mm512_permute_ps((__m512)v, 0xb1);
#elif defined(__AVX2__)
    return (vf)_mm256_permute_ps((__m256)v, 0xb1);
#elif defined(VEC_SHUFFLE)
    return __builtin_shufflevector(v, v, 1, 0, 3, 2);
#else
    return (vf){v[1], v[0], v[3], v[2]};
#endif
}

/* y[c][r] = x[r][c] for four rows and columns. */
INLINE void vtranspose4(float *y, int64_t y_stride, const float *x, int64_t x_stride)
{
#ifdef VEC_SHUFFLE
    v4 a = *(const v4_loose *)x, b = *(const v4_loose *)(x + x_stride);
    v4 c = *(const v4_loose *)(x + 2 * x_stride), d = *(const v4_loose *)(x + 3 * x_stride);
    v4 ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    v4 ef = __builtin_shufflevector(a, b, 2, 6, 3, 7), gh = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(v4_loose *)y = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    *(v4_loose *)(y + y_stride) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
    *(v4_loose *)(y + 2 * y_stride) = __builtin_shufflevector(ef, gh, 0, 1, 4, 5);
    *(v4_loose *)(y + 3 * y_stride) = __builtin_shufflevector(ef, gh, 2, 3, 6, 7);
#else
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 4; c++)
            y[c * y_stride + r] = x[r * x_stride + c];
#endif
}

#endif
