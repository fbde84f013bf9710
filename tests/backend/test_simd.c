/* Loops of every instruction set this machine has: accuracy, work in place, the same numbers on any count of threads.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <time.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "backend/backend.h"
#include "backend/cpu/optim.h"
#include "backend/cpu/simd.h"
#include "base/rng.h"
#include "ops/ops.h"
#include "tap.h"

static zm_rng rng;

typedef struct level {
    const char *name;
    const zm_elementwise_fns *elementwise;
    const zm_norm_fns *norm;
    const zm_attention_fns *attention;
    const zm_optim_fns *optim;
} level;

static const level levels[] = {
    {"base", &zm_elementwise_base, &zm_norm_base, &zm_attention_base, &zm_optim_base},
#if defined(__x86_64__)
    {"avx2", &zm_elementwise_avx2, &zm_norm_avx2, &zm_attention_avx2, &zm_optim_avx2},
    {"avx512", &zm_elementwise_avx512, &zm_norm_avx512, &zm_attention_avx512, &zm_optim_avx512},
#endif
};

static float *randoms(int64_t n, float lo, float hi)
{
    float *x = malloc((size_t)(n ? n : 1) * sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = zm_rng_range(&rng, lo, hi);
    return x;
}

/* Worst distance from the plain definition in units in the last place of max(|f(x)|, floor). */
static double worst_ulp(const level *l, zm_unary_kind kind, float lo, float hi, float floor)
{
    enum { N = 20011 }; /* odd: the last elements do not fill a register */
    float *x = randoms(N, lo, hi), *y = malloc(N * sizeof *y);
    double worst = 0;
    l->elementwise->unary(kind, y, x, N);
    for (int i = 0; i < N; i++) {
        float want = zm_unary_value(kind, x[i]), size = fmaxf(fabsf(want), floor);
        double ulp = (double)nextafterf(size, INFINITY) - (double)size;
        double off = fabs((double)y[i] - (double)want) / ulp;
        worst = off <= worst ? worst : off;
    }
    free(x);
    free(y);
    return worst;
}

static void check_functions(const level *l)
{
    static const struct {
        zm_unary_kind kind;
        float lo, hi, floor;
        double most;
    } row[] = {
        {ZM_EXP, -87, 88, 0, 2},         {ZM_EXP, -103, -87, 1e-38F, 2}, {ZM_LOG, 1e-30F, 3, 1e-7F, 3},
        {ZM_LOG, 1, 1e30F, 1e-7F, 3},    {ZM_TANH, -10, 10, 0, 4},       {ZM_TANH, -0.01F, 0.01F, 0, 3},
        {ZM_SIGMOID, -80, 80, 0, 4},     {ZM_SILU, -30, 30, 0, 4},       {ZM_GELU_TANH, -4, 30, 0.1F, 12},
        {ZM_GELU_ERF, -4, 30, 0.1F, 12}, {ZM_SOFTPLUS, -20, 90, 0, 6},   {ZM_SQRT, 0, 1e20F, 0, 0},
        {ZM_CLAMP1, -2, 2, 0, 0},        {ZM_RELU, -1, 1, 0, 0},         {ZM_ABS, -1, 1, 0, 0},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        double worst = worst_ulp(l, row[i].kind, row[i].lo, row[i].hi, row[i].floor);
        tap_ok(worst <= row[i].most, "%s %s in [%g, %g]: %.2f units in the last place, %.0f allowed", l->name,
               zm_unary_name(row[i].kind), (double)row[i].lo, (double)row[i].hi, worst, row[i].most);
    }
    float x[8] = {-INFINITY, INFINITY, NAN, 0, -0.0F, 200, -200, 1}, y[8];
    l->elementwise->unary(ZM_EXP, y, x, 8);
    tap_ok(y[0] == 0 && y[1] == INFINITY && isnan(y[2]) && y[3] == 1 && y[5] == INFINITY && y[6] == 0,
           "%s exp of -inf, inf, nan, 0, 200, -200", l->name);
    l->elementwise->unary(ZM_LOG, y, x, 8);
    tap_ok(isnan(y[0]) && y[1] == INFINITY && isnan(y[2]) && y[3] == -INFINITY && isnan(y[6]) && y[7] == 0,
           "%s log of -inf, inf, nan, 0, -200, 1", l->name);
    l->elementwise->unary(ZM_TANH, y, x, 8);
    tap_ok(y[0] == -1 && y[1] == 1 && isnan(y[2]) && y[3] == 0 && signbit(y[4]), "%s tanh of -inf, inf, nan, 0, -0",
           l->name);
}

