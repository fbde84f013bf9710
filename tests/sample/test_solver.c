/* Solvers as plain ODE arithmetic: closed forms, order of convergence, resume, and official trajectories.
 * SPDX-License-Identifier: MIT */
#include "tap.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "base/mapfile.h"
#include "base/rng.h"
#include "sample/solver.h"

enum { MOST = 128 };

/* What the pipeline does on a device, here for `n` doubles per slot. */
typedef struct run {
    int n;
    double slot[ZM_SLOT_COUNT][MOST];
} run;

static void apply(run *r, const zm_combination *c)
{
    for (int e = 0; e < r->n; e++) {
        double sum = 0;
        for (int k = 0; k < c->n; k++)
            sum += c->term[k].coefficient * r->slot[c->term[k].slot][e];
        r->slot[c->out][e] = sum;
    }
}

static void run_init(run *r, int n)
{
    *r = (run){.n = n};
    for (int s = 0; s < ZM_SLOT_COUNT; s++)
        for (int e = 0; e < n; e++)
            r->slot[s][e] = NAN; /* a slot read before it is written shows up at once */
}

typedef double velocity(double x, double sigma, double arg);

static void integrate(run *r, const zm_solver *solver, const zm_schedule *s, int first, velocity *v, double arg)
{
    for (int i = first; i < s->steps; i++) {
        for (int e = 0; e < r->n; e++)
            r->slot[ZM_SLOT_V][e] = v(r->slot[ZM_SLOT_X][e], s->sigma[i], arg);
        zm_step st = zm_solver_step(solver, s, i, first);
        for (int k = 0; k < st.n; k++)
            apply(r, &st.set[k]);
    }
}

/* A network that always answers x0 = arg. */
static double constant_x0(double x, double sigma, double arg)
{
    return (x - arg) / sigma;
}

/* Data drawn from N(0, arg^2): x has variance (1-s)^2 arg^2 + s^2 and the flow keeps x / sd(x) constant. */
static double gaussian(double x, double sigma, double arg)
{
    double var = (1 - sigma) * (1 - sigma) * arg * arg + sigma * sigma;
    return x * (sigma - (1 - sigma) * arg * arg) / var;
}

static double gaussian_sd(double sigma, double arg)
{
    return sqrt((1 - sigma) * (1 - sigma) * arg * arg + sigma * sigma);
}

static void test_constant(const zm_solver *solver, zm_rng *rng)
{
    double worst = 0;
    for (int round = 0; round < 60; round++) {
        const zm_schedule_kind *kind = &zm_schedule_kinds[zm_rng_below(rng, (uint32_t)zm_schedule_kind_count)];
        zm_schedule s;
        int steps = 1 + (int)zm_rng_below(rng, 40), first = (int)zm_rng_below(rng, (uint32_t)steps);
        if (zm_schedule_build(&s, kind, steps, (double)zm_rng_range(rng, 1, 9), NULL))
            continue;
        run r;
        run_init(&r, 1);
        double x0 = (double)zm_rng_normal(rng);
        r.slot[ZM_SLOT_X][0] = (double)zm_rng_normal(rng);
        integrate(&r, solver, &s, first, constant_x0, x0);
        worst = fmax(worst, fabs(r.slot[ZM_SLOT_X][0] - x0));
        worst = isfinite(r.slot[ZM_SLOT_X][0]) ? worst : INFINITY;
        zm_schedule_release(&s);
    }
    tap_ok(worst < 1e-10, "%s: a constant x0 is reached exactly on any schedule (error %.3g)", solver->name, worst);
}

/* The slope of log(error) over log(steps) between two smooth sigma ranges away from the singular ends. */
static void test_order(const zm_solver *solver)
{
    double error[3];
    for (int k = 0; k < 3; k++) {
        int steps = 40 << k;
        double list[MOST * 2];
        for (int i = 0; i <= steps; i++)
            list[i] = 0.9 - 0.7 * i / steps;
        zm_schedule s;
        if (zm_schedule_from_sigmas(&s, list, steps, false, NULL))
            return;
        for (int i = 0; i <= steps; i++)
            s.sigma[i] = list[i]; /* unrounded: f32 sigmas would hide small errors */
        run r;
        run_init(&r, 1);
        r.slot[ZM_SLOT_X][0] = 1.3;
        integrate(&r, solver, &s, 0, gaussian, 0.5);
        error[k] = fabs(r.slot[ZM_SLOT_X][0] - 1.3 * gaussian_sd(0.2, 0.5) / gaussian_sd(0.9, 0.5));
        zm_schedule_release(&s);
    }
    double order = log2(error[1] / error[2]);
    tap_ok(error[2] < error[1] && error[1] < error[0], "%s: more steps, less error: %.3g %.3g %.3g", solver->name,
           error[0], error[1], error[2]);
    tap_ok(order > solver->order - 0.2, "%s: measured order %.2f, claimed %d", solver->name, order, solver->order);
}

