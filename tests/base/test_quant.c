/* Quantised types and 8-bit floats: known bytes, layouts, and errors no larger than ggml's published rules leave.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <time.h>

#include "base/quant.h"
#include "base/quant_fit.h"
#include "base/rng.h"
#include "tap.h"

static const zm_dtype types[] = {ZM_Q8_0, ZM_Q4_0, ZM_Q4_1, ZM_Q5_0, ZM_Q5_1,
                                 ZM_Q2_K, ZM_Q3_K, ZM_Q4_K, ZM_Q5_K, ZM_Q6_K};
enum { TYPES = sizeof types / sizeof *types, N = 256 * 64 };

static zm_rng fresh;
static float x[N], y[N], z[N];
static unsigned char bytes[4 * N];

static double rmse(const float *a, const float *b)
{
    double sum = 0;
    for (int i = 0; i < N; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sqrt(sum / N);
}

typedef struct spread {
    const char *name;
    float (*draw)(int i);
} spread;

static float plain_normal(int i)
{
    (void)i;
    return 0.02F * zm_rng_normal(&fresh);
}

/* Rows of other sizes, a value in a hundred far out. */
static float with_outliers(int i)
{
    return zm_rng_normal(&fresh) * ldexpf(1, i / 256 % 7 - 5) * (zm_rng_below(&fresh, 100) ? 1 : 6);
}

static float off_centre(int i)
{
    (void)i;
    return zm_rng_range(&fresh, -1, 3);
}

/* No larger error than the published rule on the same values, and about that of its bits. */
static void test_errors(const spread *s, bool bounded)
{
    static const double relative[TYPES] = {0.006, 0.095, 0.08, 0.05, 0.04, 0.3, 0.19, 0.08, 0.04, 0.02};
    for (int i = 0; i < N; i++)
        x[i] = s->draw(i);
    double size = 0;
    for (int i = 0; i < N; i++)
        size += (double)x[i] * (double)x[i] / N;
    for (int t = 0; t < TYPES; t++) {
        zm_dtype_from_f32(bytes, x, types[t], N);
        zm_dtype_to_f32(y, bytes, types[t], N);
        zm_quant_published(z, x, types[t], N);
        double ours = rmse(x, y), theirs = rmse(x, z);
        tap_ok(ours <= theirs * 1.000001, "%s of %s numbers: error %.4g, published rule %.4g", zm_dtype_name(types[t]),
               s->name, ours, theirs);
        if (bounded)
            tap_ok(ours < relative[t] * sqrt(size), "%s: %.3g of the size is below %.3g", zm_dtype_name(types[t]),
                   ours / sqrt(size), relative[t]);
    }
}

/* Any bytes are a block; parts go to bytes and back without loss. */
static void test_packing(void)
{
    static const struct {
        const char *name;
        const zm_superblock_bytes *b;
        size_t bytes;
    } kinds[] = {{"q2_k", &zm_q2_k_bytes, 84},
                 {"q3_k", &zm_q3_k_bytes, 110},
                 {"q4_k", &zm_q4_k_bytes, 144},
                 {"q5_k", &zm_q5_k_bytes, 176},
                 {"q6_k", &zm_q6_k_bytes, 210}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        int ok = 1;
        for (int i = 0; i < 100; i++) {
            unsigned char in[210], out[210];
            zm_superblock b;
            for (size_t j = 0; j < kinds[k].bytes; j++)
                in[j] = (unsigned char)zm_rng_u32(&fresh);
            size_t d = k == 2 || k == 3 ? 1 : kinds[k].bytes - 1;
            in[d] &= 0x3f; /* neither infinity nor NaN */
            in[k == 0 ? d - 2 : k < 4 ? d + 2 : d] &= 0x3f;
            kinds[k].b->unpack(&b, in);
            kinds[k].b->pack(out, &b);
            ok &= !memcmp(in, out, kinds[k].bytes);
        }
        tap_ok(ok, "%s: taken apart and put together again, any bytes stay", kinds[k].name);
    }
}

