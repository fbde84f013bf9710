/* Products of a graph in bf16: sums of rounded operands to f32's own rounding, gradients near f32's, narrow ones left to f32.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/backend.h"
#include "backend/cpu/gemm_isa.h"
#include "backend/cpu/simd.h"
#include "base/rng.h"
#include "ops/ops.h"
#include "plain_sum.h"
#include "tap.h"
#include "tensor/autodiff.h"

typedef struct sizes {
    int64_t batch, m, n, k; /* batch 0: none */
    bool ta, tb, bias;
    zm_dtype dtype; /* of b */
    zm_unary_kind act;
} sizes;

static float nearest(float f)
{
    return zm_bf16_to_f32(zm_f32_to_bf16(f));
}

static void draw(zm_rng *rng, float *v, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        v[i] = zm_rng_range(rng, -1, 1);
}

/* The largest at 2000 places; `b` as its type stores it. */
static double worst_error(const sizes *s, const zm_tensor *y, const float *b, zm_rng *rng)
{
    const float *a = y->in[0]->data, *c = y->data, *bias = s->bias ? y->in[2]->data : NULL;
    double worst = 0;
    for (int t = 0; t < 2000; t++) {
        int64_t z = s->batch ? zm_rng_below(rng, (uint32_t)s->batch) : 0;
        int64_t i = zm_rng_below(rng, (uint32_t)s->m), j = zm_rng_below(rng, (uint32_t)s->n);
        const float *left = a + z * s->m * s->k, *right = b + z * s->n * s->k;
        plain_sum sum = {0};
        for (int64_t k = 0; k < s->k; k++)
            plain_add(&sum, (double)nearest(left[s->ta ? k * s->m + i : i * s->k + k]) *
                                (double)nearest(right[s->tb ? j * s->k + k : k * s->n + j]));
        plain_add(&sum, bias ? (double)bias[j] : 0);
        double e = plain_error(&sum, s->act, c[(z * s->m + i) * s->n + j]);
        if (!(e <= worst))
            worst = e;
    }
    return worst;
}

static zm_shape shape_of(const sizes *s, int64_t rows, int64_t columns)
{
    return s->batch ? ZM_SHAPE(s->batch, rows, columns) : ZM_SHAPE(rows, columns);
}

static void check(const sizes *s, zm_rng *rng)
{
    zm_graph *g = zm_graph_new();
    zm_error err = {0};
    zm_exec *x = NULL;
    size_t elems = (size_t)((s->batch ? s->batch : 1) * s->n * s->k), bytes = 0;
    float *values = malloc(elems * sizeof *values);
    void *stored = zm_dtype_bytes(&bytes, s->dtype, elems) ? zm_aligned_alloc(bytes) : NULL;
    draw(rng, values, (int64_t)elems);
    zm_dtype_from_f32(stored, values, s->dtype, elems);
    zm_dtype_to_f32(values, stored, s->dtype, elems);
    zm_tensor *a = zm_input(g, ZM_F32, s->ta ? shape_of(s, s->k, s->m) : shape_of(s, s->m, s->k), "a");
    zm_tensor *b = zm_external(g, s->dtype, s->tb ? shape_of(s, s->n, s->k) : shape_of(s, s->k, s->n), stored, "b");
    zm_tensor *bias = s->bias ? zm_input(g, ZM_F32, ZM_SHAPE(s->n), "bias") : NULL;
    zm_attr attr = {.i = {s->ta, s->tb, s->act}};
    zm_tensor *y = zm_output(g, zm_node(g, &zm_op_matmul, &attr, bias ? 3 : 2, (zm_tensor *[]){a, b, bias}));
    if (zm_graph_finish(g, &err) || zm_exec_new(&x, g, &(zm_exec_options){.precision = ZM_PRECISION_BF16}, &err)) {
        tap_ok(false, "%s", err.text);
    } else {
        draw(rng, a->data, zm_shape_elems(a->shape));
        if (bias)
            draw(rng, bias->data, s->n);
        memset(y->data, 0xff, zm_tensor_bytes(y)); /* NaN shows a place left out */
        bool ran = zm_exec_run(x, &err) == ZM_OK;
        double worst = ran ? worst_error(s, y, values, rng) : NAN;
        tap_ok(worst <= 1 && strstr(zm_exec_kernel(x, y->id), "bf16"),
               "%s %lldx[%lld,%lld,%lld]%s%s%s, %s, %s: %.2g of the error allowed", zm_exec_kernel(x, y->id),
               (long long)s->batch, (long long)s->m, (long long)s->n, (long long)s->k, s->ta ? " a turned" : "",
               s->tb ? " b turned" : "", s->bias ? " bias" : "", zm_dtype_name(s->dtype), zm_unary_name(s->act), worst);
    }
    zm_exec_free(x);
    zm_graph_free(g);
    free(values);
    free(stored);
}

