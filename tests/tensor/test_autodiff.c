/* Gradients of whole graphs: reused tensors, overlapping views, random chains, checkpointed segments.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <time.h>

#include "backend/backend.h"
#include "base/rng.h"
#include "ops/ops.h"
#include "tap.h"

static zm_rng fresh;

/* A graph with a scalar loss, the leaves it depends on and their gradients. */
typedef struct problem {
    zm_graph *g;
    zm_exec *x;
    zm_tensor *in[4], *grad[4], *loss, *one;
    int n;
} problem;

static zm_tensor *leaf(problem *p, zm_shape shape)
{
    return p->in[p->n++] = zm_want_grad(zm_input(p->g, ZM_F32, shape, "x"));
}

static bool finish(problem *p, zm_tensor *loss, zm_error *err)
{
    p->loss = zm_output(p->g, loss);
    p->one = zm_input(p->g, ZM_F32, ZM_SHAPE(1), "one");
    zm_gradient(p->g, &zm_default_grad_ops, p->loss, p->one, p->n, p->in, p->grad);
    for (int i = 0; i < p->n; i++)
        if (p->grad[i])
            zm_output(p->g, p->grad[i]);
    if (zm_graph_finish(p->g, err) || zm_exec_new(&p->x, p->g, NULL, err))
        return false;
    for (int i = 0; i < p->n; i++)
        zm_rng_normals(&fresh, p->in[i]->data, (size_t)zm_shape_elems(p->in[i]->shape));
    *(float *)p->one->data = 1;
    return !zm_exec_run(p->x, err);
}

static void drop(problem *p)
{
    zm_exec_free(p->x);
    zm_graph_free(p->g);
}

static double loss_now(problem *p)
{
    zm_error err = {0};
    if (zm_exec_run(p->x, &err))
        return NAN;
    return (double)*(float *)p->loss->data;
}

/* Central differences along random directions: (L(x + h d) - L(x - h d)) / 2h against grad . d. */
static void check_directions(problem *p, const char *name, double tolerance)
{
    double worst = 0;
    for (int i = 0; i < p->n; i++) {
        int64_t n = zm_shape_elems(p->in[i]->shape);
        float *x = p->in[i]->data, *keep = malloc((size_t)n * 8), *d = keep + n;
        for (int trial = 0; trial < 3; trial++) {
            double slope = 0, h = 4e-3;
            memcpy(keep, x, (size_t)n * 4);
            zm_rng_normals(&fresh, d, (size_t)n);
            loss_now(p);
            for (int64_t k = 0; k < n; k++)
                slope += p->grad[i] ? (double)d[k] * (double)((float *)p->grad[i]->data)[k] : 0;
            for (int64_t k = 0; k < n; k++)
                x[k] = (float)((double)keep[k] + h * (double)d[k]);
            double up = loss_now(p);
            for (int64_t k = 0; k < n; k++)
                x[k] = (float)((double)keep[k] - h * (double)d[k]);
            double down = loss_now(p), measured = (up - down) / (2 * h);
            double off = fabs(measured - slope) / (1 + fabs(measured));
            worst = off > worst || isnan(off) ? off : worst;
            memcpy(x, keep, (size_t)n * 4);
        }
        free(keep);
    }
    tap_ok(worst <= tolerance, "%s: relative difference %.2g of %.2g", name, worst, tolerance);
}

static void test_by_hand(void)
{
    problem p = {.g = zm_graph_new()};
    zm_error err = {0};
    zm_tensor *x = leaf(&p, ZM_SHAPE(6)), *y = leaf(&p, ZM_SHAPE(6)), *unused = leaf(&p, ZM_SHAPE(3));
    zm_tensor *loss = zm_sum(p.g, zm_add(p.g, zm_mul(p.g, x, x), zm_mul(p.g, x, y)));
    if (tap_ok(finish(&p, loss, &err), "sum(x x + x y): %s", err.text)) {
        float want_x[6], want_y[6];
        for (int i = 0; i < 6; i++) {
            want_x[i] = 2 * ((float *)x->data)[i] + ((float *)y->data)[i];
            want_y[i] = ((float *)x->data)[i];
        }
        tap_close_f32(p.grad[0]->data, want_x, 6, 1e-6, "d/dx = 2x + y, x used three times");
        tap_close_f32(p.grad[1]->data, want_y, 6, 1e-6, "d/dy = x");
        tap_ok(unused && !p.grad[2], "a leaf the loss does not depend on has no gradient");
    }
    drop(&p);
}

