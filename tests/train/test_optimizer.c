/* Optimisers against plain double arithmetic, and their state on disk.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "base/rng.h"
#include "tap.h"
#include "train/checkpoint.h"

static zm_rng fresh;

enum { PARAMS = 5 };

/* Matrices of either shape, a kernel, a vector and a table that Muon leaves to AdamW. */
static zm_params *make_params(uint64_t seed)
{
    zm_params *p = zm_params_new();
    zm_error err = {0};
    zm_params_add(p, ZM_SHAPE(16, 48), ZM_INIT_FAN_IN, true, "wide.weight");
    zm_params_add(p, ZM_SHAPE(40, 12), ZM_INIT_FAN_IN, true, "tall.weight");
    zm_params_add(p, ZM_SHAPE(10, 12, 3), ZM_INIT_FAN_IN, true, "kernel.weight");
    zm_params_add(p, ZM_SHAPE(48), ZM_INIT_NORMAL, false, "bias");
    zm_params_add(p, ZM_SHAPE(20, 8), ZM_INIT_NORMAL, true, "token_embedding.weight");
    for (int i = 0; i < PARAMS; i++)
        zm_params_at(p, i)->scale = 0.5f;
    if (!zm_params_fill(p, seed, &err))
        return p;
    printf("# %s\n", err.text);
    exit(1);
}

static int64_t elems(const zm_params *p, int i)
{
    return zm_shape_elems(zm_params_at(p, i)->shape);
}

typedef struct gradients {
    float *grad[PARAMS];
} gradients;

static gradients random_gradients(const zm_params *p, float scale)
{
    gradients g;
    for (int i = 0; i < PARAMS; i++) {
        g.grad[i] = malloc((size_t)elems(p, i) * 4);
        zm_rng_normals(&fresh, g.grad[i], (size_t)elems(p, i));
        for (int64_t k = 0; k < elems(p, i); k++)
            g.grad[i][k] *= scale;
    }
    return g;
}

static void drop(gradients *g)
{
    for (int i = 0; i < PARAMS; i++)
        free(g->grad[i]);
}

/* AdamW (Loshchilov & Hutter 2019, algorithm 2) with clipping by the global norm and an averaged copy, in double. */
typedef struct adamw {
    double *p, *m, *v, *ema;
} adamw;

static double norm_of(const zm_params *p, const gradients *g)
{
    double square = 0;
    for (int i = 0; i < PARAMS; i++)
        for (int64_t k = 0; k < elems(p, i); k++)
            square += (double)g->grad[i][k] * (double)g->grad[i][k];
    return sqrt(square);
}

static void adamw_step(adamw *a, const float *g, int64_t n, const zm_opt_options *o, int64_t step, double scale,
                       double clip, double decay)
{
    double lr = o->lr * scale, average = fmin(o->ema, (1.0 + (double)step) / (10.0 + (double)step));
    for (int64_t k = 0; k < n; k++) {
        double d = clip * (double)g[k];
        a->m[k] = o->beta1 * a->m[k] + (1 - o->beta1) * d;
        a->v[k] = o->beta2 * a->v[k] + (1 - o->beta2) * d * d;
        double m = a->m[k] / (1 - pow(o->beta1, (double)step)), v = a->v[k] / (1 - pow(o->beta2, (double)step));
        a->p[k] -= lr * decay * a->p[k];
        a->p[k] -= lr * m / (sqrt(v) + o->eps);
        a->ema[k] = average * a->ema[k] + (1 - average) * a->p[k];
    }
}