static int64_t some(zm_rng *rng)
{
    static const uint32_t top[] = {10, 40, 200, 1100};
    return 32 + (int64_t)zm_rng_below(rng, top[zm_rng_below(rng, 4)]);
}

static void check_products(zm_rng *rng)
{
    static const zm_dtype types[] = {ZM_F32, ZM_F16, ZM_BF16, ZM_F8_E4M3, ZM_Q8_0, ZM_Q4_K};
    for (int i = 0; i < 48; i++) {
        sizes s = {.m = some(rng), .n = some(rng), .k = some(rng), .dtype = i % 2 ? ZM_F32 : types[i / 2 % 6]};
        s.ta = zm_rng_below(rng, 2), s.tb = zm_rng_below(rng, 2), s.bias = zm_rng_below(rng, 2);
        s.batch = zm_rng_below(rng, 4) ? 0 : 1 + zm_rng_below(rng, 5);
        s.act = zm_rng_below(rng, 3) ? ZM_IDENTITY : (zm_unary_kind)zm_rng_below(rng, ZM_TANH + 1);
        int64_t block = (int64_t)zm_dtype_block_elems(s.dtype), *rows = s.tb ? &s.k : &s.n;
        *rows = (*rows + block - 1) / block * block;
        check(&s, rng);
    }
    check(&(sizes){.m = 96, .n = 64, .k = 5003, .ta = true, .dtype = ZM_F32}, rng);
}

/* Two linear maps and a loss; which of w1, w2, x a gradient is asked of, and what was found in each precision. */
enum { ROWS = 75, IN = 51, MIDDLE = 66, OUT = 37, GRADS = 3 };
typedef struct small_net {
    float w1[MIDDLE * IN], w2[OUT * MIDDLE], x[ROWS * IN], target[ROWS * OUT];
} small_net;

static bool gradients(small_net *s, zm_precision p, float *out[GRADS], int *in_bf16)
{
    zm_graph *g = zm_graph_new();
    zm_error err = {0};
    zm_exec *e = NULL;
    zm_tensor *leaf[GRADS] = {zm_external(g, ZM_F32, ZM_SHAPE(MIDDLE, IN), s->w1, "w1"),
                              zm_external(g, ZM_F32, ZM_SHAPE(OUT, MIDDLE), s->w2, "w2"),
                              zm_external(g, ZM_F32, ZM_SHAPE(ROWS, IN), s->x, "x")};
    for (int i = 0; i < GRADS; i++)
        zm_want_grad(leaf[i]);
    zm_tensor *target = zm_external(g, ZM_F32, ZM_SHAPE(ROWS, OUT), s->target, "target");
    zm_tensor *h = zm_linear(g, leaf[2], leaf[0], NULL, ZM_SILU);
    zm_tensor *d = zm_sub(g, zm_linear(g, h, leaf[1], NULL, ZM_IDENTITY), target);
    zm_tensor *grad[GRADS], *loss = zm_mean(g, zm_unary(g, ZM_SQUARE, d));
    zm_gradient(g, &zm_default_grad_ops, loss, zm_affine(g, loss, 0, 1), GRADS, leaf, grad);
    for (int i = 0; i < GRADS; i++)
        zm_output(g, grad[i]);
    bool ok = !zm_graph_finish(g, &err) && !zm_exec_new(&e, g, &(zm_exec_options){.precision = p}, &err) &&
              !zm_exec_run(e, &err);
    for (int i = 0; ok && i < GRADS; i++) {
        out[i] = malloc(zm_tensor_bytes(grad[i]));
        zm_exec_read(e, grad[i], out[i]);
    }
    for (int i = 0; ok && i < zm_graph_size(g); i++)
        *in_bf16 += strstr(zm_exec_kernel(e, i), "bf16") != NULL;
    zm_exec_free(e);
    zm_graph_free(g);
    return tap_ok(ok, "gradients in %s: %s", zm_precision_name(p), err.text);
}