static bool sees(const zm_block_causal *m, int64_t query, int64_t key)
{
    int64_t i = m->block ? query / m->block + m->first : 0, j = m->block ? key / m->block : 0;
    return j <= i && (!m->window || j > i - m->window || j < m->sink);
}

static void plain_attention(zm_attention_job *j, double *y)
{
    double *p = malloc((size_t)j->Nk * sizeof *p);
    for (int64_t r = 0; r < j->B * j->Nq * j->H; r++) {
        int64_t b = r / j->H / j->Nq, i = r / j->H % j->Nq, h = r % j->H, n = j->k_len ? j->k_len[b] : j->Nk;
        double top = -INFINITY, sum = 0;
        for (int64_t k = 0; k < n; k++) {
            p[k] = j->bias ? (double)j->bias[(h * j->Nq + i) * j->Nk + k] : 0;
            for (int64_t c = 0; c < j->d; c++)
                p[k] += (double)j->scale * (double)j->q[r * j->d + c] *
                        (double)j->k[((b * j->Nk + k) * j->H + h) * j->d + c];
            p[k] = sees(&j->mask, i, k) ? p[k] : -INFINITY;
            top = fmax(top, p[k]);
        }
        for (int64_t k = 0; k < n; k++)
            sum += p[k] = top > -INFINITY ? exp(p[k] - top) : 0;
        for (int64_t c = 0; c < j->dv; c++) {
            y[r * j->dv + c] = 0;
            for (int64_t k = 0; k < n; k++)
                y[r * j->dv + c] += (sum > 0 ? p[k] / sum : 0) * (double)j->v[((b * j->Nk + k) * j->H + h) * j->dv + c];
        }
    }
    free(p);
}

/* Forward of random shapes at one level, results between guards that must stay untouched. */
static void check_attention(const level *l, int trial)
{
    zm_attention_job j = {.B = 1 + zm_rng_below(&rng, 2), .Nq = 1 + zm_rng_below(&rng, 150)};
    j.Nk = 1 + zm_rng_below(&rng, trial % 4 ? 60 : 700);
    j.H = 1 + zm_rng_below(&rng, 3);
    j.d = 1 + zm_rng_below(&rng, 70);
    j.dv = 1 + zm_rng_below(&rng, 70);
    j.scale = 1 / sqrtf((float)j.d);
    j.block = l->attention->lanes * (1 + zm_rng_below(&rng, 8));
    int64_t n = j.B * j.Nq * j.H * j.dv;
    float *q = randoms(j.B * j.Nq * j.H * j.d, -3, 3), *k = randoms(j.B * j.Nk * j.H * j.d, -3, 3);
    float *v = randoms(j.B * j.Nk * j.H * j.dv, -1, 1), *bias = randoms(j.H * j.Nq * j.Nk, -2, 2);
    int32_t k_len[2] = {(int32_t)zm_rng_below(&rng, (uint32_t)j.Nk + 1), (int32_t)j.Nk};
    float *y = randoms(n + 2, 7, 8), *want = malloc((size_t)n * sizeof *want), first = y[0], last = y[n + 1];
    double *plain = malloc((size_t)n * sizeof *plain);
    j.q = q, j.k = k, j.v = v, j.y = y + 1;
    j.bias = trial & 1 ? bias : NULL;
    j.k_len = trial & 2 ? k_len : NULL;
    if (trial % 3 == 2 && !j.bias)
        j.mask = (zm_block_causal){1 + zm_rng_below(&rng, 50), zm_rng_below(&rng, 4), zm_rng_below(&rng, 3),
                                   zm_rng_below(&rng, 5)};
    float *scratch = zm_aligned_alloc((size_t)l->attention->forward_scratch(&j) * sizeof *scratch);
    for (int64_t i = 0; i < j.B * j.H; i++)
        for (int64_t at = 0; at < j.Nq; at += j.block)
            l->attention->forward(&j, i / j.H, i % j.H, at, scratch);
    plain_attention(&j, plain);
    for (int64_t i = 0; i < n; i++)
        want[i] = (float)plain[i];
    char name[200];
    snprintf(name, sizeof name, "%s attention B%d Nq%d Nk%d H%d d%d dv%d block %d%s%s mask %d %d %d %d", l->name,
             (int)j.B, (int)j.Nq, (int)j.Nk, (int)j.H, (int)j.d, (int)j.dv, (int)j.block, j.bias ? " bias" : "",
             j.k_len ? " lengths" : "", (int)j.mask.block, (int)j.mask.window, (int)j.mask.sink, (int)j.mask.first);
    tap_close_f32(j.y, want, (size_t)n, 1e-5, name);
    tap_ok(y[0] == first && y[n + 1] == last, "%s: neighbours untouched", name);
    free(q), free(k), free(v), free(bias), free(y), free(want), free(plain), free(scratch);
}