/* Single weights of blocks made by hand from the layouts' description. */
static void test_layouts(void)
{
    unsigned char b[210] = {0};
    b[1] = 0x3c, b[2 + 3] = 0xa5; /* d 1, byte 3: weights 3 and 19 */
    zm_dtype_to_f32(y, b, ZM_Q4_0, 32);
    tap_ok(y[3] == 5 - 8 && y[19] == 10 - 8 && y[0] == -8, "q4_0 by hand: %g %g", (double)y[3], (double)y[19]);
    memset(b, 0, sizeof b);
    b[1] = 0x3c, b[3] = 0x40, b[4 + 2] = 0x10, b[8] = 0x37; /* d 1, m 2, fifth bit of weight 20, byte 0 */
    zm_dtype_to_f32(y, b, ZM_Q5_1, 32);
    tap_ok(y[0] == 9 && y[16] == 5 && y[20] == 18 && y[1] == 2, "q5_1 by hand: %g %g %g", (double)y[0], (double)y[16],
           (double)y[20]);
    memset(b, 0, sizeof b);
    b[1] = 0x3c, b[3] = 0x3c;         /* d 1, dmin 1 */
    b[4] = 0x80 | 3, b[8] = 0xc0 | 2; /* sub-block 0: scale 3, min 2; upper bits of sub-block 4: scale 32, min 48 */
    b[12] = 0x51;                     /* sub-block 4: scale 32 + 1, min 48 + 5 */
    b[16] = 0x0f, b[16 + 64] = 0x07;  /* weight 0: 15; weight 128: 7 */
    zm_dtype_to_f32(y, b, ZM_Q4_K, 256);
    tap_ok(y[0] == 43 && y[1] == -2 && y[128] == 33 * 7 - 53 && y[129] == -53, "q4_k by hand: %g %g", (double)y[0],
           (double)y[128]);
    memset(b, 0, sizeof b);
    b[209] = 0x3c, b[192 + 3] = 0xfe; /* d 1, sub-block 3 (weights 48..63): scale -2 */
    b[48] = 0x0b, b[128 + 16] = 0x04; /* weight 48: 11 + 16 - 32 */
    zm_dtype_to_f32(y, b, ZM_Q6_K, 256);
    tap_ok(y[48] == 10 && y[49] == 64 && y[0] == 0, "q6_k by hand: %g %g", (double)y[48], (double)y[49]);
    memset(b, 0, sizeof b);
    b[109] = 0x3c, b[96] = 0x0f, b[104] = 0x02; /* d 1, sub-block 0: scale 15 + 32 - 32 */
    b[32] = 0x02, b[0] = 0x01;                  /* weight 0: 2, third bit set; weight 1: 0 - 4 */
    zm_dtype_to_f32(y, b, ZM_Q3_K, 256);
    tap_ok(y[0] == 30 && y[1] == -60, "q3_k by hand: %g %g", (double)y[0], (double)y[1]);
    memset(b, 0, sizeof b);
    b[81] = 0x3c, b[83] = 0x3c, b[9] = 0x35, b[16 + 32 + 16] = 0x03; /* sub-block 9: weights 144..159 */
    zm_dtype_to_f32(y, b, ZM_Q2_K, 256);
    tap_ok(y[144] == 15 - 3 && y[145] == -3 && y[128] == 0, "q2_k by hand: %g", (double)y[144]);
}

/* Nothing but numbers comes out, whatever goes in. */
static void test_strange(void)
{
    for (int i = 0; i < N; i++) {
        uint32_t bits = zm_rng_u32(&fresh);
        memcpy(&x[i], &bits, 4);
    }
    x[0] = NAN, x[1] = INFINITY, x[2] = -INFINITY, x[3] = 3e38F, x[256] = 1e-42F;
    for (int i = 512; i < 1024; i++)
        x[i] = i < 768 ? 0 : 1e-30F;
    for (int i = 1024; i < 1280; i++)
        x[i] = 0.25F;
    for (int t = 0; t < TYPES; t++) {
        int finite = 1, zeros = 1, same = 1;
        zm_dtype_from_f32(bytes, x, types[t], N);
        zm_dtype_to_f32(y, bytes, types[t], N);
        for (int i = 0; i < N; i++) {
            finite &= isfinite(y[i]) != 0;
            zeros &= i < 512 || i >= 1024 || y[i] == 0;
            same &= i < 1024 || i >= 1280 || fabsf(y[i] - 0.25F) < 2e-3F;
        }
        tap_ok(finite && zeros && same, "%s: NaN, infinities, huge, tiny and equal numbers", zm_dtype_name(types[t]));
    }
}

