/* Schedules against typed golden values and closed forms; training noise levels against their density.
 * SPDX-License-Identifier: MIT */
#include "tap.h"

#include <stdlib.h>
#include <time.h>

#include "sample/flow.h"
#include "sample/schedule.h"

/* Four steps of each schedule as the official Python code prints them. */
static const struct {
    const char *kind;
    double shift, sigma[4], timestep[4];
} golden[] = {
    {"unipc",
     5,
     {0.9997998476028442, 0.9372654557228088, 0.8330553770065308, 0.6246873736381531},
     {999, 937, 833, 624}},
    {"linear-int", 5, {1, 0.9375, 0.8333333134651184, 0.625}, {1000, 937, 833, 625}},
    {"linear", 5, {1, 0.9375, 0.8333333134651184, 0.625}, {1000, 937.5, 833.3333129882812, 625}},
    {"unipc-real",
     5,
     {0.9997998476028442, 0.9372654557228088, 0.8330553770065308, 0.6246873736381531},
     {999.7998657226562, 937.2654418945312, 833.0553588867188, 624.6873779296875}},
    {"diffusers",
     5,
     {1, 0.9097071290016174, 0.7173174619674683, 0.0244140662252903},
     {1000, 909.7071533203125, 717.3174438476562, 24.414066314697266}},
    {"unipc",
     3,
     {0.9996664524078369, 0.8996397852897644, 0.7496247887611389, 0.49966657161712646},
     {999, 899, 749, 499}},
    {"linear-int", 3, {1, 0.8999999761581421, 0.75, 0.5}, {1000, 900, 750, 500}},
    {"diffusers",
     3,
     {1, 0.857692301273346, 0.602150559425354, 0.008928571827709675},
     {1000, 857.6923217773438, 602.1505737304688, 8.928571701049805}},
    {"unipc",
     8,
     {0.9998748898506165, 0.9598462581634521, 0.8886911869049072, 0.7270081043243408},
     {999, 959, 888, 727}},
    {"linear",
     8,
     {1, 0.9599999785423279, 0.8888888955116272, 0.7272727489471436},
     {1000, 960, 888.888916015625, 727.2727661132812}},
    {"diffusers",
     8,
     {1, 0.941834032535553, 0.8037713766098022, 0.06020696833729744},
     {1000, 941.8340454101562, 803.7713623046875, 60.20697021484375}},
};

static void test_golden(void)
{
    for (size_t g = 0; g < sizeof golden / sizeof *golden; g++) {
        zm_schedule s;
        zm_error err = {0};
        if (!tap_ok(!zm_schedule_build(&s, zm_schedule_find(golden[g].kind), 4, golden[g].shift, &err), "%s builds%s",
                    golden[g].kind, err.text))
            continue;
        double sigma = fabs(s.sigma[4]), time = 0;
        for (int i = 0; i < 4; i++) {
            sigma = fmax(sigma, fabs(s.sigma[i] - golden[g].sigma[i]));
            time = fmax(time, fabs(s.timestep[i] - golden[g].timestep[i]));
        }
        tap_ok(sigma <= 1.2e-7, "%s shift %g: sigmas differ by %.3g of 1.2e-7", golden[g].kind, golden[g].shift, sigma);
        tap_ok(time <= (zm_schedule_find(golden[g].kind)->integer_timesteps ? 0 : 1.3e-4),
               "%s shift %g: timesteps differ by %.3g", golden[g].kind, golden[g].shift, time);
        zm_schedule_release(&s);
    }
}

static void test_laws(zm_rng *rng)
{
    int falls = 1, ends = 1, first = 1;
    for (int round = 0; round < 200; round++) {
        const zm_schedule_kind *kind = &zm_schedule_kinds[zm_rng_below(rng, (uint32_t)zm_schedule_kind_count)];
        int steps = 1 + (int)zm_rng_below(rng, 100);
        double shift = (double)zm_rng_range(rng, 0.5f, 12);
        zm_schedule s;
        if (zm_schedule_build(&s, kind, steps, shift, NULL)) {
            falls = 0;
            continue;
        }
        for (int i = 0; i < steps; i++) {
            falls &= s.sigma[i] > s.sigma[i + 1] && s.sigma[i] <= 1;
            ends &= s.timestep[i] <= 1000 && fabs(s.timestep[i] - 1000 * s.sigma[i]) <= 1.0001;
        }
        ends &= s.sigma[steps] == 0 && s.steps == steps;
        double strength = (double)zm_rng_uniform(rng);
        int from = zm_schedule_first(&s, strength);
        first &= from == steps - 1 || s.sigma[from] <= strength;
        first &= from == 0 || s.sigma[from - 1] > strength;
        first &= zm_schedule_first(&s, 1) == 0;
        zm_schedule_release(&s);
    }
    tap_ok(falls, "sigmas fall strictly for any kind, steps and shift");
    tap_ok(ends, "the last sigma is 0 and timesteps follow sigma");
    tap_ok(first, "a strength starts at the first sigma not above it");
    double worst = 0;
    for (int i = 0; i < 100; i++) {
        double u = (double)zm_rng_uniform(rng), a = (double)zm_rng_range(rng, 0.2f, 9);
        worst = fmax(worst, fabs(zm_schedule_shift(zm_schedule_shift(u, a), 1 / a) - u));
    }
    tap_ok(worst < 1e-12, "shift 1/a undoes shift a: %.3g", worst);
}