/* A rounded operand is off by 2^-9 of itself at most; through a chain of at most four products, each of two operands. */
static void check_gradients(zm_rng *rng)
{
    static const char *const name[GRADS] = {"w1", "w2", "x"};
    static small_net s;
    float *got[GRADS] = {0}, *want[GRADS] = {0};
    int none = 0, some_bf16 = 0;
    draw(rng, s.w1, MIDDLE * IN);
    draw(rng, s.w2, OUT * MIDDLE);
    draw(rng, s.x, ROWS * IN);
    draw(rng, s.target, ROWS * OUT);
    if (gradients(&s, ZM_PRECISION_BF16, got, &some_bf16) && gradients(&s, ZM_PRECISION_F32, want, &none)) {
        const int64_t n[GRADS] = {MIDDLE * IN, OUT * MIDDLE, ROWS * IN};
        tap_ok(some_bf16 == 6 && !none, "two products forward, four back: %d in bf16, of f32 %d", some_bf16, none);
        for (int i = 0; i < GRADS; i++) {
            double error = 0, all = 0;
            for (int64_t k = 0; k < n[i]; k++) {
                double d = (double)got[i][k] - (double)want[i][k];
                error += d * d, all += (double)want[i][k] * (double)want[i][k];
            }
            error = sqrt(error / all);
            tap_ok(error > 0 && error <= 8.0 / 512, "gradient of %s: %.2g away, relative", name[i], error);
        }
    }
    for (int i = 0; i < GRADS; i++) {
        free(got[i]);
        free(want[i]);
    }
}

/* Attention with its gradients in one precision: out = [y | dq dk dv]. */
typedef struct heads {
    int64_t B, Nq, Nk, H, d, dv;
    zm_block_causal mask;
    int32_t k_len[3];
    bool short_keys;
    float *q, *k, *v, *gy;
} heads;

static bool attend(const heads *s, zm_precision p, float **out, int *in_bf16)
{
    zm_graph *g = zm_graph_new();
    zm_error err = {0};
    zm_exec *e = NULL;
    zm_tensor *q = zm_external(g, ZM_F32, ZM_SHAPE(s->B, s->Nq, s->H, s->d), s->q, "q");
    zm_tensor *k = zm_external(g, ZM_F32, ZM_SHAPE(s->B, s->Nk, s->H, s->d), s->k, "k");
    zm_tensor *v = zm_external(g, ZM_F32, ZM_SHAPE(s->B, s->Nk, s->H, s->dv), s->v, "v");
    zm_tensor *gy = zm_external(g, ZM_F32, ZM_SHAPE(s->B, s->Nq, s->H, s->dv), s->gy, "gy");
    zm_tensor *len = s->short_keys ? zm_external(g, ZM_I32, ZM_SHAPE(s->B), (void *)s->k_len, "k_len") : NULL;
    zm_attr attr = {.i = {s->mask.block, s->mask.window, s->mask.sink, s->mask.first}};
    zm_tensor *y = zm_output(g, zm_node(g, &zm_op_attention, &attr, len ? 5 : 3, (zm_tensor *[]){q, k, v, NULL, len}));
    zm_tensor *back =
        zm_output(g, zm_node(g, &zm_op_attention_grad, &attr, 6, (zm_tensor *[]){q, k, v, NULL, len, gy}));
    bool ok = !zm_graph_finish(g, &err) && !zm_exec_new(&e, g, &(zm_exec_options){.precision = p}, &err);
    if (ok) {
        memset(y->data, 0xff, zm_tensor_bytes(y)); /* NaN shows a place left out */
        memset(back->data, 0xff, zm_tensor_bytes(back));
        ok = !zm_exec_run(e, &err);
    }
    if (ok) {
        *out = malloc(zm_tensor_bytes(y) + zm_tensor_bytes(back));
        zm_exec_read(e, y, *out);
        zm_exec_read(e, back, *out + zm_shape_elems(y->shape));
    }
    for (int i = 0; ok && i < zm_graph_size(g); i++)
        *in_bf16 += strstr(zm_exec_kernel(e, i), "bf16") != NULL;
    zm_exec_free(e);
    zm_graph_free(g);
    return tap_ok(ok, "attention in %s: %s", zm_precision_name(p), err.text);
}

static float *drawn(zm_rng *rng, int64_t n, float size)
{
    float *v = malloc((size_t)n * sizeof *v);
    for (int64_t i = 0; i < n; i++)
        v[i] = zm_rng_normal(rng) * size;
    return v;
}

static double distance(const float *got, const float *want, int64_t n)
{
    double error = 0, all = 1e-30;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)got[i] - (double)want[i];
        error += d * d, all += (double)want[i] * (double)want[i];
    }
    return sqrt(error / all);
}