static void test_adamw(void)
{
    zm_params *p = make_params(zm_rng_u64(&fresh));
    zm_error err = {0};
    zm_opt_options o = {.kind = ZM_OPT_ADAMW,
                        .lr = 1e-2,
                        .beta1 = 0.9,
                        .beta2 = 0.99,
                        .eps = 1e-8,
                        .weight_decay = 0.1,
                        .clip = 1,
                        .ema = 0.9};
    zm_opt *opt = NULL;
    adamw a[PARAMS];
    if (!tap_ok(!zm_opt_new(&opt, p, &o, &err), "AdamW: %s", err.text))
        return;
    for (int i = 0; i < PARAMS; i++) {
        size_t n = (size_t)elems(p, i);
        a[i].p = calloc(4 * n, sizeof(double));
        a[i].m = a[i].p + n, a[i].v = a[i].m + n, a[i].ema = a[i].v + n;
        for (size_t k = 0; k < n; k++)
            a[i].p[k] = a[i].ema[k] = (double)((float *)zm_params_at(p, i)->data)[k];
    }
    double worst_norm = 0;
    for (int64_t step = 1; step <= 25; step++) {
        gradients g = random_gradients(p, step % 2 ? 0.3f : 0.004f); /* clipped, and not */
        double norm = norm_of(p, &g), got = 0, scale = 1.0 / (double)step;
        double clip = norm > o.clip ? o.clip / norm : 1;
        for (int i = 0; i < PARAMS; i++)
            adamw_step(&a[i], g.grad[i], elems(p, i), &o, step, scale, clip,
                       zm_params_at(p, i)->shape.rank >= 2 ? o.weight_decay : 0);
        if (zm_opt_step(opt, (const float *const *)g.grad, step, scale, &got, &err))
            printf("# %s\n", err.text);
        worst_norm = fmax(worst_norm, fabs(got - norm) / norm);
        drop(&g);
    }
    tap_ok(worst_norm < 1e-6, "gradient norms agree to %.1g", worst_norm);
    for (int i = 0; i < PARAMS; i++) {
        float *want = malloc((size_t)elems(p, i) * 8), *average = want + elems(p, i);
        for (int64_t k = 0; k < elems(p, i); k++) {
            want[k] = (float)a[i].p[k];
            average[k] = (float)a[i].ema[k];
        }
        tap_close_f32(zm_params_at(p, i)->data, want, (size_t)elems(p, i), 1e-5, zm_params_at(p, i)->name);
        tap_close_f32(zm_opt_average(opt, i), average, (size_t)elems(p, i), 1e-5, "its average");
        zm_opt_swap_average(opt);
        tap_close_f32(zm_params_at(p, i)->data, average, (size_t)elems(p, i), 1e-5, "exchanged with its average");
        zm_opt_swap_average(opt);
        tap_close_f32(zm_params_at(p, i)->data, want, (size_t)elems(p, i), 1e-5, "and back");
        free(want);
        free(a[i].p);
    }
    zm_opt_free(opt);
    zm_params_free(p);
}

/* Eigenvalues of the symmetric a[n,n] by Jacobi rotations, left on its diagonal. */
static void jacobi(double *a, int n)
{
    for (int sweep = 0; sweep < 30; sweep++)
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++) {
                if (fabs(a[p * n + q]) < 1e-14)
                    continue;
                double t = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
                t = (t < 0 ? -1 : 1) / (fabs(t) + sqrt(t * t + 1));
                double c = 1 / sqrt(t * t + 1), s = t * c;
                for (int k = 0; k < n; k++) {
                    double x = a[k * n + p], y = a[k * n + q];
                    a[k * n + p] = c * x - s * y;
                    a[k * n + q] = s * x + c * y;
                }
                for (int k = 0; k < n; k++) {
                    double x = a[p * n + k], y = a[q * n + k];
                    a[p * n + k] = c * x - s * y;
                    a[q * n + k] = s * x + c * y;
                }
            }
}

/* The update of one Muon step is (nearly) orthogonal, shares the gradient's singular vectors and has the size the
 * paper says. */
