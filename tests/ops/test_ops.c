/* Every op's cases, from its descriptor alone: the backend against the plain reference, and the gradient against
 * central differences.  ZM_TEST_SEED chooses other random inputs, ZM_TEST_DEVICE=cuda the card.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <time.h>

#include "backend/backend.h"
#include "base/rng.h"
#include "ops/flops.h"
#include "ops/flops.h"
#include "ops/ops.h"
#include "tap.h"
#ifdef ZM_TEST_GPU
#include "gpu_host.h"
#endif

/* Random directions a gradient is looked at along.  The sanitizers look for wrong memory, which one shows as well, and
 * in large cases the run of the gradient alone. */
enum { DIRECTIONS = TAP_SANITIZED ? 1 : 4 };
static const double MANY_FLOPS = TAP_SANITIZED ? 2e6 : INFINITY;

typedef struct trial {
    zm_graph *g;
    zm_exec *x;
    zm_tensor *in[ZM_MAX_IN], *out, *grad[ZM_MAX_IN], *out_grad;
} trial;

static zm_tensor *case_input(zm_graph *g, const zm_op_case *c, int i, bool grad)
{
    if (c->shape[i].rank < 0)
        return NULL;
    /* weights in storage dtypes are external leaves (T4) */
    bool stored = c->dtype[i] != ZM_F32 && c->dtype[i] != ZM_I32;
    zm_tensor *t =
        stored ? zm_external(g, c->dtype[i], c->shape[i], NULL, "w") : zm_input(g, c->dtype[i], c->shape[i], "x");
    if (stored)
        t->data = zm_arena_alloc(zm_graph_arena(g), zm_tensor_bytes(t));
    return grad && c->dtype[i] == ZM_F32 ? zm_want_grad(t) : t;
}

static zm_status make(trial *r, const zm_op *op, const zm_op_case *c, bool grad, bool reference, zm_error *err)
{
    *r = (trial){.g = zm_graph_new()};
    for (int i = 0; i < c->n_in; i++)
        r->in[i] = case_input(r->g, c, i, grad);
    r->out = zm_output(r->g, zm_node(r->g, op, &c->attr, c->n_in, r->in));
    if (grad && op->gradient) {
        zm_tensor *wrt[ZM_MAX_IN], *got[ZM_MAX_IN];
        int n = 0;
        for (int i = 0; i < c->n_in; i++)
            if (r->in[i] && r->in[i]->needs_grad)
                wrt[n++] = r->in[i];
        r->out_grad = zm_input(r->g, ZM_F32, r->out->shape, "out_grad");
        zm_gradient(r->g, &zm_default_grad_ops, r->out, r->out_grad, n, wrt, got);
        for (int i = 0, k = 0; i < c->n_in; i++)
            if (r->in[i] && r->in[i]->needs_grad && (r->grad[i] = got[k++]))
                zm_output(r->g, r->grad[i]);
    }
    zm_status s = zm_graph_finish(r->g, err);
    return s ? s : zm_exec_new(&r->x, r->g, &(zm_exec_options){.reference_only = reference}, err);
}

static void drop(trial *r)
{
    zm_exec_free(r->x);
    zm_graph_free(r->g);
}

static void fill(zm_tensor *t, const zm_op_case *c, zm_rng rng)
{
    float lo = c->lo, hi = c->hi;
    if (lo == 0 && hi == 0)
        lo = -1, hi = 1;
    int64_t n = zm_shape_elems(t->shape);
    if (t->dtype == ZM_I32) {
        for (int64_t i = 0; i < n; i++)
            ((int32_t *)t->data)[i] = c->below ? (int32_t)zm_rng_below(&rng, (uint32_t)c->below) : 0;
        return;
    }
    float *v = malloc((size_t)n * sizeof *v);
    for (int64_t i = 0; i < n; i++)
        v[i] = zm_rng_range(&rng, lo, hi);
    zm_dtype_from_f32(t->data, v, t->dtype, (size_t)n);
    free(v);
}

static void fill_all(trial *r, const zm_op_case *c, uint64_t seed)
{
    for (int i = 0; i < c->n_in; i++)
        if (r->in[i])
            fill(r->in[i], c, zm_rng_init(seed, (uint64_t)i));
}