/* Every instruction set finds the same steps, to the bit: files do not depend on the machine that made them. */
static void test_instruction_sets(void)
{
    const zm_fit_fns *best = zm_fit(), *sets[] = {&zm_fit_base, best, best};
#if defined(__x86_64__)
    if (best == &zm_fit_avx512)
        sets[1] = &zm_fit_avx2;
#endif
    int same = 1;
    for (int i = 0; i < 3000; i++) {
        static const int tops[] = {3, 15, 31}, halves[] = {4, 8, 16, 32};
        int n = i & 1 ? 16 : 32, top = tops[i % 3], half = halves[i % 4], q[3][32];
        float step[3], affine[3], m[3], error[3], size = ldexpf(1, (int)zm_rng_below(&fresh, 60) - 40);
        for (int k = 0; k < n; k++)
            x[k] = size * (zm_rng_normal(&fresh) + (i % 5 ? 0 : 2));
        for (int k = 0; k < 3; k++) {
            step[k] = sets[k]->signed_step(x, n, -half, half - 1);
            affine[k] = sets[k]->affine_step(x, n, top, i % 7 != 0, &m[k]);
            error[k] = sets[k]->error(x, n, 0, top, affine[k], m[k], q[k]);
        }
        for (int k = 1; k < 3; k++)
            same &= !memcmp(&step[0], &step[k], 4) && !memcmp(&affine[0], &affine[k], 4) && !memcmp(&m[0], &m[k], 4) &&
                    !memcmp(&error[0], &error[k], 4) && !memcmp(q[0], q[k], sizeof(int) * (size_t)n);
    }
    tap_ok(same, "every instruction set finds the same steps, to the bit");
}

static void test_float8(void)
{
    static const struct {
        uint8_t bits;
        float value;
    } e4m3[] = {{0, 0}, {0x38, 1}, {0x7e, 448}, {0xc4, -3}, {0x01, 0x1p-9F}, {0x08, 0x1p-6F}, {0x07, 7 * 0x1p-9F}},
      e5m2[] = {{0, 0}, {0x3c, 1}, {0x7b, 57344}, {0xc2, -3}, {0x01, 0x1p-16F}, {0x04, 0x1p-14F}, {0x7c, INFINITY}};
    int known = 1, back = 1, nearest = 1;
    for (int i = 0; i < 7; i++)
        known &= zm_f8_e4m3_to_f32(e4m3[i].bits) == e4m3[i].value && zm_f8_e5m2_to_f32(e5m2[i].bits) == e5m2[i].value;
    tap_ok(known && isnan(zm_f8_e4m3_to_f32(0x7f)) && isnan(zm_f8_e4m3_to_f32(0xff)) && isnan(zm_f8_e5m2_to_f32(0x7e)),
           "8-bit floats of known bits");
    for (int i = 0; i < 256; i++) {
        float a = zm_f8_e4m3_to_f32((uint8_t)i), b = zm_f8_e5m2_to_f32((uint8_t)i);
        back &= isnan(a) || zm_f32_to_f8_e4m3(a) == i;
        back &= isnan(b) || zm_f32_to_f8_e5m2(b) == i;
    }
    tap_ok(back, "every 8-bit float comes back");
    for (int i = 0; i < 20000; i++) { /* no neighbour is nearer; of two as near the even one is taken */
        float v = zm_rng_normal(&fresh) * ldexpf(1, (int)zm_rng_below(&fresh, 28) - 19);
        if (i % 4 == 0) {
            uint8_t at = (uint8_t)zm_rng_below(&fresh, 0x7e);
            v = 0.5F * (zm_f8_e4m3_to_f32(at) + zm_f8_e4m3_to_f32((uint8_t)(at + 1)));
        }
        uint8_t q = zm_f32_to_f8_e4m3(v), r = zm_f32_to_f8_e5m2(v);
        float d = fabsf(zm_f8_e4m3_to_f32(q) - v), e = fabsf(zm_f8_e5m2_to_f32(r) - v);
        for (int step = -1; step <= 1; step += 2) {
            float near = zm_f8_e4m3_to_f32((uint8_t)(q + step)), near5 = zm_f8_e5m2_to_f32((uint8_t)(r + step));
            nearest &= !(fabsf(near - v) < d) && !(fabsf(near - v) == d && (q & 1));
            nearest &= !(fabsf(near5 - v) < e) && !(fabsf(near5 - v) == e && (r & 1));
        }
    }
    tap_ok(nearest, "random numbers go to the nearest 8-bit float, ties to even");
    tap_ok(zm_f32_to_f8_e4m3(1e9F) == 0x7e && zm_f32_to_f8_e4m3(-INFINITY) == 0xfe && zm_f32_to_f8_e5m2(1e9F) == 0x7c &&
               (zm_f32_to_f8_e4m3(NAN) & 0x7f) == 0x7f,
           "numbers beyond the largest");
}

int main(void)
{
    const char *given = getenv("ZM_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    fresh = zm_rng_init(seed, 11);
    printf("# ZM_TEST_SEED=%llu\n", (unsigned long long)seed);
    static const spread spreads[] = {
        {"normal", plain_normal}, {"normal, outlying", with_outliers}, {"uniform", off_centre}};
    for (int i = 0; i < 3; i++)
        test_errors(&spreads[i], i == 0);
    test_packing();
    test_layouts();
    test_strange();
    test_float8();
    test_instruction_sets();
    return tap_done();
}