static void test_table(const zm_solver *solver)
{
    zm_schedule s;
    const zm_schedule_kind *kind = zm_schedule_find(solver->schedule);
    tap_ok(kind && zm_solver_find(solver->name) == solver && solver->paper[0], "%s: a full row", solver->name);
    if (!kind || zm_schedule_build(&s, kind, 20, 5, NULL))
        return;
    int ok = 1, known = 1;
    unsigned written = 1u << ZM_SLOT_X | 1u << ZM_SLOT_V;
    for (int i = 0; i < s.steps; i++) {
        zm_step st = zm_solver_step(solver, &s, i, 0);
        written |= 1u << ZM_SLOT_V;
        for (int k = 0; k < st.n; k++) {
            ok &= st.set[k].out != ZM_SLOT_V && (solver->slots & 1u << st.set[k].out) != 0;
            for (int t = 0; t < st.set[k].n; t++) {
                known &= (written & 1u << st.set[k].term[t].slot) != 0;
                ok &= (solver->slots & 1u << st.set[k].term[t].slot) && isfinite(st.set[k].term[t].coefficient);
            }
            written |= 1u << st.set[k].out;
        }
        ok &= st.n > 0 && st.set[st.n - 1].out == ZM_SLOT_X && st.order >= 1 && st.order <= solver->order;
    }
    tap_ok(ok, "%s: every step ends in X, finite, within its declared slots", solver->name);
    tap_ok(known, "%s: nothing is read before it is written", solver->name);
    zm_schedule_release(&s);
}

/* Stop after any step, keep the declared slots, go on in a fresh run. */
static void test_resume(const zm_solver *solver, zm_rng *rng)
{
    zm_schedule s;
    if (zm_schedule_build(&s, zm_schedule_find(solver->schedule), 12, 5, NULL))
        return;
    run a, b;
    run_init(&a, 4);
    for (int e = 0; e < 4; e++)
        a.slot[ZM_SLOT_X][e] = (double)zm_rng_normal(rng);
    run whole = a;
    integrate(&whole, solver, &s, 0, gaussian, 0.4);
    int cut = 1 + (int)zm_rng_below(rng, 11), same = 1;
    for (int i = 0; i < s.steps; i++) {
        if (i == cut) {
            run_init(&b, 4);
            for (int k = 0; k < ZM_SLOT_COUNT; k++)
                if (k != ZM_SLOT_V && (solver->slots & 1u << k))
                    memcpy(b.slot[k], a.slot[k], sizeof b.slot[k]);
            a = b;
        }
        for (int e = 0; e < 4; e++)
            a.slot[ZM_SLOT_V][e] = gaussian(a.slot[ZM_SLOT_X][e], s.sigma[i], 0.4);
        zm_step st = zm_solver_step(solver, &s, i, 0);
        for (int k = 0; k < st.n; k++)
            apply(&a, &st.set[k]);
    }
    for (int e = 0; e < 4; e++)
        same &= a.slot[ZM_SLOT_X][e] == whole.slot[ZM_SLOT_X][e];
    tap_ok(same, "%s: stopping after step %d and resuming changes nothing", solver->name, cut);
    zm_schedule_release(&s);
}

/* ---- official trajectories ------------------------------------------------------------------------------ */

typedef struct golden {
    char *bytes;
    size_t size, data;
} golden;

/* Just enough of safetensors for one trusted file: offsets of a tensor by name. */
static const void *tensor(const golden *g, const char *name, size_t *bytes)
{
    char key[160];
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = strstr(g->bytes + 8, key);
    at = at ? strstr(at, "\"data_offsets\"") : NULL;
    at = at ? strchr(at, '[') : NULL;
    size_t from, to;
    if (!at || sscanf(at + 1, "%zu ,%zu", &from, &to) != 2 || to < from || g->data + to > g->size)
        return NULL;
    *bytes = to - from;
    return g->bytes + g->data + from;
}

static const void *part(const golden *g, const char *prefix, const char *name, size_t *bytes)
{
    char full[120];
    snprintf(full, sizeof full, "%s.%s", prefix, name);
    return tensor(g, full, bytes);
}

static double time_at(const char *times, int i, int whole)
{
    int64_t integer;
    float real;
    memcpy(&integer, times + (whole ? 8 * i : 0), 8);
    memcpy(&real, times + (whole ? 0 : 4 * i), 4);
    return whole ? (double)integer : (double)real;
}

static double worst_of(const double *got, const float *want, int n, double worst)
{
    for (int e = 0; e < n; e++) {
        double d = fabs(got[e] - (double)want[e]);
        worst = d > worst || isnan(d) ? d : worst;
    }
    return worst;
}

