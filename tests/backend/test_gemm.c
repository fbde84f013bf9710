/* Blocked matrix products of every instruction set against plain sums, over random sizes, layouts and thread counts.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/cpu/gemm.h"
#include "backend/cpu/peak.h"
#include "backend/cpu/simd.h"
#include "base/arena.h"
#include "base/dtype.h"
#include "base/rng.h"
#include "plain_sum.h"
#include "tap.h"

typedef struct sizes {
    int64_t m, n, k;
    bool ta, tb;
    int threads, act;
    bool bias;
} sizes;

static float *numbers(zm_rng *rng, int64_t n)
{
    float *v = zm_aligned_alloc((size_t)n * sizeof *v);
    for (int64_t i = 0; i < n; i++)
        v[i] = zm_rng_range(rng, -1, 1);
    return v;
}

/* Numbers as they are multiplied: of a step of two, the nearest bf16. */
static float *as_read(const zm_gemm_isa *isa, const float *v, int64_t n)
{
    float *out = malloc((size_t)n * sizeof *out);
    for (int64_t i = 0; i < n; i++)
        out[i] = isa->depth == 2 ? zm_bf16_to_f32(zm_f32_to_bf16(v[i])) : v[i];
    return out;
}

/* The largest at up to 4000 places of C; NaN waits in C, so that a place left out shows. */
static double worst_error(const sizes *s, const float *a, const float *b, const float *bias, const float *c,
                          zm_rng *rng)
{
    double worst = 0;
    int64_t all = s->m * s->n;
    for (int64_t t = 0; t < 4000; t++) {
        int64_t at = all <= 4000 ? t % all : (int64_t)zm_rng_below(rng, (uint32_t)all), i = at / s->n, j = at % s->n;
        plain_sum sum = {0};
        for (int64_t k = 0; k < s->k; k++)
            plain_add(&sum,
                      (double)a[s->ta ? k * s->m + i : i * s->k + k] * (double)b[s->tb ? j * s->k + k : k * s->n + j]);
        plain_add(&sum, s->bias ? (double)bias[j] : 0);
        double e = plain_error(&sum, (zm_unary_kind)s->act, c[at]);
        if (!(e <= worst))
            worst = e;
    }
    for (int64_t i = 0; i < all; i++)
        if (isnan(c[i]))
            return NAN;
    return worst;
}

static void check(const zm_gemm_isa *isa, const sizes *s, zm_rng *rng)
{
    float *a = numbers(rng, s->m * s->k), *b = numbers(rng, s->k * s->n), *bias = numbers(rng, s->n);
    float *c = zm_aligned_alloc((size_t)(s->m * s->n) * sizeof *c);
    for (int64_t i = 0; i < s->m * s->n; i++)
        c[i] = NAN;
    zm_gemm_matrix left = {a, s->ta ? s->m : s->k}, right = {b, s->tb ? s->k : s->n};
    zm_gemm g = {.isa = isa, .m = s->m, .n = s->n, .k = s->k, .groups = 1, .a_ctx = &left, .b_ctx = &right, .c = c};
    g.c_step = s->n, g.bias = s->bias ? bias : NULL, g.act = s->act, g.threads = s->threads;
    g.pack = s->tb ? zm_gemm_pack_turned : zm_gemm_pack_matrix;
    if (s->ta)
        g.columns_of = zm_gemm_columns_of_matrix;
    else
        g.rows_of = zm_gemm_rows_of_matrix, g.piece = s->k;
    void *scratch = zm_aligned_alloc(zm_gemm_scratch(&g));
    zm_gemm_run(&g, scratch);
    float *a_read = as_read(isa, a, s->m * s->k), *b_read = as_read(isa, b, s->k * s->n);
    double worst = worst_error(s, a_read, b_read, bias, c, rng);
    free(a_read);
    free(b_read);
    tap_ok(worst <= 1, "%s [%lld,%lld,%lld]%s%s, %d threads, %s: %.2g of the error allowed", isa->name, (long long)s->m,
           (long long)s->n, (long long)s->k, s->ta ? " a turned" : "", s->tb ? " b turned" : "", s->threads,
           zm_unary_name((zm_unary_kind)s->act), worst);
    free(scratch);
    free(a);
    free(b);
    free(c);
    free(bias);
}

/* Sizes of every kind: small, around a tile, around a block, long in one direction. */
static int64_t some(zm_rng *rng)
{
    static const uint32_t top[] = {3, 20, 60, 130, 500, 1500};
    return 1 + (int64_t)zm_rng_below(rng, top[zm_rng_below(rng, 6)]);
}

