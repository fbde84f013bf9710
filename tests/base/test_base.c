/* Errors, arenas, element types and random numbers.
 * SPDX-License-Identifier: MIT */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/dtype.h"
#include "base/error.h"
#include "base/log.h"
#include "base/rng.h"
#include "tap.h"

static zm_rng fresh;

static void test_error(void)
{
    zm_error err = {0};
    tap_ok(zm_fail(NULL, ZM_E_IO, "unseen") == ZM_E_IO, "a status comes back without a slot");
    tap_ok(zm_fail(&err, ZM_E_FORMAT, "%s: byte %d", "file", 7) == ZM_E_FORMAT, "the code is returned");
    tap_equal_str(err.text, "file: byte 7", "the sentence is written");
    tap_ok(zm_fail(&err, ZM_E_IO, "later") == ZM_E_FORMAT, "the first error's code stays");
    tap_equal_str(err.text, "file: byte 7", "the first sentence stays");
    zm_error_prefix(&err, "clip %d", 3);
    tap_equal_str(err.text, "clip 3: file: byte 7", "a prefix stands in front");
    zm_error_clear(&err);
    zm_error_prefix(&err, "clip");
    tap_ok(err.code == ZM_OK && !err.text[0], "an empty slot takes no prefix");

    char longer[2000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    zm_fail(&err, ZM_E_IO, "%s", longer);
    zm_error_prefix(&err, "%s", longer);
    tap_ok(strlen(err.text) < sizeof err.text, "texts too long are cut, not written past the end (%zu)",
           strlen(err.text));
    int named = 1;
    for (int s = ZM_OK; s <= ZM_E_INTERRUPTED; s++)
        named &= strcmp(zm_status_name((zm_status)s), "unknown") != 0;
    tap_ok(named, "every status has a name");
    tap_equal_str(zm_status_name((zm_status)99), "unknown", "a status out of range");
}

static int seen_level, seen_count;
static char seen_text[64];

static void sink(zm_log_level level, const char *text, void *user)
{
    seen_level = (int)level;
    seen_count += *(int *)user;
    snprintf(seen_text, sizeof seen_text, "%s", text);
}

static void test_log(void)
{
    int one = 1;
    zm_log(ZM_LOG_WARN, "nobody listens");
    zm_log_set(sink, ZM_LOG_INFO, &one);
    zm_log(ZM_LOG_DEBUG, "too low");
    tap_equal_i64(seen_count, 0, "below the lowest level nothing arrives");
    zm_log(ZM_LOG_WARN, "%d apples", 3);
    tap_ok(seen_count == 1 && seen_level == ZM_LOG_WARN, "a warning arrives");
    tap_equal_str(seen_text, "3 apples", "with its text");
    zm_log_set(NULL, ZM_LOG_DEBUG, NULL);
    zm_log(ZM_LOG_WARN, "silence");
    tap_equal_i64(seen_count, 1, "NULL silences");
}

static void test_sizes(void)
{
    size_t out = 5;
    tap_ok(zm_size_mul(&out, 3, 4) && out == 12, "3 * 4");
    tap_ok(!zm_size_mul(&out, SIZE_MAX / 2 + 1, 2), "a product that does not fit");
    tap_ok(zm_size_add(&out, SIZE_MAX - 1, 1) && out == SIZE_MAX, "the largest sum");
    tap_ok(!zm_size_add(&out, SIZE_MAX, 1), "a sum that does not fit");
    tap_ok(!zm_aligned_alloc(SIZE_MAX) && !zm_aligned_alloc(SIZE_MAX - 63), "absurd sizes are refused");
    void *p = zm_aligned_alloc(0);
    tap_ok(p && (uintptr_t)p % 64 == 0, "no bytes are aligned, too");
    free(p);
}

static void test_arena(void)
{
    zm_arena *a = zm_arena_new();
    if (!tap_ok(a != NULL, "an arena"))
        return;
    enum { N = 400 };
    unsigned char *at[N];
    size_t size[N];
    int aligned = 1, zeroed = 1, kept = 1;
    for (int i = 0; i < N; i++) {
        size[i] = zm_rng_below(&fresh, i % 50 ? 3000 : 200000);
        at[i] = zm_arena_alloc(a, size[i]);
        if (!at[i])
            break;
        aligned &= (uintptr_t)at[i] % 64 == 0;
        for (size_t k = 0; k < size[i]; k++)
            zeroed &= at[i][k] == 0;
        memset(at[i], i & 0xff, size[i]);
    }
    for (int i = 0; i < N; i++)
        for (size_t k = 0; at[i] && k < size[i]; k++)
            kept &= at[i][k] == (i & 0xff);
    tap_ok(aligned, "everything is 64-byte aligned");
    tap_ok(zeroed, "everything is zero at first");
    tap_ok(kept, "nothing overlaps");
    tap_ok(!zm_arena_array(a, SIZE_MAX / 4, 8), "an array that does not fit in memory");
    tap_ok(!zm_arena_alloc(a, SIZE_MAX - 10), "an absurd size");
    tap_equal_str(zm_arena_strdup(a, "走马"), "走马", "a copied text");
    tap_equal_str(zm_arena_printf(a, "%s-%05d", "a", 42), "a-00042", "a printed text");
    tap_ok(zm_arena_bytes(a) > 0, "it counts its bytes");
    zm_arena_free(a);
    zm_arena_free(NULL);
}

static double f16_value(uint16_t h)
{
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double v = exponent == 31 ? (fraction ? NAN : INFINITY)
               : exponent     ? ldexp(1024 + fraction, exponent - 25)
                              : ldexp(fraction, -24);
    return h & 0x8000 ? -v : v;
}

static float any_float(void)
{
    uint32_t u = zm_rng_u32(&fresh);
    if (zm_rng_below(&fresh, 2)) /* near the range of f16 */
        u = (u & 0x807fffffu) | (100 + zm_rng_below(&fresh, 46)) << 23;
    if (zm_rng_below(&fresh, 4) == 0) /* exactly between two neighbours */
        u = (u & ~0x1fffu) | 0x1000;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

static void test_f16(void)
{
    int values = 1, back = 1;
    for (uint32_t h = 0; h < 65536; h++) {
        double want = f16_value((uint16_t)h);
        float got = zm_f16_to_f32((uint16_t)h);
        values &= isnan(want) ? isnan(got) : (double)got == want && !signbit(got) == !(h & 0x8000);
        if (!isnan(want))
            back &= zm_f32_to_f16(got) == h;
    }
    tap_ok(values, "all 65536 values of f16 are exact");
    tap_ok(back, "all of them come back");
    tap_ok((zm_f32_to_f16(NAN) & 0x7fff) > 0x7c00, "NaN stays NaN");
    tap_ok(zm_f32_to_f16(65519.0f) == 0x7bff && zm_f32_to_f16(65520.0f) == 0x7c00, "the edge of infinity");
    int nearest = 1;
    float worst = 0;
    for (int i = 0; i < 400000 && nearest; i++) {
        float f = any_float();
        if (isnan(f) || fabsf(f) >= 65520.0f)
            continue;
        uint16_t h = zm_f32_to_f16(f);
        double d = fabs((double)f - f16_value(h));
        for (int step = -1; step <= 1; step += 2) {
            uint16_t other = (uint16_t)((h & 0x8000) | ((h & 0x7fff) + step));
            if (((h & 0x7fff) == 0 && step < 0) || (other & 0x7c00) == 0x7c00)
                continue;
            double e = fabs((double)f - f16_value(other));
            if (e < d || (e == d && h & 1)) {
                nearest = 0;
                worst = f;
            }
        }
    }
    tap_ok(nearest, "random numbers go to the nearest f16, ties to even (%.9g)", (double)worst);
}

static void test_bf16(void)
{
    int back = 1, nearest = 1;
    for (uint32_t h = 0; h < 65536; h++) {
        float f = zm_bf16_to_f32((uint16_t)h);
        back &= isnan(f) ? isnan(zm_bf16_to_f32(zm_f32_to_bf16(f))) : zm_f32_to_bf16(f) == h;
    }
    tap_ok(back, "all 65536 values of bf16 come back");
    for (int i = 0; i < 200000 && nearest; i++) {
        float f = any_float();
        if (!isfinite(f) || fabsf(f) > 3e38f)
            continue;
        uint16_t h = zm_f32_to_bf16(f);
        double d = fabs((double)f - (double)zm_bf16_to_f32(h));
        double up = fabs((double)f - (double)zm_bf16_to_f32((uint16_t)(h + 1)));
        double down = h & 0x7fff ? fabs((double)f - (double)zm_bf16_to_f32((uint16_t)(h - 1))) : INFINITY;
        nearest = d <= up && d <= down && !((d == up || d == down) && h & 1);
    }
    tap_ok(nearest, "random numbers go to the nearest bf16, ties to even");
}

static void test_q8(void)
{
    enum { N = 32 * 40 };
    static float x[N], y[N], z[N];
    unsigned char q[N / 32 * 34], again[N / 32 * 34];
    int close = 1, stays = 1;
    for (int i = 0; i < N; i++)
        x[i] = i < 64 ? 0 : zm_rng_normal(&fresh) * ldexpf(1, (i / 32) % 20 - 10);
    zm_dtype_from_f32(q, x, ZM_Q8_0, N);
    zm_dtype_to_f32(y, q, ZM_Q8_0, N);
    zm_dtype_from_f32(again, y, ZM_Q8_0, N);
    zm_dtype_to_f32(z, again, ZM_Q8_0, N);
    for (int b = 0; b < N / 32; b++) {
        float top = 0;
        for (int i = 32 * b; i < 32 * b + 32; i++)
            top = fmaxf(top, fabsf(x[i]));
        for (int i = 32 * b; i < 32 * b + 32; i++) {
            /* half a step, and the scale's own rounding to f16 (subnormal scales lose more) */
            double bound = (double)top / 127 * 0.502 + (double)top * 0x1p-11 + 127 * 0x1p-25;
            close &= fabs((double)x[i] - (double)y[i]) <= bound;
            stays &= fabs((double)z[i] - (double)y[i]) <= (double)top * 0x1p-9 + 127 * 0x1p-24;
        }
    }
    tap_ok(close, "q8_0 is within half a step");
    tap_ok(stays, "q8_0 of q8_0 stays where it is");
    tap_ok(y[0] == 0 && y[40] == 0, "blocks of zeros are zeros");
}

static void test_dtypes(void)
{
    int ok = 1;
    for (int t = 0; t < ZM_DTYPE_COUNT; t++) {
        zm_dtype back = ZM_F64;
        ok &= zm_dtype_parse(&back, zm_dtype_name((zm_dtype)t)) && back == (zm_dtype)t;
    }
    tap_ok(ok, "every dtype is found by its name");
    zm_dtype t = ZM_U8;
    tap_ok(!zm_dtype_parse(&t, "f17") && t == ZM_U8, "an unknown name changes nothing");
    size_t bytes = 0;
    tap_ok(zm_dtype_bytes(&bytes, ZM_Q8_0, 64) && bytes == 68, "two blocks of q8_0");
    tap_ok(!zm_dtype_bytes(&bytes, ZM_Q8_0, 33), "a part of a block is refused");
    tap_ok(!zm_dtype_bytes(&bytes, ZM_F64, SIZE_MAX / 4), "a size that does not fit is refused");
    const double doubles[] = {1.5, -2.25, 1e300};
    float f[3];
    zm_dtype_to_f32(f, doubles, ZM_F64, 3);
    tap_ok(f[0] == 1.5f && f[1] == -2.25f && isinf(f[2]), "f64 narrows");
    unsigned char odd[1 + 3 * 2] = {0, 0x00, 0x3c, 0x00, 0xc0, 0x00, 0x7c}; /* f16 at an odd address */
    zm_dtype_to_f32(f, odd + 1, ZM_F16, 3);
    tap_ok(f[0] == 1 && f[1] == -2 && isinf(f[2]), "f16 is read at any address");
}

/* Philox4x32-10 once more, straight from the paper's figure, checked by its authors' published vectors. */
static void philox(const uint32_t key_in[2], const uint32_t in[4], uint32_t out[4])
{
    uint32_t c[4] = {in[0], in[1], in[2], in[3]}, k[2] = {key_in[0], key_in[1]};
    for (int round = 0; round < 10; round++) {
        uint64_t a = 0xD2511F53ull * c[0], b = 0xCD9E8D57ull * c[2];
        uint32_t n[4] = {(uint32_t)(b >> 32) ^ c[1] ^ k[0], (uint32_t)b, (uint32_t)(a >> 32) ^ c[3] ^ k[1],
                         (uint32_t)a};
        memcpy(c, n, sizeof c);
        k[0] += 0x9E3779B9u;
        k[1] += 0xBB67AE85u;
    }
    memcpy(out, c, sizeof c);
}

static void test_philox(void)
{
    static const struct {
        uint32_t ctr[4], key[2], want[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t got[4];
        philox(known[i].key, known[i].ctr, got);
        tap_ok(!memcmp(got, known[i].want, sizeof got), "published Philox vector %zu", i);
    }
    int same = 1;
    for (int i = 0; i < 1000; i++) {
        zm_rng r = zm_rng_init(zm_rng_u64(&fresh), zm_rng_u64(&fresh));
        r.index = zm_rng_u64(&fresh);
        const uint32_t key[2] = {(uint32_t)r.seed, (uint32_t)(r.seed >> 32)};
        const uint32_t ctr[4] = {(uint32_t)(r.index >> 2), (uint32_t)(r.index >> 34), (uint32_t)r.stream,
                                 (uint32_t)(r.stream >> 32)};
        uint32_t want[4];
        philox(key, ctr, want);
        uint64_t word = r.index & 3;
        same &= zm_rng_u32(&r) == want[word];
    }
    tap_ok(same, "words follow (seed, stream, index)");
}

static void test_distributions(void)
{
    enum { N = 1 << 20 };
    double sum = 0, square = 0, fourth = 0, product = 0, before = 0;
    for (int i = 0; i < N; i++) {
        double x = (double)zm_rng_normal(&fresh);
        sum += x;
        square += x * x;
        fourth += x * x * x * x;
        product += x * before;
        before = x;
    }
    /* six standard errors of each moment */
    tap_ok(fabs(sum / N) < 6 / sqrt(N), "normal: mean %.5f", sum / N);
    tap_ok(fabs(square / N - 1) < 6 * sqrt(2.0 / N), "normal: variance %.5f", square / N);
    tap_ok(fabs(fourth / N - 3) < 6 * sqrt(96.0 / N), "normal: fourth moment %.4f", fourth / N);
    tap_ok(fabs(product / N) < 6 / sqrt(N), "normal: neighbours do not depend (%.5f)", product / N);

    enum { BINS = 48, DRAWS = 480000 };
    int bin[BINS] = {0};
    for (int i = 0; i < DRAWS; i++)
        bin[zm_rng_below(&fresh, BINS)]++;
    double chi = 0, each = (double)DRAWS / BINS;
    for (int i = 0; i < BINS; i++)
        chi += (bin[i] - each) * (bin[i] - each) / each;
    tap_ok(chi < 47 + 6 * sqrt(94), "below: chi squared %.1f of 47 degrees", chi);

    int inside = 1;
    for (int i = 0; i < 200000; i++) {
        float u = zm_rng_uniform(&fresh), v = zm_rng_range(&fresh, 1.0f, nextafterf(1.0f, 2.0f)),
              w = zm_rng_range(&fresh, -3, 5);
        inside &= u >= 0 && u < 1 && v == 1.0f && w >= -3 && w < 5 && zm_rng_below(&fresh, 3) < 3;
    }
    tap_ok(inside, "ranges hold their upper end out");
    zm_rng r = zm_rng_init(3, 4), copy;
    float many[33];
    zm_rng_u32(&r);
    copy = r;
    zm_rng_normals(&r, many, 33);
    int same = 1;
    for (int i = 0; i < 33; i++)
        same &= many[i] == zm_rng_normal(&copy);
    tap_ok(same && r.index == copy.index, "a copy goes on from the same place");
    tap_ok(zm_hash64("a", 1, 0) == 0xaf63dc4c8601ec8cu, "FNV-1a of \"a\"");
}

/* A process began at one moment, whenever one looks; of many looks one is not interrupted in its middle. */
static void test_age(void)
{
    double first = INFINITY, apart = INFINITY, age = zm_process_age();
    if (age < 0) {
        tap_ok(access("/proc/self/stat", R_OK) != 0, "the system does not tell the age of a process");
        return;
    }
    for (int i = 0; i < 40; i++) {
        double began = zm_now() - zm_process_age();
        if (i < 20)
            first = fmin(first, began);
        else
            apart = fmin(apart, fabs(began - first));
        for (double now = zm_now(); zm_now() - now < 0.002;)
            continue;
    }
    tap_ok(age < 3600 && apart < 0.02, "a process of %.2f s, begun %.4f s apart by two looks", age, apart);
}

int main(void)
{
    fresh = zm_rng_init((uint64_t)time(NULL), 1);
    printf("# seed %llu\n", (unsigned long long)fresh.seed);
    test_error();
    test_log();
    test_sizes();
    test_arena();
    test_f16();
    test_bf16();
    test_q8();
    test_dtypes();
    test_philox();
    test_distributions();
    test_age();
    return tap_done();
}
