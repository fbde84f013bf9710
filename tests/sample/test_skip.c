/* Leaving out evaluations: never where a run begins or ends, never far, and close to the whole run.
 * SPDX-License-Identifier: MIT */
#include "tap.h"

#include <math.h>
#include <time.h>
#include <unistd.h>

#include "base/rng.h"
#include "sample/schedule.h"
#include "sample/skip.h"

enum { N = 16, STEPS = 50 };

typedef struct field {
    double a[N], b[N], wild;
} field;

static double velocity(const field *f, int k, double x, double t)
{
    return f->a[k] * x + f->b[k] * sin(2 * t / 1000) + f->wild * sin(40 * x + t / 3);
}

/* Euler from x; returns evaluations.  *path: how far all of x went on the way. */
static int integrate(const field *f, const zm_schedule *s, const zm_quality *q, double *x, double *path, bool *odd)
{
    zm_skip skip;
    double v[N], v1[N] = {0}, v2[N] = {0}, x1[N] = {0}, before[N] = {0};
    int evaluated = 0;
    zm_skip_begin(&skip, q);
    for (int i = 0; i < s->steps; i++) {
        double moved = 0, size = 0, dv = 0, dx = 0, t = s->timestep[i];
        for (int k = 0; k < N; k++) {
            moved += fabs(x[k] - before[k]);
            size += fabs(v1[k]);
            before[k] = x[k];
        }
        bool left_out = zm_skip_step(&skip, i, s->steps, moved, size);
        *odd |= left_out && (i < 2 || i < q->warm || i == s->steps - 1);
        for (int k = 0; k < N; k++) {
            v[k] = left_out ? v1[k] + zm_skip_slope(&skip, t) * (v1[k] - v2[k]) : velocity(f, k, x[k], t);
            dv += fabs(v[k] - v1[k]);
            dx += fabs(x[k] - x1[k]);
        }
        if (!left_out) {
            zm_skip_saw(&skip, t, dv, dx);
            for (int k = 0; k < N; k++) {
                v2[k] = v1[k];
                v1[k] = v[k];
                x1[k] = x[k];
            }
            evaluated++;
        }
        for (int k = 0; k < N; k++) {
            x[k] += (s->sigma[i + 1] - s->sigma[i]) * v[k];
            *path += fabs((s->sigma[i + 1] - s->sigma[i]) * v[k]);
        }
    }
    tap_ok(evaluated + skip.left_out == s->steps, "%s: every step is evaluated or left out", q->name);
    return evaluated;
}

/* Errors over many fields, as shares of the way. */
typedef struct tally {
    double tier;  /* of a quality tier */
    double fewer; /* of a plain run that has as many steps as the tier evaluated */
} tally;

/* What is left of the way when only n steps are taken from start, all of them evaluated. */
static double fewer_steps(const field *f, int n, const double *start, const double *whole)
{
    zm_schedule s;
    zm_error err = {0};
    double x[N], path = 0, error = 0;
    bool odd = false;
    if (zm_schedule_build(&s, &zm_schedule_kinds[0], n, 3, &err)) {
        tap_ok(false, "%s", err.text);
        return NAN;
    }
    for (int k = 0; k < N; k++)
        x[k] = start[k];
    integrate(f, &s, &zm_qualities[0], x, &path, &odd);
    for (int k = 0; k < N; k++)
        error += fabs(x[k] - whole[k]);
    zm_schedule_release(&s);
    return error;
}

/* sum[q]: the errors of every tier are added. */
static void test(zm_rng *rng, double wild, tally *sum)
{
    zm_schedule s;
    zm_error err = {0};
    field f = {.wild = wild};
    double start[N], whole[N], path = 0, ignored = 0;
    if (zm_schedule_build(&s, &zm_schedule_kinds[0], STEPS, 3, &err)) {
        tap_ok(false, "%s", err.text);
        return;
    }
    for (int k = 0; k < N; k++) {
        f.a[k] = (double)zm_rng_range(rng, -1, 1);
        f.b[k] = (double)zm_rng_range(rng, -1, 1);
        whole[k] = start[k] = (double)zm_rng_normal(rng);
    }
    bool odd = false;
    int all = integrate(&f, &s, &zm_qualities[0], whole, &path, &odd), last = all + 1;
    tap_ok(all == STEPS, "best evaluates every step: %d", all);
    for (size_t q = 1; q < zm_quality_count; q++) {
        if (zm_qualities[q].adapter) /* leaves nothing out: its steps are few */
            continue;
        double x[N], error = 0;
        for (int k = 0; k < N; k++)
            x[k] = start[k];
        int n = integrate(&f, &s, &zm_qualities[q], x, &ignored, &odd);
        for (int k = 0; k < N; k++)
            error += fabs(x[k] - whole[k]);
        if (wild == 0) {
            tap_ok(n < last && n <= STEPS / 2, "%s: a smooth field needs %d of %d evaluations", zm_qualities[q].name, n,
                   STEPS);
            /* Groenwall: a velocity wrong by this share, where differences grow by e at most (|a| <= 1 from 1 to 0) */
            tap_ok(error < zm_qualities[q].threshold * path * exp(1), "%s: and ends off by %.2g %% of the way",
                   zm_qualities[q].name, 100 * error / path);
            sum[q].tier += error / path;
            sum[q].fewer += fewer_steps(&f, n, start, whole) / path;
        } else {
            tap_ok(n > STEPS * 9 / 10, "%s: a wild field is evaluated: %d of %d", zm_qualities[q].name, n, STEPS);
        }
        last = n + 1;
    }
    tap_ok(!odd, "the beginning and the end are never left out");
    zm_schedule_release(&s);
}

int main(void)
{
    zm_rng rng = zm_rng_init((uint64_t)time(NULL) * 1000003u ^ (uint64_t)getpid(), 3);
    printf("# seed %llu\n", (unsigned long long)rng.seed);
    enum { FIELDS = 64 };
    tally sum[8] = {0};
    for (int i = 0; i < FIELDS; i++)
        test(&rng, 0, sum);
    for (size_t q = 1; q < zm_quality_count && q < 8 && !zm_qualities[q].adapter; q++)
        tap_ok(sum[q].tier < sum[q].fewer, "%s: off by %.2g %% of the way in the mean, as many even steps by %.2g %%",
               zm_qualities[q].name, 100 * sum[q].tier / FIELDS, 100 * sum[q].fewer / FIELDS);
    test(&rng, 50, sum);
    tap_ok(zm_quality_find("good") == &zm_qualities[1] && !zm_quality_find("fine"), "tiers are found by name");
    zm_skip s;
    zm_skip_begin(&s, &zm_qualities[2]);
    zm_skip_saw(&s, 900, 1, 1);
    zm_skip_saw(&s, 800, 1e-9, 1);
    tap_ok(!zm_skip_step(&s, 20, STEPS, (double)NAN, 1), "what is not a number is not left out");
    return tap_done();
}