static double largest(const float *v, int64_t n)
{
    double top = 1;
    for (int64_t i = 0; i < n; i++)
        top = fmax(top, fabs((double)v[i]));
    return top;
}

static void check_backend(const zm_op *op, const zm_op_case *c, uint64_t seed)
{
    trial plain, fast;
    zm_error err = {0};
    char name[200];
    if (make(&plain, op, c, false, true, &err) || make(&fast, op, c, false, false, &err)) {
        tap_ok(0, "%s/%s builds: %s", op->name, c->name, err.text);
        return;
    }
    fill_all(&plain, c, seed);
    fill_all(&fast, c, seed);
    int64_t n = zm_shape_elems(plain.out->shape);
    if (!op->is_view && !op->in_place) { /* garbage first: a kernel must write every element */
        memset(fast.out->data, 0x7f, zm_tensor_bytes(fast.out));
    }
    if (zm_exec_run(plain.x, &err) || zm_exec_run(fast.x, &err))
        tap_ok(0, "%s/%s runs: %s", op->name, c->name, err.text);
    double tolerance = (c->tolerance > 0 ? c->tolerance : op->tolerance) * largest(plain.out->data, n);
    snprintf(name, sizeof name, "%s/%s [%s]", op->name, c->name, zm_exec_kernel(fast.x, fast.out->id));
    tap_close_f32(fast.out->data, plain.out->data, (size_t)n, tolerance, name);
    drop(&plain);
    drop(&fast);
}

/* loss(x) = sum(R * op(x)) in double */
static double loss(trial *r, const float *weight)
{
    zm_error err = {0};
    ZM_ASSERT(!zm_exec_run(r->x, &err));
    const float *y = r->out->data;
    double sum = 0;
    for (int64_t i = 0, n = zm_shape_elems(r->out->shape); i < n; i++)
        sum += (double)y[i] * (double)weight[i];
    return sum;
}

/* Along a random direction d of input `which`: dot(gradient, d) against (loss(x+hd) - loss(x-hd)) / 2h. */
static void check_direction(trial *back, trial *plain, const float *weight, int which, zm_rng *rng, double *got,
                            double *want)
{
    int64_t n = zm_shape_elems(plain->in[which]->shape);
    float *x = plain->in[which]->data, *keep = malloc((size_t)n * 8), *d = keep + n;
    memcpy(keep, x, (size_t)n * 4);
    double h = 4e-3, dot = 0;
    const float *grad = back->grad[which] ? back->grad[which]->data : NULL;
    for (int64_t i = 0; i < n; i++) {
        d[i] = zm_rng_u32(rng) & 1 ? 1 : -1;
        dot += grad ? (double)grad[i] * (double)d[i] : 0;
    }
    double at[2];
    for (int side = 0; side < 2; side++) {
        for (int64_t i = 0; i < n; i++)
            x[i] = keep[i] + (float)(side ? -h : h) * d[i];
        at[side] = loss(plain, weight);
    }
    memcpy(x, keep, (size_t)n * 4);
    free(keep);
    *got = dot;
    *want = (at[0] - at[1]) / (2 * h);
}

/* Of a gradient: how large its products with random directions of +-1 are, in the mean of squares. */
static double norm(const zm_tensor *t)
{
    double sum = 0;
    for (int64_t i = 0; t && i < zm_shape_elems(t->shape); i++)
        sum += (double)((const float *)t->data)[i] * (double)((const float *)t->data)[i];
    return sqrt(sum);
}

