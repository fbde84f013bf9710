/* Products on bytes: every instruction set against plain sums of integers, to the bit, over random sizes and layouts, with
 * operands that drive the sums to their limits.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/cpu/int8.h"
#include "backend/cpu/simd.h"
#include "base/arena.h"
#include "base/rng.h"
#include "ops/unary.h"
#include "tap.h"

static const zm_int8_isa *isas[4];
static int n_isas;

/* Sizes and operands of a product; row i of A has its pieces at a + i * k, turned round within the row. */
typedef struct problem {
    int64_t m, n, k, piece;
    uint8_t *a;
    float *b; /* [n][k] */
    float *scale, *bias;
    int32_t *zero;
    bool with_bias, shared;
    int act, threads;
} problem;

static int64_t place_of(const problem *p, int64_t i, int64_t s)
{
    int64_t pieces = p->k / p->piece;
    return i * p->k + (s + i) % pieces * p->piece;
}

static void rows_of(const void *ctx, int64_t i0, int rows, const uint8_t **row)
{
    const problem *p = ctx;
    for (int64_t s = 0; s < p->k / p->piece; s++)
        for (int i = 0; i < rows; i++)
            row[s * ZM_INT8_ROWS + i] = p->a + place_of(p, i0 + i, s);
}

/* Columns of every kind: even, one-sided, with outliers, of one size, nothing. */
static void draw_column(zm_rng *rng, float *x, int64_t k)
{
    int kind = (int)zm_rng_below(rng, 7);
    float size = expf(zm_rng_range(rng, -8, 8));
    for (int64_t i = 0; i < k; i++) {
        float v = zm_rng_range(rng, -1, 1);
        switch (kind) {
        case 0:
            v = fabsf(v);
            break;
        case 1:
            v = zm_rng_below(rng, 50) ? v * 0.01F : v;
            break;
        case 2:
            v = v < 0 ? -1 : 1;
            break;
        case 3:
            v = 1;
            break;
        case 4:
            v = zm_rng_below(rng, 40) ? 0 : -1;
            break;
        default:
            break;
        }
        x[i] = v * size;
    }
    if (kind == 6 && zm_rng_below(rng, 2))
        memset(x, 0, sizeof *x * (size_t)k);
}

static void draw_row(zm_rng *rng, uint8_t *a, int64_t k)
{
    int kind = (int)zm_rng_below(rng, 4);
    for (int64_t i = 0; i < k; i++)
        a[i] = (uint8_t)(kind == 0 ? ZM_INT8_TOP : zm_rng_below(rng, ZM_INT8_TOP + 1));
}

static problem draw(zm_rng *rng)
{
    static const uint32_t top[] = {2, 9, 50, 130, 200};
    problem p = {.m = 1 + zm_rng_below(rng, top[zm_rng_below(rng, 5)]),
                 .n = 1 + zm_rng_below(rng, top[zm_rng_below(rng, 5)]),
                 .piece = ZM_INT8_STEP * (1 + (int64_t)zm_rng_below(rng, 12))};
    /* long sums only where there are few of them: the plain loops have to end, too */
    p.k = p.piece * (1 + (int64_t)zm_rng_below(rng, p.m * p.n < 2000 && zm_rng_below(rng, 2) ? 28 : 1));
    p.with_bias = zm_rng_below(rng, 2), p.shared = zm_rng_below(rng, 2);
    p.act = zm_rng_below(rng, 2) ? (int)zm_rng_below(rng, ZM_RELU + 1) : ZM_IDENTITY;
    p.threads = 1 + (int)zm_rng_below(rng, 5);
    p.a = zm_aligned_alloc((size_t)(p.m * p.k));
    p.b = zm_aligned_alloc((size_t)(p.n * p.k) * sizeof(float));
    p.scale = zm_aligned_alloc((size_t)p.m * sizeof(float));
    p.zero = zm_aligned_alloc((size_t)p.m * sizeof(int32_t));
    p.bias = zm_aligned_alloc((size_t)p.n * sizeof(float));
    for (int64_t i = 0; i < p.m; i++) {
        draw_row(rng, p.a + i * p.k, p.k);
        p.scale[i] = expf(zm_rng_range(rng, -9, 0)) / (float)p.k;
        p.zero[i] = (int32_t)zm_rng_below(rng, ZM_INT8_TOP + 1);
    }
    for (int64_t j = 0; j < p.n; j++) {
        draw_column(rng, p.b + j * p.k, p.k);
        p.bias[j] = zm_rng_range(rng, -2, 2);
    }
    return p;
}