static void test_trajectory(const golden *g, const char *kind, const char *schedule, const zm_solver *solver, int shift,
                            int steps)
{
    char prefix[80];
    size_t bytes = 0;
    snprintf(prefix, sizeof prefix, "%s.shift%d.steps%d", kind, shift, steps);
    const float *sigma = part(g, prefix, "sigmas", &bytes), *start = tensor(g, "x_init", &bytes);
    const char *times = part(g, prefix, "timesteps", &bytes);
    int whole = times && bytes == (size_t)steps * 8;
    const float *traj = part(g, prefix, "traj", &bytes), *x0 = part(g, prefix, "x0_pred", &bytes);
    const float *corrected = part(g, prefix, "corrected", &bytes);
    const int32_t *order = part(g, prefix, "order", &bytes);
    zm_schedule s;
    if (!tap_ok(sigma && times && traj && start, "%s is in the file", prefix) ||
        zm_schedule_build(&s, zm_schedule_find(schedule), steps, shift, NULL))
        return;
    double dsigma = 0, dtime = 0, dtraj = 0, dx0 = 0, dcorrected = 0;
    int orders = 1, n = 120;
    run r;
    run_init(&r, n);
    for (int e = 0; e < n; e++)
        r.slot[ZM_SLOT_X][e] = (double)start[e];
    for (int i = 0; i < steps; i++) {
        double t = s.timestep[i];
        dsigma = fmax(dsigma, fabs(s.sigma[i] - (double)sigma[i]));
        dtime = fmax(dtime, fabs(t - time_at(times, i, whole)));
        for (int e = 0; e < n; e++) {
            double x = r.slot[ZM_SLOT_X][e];
            r.slot[ZM_SLOT_V][e] = 0.3 * x + 0.1 * sin(3 * x) + sin(t / 1000);
        }
        zm_step st = zm_solver_step(solver, &s, i, 0);
        for (int k = 0; k < st.n; k++)
            apply(&r, &st.set[k]);
        if (x0 && st.x0_set >= 0)
            dx0 = worst_of(r.slot[st.set[st.x0_set].out], x0 + (size_t)i * 120, n, dx0);
        if (corrected)
            dcorrected = worst_of(r.slot[ZM_SLOT_LAST], corrected + (size_t)i * 120, n, dcorrected);
        orders &= !order || order[i] == st.order;
        dtraj = worst_of(r.slot[ZM_SLOT_X], traj + (size_t)(i + 1) * 120, n, dtraj);
    }
    tap_ok(dsigma <= 1.2e-7, "%s: sigmas differ by %.3g of 1.2e-7", prefix, dsigma);
    tap_ok(whole ? dtime == 0 : dtime <= 1.3e-4, "%s: timesteps differ by %.3g", prefix, dtime);
    tap_ok(orders, "%s: the order of every step", prefix);
    tap_ok(dtraj <= 1e-5 && dx0 <= 1e-5 && dcorrected <= 1e-5,
           "%s: trajectory %.3g, denoised %.3g, corrected %.3g of 1e-5", prefix, dtraj, dx0, dcorrected);
    zm_schedule_release(&s);
}

static void test_official(void)
{
    static const char *const kinds[][3] = {{"unipc", "unipc", "unipc"},
                                           {"dpmpp", "linear-int", "dpmpp"},
                                           {"euler_wan", "linear", "euler"},
                                           {"euler_wan_unipc_sigmas", "unipc-real", "euler"},
                                           {"euler_diffusers", "diffusers", "euler"}};
    const char *dir = getenv("ZM_FIXTURES");
    char path[1024];
    golden g = {0};
    snprintf(path, sizeof path, "%s/schedulers/io.safetensors", dir ? dir : "../shared/fixtures");
    if (!zm_path_is_file(path) || zm_file_read(&g.bytes, &g.size, path, 64 << 20, NULL) || g.size < 8) {
        tap_skip("official trajectories", "no fixtures here; set ZM_FIXTURES");
        return;
    }
    uint64_t header;
    memcpy(&header, g.bytes, 8);
    g.data = 8 + (size_t)header;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (int shift = 3; shift <= 8; shift += shift == 3 ? 2 : 3)
            for (int steps = 4; steps <= 50; steps += steps == 4 ? 16 : 30)
                test_trajectory(&g, kinds[k][0], kinds[k][1], zm_solver_find(kinds[k][2]), shift, steps);
    free(g.bytes);
}

int main(void)
{
    zm_rng rng = zm_rng_init((uint64_t)time(NULL), 12);
    printf("# seed %" PRIu64 "\n", rng.seed);
    for (size_t i = 0; i < zm_solver_count; i++) {
        test_table(zm_solvers[i]);
        test_constant(zm_solvers[i], &rng);
        test_order(zm_solvers[i]);
        test_resume(zm_solvers[i], &rng);
    }
    tap_ok(!zm_solver_find("nosuch"), "unknown solver name");
    test_official();
    return tap_done();
}
