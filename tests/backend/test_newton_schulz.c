/* Orthogonalisation against plain sums in double, and what it is for: singular values near one.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/cpu/newton_schulz.h"
#include "base/arena.h"
#include "base/rng.h"
#include "tap.h"

static void plain(double *x, int64_t r, int64_t c, int steps)
{
    double *a = malloc((size_t)(r * r) * sizeof *a), *m = malloc((size_t)(r * r) * sizeof *m),
           *y = malloc((size_t)(r * c) * sizeof *y);
    for (int s = 0; s < steps; s++) {
        for (int64_t i = 0; i < r; i++)
            for (int64_t j = 0; j < r; j++) {
                a[i * r + j] = 0;
                for (int64_t k = 0; k < c; k++)
                    a[i * r + j] += x[i * c + k] * x[j * c + k];
            }
        for (int64_t i = 0; i < r; i++)
            for (int64_t j = 0; j < r; j++) {
                double sum = 0;
                for (int64_t k = 0; k < r; k++)
                    sum += a[i * r + k] * a[k * r + j];
                m[i * r + j] = -4.7750 * a[i * r + j] + 2.0315 * sum;
            }
        for (int64_t i = 0; i < r; i++)
            for (int64_t j = 0; j < c; j++) {
                double sum = 0;
                for (int64_t k = 0; k < r; k++)
                    sum += m[i * r + k] * x[k * c + j];
                y[i * c + j] = 3.4445 * x[i * c + j] + sum;
            }
        memcpy(x, y, (size_t)(r * c) * sizeof *x);
    }
    free(a);
    free(m);
    free(y);
}

/* One step in bf16, its operands off by u = 2^-9 of themselves at most, and |X| <= 1: A is off by 2 u, A A by 6 u, what
 * they are mixed to times X by (2 |b| + 6 |c| + 2 (|b| + |c|)) u.  More steps tell less: the iteration may enlarge it. */
static void check_bf16(const float *from, int64_t r, int64_t c)
{
    float *x = zm_aligned_alloc((size_t)(r * c) * sizeof *x);
    double *want = malloc((size_t)(r * c) * sizeof *want), error = 0, most = (4 * 4.7750 + 8 * 2.0315) / 512;
    void *scratch = zm_aligned_alloc(zm_newton_schulz_scratch(r, c, true));
    for (int64_t i = 0; i < r * c; i++)
        want[i] = x[i] = from[i];
    zm_newton_schulz(x, r, c, 1, true, scratch);
    plain(want, r, c, 1);
    for (int64_t i = 0; i < r * c; i++)
        error += ((double)x[i] - want[i]) * ((double)x[i] - want[i]);
    tap_ok(sqrt(error) <= most, "[%lld,%lld], one step in bf16: %.2g away of %.2g", (long long)r, (long long)c,
           sqrt(error), most);
    free(x);
    free(want);
    free(scratch);
}

static void check(zm_rng *rng, int64_t r, int64_t c)
{
    float *x = zm_aligned_alloc((size_t)(r * c) * sizeof *x);
    double *want = malloc((size_t)(r * c) * sizeof *want), norm = 0, worst = 0;
    for (int64_t i = 0; i < r * c; i++) {
        x[i] = zm_rng_normal(rng);
        norm += (double)x[i] * (double)x[i];
    }
    for (int64_t i = 0; i < r * c; i++)
        want[i] = x[i] = x[i] / (float)sqrt(norm);
    float *from = zm_aligned_alloc((size_t)(r * c) * sizeof *from);
    memcpy(from, x, (size_t)(r * c) * sizeof *from);
    void *scratch = zm_aligned_alloc(zm_newton_schulz_scratch(r, c, false));
    zm_newton_schulz(x, r, c, 5, false, scratch);
    plain(want, r, c, 5);
    check_bf16(from, r, c);
    free(from);
    for (int64_t i = 0; i < r * c; i++)
        worst = fmax(worst, fabs((double)x[i] - want[i]));
    tap_ok(worst < 2e-4, "[%lld,%lld]: worst difference %.2g", (long long)r, (long long)c, worst);
    free(x);
    free(want);
    free(scratch);
}

int main(void)
{
    zm_rng rng = zm_rng_init((uint64_t)time(NULL), 4);
    printf("# seed %llu\n", (unsigned long long)rng.seed);
    check(&rng, 1, 1);
    check(&rng, 8, 200);
    check(&rng, 192, 192);
    check(&rng, 200, 333);
    for (int i = 0; i < 6; i++) {
        int64_t r = 1 + zm_rng_below(&rng, 150);
        check(&rng, r, r + zm_rng_below(&rng, 200));
    }
    return tap_done();
}