/* One node of a case, its inputs filled from `seed`. */
static zm_tensor *build(zm_graph **g, zm_exec **x, const zm_op *op, const zm_op_case *c, uint64_t seed)
{
    zm_tensor *in[ZM_MAX_IN];
    zm_error err = {0};
    *g = zm_graph_new();
    for (int i = 0; i < c->n_in; i++) {
        if (c->dtype[i] != ZM_F32 && c->dtype[i] != ZM_I32)
            return NULL;
        in[i] = c->shape[i].rank < 0 ? NULL : zm_input(*g, c->dtype[i], c->shape[i], "x");
    }
    zm_tensor *out = zm_output(*g, zm_node(*g, op, &c->attr, c->n_in, in));
    if (zm_graph_finish(*g, &err) || zm_exec_new(x, *g, NULL, &err))
        return NULL;
    float lo = c->lo == 0 && c->hi == 0 ? -1 : c->lo, hi = c->lo == 0 && c->hi == 0 ? 1 : c->hi;
    for (int i = 0; i < c->n_in; i++) {
        zm_rng r = zm_rng_init(seed, (uint64_t)i);
        for (int64_t k = 0; in[i] && k < zm_shape_elems(in[i]->shape); k++) {
            if (in[i]->dtype == ZM_I32)
                ((int32_t *)in[i]->data)[k] = c->below ? (int32_t)zm_rng_below(&r, (uint32_t)c->below) : 0;
            else
                ((float *)in[i]->data)[k] = zm_rng_range(&r, lo, hi);
        }
    }
    return out;
}

static void use_threads(int n)
{
#ifdef _OPENMP
    omp_set_num_threads(n);
#else
    (void)n;
#endif
}

/* Kernels on the loops of simd.h: bits of the result must not depend on the count of threads, nor on whether it lies on the first input. */
static void check_same_bits(const zm_op *op, const zm_op_case *c, uint64_t seed)
{
    zm_graph *g[3] = {0};
    zm_exec *x[3] = {0};
    zm_tensor *out[3];
    zm_error err = {0};
    int n = op->in_place ? 3 : 2;
    for (int i = 0; i < n; i++) {
        use_threads(i == 1 ? 3 : 1);
        out[i] = build(&g[i], &x[i], op, c, seed);
        if (out[i] && i == 2)
            out[i]->data = out[i]->in[0]->data;
        if (out[i] && zm_exec_run(x[i], &err))
            out[i] = NULL;
    }
    if (out[0] && out[1] && (n < 3 || out[2]) && !strcmp(zm_exec_kernel(x[0], out[0]->id), "simd")) {
        size_t bytes = zm_tensor_bytes(out[0]);
        tap_ok(!memcmp(out[0]->data, out[1]->data, bytes), "%s/%s: one and three threads agree", op->name, c->name);
        if (n == 3)
            tap_ok(!memcmp(out[0]->data, out[2]->data, bytes), "%s/%s: in place", op->name, c->name);
    }
    for (int i = 0; i < n; i++) {
        zm_exec_free(x[i]);
        zm_graph_free(g[i]);
    }
}

