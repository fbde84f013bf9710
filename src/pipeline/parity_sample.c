/* Recompute the schedules' and solvers' fixtures: sigmas, timesteps and whole trajectories on a toy velocity.
 * SPDX-License-Identifier: MIT */
#include "pipeline/parity_sample.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sample/solver.h"

enum { TENSORS = 7 };
static const char *const names[TENSORS] = {"sigmas", "timesteps", "traj", "v", "x0_pred", "corrected", "order"};
enum { SIGMAS, TIMES, TRAJ, VELOCITY, X0, CORRECTED, ORDER };

/* Names of the fixtures' runs, and what they are here. */
static const struct recipe {
    const char *kind, *schedule, *solver;
} recipes[] = {
    {"unipc", "unipc", "unipc"},
    {"dpmpp", "linear-int", "dpmpp"},
    {"euler_wan", "linear", "euler"},
    {"euler_wan_unipc_sigmas", "unipc-real", "euler"},
    {"euler_diffusers", "diffusers", "euler"},
};

typedef struct run {
    char prefix[80];
    size_t n;             /* elements of a sample */
    float *want[TENSORS]; /* NULL where the fixture has none */
    double *slot[ZM_SLOT_COUNT];
    zm_parity_group sigmas, times, orders, states;
} run;

static void run_release(run *r)
{
    for (int i = 0; i < TENSORS; i++)
        free(r->want[i]);
    for (int i = 0; i < ZM_SLOT_COUNT; i++)
        free(r->slot[i]);
}

/* Read what the fixture has of this run and check its sizes. */
static zm_status read_run(run *r, const zm_parity_dir *d, int steps, zm_error *err)
{
    const size_t count[TENSORS] = {(size_t)steps + 1,    (size_t)steps,        ((size_t)steps + 1) * r->n,
                                   (size_t)steps * r->n, (size_t)steps * r->n, (size_t)steps * r->n,
                                   (size_t)steps};
    for (int i = 0; i < TENSORS; i++) {
        char full[128];
        zm_shape s;
        snprintf(full, sizeof full, "%s.%s", r->prefix, names[i]);
        if (i > VELOCITY && !zm_weights_has(d->io, full))
            continue;
        zm_status st = zm_parity_read(&r->want[i], &s, d->io, err, "%s", full);
        if (!st && (size_t)zm_shape_elems(s) != count[i])
            st = zm_fail(err, ZM_E_FORMAT, "%s: %s does not hold %zu numbers", d->path, full, count[i]);
        if (st)
            return st;
    }
    for (int i = 0; i < ZM_SLOT_COUNT; i++)
        if (!(r->slot[i] = calloc(r->n + 1, sizeof **r->slot)))
            return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", d->path);
    return ZM_OK;
}

static void compare_state(run *r, zm_slot slot, const float *want, const char *name)
{
    double worst = 0;
    for (size_t e = 0; e < r->n; e++) {
        double diff = fabs(r->slot[slot][e] - (double)want[e]);
        worst = diff > worst || isnan(diff) ? diff : worst;
    }
    float got = (float)worst, zero = 0;
    zm_parity_add(&r->states, name, &got, &zero, 1);
}

static void apply(run *r, const zm_combination *c)
{
    for (size_t e = 0; e < r->n; e++) {
        double sum = 0;
        for (int k = 0; k < c->n; k++)
            sum += c->term[k].coefficient * r->slot[c->term[k].slot][e];
        r->slot[c->out][e] = sum;
    }
}

static void integrate(run *r, const zm_schedule *s, const zm_solver *solver, bool whole_times)
{
    for (int i = 0; i < s->steps; i++) {
        float sigma = (float)s->sigma[i], time = (float)s->timestep[i];
        zm_parity_add(&r->sigmas, "sigmas", &sigma, &r->want[SIGMAS][i], 1);
        if (whole_times)
            zm_parity_add(&r->times, "timesteps", &time, &r->want[TIMES][i], 1);
        for (size_t e = 0; e < r->n; e++) {
            double x = r->slot[ZM_SLOT_X][e];
            r->slot[ZM_SLOT_V][e] = 0.3 * x + 0.1 * sin(3 * x) + sin(s->timestep[i] / 1000);
        }
        compare_state(r, ZM_SLOT_V, r->want[VELOCITY] + (size_t)i * r->n, "v");
        zm_step st = zm_solver_step(solver, s, i, 0);
        for (int k = 0; k < st.n; k++)
            apply(r, &st.set[k]);
        if (r->want[X0] && st.x0_set >= 0)
            compare_state(r, st.set[st.x0_set].out, r->want[X0] + (size_t)i * r->n, "x0_pred");
        if (r->want[CORRECTED])
            compare_state(r, ZM_SLOT_LAST, r->want[CORRECTED] + (size_t)i * r->n, "corrected");
        float order = (float)st.order;
        if (r->want[ORDER])
            zm_parity_add(&r->orders, "order", &order, &r->want[ORDER][i], 1);
        compare_state(r, ZM_SLOT_X, r->want[TRAJ] + (size_t)(i + 1) * r->n, "traj");
    }
}