static void check_gradient(const zm_op *op, const zm_op_case *c, uint64_t seed)
{
    trial back, plain;
    zm_error err = {0};
    if (!op->gradient)
        return;
    if (make(&back, op, c, true, false, &err) || make(&plain, op, c, false, true, &err)) {
        tap_ok(0, "%s/%s gradient builds: %s", op->name, c->name, err.text);
        return;
    }
    fill_all(&back, c, seed);
    fill_all(&plain, c, seed);
    int64_t n = zm_shape_elems(plain.out->shape);
    float *weight = malloc((size_t)n * sizeof *weight);
    zm_rng rng = zm_rng_init(seed, 99);
    for (int64_t i = 0; i < n; i++)
        weight[i] = zm_rng_range(&rng, -1, 1);
    memcpy(back.out_grad->data, weight, (size_t)n * 4);
    tap_ok(!zm_exec_run(back.x, &err), "%s/%s gradient runs %s", op->name, c->name, err.text);
    for (int i = 0; i < c->n_in; i++) {
        if (!back.in[i] || !back.in[i]->needs_grad || zm_node_flops(plain.out) > MANY_FLOPS)
            continue;
        double worst = 0, got = 0, want = 0, size = norm(back.grad[i]);
        for (int trial_no = 0; trial_no < DIRECTIONS; trial_no++) {
            double a, b;
            check_direction(&back, &plain, weight, i, &rng, &a, &b);
            if (!(fabs(a - b) <= worst)) {
                worst = fabs(a - b);
                got = a;
                want = b;
            }
        }
        /* A share of what a derivative along such a direction is in the mean; the rounding of the f32 forward, divided
         * by 2h, grows with the root of the number of elements. */
        double tolerance = 4e-3 * fmax(size, 1) + 1e-4 * sqrt((double)n);
        tap_ok(worst <= tolerance, "%s/%s d/d in%d: %.6g, central difference %.6g", op->name, c->name, i, got, want);
    }
    free(weight);
    drop(&back);
    drop(&plain);
}

/* Operations of attention are those of the pairs that a mask leaves, counted one by one here. */
static void check_attention_flops(const zm_op_case *c)
{
    zm_graph *g = zm_graph_new();
    zm_tensor *in[ZM_MAX_IN];
    for (int i = 0; i < c->n_in; i++)
        in[i] = case_input(g, c, i, false);
    const zm_tensor *t = zm_node(g, &zm_op_attention, &c->attr, c->n_in, in);
    const int64_t *m = c->attr.i;
    double pairs = 0;
    for (int64_t q = 0; q < zm_dim(in[0], 1); q++)
        for (int64_t k = 0; k < zm_dim(in[1], 1); k++) {
            int64_t i = m[0] ? q / m[0] + m[3] : 0, j = m[0] ? k / m[0] : 0;
            pairs += j <= i && (!m[1] || j > i - m[1] || j < m[2]);
        }
    double heads = (double)(zm_dim(t, 0) * zm_dim(t, 2)),
           want = 2 * pairs * heads * (double)(zm_dim(in[0], 3) + zm_dim(t, 3));
    tap_ok(zm_node_flops(t) == want, "attention/%s takes %.0f operations, %.0f are counted", c->name, want,
           zm_node_flops(t));
    zm_graph_free(g);
}

static void check_shape_law(const zm_op *op)
{
    zm_graph *g = zm_graph_new();
    zm_error err = {0};
    zm_tensor *out = zm_node(g, op, NULL, 0, NULL);
    tap_ok(zm_graph_failed(g), "%s refuses to be built from nothing", op->name);
    tap_ok(zm_dim(out, 0) == 1 && zm_graph_finish(g, &err) == ZM_E_SHAPE && err.text[0],
           "%s: the error waits in the graph: %s", op->name, err.text);
    zm_graph_free(g);
}

int main(int argc, char **argv)
{
    const char *given = getenv("ZM_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("# ZM_TEST_SEED=%llu\n", (unsigned long long)seed);
#ifdef ZM_TEST_GPU
    zm_gpu_host_install(ZM_TEST_GPU);
#else
    const char *device = getenv("ZM_TEST_DEVICE");
    const zm_device_row *row = zm_device_find(device ? device : "cpu");
    zm_error none = {0};
    if (device && (!row || zm_backend_use(row->device, false, &none))) {
        printf("Bail out! %s: %s\n", device, none.text);
        return 1;
    }
    printf("# %s with: %s\n", zm_backend_name(), zm_backend_libraries());
#endif
    for (const zm_op *const *op = zm_ops; *op; op++) {
        if (argc > 1 && strcmp(argv[1], (*op)->name))
            continue;
        check_shape_law(*op);
        tap_ok((*op)->n_cases > 0, "%s has cases", (*op)->name);
        for (int i = 0; i < (*op)->n_cases; i++) {
            check_backend(*op, &(*op)->cases[i], seed + (uint64_t)i);
            check_gradient(*op, &(*op)->cases[i], seed + (uint64_t)i);
            if (*op == &zm_op_attention)
                check_attention_flops(&(*op)->cases[i]);
        }
    }
    return tap_done();
}
