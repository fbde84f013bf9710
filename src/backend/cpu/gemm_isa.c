/* Choosing the instruction set of matrix products.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/gemm_isa.h"

#include <stdlib.h>
#include <string.h>

#include "backend/cpu/simd.h"

#ifdef ZM_HAVE_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

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

#ifdef ZM_HAVE_AMX
/* The processor has tiles and products of bf16, and the system lets this process keep their registers (Linux: asked for
 * once, before the first use). */
static bool has_tiles(void)
{
    enum { REQUEST = 0x1023, TILES = 18, BF16 = 1 << 22, TILE = 1 << 24 };
    static _Atomic int known = -1;
    const char *wish = getenv("ZM_SIMD");
    unsigned a, b, c, d;
    if (known < 0)
        known = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & BF16) && (d & TILE) &&
                syscall(SYS_arch_prctl, REQUEST, TILES) == 0;
    return known && has_dot() && !(wish && !strcmp(wish, "avx512_bf16"));
}
#endif

const zm_gemm_isa *zm_gemm_bf16_best(void)
{
#if defined(__x86_64__)
    zm_simd_level level = zm_simd_best();
#ifdef ZM_HAVE_AMX
    if (level == ZM_SIMD_AVX512 && has_tiles())
        return &zm_gemm_bf16_amx;
#endif
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
    return zm_simd_best() == ZM_SIMD_AVX512 && has_dot();
#else
    return false;
#endif
}