static void check_direction(const float *before, const float *after, const float *grad, int rows, int columns,
                            const zm_opt_options *o, const char *name)
{
    int side = rows < columns ? rows : columns, other = rows < columns ? columns : rows;
    double size = o->lr * 0.2 * sqrt(other), keep = 1 - o->lr * o->weight_decay, skew = 0, along = 0;
    double *u = calloc((size_t)(side * other * 2 + side * side * 2), sizeof *u), *g = u + side * other,
           *gram = g + side * other, *mixed = gram + side * side;
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++) {
            int at = rows < columns ? r * columns + c : c * rows + r;
            u[at] = (keep * (double)before[r * columns + c] - (double)after[r * columns + c]) / size;
            g[at] = (double)grad[r * columns + c];
            along += u[at] * g[at];
        }
    for (int i = 0; i < side; i++)
        for (int k = 0; k < side; k++)
            for (int c = 0; c < other; c++) {
                gram[i * side + k] += u[i * other + c] * u[k * other + c];
                mixed[i * side + k] += u[i * other + c] * g[k * other + c];
            }
    for (int i = 0; i < side; i++)
        for (int k = 0; k < side; k++)
            skew = fmax(skew, fabs(mixed[i * side + k] - mixed[k * side + i]));
    jacobi(gram, side);
    double lo = INFINITY, hi = 0;
    for (int i = 0; i < side; i++) {
        double sigma = sqrt(fmax(0, gram[i * side + i]));
        lo = fmin(lo, sigma);
        hi = fmax(hi, sigma);
    }
    tap_ok(lo > 0.6 && hi < 1.3, "%s: singular values of the update in [%.3f, %.3f]", name, lo, hi);
    tap_ok(skew < 1e-3 * along, "%s: the gradient's own singular vectors (skew %.2g of %.3g)", name, skew, along);
    free(u);
}

static void test_muon(void)
{
    zm_params *p = make_params(zm_rng_u64(&fresh));
    zm_error err = {0};
    zm_opt_options o = {.kind = ZM_OPT_MUON,
                        .lr = 0.1,
                        .adam_lr = 1e-2,
                        .beta1 = 0.9,
                        .beta2 = 0.99,
                        .eps = 1e-8,
                        .momentum = 0.95,
                        .weight_decay = 0.1};
    zm_opt *opt = NULL;
    double norm;
    if (!tap_ok(!zm_opt_new(&opt, p, &o, &err), "Muon: %s", err.text))
        return;
    float *before[PARAMS];
    for (int i = 0; i < PARAMS; i++) {
        before[i] = malloc((size_t)elems(p, i) * 4);
        memcpy(before[i], zm_params_at(p, i)->data, (size_t)elems(p, i) * 4);
    }
    gradients g = random_gradients(p, 1);
    tap_ok(!zm_opt_step(opt, (const float *const *)g.grad, 1, 1, &norm, &err), "a step: %s", err.text);
    check_direction(before[0], zm_params_at(p, 0)->data, g.grad[0], 16, 48, &o, "wide");
    check_direction(before[1], zm_params_at(p, 1)->data, g.grad[1], 40, 12, &o, "tall");
    check_direction(before[2], zm_params_at(p, 2)->data, g.grad[2], 10, 36, &o, "kernel");
    /* the first AdamW step moves every number by its learning rate */
    double worst = 0;
    for (int64_t k = 0; k < elems(p, 3); k++)
        worst = fmax(worst, fabs(fabs((double)(((float *)zm_params_at(p, 3)->data)[k] - before[3][k])) - o.adam_lr));
    tap_ok(worst < 1e-5, "a vector is left to AdamW (%.2g)", worst);
    float nan_was = g.grad[1][7];
    g.grad[1][7] = NAN;
    memcpy(before[0], zm_params_at(p, 0)->data, (size_t)elems(p, 0) * 4);
    tap_ok(zm_opt_step(opt, (const float *const *)g.grad, 2, 1, &norm, &err) == ZM_E_FORMAT &&
               strstr(err.text, "tall.weight"),
           "NaN is refused: %s", err.text);
    tap_ok(!memcmp(before[0], zm_params_at(p, 0)->data, (size_t)elems(p, 0) * 4), "and changes nothing");
    g.grad[1][7] = nan_was;
    drop(&g);
    for (int i = 0; i < PARAMS; i++)
        free(before[i]);
    zm_opt_free(opt);
    zm_params_free(p);
}

static char path[] = "/tmp/zouma-checkpoint-XXXXXX";

