/* Choosing the instruction set of matrix products.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/gemm_isa.h"

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
