/* Widening stored weights, each instruction set against the plain loops of base, to the bit.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <time.h>

#include "backend/cpu/simd.h"
#include "backend/cpu/widen.h"
#include "base/rng.h"
#include "tap.h"

enum { N = 256 * 40 + 256 };

static float want[N], got[N];
static unsigned char bytes[4 * N + 1];

static void check(zm_widen_fn *fn, const char *name, zm_dtype t, zm_rng *rng)
{
    size_t block = zm_dtype_block_elems(t), n, size = 0;
    int ok = 1;
    for (int i = 0; i < 20 && ok; i++) {
        n = block == 1 ? 1 + zm_rng_below(rng, N) : block * (1 + zm_rng_below(rng, (uint32_t)(N / block)));
        if (!zm_dtype_bytes(&size, t, n))
            abort();
        unsigned char *in = bytes + zm_rng_below(rng, 2); /* any alignment */
        for (size_t k = 0; k < size; k++)
            in[k] = (unsigned char)zm_rng_u32(rng); /* any bytes are weights: NaN, infinities, subnormal scales */
        memset(got, 0x7f, sizeof got);
        zm_dtype_to_f32(want, in, t, n);
        fn(got, in, t, n);
        for (size_t k = 0; k < n; k++)
            if (memcmp(&want[k], &got[k], 4) && !(isnan(want[k]) && isnan(got[k]))) {
                printf("# %s at %zu of %zu: got %a, want %a\n", zm_dtype_name(t), k, n, (double)got[k],
                       (double)want[k]);
                ok = 0;
                break;
            }
        float after; /* nothing is written past the end */
        memset(&after, 0x7f, sizeof after);
        ok &= n == N || !memcmp(&got[n], &after, 4);
    }
    tap_ok(ok, "%s widens %s as the plain loops do", name, zm_dtype_name(t));
}

int main(void)
{
    const char *given = getenv("ZM_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    zm_rng rng = zm_rng_init(seed, 12);
    printf("# ZM_TEST_SEED=%llu\n", (unsigned long long)seed);
    for (int t = 0; t < ZM_DTYPE_COUNT; t++) {
        if (!zm_dtype_is_weight((zm_dtype)t))
            continue;
        check(zm_widen_base, "base", (zm_dtype)t, &rng);
#if defined(__x86_64__)
        if (zm_simd_best() >= ZM_SIMD_AVX2)
            check(zm_widen_avx2, "avx2", (zm_dtype)t, &rng);
        if (zm_simd_best() >= ZM_SIMD_AVX512)
            check(zm_widen_avx512, "avx512", (zm_dtype)t, &rng);
#endif
    }
    return tap_done();
}