static zm_status run_one(const zm_parity_dir *d, zm_parity_report *report, const struct recipe *recipe, int steps,
                         double shift, const float *start, size_t n, zm_error *err)
{
    run r = {.n = n};
    zm_schedule s = {0};
    snprintf(r.prefix, sizeof r.prefix, "%s.shift%g.steps%d", recipe->kind, shift, steps);
    zm_status st = read_run(&r, d, steps, err);
    const zm_schedule_kind *kind = zm_schedule_find(recipe->schedule);
    const zm_solver *solver = zm_solver_find(recipe->solver);
    if (!st && (!kind || !solver))
        st = zm_fail(err, ZM_E_UNSUPPORTED, "%s: this build has no schedule %s or solver %s", d->path, recipe->schedule,
                     recipe->solver);
    if (!st)
        st = zm_schedule_build(&s, kind, steps, shift, err);
    if (!st) {
        char name[4][112];
        snprintf(name[0], sizeof name[0], "%s.sigmas", r.prefix);
        snprintf(name[1], sizeof name[1], "%s.timesteps", r.prefix);
        snprintf(name[2], sizeof name[2], "%s.order", r.prefix);
        snprintf(name[3], sizeof name[3], "%s.states", r.prefix);
        r.sigmas = (zm_parity_group){.name = name[0], .tolerance = 1.2e-7};
        r.times = (zm_parity_group){.name = name[1], .metric = ZM_PARITY_EXACT};
        r.orders = (zm_parity_group){.name = name[2], .metric = ZM_PARITY_EXACT};
        r.states = (zm_parity_group){.name = name[3], .tolerance = 1e-5};
        for (size_t e = 0; e < n; e++)
            r.slot[ZM_SLOT_X][e] = (double)start[e];
        integrate(&r, &s, solver, kind->integer_timesteps);
        float last = (float)s.sigma[steps];
        zm_parity_add(&r.sigmas, "sigmas", &last, &r.want[SIGMAS][steps], 1);
        zm_parity_line(report, d, &r.sigmas);
        if (kind->integer_timesteps)
            zm_parity_line(report, d, &r.times);
        if (r.want[ORDER])
            zm_parity_line(report, d, &r.orders);
        zm_parity_line(report, d, &r.states);
    }
    zm_schedule_release(&s);
    run_release(&r);
    return st;
}

static zm_status run_all(const zm_parity_dir *d, zm_parity_report *r, zm_error *err)
{
    float *start = NULL;
    zm_shape shape;
    zm_status st = zm_parity_read(&start, &shape, d->io, err, "x_init");
    size_t combos = json_array_size(zm_json_at(&d->config, "combos"));
    size_t kinds = json_array_size(zm_json_at(&d->config, "kinds"));
    for (size_t k = 0; k < kinds && !st; k++) {
        char key[64];
        const char *kind = NULL;
        snprintf(key, sizeof key, "kinds[%zu]", k);
        st = zm_json_str(&kind, &d->config, key, true, err);
        const struct recipe *recipe = NULL;
        for (size_t i = 0; i < sizeof recipes / sizeof *recipes && !st; i++)
            if (!strcmp(recipes[i].kind, kind))
                recipe = &recipes[i];
        if (!st && !recipe)
            st = zm_fail(err, ZM_E_UNSUPPORTED, "%s: this build knows no solver run called %s", d->path, kind);
        for (size_t c = 0; c < combos && !st; c++) {
            double shift = 1;
            int64_t steps = 0;
            snprintf(key, sizeof key, "combos[%zu].shift", c);
            st = zm_json_f64(&shift, &d->config, key, true, 1e-3, 1000, err);
            snprintf(key, sizeof key, "combos[%zu].steps", c);
            if (!st)
                st = zm_json_int(&steps, &d->config, key, true, 1, ZM_SCHEDULE_MAX_STEPS, err);
            if (!st)
                st = run_one(d, r, recipe, (int)steps, shift, start, (size_t)zm_shape_elems(shape), err);
        }
    }
    free(start);
    return st;
}

static bool detect(const zm_parity_dir *d)
{
    return d->io && zm_json_at(&d->config, "combos") && zm_json_at(&d->config, "kinds");
}

const zm_parity_kind zm_parity_sample = {"schedulers", "noise schedules and solver trajectories", detect, run_all};