static void check_large_sums(void)
{
    static const zm_op_case sums[] = {
        {.name = "[9001,37] to rows", .n_in = 1, .shape = {{2, {9001, 37}}}, .attr = {.i = {1, 37}}},
        {.name = "[300007] to one", .n_in = 1, .shape = {{1, {300007}}}, .attr = {.i = {1, 1}}},
        {.name = "[3,2000,50] to groups", .n_in = 1, .shape = {{3, {3, 2000, 50}}}, .attr = {.i = {3, 3, 1, 50}}},
    };
    static const zm_op_case norms[] = {
        {.name = "4001 rows",
         .n_in = 3,
         .shape = {{2, {4001, 65}}, {1, {65}}, {2, {4001, 65}}},
         .attr = {.i = {0, 1}, .f = {1e-5}}},
    };
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++)
        check_same_bits(&zm_op_sum_to, &sums[i], 5);
    check_same_bits(&zm_op_norm_grad, norms, 6);
}

static void check_optim(const level *l)
{
    enum { N = 1003 };
    float *p = randoms(N, -1, 1), *g = randoms(N, -1, 1), *m = calloc(N, 4), *v = calloc(N, 4), *want = malloc(N * 4);
    double P[N], M[N] = {0}, V[N] = {0}, lr = 0.01, b1 = 0.9, b2 = 0.99, eps = 1e-6, wd = 0.1;
    for (int i = 0; i < N; i++)
        P[i] = p[i];
    for (int step = 1; step <= 5; step++) {
        float c[4] = {(float)(lr * wd), (float)(lr / (1 - pow(b1, step))), (float)(1 / sqrt(1 - pow(b2, step))),
                      (float)eps};
        l->optim->adamw(p, g, m, v, N, (float)b1, (float)b2, c);
        for (int i = 0; i < N; i++) {
            P[i] *= 1 - lr * wd;
            M[i] = b1 * M[i] + (1 - b1) * (double)g[i];
            V[i] = b2 * V[i] + (1 - b2) * (double)g[i] * (double)g[i];
            P[i] -= lr * (M[i] / (1 - pow(b1, step))) / (sqrt(V[i] / (1 - pow(b2, step))) + eps);
        }
    }
    char name[80];
    for (int i = 0; i < N; i++)
        want[i] = (float)P[i];
    snprintf(name, sizeof name, "%s AdamW, five steps", l->name);
    tap_close_f32(p, want, N, 1e-6, name);
    free(p), free(g), free(m), free(v), free(want);
}

static void check_updates(void)
{
    int64_t n = 150001;
    float *x = randoms(n, -1, 1), *e = randoms(n, -1, 1), *want = malloc((size_t)n * 4);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)x[i] * (double)x[i];
        want[i] = (float)(0.75 * (double)e[i] + 0.25 * (double)x[i]);
    }
    use_threads(3);
    double three = zm_sum_squares(x, n);
    use_threads(1);
    tap_ok(three == zm_sum_squares(x, n), "sum of squares: one and three threads agree");
    tap_ok(fabs(three - sum) <= 1e-9 * sum, "sum of squares %.12g, plain %.12g", three, sum);
    zm_ema_update(e, x, n, 0.75);
    tap_close_f32(e, want, (size_t)n, 1e-6, "moving average");
    free(x), free(e), free(want);
}

int main(void)
{
    const char *given = getenv("ZM_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("# ZM_TEST_SEED=%llu\n", (unsigned long long)seed);
    rng = zm_rng_init(seed, 1);
    for (size_t i = 0; i < sizeof levels / sizeof *levels && (int)i <= (int)zm_simd_best(); i++) {
        check_functions(&levels[i]);
        for (int trial = 0; trial < 24; trial++)
            check_attention(&levels[i], trial);
        check_optim(&levels[i]);
    }
    for (const zm_op *const *op = zm_ops; *op; op++)
        for (int i = 0; i < (*op)->n_cases && !(*op)->is_view; i++)
            check_same_bits(*op, &(*op)->cases[i], seed + (uint64_t)i);
    check_large_sums();
    check_updates();
    return tap_done();
}