static void check_isa(const zm_gemm_isa *isa, zm_rng *rng)
{
    for (int i = 0; i < 40; i++) {
        sizes s = {some(rng), some(rng), some(rng),           zm_rng_below(rng, 2), zm_rng_below(rng, 2),
                   0,         0,         zm_rng_below(rng, 2)};
        s.threads = 1 + (int)zm_rng_below(rng, 6);
        s.act = zm_rng_below(rng, 3) ? ZM_IDENTITY : (int)zm_rng_below(rng, ZM_TANH + 1);
        check(isa, &s, rng);
    }
    check(isa, &(sizes){.m = 40, .n = 24, .k = 9000, .ta = true, .threads = 4, .bias = true, .act = ZM_SILU}, rng);
    check(isa, &(sizes){.m = 8, .n = 2000, .k = 700, .tb = true, .threads = 3}, rng);
    check(isa, &(sizes){.m = 3000, .n = 9, .k = 500, .threads = 5, .act = ZM_GELU_TANH}, rng);
}

/* Every kind of number but subnormal ones, and pairs of neighbours between which a value lies in the middle. */
static void check_rounding(const zm_gemm_isa *isa, zm_rng *rng)
{
    enum { N = 1000 };
    float v[N], zipped[2 * N];
    uint16_t got[N + 1], want[N];
    int64_t wrong = 0, n = 1 + zm_rng_below(rng, N);
    for (int i = 0; i < N; i++) {
        uint32_t u = zm_rng_u32(rng);
        if (i % 3 == 0)
            u = (u & 0xffff0000) | 0x8000;
        if (i % 50 == 1)
            u |= 0x7f800000;
        if (i % 50 == 2)
            u = (u & 0x80000000) | 0x7f800000;
        if (!(u & 0x7f800000))
            u &= 0x80000000;
        memcpy(&v[i], &u, sizeof u);
        want[i] = zm_f32_to_bf16(v[i]);
    }
    int64_t even = (n + 1) / 2 * 2, after = 12345;
    zipped[even / 2] = (float)after;
    isa->round(zipped, v, n);
    memcpy(got, zipped, (size_t)even * sizeof *got);
    for (int64_t i = 0; i < even; i++)
        wrong += got[i] != (i < n ? want[i] : 0);
    tap_ok(!wrong && zipped[even / 2] == (float)after,
           "%s rounds to the nearest, to even in the middle: %lld of %lld differ", isa->name, (long long)wrong,
           (long long)n);
    int64_t half = 1 + zm_rng_below(rng, N / 2);
    isa->zip(zipped, v, v + N - half, half);
    for (int64_t i = 0; i < half; i++) {
        uint16_t pair[2];
        memcpy(pair, zipped + i, sizeof pair);
        wrong += pair[0] != want[i] || pair[1] != want[N - half + i];
    }
    isa->zip(zipped, v, NULL, half);
    for (int64_t i = 0; i < half; i++) {
        uint16_t pair[2];
        memcpy(pair, zipped + i, sizeof pair);
        wrong += pair[0] != want[i] || pair[1] != 0;
    }
    tap_ok(!wrong, "%s zips %lld numbers: %lld differ", isa->name, (long long)half, (long long)wrong);
}

static void check_bf16(const zm_gemm_isa *isa, zm_rng *rng)
{
    tap_ok(isa->depth == 2, "%s takes pairs", isa->name);
    for (int i = 0; i < 20; i++)
        check_rounding(isa, rng);
    check_isa(isa, rng);
    check(isa, &(sizes){.m = 96, .n = 70, .k = 1001, .ta = true, .threads = 2}, rng);
    check(isa, &(sizes){.m = 37, .n = 129, .k = 513, .threads = 1, .bias = true}, rng);
    check(isa, &(sizes){.m = 33, .n = 49, .k = 1, .tb = true, .threads = 1}, rng);
}

int main(void)
{
    const char *given = getenv("ZM_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    zm_rng rng = zm_rng_init(seed, 5);
    printf("# ZM_TEST_SEED=%llu\n", (unsigned long long)seed);
    check_isa(&zm_gemm_plain, &rng);
    check_bf16(&zm_gemm_bf16_plain, &rng);
#if defined(__x86_64__)
    if (zm_simd_best() >= ZM_SIMD_AVX2)
        check_isa(&zm_gemm_avx2, &rng), check_bf16(&zm_gemm_bf16_avx2, &rng);
    if (zm_simd_best() >= ZM_SIMD_AVX512)
        check_isa(&zm_gemm_avx512, &rng), check_bf16(&zm_gemm_bf16_avx512, &rng);
    if (zm_gemm_bf16_fast())
        check_bf16(&zm_gemm_bf16_dot, &rng);
#ifdef ZM_HAVE_AMX
    if (zm_gemm_bf16_best() == &zm_gemm_bf16_amx)
        check_bf16(&zm_gemm_bf16_amx, &rng);
#endif
#endif
    double peak = zm_measure_sgemm_peak(0.01);
    tap_ok(peak > 0.01 && peak < 1e6, "the measured peak is a rate: %.1f GFLOPS", peak);
    return tap_done();
}
