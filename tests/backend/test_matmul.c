/* Matrix products as a graph runs them, whichever kernel takes them, against plain sums, over random sizes and layouts.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/backend.h"
#include "base/rng.h"
#include "ops/matmul.h"
#include "plain_sum.h"
#include "tap.h"

typedef struct sizes {
    int64_t m, n, k;
    bool ta, tb, bias;
    zm_unary_kind act;
} sizes;

static void draw(zm_rng *rng, zm_tensor *t)
{
    float *v = t->data;
    for (int64_t i = 0, n = zm_shape_elems(t->shape); i < n; i++)
        v[i] = zm_rng_range(rng, -1, 1);
}

/* The largest at 2000 places. */
static double worst_error(const sizes *s, const zm_tensor *y, zm_rng *rng)
{
    const float *a = y->in[0]->data, *b = y->in[1]->data, *c = y->data, *bias = s->bias ? y->in[2]->data : NULL;
    double worst = 0;
    for (int t = 0; t < 2000; t++) {
        int64_t i = zm_rng_below(rng, (uint32_t)s->m), j = zm_rng_below(rng, (uint32_t)s->n);
        plain_sum sum = {0};
        for (int64_t k = 0; k < s->k; k++)
            plain_add(&sum,
                      (double)a[s->ta ? k * s->m + i : i * s->k + k] * (double)b[s->tb ? j * s->k + k : k * s->n + j]);
        plain_add(&sum, bias ? (double)bias[j] : 0);
        double e = plain_error(&sum, s->act, c[i * s->n + j]);
        if (!(e <= worst))
            worst = e;
    }
    return worst;
}

static void check(const sizes *s, zm_rng *rng)
{
    zm_graph *g = zm_graph_new();
    zm_error err = {0};
    zm_exec *x = NULL;
    zm_tensor *a = zm_input(g, ZM_F32, s->ta ? ZM_SHAPE(s->k, s->m) : ZM_SHAPE(s->m, s->k), "a");
    zm_tensor *b = zm_input(g, ZM_F32, s->tb ? ZM_SHAPE(s->n, s->k) : ZM_SHAPE(s->k, s->n), "b");
    zm_tensor *bias = s->bias ? zm_input(g, ZM_F32, ZM_SHAPE(s->n), "bias") : NULL;
    zm_attr attr = {.i = {s->ta, s->tb, s->act}};
    zm_tensor *y = zm_output(g, zm_node(g, &zm_op_matmul, &attr, bias ? 3 : 2, (zm_tensor *[]){a, b, bias}));
    if (zm_graph_finish(g, &err) || zm_exec_new(&x, g, NULL, &err)) {
        tap_ok(false, "%s", err.text);
        zm_graph_free(g);
        return;
    }
    draw(rng, a);
    draw(rng, b);
    if (bias)
        draw(rng, bias);
    memset(y->data, 0xff, zm_tensor_bytes(y)); /* NaN shows a place left out */
    bool ran = zm_exec_run(x, &err) == ZM_OK;
    double worst = ran ? worst_error(s, y, rng) : NAN;
    tap_ok(worst <= 1, "%s [%lld,%lld,%lld]%s%s%s, %s: %.2g of the error allowed", zm_exec_kernel(x, y->id),
           (long long)s->m, (long long)s->n, (long long)s->k, s->ta ? " a turned" : "", s->tb ? " b turned" : "",
           s->bias ? " bias" : "", zm_unary_name(s->act), worst);
    zm_exec_free(x);
    zm_graph_free(g);
}

/* Sizes of every kind: single rows, few rows, and the long sums and wide sides where kernels change their way. */
static int64_t some(zm_rng *rng)
{
    static const uint32_t top[] = {2, 15, 60, 300, 1100, 2300};
    return 1 + (int64_t)zm_rng_below(rng, top[zm_rng_below(rng, 6)]);
}

int main(void)
{
    const char *given = getenv("ZM_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    zm_rng rng = zm_rng_init(seed, 6);
    printf("# ZM_TEST_SEED=%llu\n", (unsigned long long)seed);
    for (int i = 0; i < 48; i++) {
        sizes s = {some(&rng),
                   some(&rng),
                   some(&rng),
                   zm_rng_below(&rng, 2),
                   zm_rng_below(&rng, 2),
                   zm_rng_below(&rng, 2),
                   zm_rng_below(&rng, 3) ? ZM_IDENTITY : (int)zm_rng_below(&rng, ZM_TANH + 1)};
        check(&s, &rng);
    }
    /* Gradients of linears: long sums into small results, both ways round. */
    check(&(sizes){.m = 260, .n = 90, .k = 4000, .ta = true}, &rng);
    check(&(sizes){.m = 90, .n = 260, .k = 4100, .ta = true, .bias = true, .act = ZM_SILU}, &rng);
    check(&(sizes){.m = 700, .n = 300, .k = 500, .tb = true, .bias = true}, &rng);
    return tap_done();
}