static void release(problem *p)
{
    free(p->a);
    free(p->b);
    free(p->scale);
    free(p->zero);
    free(p->bias);
}

/* I1 holds, and every weight is its number within half a step. */
static bool weights_are_right(const problem *p, const zm_int8_weights *w)
{
    for (int64_t j = 0; j < p->n; j++) {
        int32_t sum = 0;
        for (int64_t k = 0; k < p->k; k++) {
            int q = zm_int8_weights_at(w, j, k);
            double x = p->b[j * p->k + k], d = fabs(x - (double)w->scale[j] * q);
            sum += q;
            if (!(d <= (double)w->scale[j] * 0.50001))
                return false;
        }
        for (int64_t k = 0; k < p->k; k += ZM_INT8_STEP)
            for (int lane = 0; lane < 4; lane += 2) {
                int above = 0, below = 0;
                for (int i = 0; i < 8; i++) {
                    int q = zm_int8_weights_at(w, j, k + lane + i / 2 * 4 + i % 2);
                    above += q > 0 ? q : 0, below -= q < 0 ? q : 0;
                }
                if (above > ZM_INT8_LANE || below > ZM_INT8_LANE)
                    return false;
            }
        if (sum != w->sum[j])
            return false;
    }
    return true;
}

/* Places where c is not what integers give, before an activation to the bit. */
static int64_t wrong_places(const problem *p, const zm_int8_weights *w, const float *c)
{
    int64_t wrong = 0;
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->n; j++) {
            int32_t sum = 0;
            for (int64_t k = 0; k < p->k; k++)
                sum += p->a[place_of(p, i, k / p->piece) + k % p->piece] * zm_int8_weights_at(w, j, k);
            int64_t row = p->shared ? 0 : i;
            float scale = p->scale[row] * w->scale[j], y = (float)(sum - p->zero[row] * w->sum[j]) * scale;
            y = p->with_bias ? y + p->bias[j] : y;
            float got = c[i * p->n + j], want = p->act ? zm_unary_value((zm_unary_kind)p->act, y) : y;
            wrong += p->act ? !(fabsf(got - want) <= 2e-6F * (1 + fabsf(y))) : memcmp(&got, &want, sizeof got) != 0;
        }
    return wrong;
}

static float *run(const problem *p, const zm_int8_isa *isa, bool *weights, int64_t *wrong)
{
    void *memory = zm_aligned_alloc(zm_int8_weights_bytes(isa, p->n, p->k));
    float *c = zm_aligned_alloc((size_t)(p->m * p->n) * sizeof *c);
    zm_int8_weights w;
    memset(memory, 0, zm_int8_weights_bytes(isa, p->n, p->k));
    zm_int8_weights_init(&w, isa, p->n, p->k, memory);
    for (int64_t j = 0; j < p->n; j++)
        zm_int8_weights_set(&w, j, p->b + j * p->k);
    zm_int8_product q = {.w = &w,
                         .m = p->m,
                         .rows_of = rows_of,
                         .ctx = p,
                         .piece = p->piece,
                         .scale = p->scale,
                         .zero = p->zero,
                         .shared = p->shared,
                         .c = c,
                         .bias = p->with_bias ? p->bias : NULL,
                         .act = p->act,
                         .threads = p->threads};
    void *scratch = zm_aligned_alloc(zm_int8_scratch(&q));
    memset(c, 0xff, (size_t)(p->m * p->n) * sizeof *c); /* NaN shows a place left out */
    zm_int8_run(&q, scratch);
    *weights = weights_are_right(p, &w);
    *wrong = wrong_places(p, &w, c);
    free(scratch);
    free(memory);
    return c;
}

static void check_product(zm_rng *rng)
{
    problem p = draw(rng);
    float *first = NULL;
    for (int i = 0; i < n_isas; i++) {
        bool weights;
        int64_t wrong;
        float *c = run(&p, isas[i], &weights, &wrong);
        bool same = !first || !memcmp(first, c, (size_t)(p.m * p.n) * sizeof *c);
        tap_ok(weights && !wrong && same,
               "%s [%lld,%lld,%lld], pieces of %lld, %d threads%s%s, %s: weights %s, %lld wrong, %s", isas[i]->name,
               (long long)p.m, (long long)p.n, (long long)p.k, (long long)p.piece, p.threads,
               p.with_bias ? ", bias" : "", p.shared ? ", one scale" : "", zm_unary_name((zm_unary_kind)p.act),
               weights ? "right" : "wrong", (long long)wrong, same ? "same bits" : "other bits");
        if (first)
            free(c);
        else
            first = c;
    }
    free(first);
    release(&p);
}