static void test_views(void)
{
    problem p = {.g = zm_graph_new()};
    zm_error err = {0};
    zm_tensor *x = leaf(&p, ZM_SHAPE(4, 6));
    zm_tensor *low = zm_slice(p.g, x, 0, 0, 3), *high = zm_slice(p.g, x, 0, 1, 3); /* rows 1 and 2 are in both */
    zm_tensor *flat = zm_reshape(p.g, x, ZM_SHAPE(24)), *middle = zm_view(p.g, flat, 3, ZM_SHAPE(3, 6));
    zm_tensor *columns = zm_slice(p.g, x, 1, 2, 3); /* copies */
    zm_tensor *turned = zm_matmul(p.g, columns, zm_permute(p.g, columns, (const int[]){1, 0}), false, false);
    zm_tensor *sum = zm_add(p.g, zm_mul(p.g, low, high), zm_unary(p.g, ZM_TANH, middle));
    zm_tensor *loss = zm_add(p.g, zm_mean(p.g, sum), zm_mean(p.g, zm_unary(p.g, ZM_SQUARE, turned)));
    if (tap_ok(finish(&p, loss, &err), "overlapping views: %s", err.text))
        check_directions(&p, "overlapping views add up", 5e-3);
    drop(&p);
}

static zm_tensor *random_step(problem *p, zm_tensor *const *h, int n)
{
    zm_graph *g = p->g;
    zm_tensor *a = h[zm_rng_below(&fresh, (uint32_t)n)], *b = h[zm_rng_below(&fresh, (uint32_t)n)];
    switch (zm_rng_below(&fresh, 9)) {
    case 0:
        return zm_unary(g, ZM_SILU, a);
    case 1:
        return zm_unary(g, ZM_TANH, zm_mul(g, a, b));
    case 2:
        return zm_affine(g, zm_add(g, a, b), 0.6, 0.1);
    case 3:
        return zm_sub(g, a, zm_slice(g, b, 0, 1, 1)); /* a row spread over all */
    case 4:
        return zm_affine(g, zm_matmul(g, a, b, false, true), 0.2, 0);
    case 5:
        return zm_norm(g, ZM_NORM_LAYER, a, NULL, NULL, 1e-2);
    case 6:
        return zm_concat(g, 2, (zm_tensor *[]){zm_slice(g, a, 0, 0, 2), zm_slice(g, b, 0, 2, 3)}, 0);
    case 7:
        return zm_permute(g, a, (const int[]){1, 0});
    default:
        return zm_unary(g, ZM_SIGMOID, zm_reshape(g, zm_reshape(g, a, ZM_SHAPE(25)), ZM_SHAPE(5, 5)));
    }
}

static void test_random_chains(void)
{
    for (int trial = 0; trial < 8; trial++) {
        problem p = {.g = zm_graph_new()};
        zm_error err = {0};
        zm_tensor *h[40];
        int n = 0;
        for (int i = 0; i < 3; i++)
            h[n++] = leaf(&p, ZM_SHAPE(5, 5));
        for (int length = 6 + (int)zm_rng_below(&fresh, 25); n < length;)
            h[n] = random_step(&p, h, n), n++;
        zm_tensor *sum = h[3];
        for (int i = 4; i < n; i++)
            sum = zm_add(p.g, sum, h[i]);
        if (tap_ok(finish(&p, zm_mean(p.g, zm_unary(p.g, ZM_SOFTPLUS, sum)), &err), "a random graph of %d steps: %s", n,
                   err.text))
            check_directions(&p, "its gradient", 1e-2);
        drop(&p);
    }
}

enum { WIDTH = 16, ROWS = 24, DEEP = 10 };

/* Residual blocks on h, each a segment or none; the weight is shared by all, and the first block's result is also
 * added at the end, so that a tensor of one segment is used far outside it. */