static void test_refusals(void)
{
    zm_schedule s;
    zm_error err = {0};
    const zm_schedule_kind *linear = zm_schedule_find("linear");
    tap_equal_i64(zm_schedule_build(&s, linear, 0, 3, &err), ZM_E_USAGE, "no steps refused");
    tap_ok(!s.sigma && strstr(err.text, "not 0"), "and the sentence names the value: %s", err.text);
    tap_equal_i64(zm_schedule_build(&s, linear, 1 << 30, 3, NULL), ZM_E_USAGE, "a billion steps refused");
    tap_equal_i64(zm_schedule_build(&s, linear, 4, NAN, NULL), ZM_E_USAGE, "shift NaN refused");
    tap_equal_i64(zm_schedule_build(&s, linear, 4, -1, NULL), ZM_E_USAGE, "negative shift refused");
    double rising[] = {0.5, 0.6, 0}, good[] = {1, 0.75, 0.25, 0};
    tap_equal_i64(zm_schedule_from_sigmas(&s, rising, 2, false, NULL), ZM_E_USAGE, "rising sigmas refused");
    tap_equal_i64(zm_schedule_from_sigmas(&s, good, 3, true, NULL), ZM_OK, "a list of sigmas accepted");
    tap_ok(s.timestep[1] == 750 && s.sigma[3] == 0, "with its timesteps");
    zm_schedule_release(&s);
    tap_ok(!zm_schedule_find("nosuch"), "unknown schedule name");
}

static int by_value(const void *a, const void *b)
{
    return (*(const float *)a > *(const float *)b) - (*(const float *)a < *(const float *)b);
}

static void test_flow(zm_rng *rng)
{
    enum { N = 4000 };
    float *sigma = malloc(N * sizeof *sigma);
    zm_flow_times uniform = {.density = ZM_FLOW_UNIFORM}, logit = {ZM_FLOW_LOGIT_NORMAL, 0.3, 1.2, 3};
    tap_ok(fabs(zm_flow_quantile(&logit, 0.5) - zm_schedule_shift(1 / (1 + exp(-0.3)), 3)) < 1e-12,
           "the median of the logit-normal is the shifted sigmoid of its mean");
    double z = zm_flow_quantile(&(zm_flow_times){ZM_FLOW_LOGIT_NORMAL, 0, 1, 1}, 0.975);
    tap_ok(fabs(log(z / (1 - z)) - 1.959963984540054) < 1e-9, "its 97.5 %% point is at 1.96 deviations");
    tap_ok(zm_flow_quantile(&logit, 1e-18) > 0 && zm_flow_quantile(&logit, 1 - 1e-16) < 1, "levels stay inside (0, 1)");
    for (int k = 0; k < 2; k++) {
        const zm_flow_times *t = k ? &logit : &uniform;
        zm_flow_sample(t, rng, sigma, N);
        int sorted = 1;
        for (int i = 1; i < N; i++)
            sorted &= sigma[i] >= sigma[i - 1];
        tap_ok(!sorted, "%s: levels come in random order", zm_flow_density_name(t->density));
        qsort(sigma, N, sizeof *sigma, by_value);
        int inside = 1;
        for (int i = 0; i < N; i++) /* stratum i holds exactly one level */
            inside &= (double)sigma[i] >= zm_flow_quantile(t, (double)i / N) - 1e-6 &&
                      (double)sigma[i] <= zm_flow_quantile(t, (i + 1.0) / N) + 1e-6;
        tap_ok(inside, "%s: one level in each stratum", zm_flow_density_name(t->density));
    }
    zm_flow_density d;
    tap_ok(zm_flow_density_parse(&d, "logit-normal") && d == ZM_FLOW_LOGIT_NORMAL && !zm_flow_density_parse(&d, "x"),
           "density names parse");
    float x0[3] = {1, -2, 0.5f}, e[3] = {0.25f, 3, -1}, x[3], v[3];
    zm_flow_mix(x, v, x0, e, 0.25f, 3);
    float back[3];
    for (int i = 0; i < 3; i++)
        back[i] = x[i] - 0.25f * v[i];
    tap_close_f32(back, x0, 3, 1e-6, "x - sigma v gives x0 back");
    free(sigma);
}

int main(void)
{
    zm_rng rng = zm_rng_init((uint64_t)time(NULL), 11);
    printf("# seed %llu\n", (unsigned long long)rng.seed);
    test_golden();
    test_laws(&rng);
    test_refusals();
    test_flow(&rng);
    return tap_done();
}