/* Numbers to bytes and their range: the same everywhere, within half a step, zero exact. */
static void check_bytes(zm_rng *rng)
{
    enum { MOST = 300 };
    float x[MOST], size = expf(zm_rng_range(rng, -20, 20)), shift = zm_rng_range(rng, -1, 1);
    uint8_t q[MOST + 1], want[MOST];
    int64_t n = 1 + zm_rng_below(rng, MOST);
    float low = 0, high = 0;
    for (int64_t i = 0; i < n; i++) {
        x[i] = (zm_rng_range(rng, -1, 1) + shift) * size;
        low = fminf(low, x[i]), high = fmaxf(high, x[i]);
    }
    zm_int8_grid g = zm_int8_grid_of(low, high);
    double worst = 0;
    for (int64_t i = 0; i < n; i++) {
        float v = rintf(x[i] * g.inverse) + (float)g.zero;
        want[i] = (uint8_t)fminf(fmaxf(v, 0), ZM_INT8_TOP);
        worst = fmax(worst, fabs((double)x[i] - (double)g.scale * (want[i] - g.zero)));
    }
    for (int i = 0; i < n_isas; i++) {
        float l = 0, h = 0;
        memset(q, 77, sizeof q);
        isas[i]->range(x, n, &l, &h);
        isas[i]->to_bytes(q, x, n, g.inverse, g.zero);
        tap_ok(l == low && h == high && !memcmp(q, want, (size_t)n) && q[n] == 77 && worst <= (double)g.scale * 1.001,
               "%s: %lld numbers of %.2g as bytes: worst error %.3g steps", isas[i]->name, (long long)n, (double)size,
               worst / (double)g.scale);
    }
}

static void check_edges(void)
{
    float x[20] = {NAN, INFINITY, -INFINITY, 1, -1}, column[ZM_INT8_STEP] = {NAN, 1, 2};
    zm_int8_grid nothing = zm_int8_grid_of(0, 0), endless = zm_int8_grid_of(-INFINITY, INFINITY);
    tap_ok(nothing.scale == 1 && nothing.zero == 0, "a row of zeros has a scale");
    tap_ok(endless.zero >= 0 && endless.zero <= ZM_INT8_TOP, "an endless range has a zero within the bytes");
    for (int i = 0; i < n_isas; i++) {
        uint8_t q[20];
        isas[i]->to_bytes(q, x, 20, 10, 100);
        tap_ok(q[0] == 0 && q[1] == ZM_INT8_TOP && q[2] == 0 && q[3] == 110 && q[4] == 90,
               "%s: NaN and infinities: %d %d %d", isas[i]->name, q[0], q[1], q[2]);
    }
    char memory[4096] = {0};
    _Alignas(64) char aligned[sizeof memory];
    memcpy(aligned, memory, sizeof memory);
    zm_int8_weights w;
    zm_int8_weights_init(&w, &zm_int8_plain, 2, ZM_INT8_STEP, aligned);
    zm_int8_weights_set(&w, 0, column);
    column[0] = INFINITY;
    zm_int8_weights_set(&w, 1, column);
    tap_ok(zm_int8_weights_at(&w, 0, 0) == 0 && w.scale[0] > 0, "a weight that is no number counts as none");
    tap_ok(isinf(w.scale[1]), "an endless weight is not hidden");
}

int main(void)
{
    const char *given = getenv("ZM_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    zm_rng rng = zm_rng_init(seed, 7);
    printf("# ZM_TEST_SEED=%llu\n", (unsigned long long)seed);
    isas[n_isas++] = &zm_int8_plain;
#if defined(__x86_64__)
    if (zm_simd_best() >= ZM_SIMD_AVX2)
        isas[n_isas++] = &zm_int8_avx2;
    if (zm_simd_best() >= ZM_SIMD_AVX512)
        isas[n_isas++] = &zm_int8_avx512;
    if (zm_int8_isa_best() == &zm_int8_vnni)
        isas[n_isas++] = &zm_int8_vnni;
#endif
    for (int i = 0; i < 30; i++)
        check_product(&rng);
    for (int i = 0; i < 30; i++)
        check_bytes(&rng);
    check_edges();
    return tap_done();
}