/* Scores are sums of d products of rounded operands, and probabilities are rounded once more. */
static void check_attention(zm_rng *rng)
{
    static const int64_t head[] = {32, 40, 64, 96, 128};
    heads s = {.B = 1 + zm_rng_below(rng, 3), .H = 1 + zm_rng_below(rng, 3), .d = head[zm_rng_below(rng, 5)]};
    float *got = NULL, *want = NULL;
    int with = 0, without = 0;
    s.dv = zm_rng_below(rng, 2) ? s.d : head[zm_rng_below(rng, 5)];
    s.Nq = 32 + zm_rng_below(rng, 400), s.Nk = 32 + zm_rng_below(rng, zm_rng_below(rng, 4) ? 300 : 1500);
    s.short_keys = zm_rng_below(rng, 3) == 0;
    for (int b = 0; b < 3; b++)
        s.k_len[b] = (int32_t)zm_rng_below(rng, (uint32_t)s.Nk - 15) + 16; /* of one key alone nothing flows back */
    if (!s.short_keys && zm_rng_below(rng, 2)) {
        s.Nk = s.Nq;
        s.mask = (zm_block_causal){1 + zm_rng_below(rng, 130), zm_rng_below(rng, 3), zm_rng_below(rng, 2), 0};
    }
    const int64_t n[] = {s.B * s.Nq * s.H * s.dv, s.B * s.Nq * s.H * s.d, s.B * s.Nk * s.H * s.d,
                         s.B * s.Nk * s.H * s.dv};
    static const char *const name[] = {"y", "dq", "dk", "dv"};
    s.q = drawn(rng, n[1], 1), s.k = drawn(rng, n[2], 1), s.v = drawn(rng, n[3], 1), s.gy = drawn(rng, n[0], 1);
    if (attend(&s, ZM_PRECISION_BF16, &got, &with) && attend(&s, ZM_PRECISION_F32, &want, &without)) {
        tap_ok(with == (zm_attention_bf16_loops() ? 2 : 0) && !without, "attention: %d of 2 nodes in bf16", with);
        int64_t at = 0;
        for (int i = 0; i < 4; at += n[i++]) {
            double off = distance(got + at, want + at, n[i]);
            tap_ok(off <= 8.0 / 512 && (off > 0 || !with),
                   "%s of attention B%d Nq%d Nk%d%s H%d d%d dv%d, mask %d %d %d: %.2g away, relative", name[i],
                   (int)s.B, (int)s.Nq, (int)s.Nk, s.short_keys ? " some" : "", (int)s.H, (int)s.d, (int)s.dv,
                   (int)s.mask.block, (int)s.mask.window, (int)s.mask.sink, off);
        }
    }
    free(got), free(want);
    free(s.q), free(s.k), free(s.v), free(s.gy);
}

static void check_narrow(void)
{
    static const int64_t side[][3] = {{31, 64, 64}, {64, 31, 64}, {64, 64, 31}, {1, 512, 512}};
    for (size_t i = 0; i < sizeof side / sizeof *side; i++) {
        zm_graph *g = zm_graph_new();
        zm_error err = {0};
        zm_exec *e = NULL;
        zm_tensor *a = zm_input(g, ZM_F32, ZM_SHAPE(side[i][0], side[i][2]), "a");
        zm_tensor *y =
            zm_output(g, zm_matmul(g, a, zm_input(g, ZM_F32, ZM_SHAPE(side[i][2], side[i][1]), "b"), false, false));
        bool ok =
            !zm_graph_finish(g, &err) && !zm_exec_new(&e, g, &(zm_exec_options){.precision = ZM_PRECISION_BF16}, &err);
        tap_ok(ok && !strstr(zm_exec_kernel(e, y->id), "bf16"), "[%lld,%lld,%lld] stays f32", (long long)side[i][0],
               (long long)side[i][1], (long long)side[i][2]);
        zm_exec_free(e);
        zm_graph_free(g);
    }
}

int main(void)
{
    const char *given = getenv("ZM_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    zm_rng rng = zm_rng_init(seed, 6);
    zm_precision p;
    printf("# ZM_TEST_SEED=%llu\n", (unsigned long long)seed);
    tap_ok(zm_precision_parse(&p, "bf16") && p == ZM_PRECISION_BF16 && zm_precision_runs(p) &&
               !zm_precision_caution(p) == zm_gemm_bf16_fast(),
           "it runs everywhere, with a word where that is slow");
    check_products(&rng);
    check_narrow();
    check_gradients(&rng);
    for (int i = 0; i < 24; i++)
        check_attention(&rng);
    return tap_done();
}
