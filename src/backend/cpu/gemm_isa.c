/* Choosing the instruction set of matrix products.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/gemm_isa.h"

#include <stdlib.h>
#include <string.h>

#include "backend/cpu/simd.h"

const zm_gemm_isa *zm_gemm_isa_best(void)
{
#if defined(__x86_64__)
    zm_simd_level level = zm_simd_best();
    if (level == ZM_SIMD_AVX512)
        return &zm_gemm_avx512;
    if (level == ZM_SIMD_AVX2)
        return &zm_gemm_avx2;
#endif
    return &zm_gemm_plain;
}

#if defined(__x86_64__)
static bool has_dot(void)
{
#if defined(__GNUC__)
    const char *wish = getenv("ZM_SIMD");
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512bf16") && !(wish && !strcmp(wish, "avx512"));
#else
    return false;
#endif
}
#endif

const zm_gemm_isa *zm_gemm_bf16_best(void)
{
#if defined(__x86_64__)
    zm_simd_level level = zm_simd_best();
    if (level == ZM_SIMD_AVX512)
        return has_dot() ? &zm_gemm_bf16_dot : &zm_gemm_bf16_avx512;
    if (level == ZM_SIMD_AVX2)
        return &zm_gemm_bf16_avx2;
#endif
    return &zm_gemm_bf16_plain;
}

bool zm_gemm_bf16_fast(void)
{
#if defined(__x86_64__)
    return zm_gemm_bf16_best() == &zm_gemm_bf16_dot;
#else
    return false;
#endif
}