static zm_tensor *deep(problem *p, bool segments)
{
    zm_graph *g = p->g;
    zm_tensor *h = leaf(p, ZM_SHAPE(ROWS, WIDTH)), *w = leaf(p, ZM_SHAPE(4 * WIDTH, WIDTH)),
              *v = leaf(p, ZM_SHAPE(WIDTH, 4 * WIDTH)), *first = NULL;
    for (int i = 0; i < DEEP; i++) {
        if (segments)
            zm_segment_begin(g);
        zm_tensor *a = zm_linear(g, zm_norm(g, ZM_NORM_RMS, h, NULL, NULL, 1e-5), w, NULL, ZM_SILU);
        a = zm_affine(g, zm_linear(g, a, v, NULL, ZM_TANH), 0.3, 0);
        h = zm_add(g, h, a);
        if (segments)
            zm_segment_end(g);
        first = first ? first : h;
    }
    return zm_mean(g, zm_unary(g, ZM_SQUARE, zm_add(g, h, first)));
}

static void test_segments(void)
{
    problem plain = {.g = zm_graph_new()}, saved = {.g = zm_graph_new()};
    zm_error err = {0};
    bool ok = finish(&plain, deep(&plain, false), &err) && finish(&saved, deep(&saved, true), &err);
    if (tap_ok(ok, "a deep network with and without checkpointing: %s", err.text)) {
        for (int i = 1; i < plain.n; i++) /* weights small enough for differences to be straight */
            for (int64_t k = 0; k < zm_shape_elems(plain.in[i]->shape); k++)
                ((float *)plain.in[i]->data)[k] *= 0.15f;
        for (int i = 0; i < plain.n; i++)
            zm_exec_write(saved.x, saved.in[i], plain.in[i]->data);
        ok = !zm_exec_run(plain.x, &err) && !zm_exec_run(saved.x, &err);
        tap_ok(ok && *(float *)plain.loss->data == *(float *)saved.loss->data, "the same loss");
        for (int i = 0; i < plain.n; i++)
            tap_close_f32(saved.grad[i]->data, plain.grad[i]->data, (size_t)zm_shape_elems(plain.in[i]->shape), 1e-6,
                          "the same gradient");
        size_t less = zm_exec_bytes(saved.x), more = zm_exec_bytes(plain.x);
        tap_ok(less * 10 < more * 7, "in less memory: %zu bytes instead of %zu", less, more);
        check_directions(&saved, "checkpointed", 1e-2);
    }
    drop(&plain);
    drop(&saved);
}

static void test_sticky(void)
{
    zm_graph *g = zm_graph_new();
    zm_error err = {0};
    zm_tensor *a = zm_input(g, ZM_F32, ZM_SHAPE(2, 3), "a"), *b = zm_input(g, ZM_F32, ZM_SHAPE(4, 5), "b");
    zm_tensor *bad = zm_matmul(g, a, b, false, false), *after = zm_mul(g, zm_unary(g, ZM_TANH, bad), b);
    tap_ok(bad == after && zm_graph_failed(g), "after the first error builders return the same tensor");
    zm_tensor *grad = NULL, *wrt[] = {a};
    zm_gradient(g, &zm_default_grad_ops, after, b, 1, wrt, &grad);
    tap_ok(!grad, "and no gradient");
    tap_ok(zm_graph_finish(g, &err) == ZM_E_SHAPE && strstr(err.text, "matmul"), "finish reports it: %s", err.text);
    zm_graph_free(g);
    static const zm_shape absurd[] = {
        {.rank = 1, .dim = {0}}, {.rank = 1, .dim = {-4}}, {.rank = 2, .dim = {INT64_MAX, 8}}, {.rank = 9}};
    for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++) {
        zm_error why = {0};
        g = zm_graph_new();
        zm_input(g, ZM_F32, absurd[i], "x");
        zm_status s = zm_graph_finish(g, &why);
        tap_ok(s == ZM_E_SHAPE, "an impossible shape is refused: %s", why.text);
        zm_graph_free(g);
    }
}

int main(void)
{
    fresh = zm_rng_init((uint64_t)time(NULL), 3);
    printf("# seed %llu\n", (unsigned long long)fresh.seed);
    test_by_hand();
    test_views();
    test_random_chains();
    test_segments();
    test_sticky();
    return tap_done();
}
