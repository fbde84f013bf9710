/* Choosing the instruction set of products on bytes.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/int8.h"
#include "backend/cpu/simd.h"

#if defined(__x86_64__)
static bool has_vnni(void)
{
#if defined(__GNUC__)
    const char *wish = getenv("ZM_SIMD");
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512vnni") && !(wish && !strcmp(wish, "avx512"));
#else
    return false;
#endif
}
#endif

const zm_int8_isa *zm_int8_isa_best(void)
{
#if defined(__x86_64__)
    zm_simd_level level = zm_simd_best();
    if (level == ZM_SIMD_AVX512)
        return has_vnni() ? &zm_int8_vnni : &zm_int8_avx512;
    if (level == ZM_SIMD_AVX2)
        return &zm_int8_avx2;
#endif
    return &zm_int8_plain;
}
