/* Which instruction set this processor has, its tables of loops, and ranges over threads.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/simd.h"

#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "backend/cpu/gemm_isa.h"
#include "backend/cpu/widen.h"

static zm_simd_level detect(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return ZM_SIMD_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return ZM_SIMD_AVX2;
#endif
    return ZM_SIMD_BASE;
}

zm_simd_level zm_simd_best(void)
{
    zm_simd_level has = detect(), most = ZM_SIMD_AVX512;
    const char *wish = getenv("ZM_SIMD");
    if (wish && !strcmp(wish, "base"))
        most = ZM_SIMD_BASE;
    if (wish && !strcmp(wish, "avx2"))
        most = ZM_SIMD_AVX2;
    return has < most ? has : most;
}

/* The answer is the same for every thread, so that two of them writing it at once would do no harm; the write is
 * atomic for the sake of the language. */
static zm_simd_level level(void)
{
    static _Atomic int known = -1;
    int k = known;
    if (k < 0)
        known = k = (int)zm_simd_best();
    return (zm_simd_level)k;
}

#if defined(__x86_64__)
#define PICK(family)                                                                                                   \
    (level() == ZM_SIMD_AVX512 ? &family##_avx512 : level() == ZM_SIMD_AVX2 ? &family##_avx2 : &family##_base)
#else
#define PICK(family) ((void)level, &family##_base)
#endif

const zm_elementwise_fns *zm_elementwise(void)
{
    return PICK(zm_elementwise);
}

const zm_norm_fns *zm_norm_loops(void)
{
    return PICK(zm_norm);
}

const zm_attention_fns *zm_attention_loops(void)
{
    return PICK(zm_attention);
}

const zm_attention_fns *zm_attention_bf16_loops(void)
{
#ifdef ZM_HAVE_AMX
    return zm_gemm_bf16_best() == &zm_gemm_bf16_amx ? &zm_attention_amx : NULL;
#else
    return NULL;
#endif
}

const zm_optim_fns *zm_optim_loops(void)
{
    return PICK(zm_optim);
}

const zm_winograd_fns *zm_winograd_loops(void)
{
    return PICK(zm_winograd);
}

zm_widen_fn *zm_widen(void)
{
    return PICK(zm_widen);
}

int zm_thread_count(void)
{
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

void zm_parallel_ranges(int64_t n, int64_t grain, void (*fn)(void *ctx, int64_t begin, int64_t end), void *ctx)
{
    int64_t ranges = (n + grain - 1) / grain;
#pragma omp parallel for schedule(static) if (ranges > 1)
    for (int64_t i = 0; i < ranges; i++)
        fn(ctx, i * grain, (i + 1) * grain < n ? (i + 1) * grain : n);
}
