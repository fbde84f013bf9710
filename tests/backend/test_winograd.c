/* Winograd convolution of every instruction set against plain sums in double: random sizes, borders, frames before the
 * first, thread counts; and how much of f32 it keeps, beside a plain f32 sum.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <time.h>

#include "backend/cpu/winograd.h"
#include "base/arena.h"
#include "base/rng.h"
#include "ops/conv.h"
#include "tap.h"

typedef struct level {
    const zm_gemm_isa *isa;
    const zm_winograd_fns *fns;
    zm_simd_level needs;
} level;

static const level levels[] = {
    {&zm_gemm_plain, &zm_winograd_base, ZM_SIMD_BASE},
#if defined(__x86_64__)
    {&zm_gemm_avx2, &zm_winograd_avx2, ZM_SIMD_AVX2},
    {&zm_gemm_avx512, &zm_winograd_avx512, ZM_SIMD_AVX512},
#endif
};

static float *numbers(zm_rng *rng, int64_t n)
{
    float *v = zm_aligned_alloc((size_t)(n ? n : 1) * sizeof *v);
    for (int64_t i = 0; i < n; i++)
        v[i] = zm_rng_range(rng, -1, 1);
    return v;
}

/* One output number: exactly, and as a plain loop in f32 would have it. */
static double plain(const zm_conv_sizes *s, int half, const zm_winograd_data *d, int64_t at, float *in_f32)
{
    int64_t o = at % s->o, w = at / s->o % s->out[2], h = at / s->o / s->out[2] % s->out[1];
    int64_t f = at / s->o / s->out[2] / s->out[1], b = f / s->out[0];
    f %= s->out[0];
    double sum = d->bias ? (double)d->bias[o] : 0;
    float narrow = 0;
    for (int64_t c = 0; c < s->c; c++)
        for (int64_t k = 0; k < s->kernel[0] * 9; k++) {
            int64_t g = f + k / 9 - s->before[0], y = h + k / 3 % 3 - s->before[1], x = w + k % 3 - s->before[2];
            if (y < 0 || y >= s->in[1] || x < 0 || x >= s->in[2] || (g < 0 && !d->past[0]))
                continue;
            int64_t image = g < 0 ? b : b * s->in[0] + g;
            int64_t row = image * (s->in[1] >> half) + (y >> half);
            float left =
                (g < 0 ? d->past[s->before[0] + g] : d->x)[(row * (s->in[2] >> half) + (x >> half)) * s->c + c];
            float right = d->w[(o * s->c + c) * s->kernel[0] * 9 + k];
            sum += (double)left * (double)right;
            narrow += left * right;
        }
    *in_f32 = narrow + (d->bias ? d->bias[o] : 0);
    return sum;
}

static void check(const level *l, const zm_conv_sizes *s, int threads, bool past, bool bias, bool doubled, zm_rng *rng)
{
    int64_t place = s->in[1] * s->in[2] * s->c, n = s->batch * s->out[0] * s->out[1] * s->out[2] * s->o;
    float *x = numbers(rng, s->batch * s->in[0] * place), *before = numbers(rng, s->batch * s->before[0] * place);
    float *w = numbers(rng, s->o * s->c * s->kernel[0] * 9), *add = numbers(rng, s->o);
    float *y = zm_aligned_alloc((size_t)n * sizeof *y);
    for (int64_t i = 0; i < n; i++)
        y[i] = NAN;
    zm_winograd job = {.isa = l->isa, .fns = l->fns, .size = *s, .doubled = doubled, .threads = threads};
    zm_winograd_data d = {.x = x, .w = w, .bias = bias ? add : NULL, .y = y};
    for (int64_t i = 0; past && i < s->before[0]; i++)
        d.past[i] = before + i * s->batch * place;
    void *scratch = zm_aligned_alloc(zm_winograd_plan(&job));
    zm_winograd_run(&job, &d, scratch);
    double worst = 0, narrow_worst = 0, largest = 1;
    bool whole = true;
    for (int64_t i = 0; i < n; i++)
        whole &= !isnan(y[i]);
    for (int64_t i = 0; i < 3000; i++) {
        int64_t at = n <= 3000 ? i % n : (int64_t)zm_rng_below(rng, (uint32_t)n);
        float narrow;
        double want = plain(s, doubled, &d, at, &narrow), off = fabs((double)y[at] - want);
        worst = off <= worst ? worst : off;
        narrow_worst = fmax(narrow_worst, fabs((double)narrow - want));
        largest = fmax(largest, fabs(want));
    }
    tap_ok(
        whole && worst <= zm_op_conv.tolerance * largest,
        "%s [%lld,%lld,%lld,%lld,%lld] to [%lld,%lld,%lld,%lld] by %lldx3x3, padded %lld %lld %lld%s%s%s, %d threads: "
        "off %.2g of %.3g, a plain f32 sum %.2g",
        l->isa->name, (long long)s->batch, (long long)s->in[0], (long long)s->in[1], (long long)s->in[2],
        (long long)s->c, (long long)s->out[0], (long long)s->out[1], (long long)s->out[2], (long long)s->o,
        (long long)s->kernel[0], (long long)s->before[0], (long long)s->before[1], (long long)s->before[2],
        doubled ? ", doubled" : "", past ? ", past" : "", bias ? ", bias" : "", threads, worst, largest, narrow_worst);
    free(scratch);
    free(x);
    free(before);
    free(w);
    free(add);
    free(y);
}

static void check_random(const level *l, zm_rng *rng)
{
    zm_conv_sizes s = {.batch = 1 + zm_rng_below(rng, 2), .stride = {1, 1, 1}, .kernel = {1, 3, 3}};
    s.kernel[0] = 1 + 2 * zm_rng_below(rng, 2);
    s.c = 16 * (2 + zm_rng_below(rng, 4)), s.o = 16 * (2 + zm_rng_below(rng, 5));
    s.before[0] = s.kernel[0] - 1;
    if (s.before[0] && !zm_rng_below(rng, 3))
        s.before[0] = zm_rng_below(rng, 3);
    int64_t least = s.kernel[0] - s.before[0];
    s.in[0] = least + zm_rng_below(rng, 3);
    s.out[0] = s.in[0] + s.before[0] - s.kernel[0] + 1;
    bool doubled = !zm_rng_below(rng, 3);
    for (int i = 1; i < 3; i++) {
        s.in[i] = 3 + zm_rng_below(rng, 22);
        s.in[i] += doubled ? s.in[i] & 1 : 0;
        s.before[i] = zm_rng_below(rng, 2);
        s.out[i] = s.in[i] + s.before[i] + zm_rng_below(rng, 2) - 2;
    }
    check(l, &s, 1 + (int)zm_rng_below(rng, 4), s.before[0] && zm_rng_below(rng, 2), zm_rng_below(rng, 2), doubled,
          rng);
}

int main(void)
{
    const char *given = getenv("ZM_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    zm_rng rng = zm_rng_init(seed, 40);
    printf("# ZM_TEST_SEED=%llu\n", (unsigned long long)seed);
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        if (levels[i].needs > zm_simd_best())
            continue;
        for (int k = 0; k < 12; k++)
            check_random(&levels[i], &rng);
        zm_conv_sizes deep = {.batch = 1, .in = {2, 16, 16}, .out = {2, 16, 16}, .kernel = {3, 3, 3}};
        deep.c = deep.o = 384, deep.stride[0] = deep.stride[1] = deep.stride[2] = 1;
        deep.before[0] = 2, deep.before[1] = deep.before[2] = 1;
        check(&levels[i], &deep, 2, true, true, false, &rng);
    }
    return tap_done();
}