static bool truncated_is_refused(zm_opt *opt, const char *text, size_t n)
{
    FILE *f = fopen(path, "wb");
    zm_error err = {0};
    int64_t step = -7;
    if (!f)
        return false;
    fwrite(text, 1, n, f);
    fclose(f);
    return zm_checkpoint_load(path, opt, &step, "one", &err) == ZM_E_FORMAT && step == -7 && strstr(err.text, path);
}

static void test_checkpoint(zm_opt_kind kind)
{
    zm_params *p = make_params(1), *q = make_params(2);
    zm_error err = {0};
    zm_opt_options o = {.kind = kind,
                        .lr = 1e-2,
                        .adam_lr = 1e-2,
                        .beta1 = 0.9,
                        .beta2 = 0.99,
                        .eps = 1e-8,
                        .momentum = 0.9,
                        .clip = 1,
                        .ema = 0.99};
    zm_opt *a = NULL, *b = NULL;
    double norm;
    bool same = true;
    int64_t step = 0;
    if (!tap_ok(!zm_opt_new(&a, p, &o, &err) && !zm_opt_new(&b, q, &o, &err), "two optimisers: %s", err.text))
        return;
    for (int i = 1; i <= 3; i++) {
        gradients g = random_gradients(p, 1);
        same &= !zm_opt_step(a, (const float *const *)g.grad, i, 1, &norm, &err);
        drop(&g);
    }
    tap_ok(same && !zm_checkpoint_save(path, a, 3, "one", &err), "saved: %s", err.text);
    tap_ok(!zm_checkpoint_load(path, b, &step, "one", &err) && step == 3, "loaded: %s", err.text);
    gradients g = random_gradients(p, 1), again = {0};
    for (int i = 0; i < PARAMS; i++) {
        again.grad[i] = malloc((size_t)elems(p, i) * 4);
        memcpy(again.grad[i], g.grad[i], (size_t)elems(p, i) * 4);
    }
    same = !zm_opt_step(a, (const float *const *)g.grad, 4, 1, &norm, &err) &&
           !zm_opt_step(b, (const float *const *)again.grad, 4, 1, &norm, &err);
    for (int i = 0; i < PARAMS; i++)
        same &= !memcmp(zm_params_at(p, i)->data, zm_params_at(q, i)->data, (size_t)elems(p, i) * 4) &&
                !memcmp(zm_opt_average(a, i), zm_opt_average(b, i), (size_t)elems(p, i) * 4);
    tap_ok(same, "the next step is the same to the bit");
    drop(&g);
    drop(&again);

    step = -7;
    tap_ok(zm_checkpoint_load(path, b, &step, "two", &err) == ZM_E_FORMAT && step == -7, "another configuration: %s",
           err.text);
    zm_error_clear(&err);
    char *text = NULL;
    size_t n = 0;
    same = !zm_file_read(&text, &n, path, 1 << 26, &err);
    for (int i = 0; i < 40 && same; i++)
        same = truncated_is_refused(b, text, i == 39 ? n - 1 : n * (size_t)i / 40);
    tap_ok(same, "cut off anywhere, it is refused");
    free(text);
    unlink(path);
    tap_ok(zm_checkpoint_load(path, b, &step, "one", &err) == ZM_E_MISSING, "not there: %s", err.text);
    zm_error_clear(&err);

    zm_opt *other = NULL;
    o.kind = kind == ZM_OPT_MUON ? ZM_OPT_ADAMW : ZM_OPT_MUON;
    o.ema = 0;
    same = !zm_opt_new(&other, q, &o, &err) && !zm_checkpoint_save(path, other, 1, "one", &err);
    tap_ok(same && zm_checkpoint_load(path, a, &step, "one", &err) != ZM_OK,
           "a checkpoint without the tensors needed: %s", err.text);
    zm_opt_free(other);
    zm_opt_free(a);
    zm_opt_free(b);
    zm_params_free(p);
    zm_params_free(q);
}

int main(void)
{
    fresh = zm_rng_init((uint64_t)time(NULL), 4);
    printf("# seed %llu\n", (unsigned long long)fresh.seed);
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    test_adamw();
    test_muon();
    test_checkpoint(ZM_OPT_ADAMW);
    test_checkpoint(ZM_OPT_MUON);
    unlink(path);
    return tap_done();
}
