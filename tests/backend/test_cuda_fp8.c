/* Linear maps on 8-bit floats: the rounding itself, every code and tie; products against plain loops of the same rounding
 * and against exact ones within what e4m3's steps allow; which nodes they are; when weights are quantised.
 * SPDX-License-Identifier: MIT */
#include <float.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/backend.h"
#include "backend/cuda/e4m3.h"
#include "base/rng.h"
#include "gpu_host.h"
#include "ops/matmul.h"
#include "ops/unary.h"
#include "tap.h"

/* ---- rounding ---- */

static float value[256]; /* of every code */

/* By trying every finite code: nearest, ties to the even one. */
static int nearest(double v)
{
    int best = 0;
    for (int c = 0; c < 0x7f; c++) {
        double d = fabs((double)value[c] - v);
        double b = fabs((double)value[best] - v);
        if (d < b || (d <= b && c % 2 == 0))
            best = c;
    }
    return best;
}

static float float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static void every_code(void)
{
    int wrong = 0, ties = 0;
    for (int c = 0; c < 256; c++) {
        float v = zm_f8_e4m3_to_f32((uint8_t)c);
        bool number = (c & 0x7f) != 0x7f;
        wrong += number != !isnan(v) || (number ? zm_gpu_to_e4m3(v) != c : (zm_gpu_to_e4m3(v) & 0x7f) != 0x7f);
    }
    tap_equal_i64(wrong, 0, "every code comes back");
    for (int c = 0; c < 0x7e; c++) { /* half way to the next code, and the floats beside */
        float low = zm_f8_e4m3_to_f32((uint8_t)c), high = zm_f8_e4m3_to_f32((uint8_t)(c + 1)), tie = (low + high) / 2;
        const float at[] = {tie, nextafterf(tie, 0), nextafterf(tie, INFINITY)};
        const int want[] = {c % 2 ? c + 1 : c, c, c + 1};
        for (int i = 0; i < 3; i++)
            for (int sign = 0; sign < 2; sign++)
                ties += zm_gpu_to_e4m3(sign ? -at[i] : at[i]) != (want[i] | sign << 7);
    }
    tap_equal_i64(ties, 0, "ties go to the even code, their neighbours to the nearer one");
    const float large[] = {448, 448.0F + 0x1p-15F, 464, 1e9F, FLT_MAX, INFINITY};
    int over = 0;
    for (size_t i = 0; i < sizeof large / sizeof *large; i++)
        over += zm_gpu_to_e4m3(large[i]) != 0x7e || zm_gpu_to_e4m3(-large[i]) != 0xfe;
    tap_equal_i64(over, 0, "what is too large becomes 448");
}

static void many_floats(zm_rng *rng)
{
    static const uint32_t low[] = {0, 1, 0x7fff, 0x8000, 0xffff};
    int64_t wrong = 0, far = 0;
    for (uint32_t top = 0; top < 0x10000; top++)
        for (size_t i = 0; i <= sizeof low / sizeof *low; i++) {
            float f = float_of(top << 16 | (i < sizeof low / sizeof *low ? low[i] : zm_rng_u32(rng) >> 16));
            wrong += zm_gpu_to_e4m3(f) != zm_f32_to_f8_e4m3(f);
            if (i == 0 && !isnan(f))
                far += (zm_gpu_to_e4m3(f) & 0x7f) != nearest(fmin(fabs((double)f), 448));
        }
    tap_equal_i64(wrong, 0, "the kernels' rounding is base's, 400 thousand floats of all sizes");
    tap_equal_i64(far, 0, "and the nearest code, found by trying all");
}

/* ---- rows, as their definition has them ---- */

typedef struct rows {
    int64_t n, k;
    float *scale;
    uint8_t *code;
} rows;

static rows rows_of(const float *x, int64_t n, int64_t k)
{
    rows r = {n, k, malloc((size_t)n * sizeof(float)), malloc((size_t)(n * k))};
    for (int64_t i = 0; i < n; i++) {
        float most = 0;
        for (int64_t j = 0; j < k; j++)
            most = fmaxf(most, fabsf(x[i * k + j]));
        r.scale[i] = most / 448.0F;
        float inverse = most > 1e-30F && !isinf(most) ? 448.0F / most : 0;
        for (int64_t j = 0; j < k; j++)
            r.code[i * k + j] = zm_f32_to_f8_e4m3(x[i * k + j] * inverse);
    }
    return r;
}

/* Weights that are stored as e4m3. */
static rows rows_stored(const uint8_t *code, int64_t n, int64_t k)
{
    rows r = {n, k, malloc((size_t)n * sizeof(float)), malloc((size_t)(n * k))};
    memcpy(r.code, code, (size_t)(n * k));
    for (int64_t i = 0; i < n; i++)
        r.scale[i] = 1;
    return r;
}

static void rows_free(rows *r)
{
    free(r->scale);
    free(r->code);
}

static void special_rows(zm_rng *rng)
{
    enum { R = 7, K = 1040 };
    static float x[R * K], scale[R];
    static uint8_t code[R * K];
    zm_gpu *g = zm_cuda_device();
    zm_error err = {0};
    void *at[3];
    zm_rng_normals(rng, x, R * K);
    for (int j = 0; j < K; j++) {
        x[K + j] = 0;
        x[2 * K + j] *= 1e-37F;
        x[3 * K + j] *= 1e37F;
        x[4 * K + j] *= zm_rng_range(rng, 0, 1) < 0.5F ? 1e-6F : 1;
    }
    x[5 * K + 17] = NAN;
    x[6 * K + 1039] = -INFINITY;
    size_t bytes[] = {sizeof x, sizeof code, sizeof scale};
    bool made = true;
    for (int i = 0; i < 3; i++)
        made = made && !g->fns->alloc(g, &at[i], bytes[i], &err);
    zm_gpu_node n = {
        .in = {{.data = at[0], .dtype = ZM_F32}, {.data = at[2]}}, .out = {.data = at[1]}, .i = {K, 0, 1}, .count = R};
    tap_ok(made && !g->fns->put(g, at[0], x, sizeof x, &err) &&
               !g->fns->launch(g, ZM_K_zm_gpu_quantise_rows, &n, &err) &&
               !g->fns->get(g, code, at[1], sizeof code, &err) && !g->fns->get(g, scale, at[2], sizeof scale, &err),
           "rows are quantised");
    rows want = rows_of(x, R, K);
    int64_t wrong = 0;
    for (int i = 0; i < R * K; i++)
        wrong += code[i] != want.code[i];
    for (int i = 0; i < R; i++)
        wrong += scale[i] != want.scale[i];
    tap_equal_i64(wrong, 0, "zeros, the smallest, the largest, NaN and infinity: to the bit what the definition says");
    tap_ok((code[5 * K + 17] & 0x7f) == 0x7f && (code[6 * K + 1039] & 0x7f) == 0x7f && code[K] == 0,
           "what is no number stays none");
    rows_free(&want);
    for (int i = 0; i < 3; i++)
        g->fns->release(g, at[i]);
}

/* ---- linear maps ---- */

typedef struct bed {
    zm_graph *g;
    zm_tensor *x, *w, *y;
    int64_t m, n, k;
    float *values, *bias;
    void *stored;
    int act;
} bed;

static bed bed_of(zm_rng *rng, zm_dtype t, int64_t m, int64_t n, int64_t k, int act)
{
    bed b = {.g = zm_graph_new(), .m = m, .n = n, .k = k, .act = act};
    size_t bytes, elems = (size_t)(n * k);
    zm_error err = {0};
    b.values = malloc(elems * sizeof(float));
    b.bias = malloc((size_t)n * sizeof(float));
    b.stored = zm_dtype_bytes(&bytes, t, elems) ? zm_aligned_alloc(bytes) : NULL;
    zm_rng_normals(rng, b.values, elems);
    zm_rng_normals(rng, b.bias, (size_t)n);
    for (size_t i = 0; i < elems; i++)
        b.values[i] *= 0.05F;
    zm_dtype_from_f32(b.stored, b.values, t, elems);
    zm_dtype_to_f32(b.values, b.stored, t, elems);
    b.x = zm_input(b.g, ZM_F32, ZM_SHAPE(m, k), "x");
    b.w = zm_external(b.g, t, ZM_SHAPE(n, k), b.stored, "w");
    zm_tensor *bias = act == ZM_IDENTITY ? NULL : zm_external(b.g, ZM_F32, ZM_SHAPE(n), b.bias, "bias");
    b.y = zm_output(b.g, zm_linear(b.g, b.x, b.w, bias, (zm_unary_kind)act));
    tap_ok(!zm_graph_finish(b.g, &err), "[%lld,%lld,%lld] of %s %s", (long long)m, (long long)n, (long long)k,
           zm_dtype_name(t), err.text);
    return b;
}

static void bed_free(bed *b)
{
    zm_graph_free(b->g);
    free(b->values);
    free(b->bias);
    free(b->stored);
}

/* The largest difference of the sums behind y, before act, from the same rounding's, in units of what order of f32 sums
 * may do; and from exact ones, as a share of what the steps of e4m3 allow: half a step is a part in 16, or 2^-10 of the
 * scale.  lost: root mean square of the latter, as a share of the sums'. */
static void distances(const bed *b, const float *x, const float *y, double *same, double *exact, double *lost)
{
    rows a = rows_of(x, b->m, b->k);
    rows w = b->w->dtype == ZM_F8_E4M3 ? rows_stored(b->stored, b->n, b->k) : rows_of(b->values, b->n, b->k);
    bool stored = b->w->dtype == ZM_F8_E4M3;
    double off = 0, all = 0;
    *same = *exact = 0;
    for (int64_t i = 0; i < b->m; i++)
        for (int64_t j = 0; j < b->n; j++) {
            double sum = 0, size = 0, real = 0, allowed = 0, scale = (double)a.scale[i] * (double)w.scale[j];
            for (int64_t z = 0; z < b->k; z++) {
                double p = (double)value[a.code[i * b->k + z]] * (double)value[w.code[j * b->k + z]];
                double u = x[i * b->k + z], v = b->values[j * b->k + z];
                double du = fmax(fabs(u) / 16, a.scale[i] * 0x1p-10),
                       dv = stored ? 0 : fmax(fabs(v) / 16, w.scale[j] * 0x1p-10);
                sum += p;
                size += fabs(p);
                real += u * v;
                allowed += fabs(u) * dv + fabs(v) * du + du * dv;
            }
            off += (sum * scale - real) * (sum * scale - real);
            all += real * real;
            double add = b->act == ZM_IDENTITY ? 0 : b->bias[j], got = y[i * b->n + j];
            double want = zm_unary_value((zm_unary_kind)b->act, (float)(sum * scale + add));
            double clean = zm_unary_value((zm_unary_kind)b->act, (float)(real + add));
            *same =
                fmax(*same, fabs(got - want) / (FLT_EPSILON * (sqrt((double)b->k) * size * scale + fabs(add) + 1e-30)));
            *exact = fmax(*exact, fabs(got - clean) / (1.2 * allowed + 1e-6)); /* no slope of act is above 1.2 */
        }
    *lost = sqrt(off / all);
    rows_free(&a);
    rows_free(&w);
}

static void runs_of(bed *b, zm_rng *rng, zm_exec *e, const char *how, int runs)
{
    zm_error err = {0};
    float *x = malloc((size_t)(b->m * b->k) * sizeof *x), *y = malloc((size_t)(b->m * b->n) * sizeof *y);
    for (int run = 0; run < runs; run++) { /* launched, recorded, replayed */
        double same = NAN, exact = NAN, lost = NAN;
        zm_rng_normals(rng, x, (size_t)(b->m * b->k));
        for (int64_t i = 0; i < b->m * b->k; i += 97)
            x[i] *= 30; /* outliers, as activations have */
        zm_exec_write(e, b->x, x);
        if (!zm_exec_run(e, &err)) {
            zm_exec_read(e, b->y, y);
            distances(b, x, y, &same, &exact, &lost);
        }
        tap_ok(same < 4 && exact < 1 && lost < 0.045,
               "%s, run %d: %.2g roundings of f32 from the definition, %.2g of e4m3's bound, %.2g %% lost %s", how, run,
               same, exact, 100 * lost, err.text);
    }
    free(x);
    free(y);
}

static void linear(zm_rng *rng, zm_dtype t, zm_gpu_host_e4m3_kind kind, int act)
{
    static const char *const how[] = {"widened to bf16", "sums of the library", "sums and scales of the library"};
    int64_t k = t == ZM_Q4_K ? 256 : t == ZM_Q8_0 ? 288 : 256 + 16 * zm_rng_below(rng, 6);
    bed b = bed_of(rng, t, 64 + zm_rng_below(rng, 8), 256 + zm_rng_below(rng, 9), k, act);
    zm_error err = {0};
    zm_exec *e = NULL;
    zm_exec_size size = {0};
    zm_exec_options opt = {.precision = ZM_PRECISION_FP8};
    zm_gpu_host_e4m3(kind);
    bool made = !zm_exec_measure(&size, b.g, &opt, &err) && !zm_exec_new(&e, b.g, &opt, &err);
    tap_ok(made && !strcmp(zm_exec_kernel(e, b.y->id), "cuda_matmul_fp8"), "%s %s", zm_dtype_name(t), err.text);
    tap_ok(made && (t == ZM_F8_E4M3) == (size.kept == 0) && zm_exec_bytes(e) == size.work + size.kept,
           "%zu bytes kept are foretold", size.kept);
    zm_gpu_host_counts before = zm_gpu_host_count();
    if (made)
        runs_of(&b, rng, e, how[kind], 3);
    tap_ok((zm_gpu_host_count().e4m3_products > before.e4m3_products) == (kind != ZM_GPU_HOST_E4M3_NONE),
           "%d products of e4m3", zm_gpu_host_count().e4m3_products - before.e4m3_products);
    zm_exec_free(e);
    bed_free(&b);
    zm_gpu_host_e4m3(ZM_GPU_HOST_E4M3_SCALED);
}

/* Weights go over and are quantised once for all graphs, and again when they change. */
static void weights_once(zm_rng *rng)
{
    bed b = bed_of(rng, ZM_F32, 64, 256, 256, ZM_IDENTITY);
    zm_error err = {0};
    zm_exec *e[2] = {NULL, NULL};
    zm_exec_options opt = {.precision = ZM_PRECISION_FP8};
    size_t weights = zm_tensor_bytes(b.w), x = zm_tensor_bytes(b.x);
    tap_ok(!zm_exec_new(&e[0], b.g, &opt, &err), "a graph %s", err.text);
    zm_gpu_host_counts at = zm_gpu_host_count();
    runs_of(&b, rng, e[0], "weights kept", 3);
    tap_ok(zm_gpu_host_count().put_bytes - at.put_bytes == weights + 3 * x, "weights went over once");
    tap_ok(!zm_exec_new(&e[1], b.g, &opt, &err), "a second run of it %s", err.text);
    at = zm_gpu_host_count();
    runs_of(&b, rng, e[1], "weights shared", 1);
    tap_ok(zm_gpu_host_count().put_bytes - at.put_bytes == x, "and not again");
    zm_exec_free(e[1]);
    zm_exec_free(e[0]);
    tap_ok(!zm_exec_new(&e[0], b.g, &opt, &err), "again %s", err.text);
    runs_of(&b, rng, e[0], "before a change", 2);
    zm_rng_normals(rng, b.values, (size_t)(b.n * b.k));
    memcpy(b.stored, b.values, weights);
    zm_backend_changed(b.stored);
    at = zm_gpu_host_count();
    runs_of(&b, rng, e[0], "weights that the host changed", 2);
    tap_ok(zm_gpu_host_count().put_bytes - at.put_bytes == weights + 2 * x &&
               zm_gpu_host_count().replays >= at.replays + 1,
           "they went over once more, and records stay");
    zm_exec_free(e[0]);
    bed_free(&b);
}

/* Maps of the same tokens share their codes; one of few columns beside them stays in bf16 and has its own. */
static void shared_tokens(zm_rng *rng)
{
    enum { M = 70, K = 256, N = 260, SMALL = 12 };
    static float w[3][N * K], x[M * K], y[M * N], want[M * N];
    zm_error err = {0};
    zm_exec *e[2] = {NULL, NULL};
    zm_graph *g = zm_graph_new();
    zm_tensor *in = zm_input(g, ZM_F32, ZM_SHAPE(M, K), "x"), *leaf[3], *out[4];
    for (int i = 0; i < 3; i++) {
        zm_rng_normals(rng, w[i], N * K);
        leaf[i] = zm_external(g, ZM_F32, ZM_SHAPE(i == 1 ? SMALL : N, K), w[i], "w");
        out[i] = zm_output(g, zm_linear(g, in, leaf[i], NULL, ZM_IDENTITY));
    }
    out[3] = zm_output(g, zm_linear(g, in, leaf[0], NULL, ZM_IDENTITY));
    tap_ok(!zm_graph_finish(g, &err) && !zm_exec_new(&e[0], g, &(zm_exec_options){.precision = ZM_PRECISION_FP8}, &err),
           "maps of the same tokens %s", err.text);
    zm_rng_normals(rng, x, M * K);
    zm_exec_write(e[0], in, x);
    tap_ok(!zm_exec_run(e[0], &err), "run %s", err.text);
    rows a = rows_of(x, M, K);
    for (int o = 0; o < 4; o++) {
        int64_t columns = o == 1 ? SMALL : N;
        const float *weights = w[o == 3 ? 0 : o];
        rows b = rows_of(weights, columns, K);
        for (int64_t i = 0; i < M; i++)
            for (int64_t j = 0; j < columns; j++) {
                double sum = 0;
                for (int64_t k = 0; k < K; k++)
                    sum += o == 1 ? (double)zm_bf16_to_f32(zm_f32_to_bf16(x[i * K + k])) *
                                        (double)zm_bf16_to_f32(zm_f32_to_bf16(weights[j * K + k]))
                                  : (double)value[a.code[i * K + k]] * (double)a.scale[i] *
                                        (double)value[b.code[j * K + k]] * (double)b.scale[j];
                want[i * columns + j] = (float)sum;
            }
        zm_exec_read(e[0], out[o], y);
        tap_close_f32(y, want, (size_t)(M * columns), 5e-4, zm_exec_kernel(e[0], out[o]->id));
        rows_free(&b);
    }
    rows_free(&a);
    zm_exec_free(e[0]);
    zm_graph_free(g);
}

static const char *kernel_of(int64_t m, int64_t n, int64_t k, bool turned, bool trained, char *text, size_t size)
{
    zm_error err = {0};
    zm_graph *g = zm_graph_new();
    zm_exec *e = NULL;
    zm_tensor *x = zm_input(g, ZM_F32, ZM_SHAPE(m, k), "x");
    zm_tensor *w = zm_external(g, ZM_F32, turned ? ZM_SHAPE(n, k) : ZM_SHAPE(k, n), NULL, "w");
    w->needs_grad = trained;
    zm_tensor *y = zm_output(g, zm_matmul(g, x, w, false, turned));
    bool made =
        !zm_graph_finish(g, &err) && !zm_exec_new(&e, g, &(zm_exec_options){.precision = ZM_PRECISION_FP8}, &err);
    snprintf(text, size, "%s", made ? zm_exec_kernel(e, y->id) : err.text);
    zm_exec_free(e);
    zm_graph_free(g);
    return text;
}

static void the_rule(void)
{
    static const struct {
        int64_t m, n, k;
        bool turned, trained, taken;
    } nodes[] = {{64, 256, 256, true, false, true},   {63, 256, 256, true, false, false},
                 {64, 255, 256, true, false, false},  {64, 256, 240, true, false, false},
                 {64, 256, 264, true, false, false},  {64, 256, 272, true, false, true},
                 {64, 256, 256, false, false, false}, {64, 256, 256, true, true, false}};
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        char text[512];
        kernel_of(nodes[i].m, nodes[i].n, nodes[i].k, nodes[i].turned, nodes[i].trained, text, sizeof text);
        tap_ok(!strcmp(text, nodes[i].taken ? "cuda_matmul_fp8" : "cuda_matmul"), "[%lld,%lld,%lld]%s%s: %s",
               (long long)nodes[i].m, (long long)nodes[i].n, (long long)nodes[i].k,
               nodes[i].turned ? "" : " not turned", nodes[i].trained ? " trained" : "", text);
    }
}

static void where_it_runs(void)
{
    zm_error err = {0};
    const zm_device_row *d = zm_device_find("cuda-fp8");
    zm_precision p;
    tap_ok(d && d->device == ZM_DEVICE_CUDA && d->bf16 && d->precision == ZM_PRECISION_FP8 &&
               zm_precision_parse(&p, "fp8") && p == ZM_PRECISION_FP8,
           "it has names");
    tap_ok(zm_precision_runs(ZM_PRECISION_FP8) && !zm_precision_runs(ZM_PRECISION_INT8), "beside bf16 it runs");
    tap_ok(!zm_backend_use(ZM_DEVICE_CUDA, false, &err) && zm_precision_check(ZM_PRECISION_FP8, &err),
           "beside f32 not: %s", err.text);
    zm_error_clear(&err);
    tap_ok(!zm_backend_use(ZM_DEVICE_CPU, false, &err) && zm_precision_check(ZM_PRECISION_FP8, &err),
           "and not on the CPU: %s", err.text);
    char text[512];
    tap_ok(strstr(kernel_of(64, 256, 256, true, false, text, sizeof text), "cuda-fp8") != NULL, "nor a graph of it: %s",
           text);
}

int main(void)
{
    static const zm_dtype types[] = {ZM_F32, ZM_BF16, ZM_F8_E4M3, ZM_Q8_0, ZM_Q4_K, ZM_F16};
    const char *given = getenv("ZM_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    zm_rng rng = zm_rng_init(seed, 21);
    zm_error err = {0};
    printf("# ZM_TEST_SEED=%llu\n", (unsigned long long)seed);
    for (int c = 0; c < 256; c++)
        value[c] = zm_f8_e4m3_to_f32((uint8_t)c);
    every_code();
    many_floats(&rng);
    for (int pieces = 0; pieces < 2; pieces++) { /* 1: no library at all, operands widened a few rows at a time */
        zm_gpu_host_install(pieces);
        tap_ok(!zm_backend_use(ZM_DEVICE_CUDA, true, &err), "products of bf16 %s", err.text);
        special_rows(&rng);
        for (size_t i = 0; i < sizeof types / sizeof *types; i += TAP_SANITIZED ? 5 : 1 + (size_t)pieces)
            linear(&rng, types[i], pieces ? ZM_GPU_HOST_E4M3_NONE : (zm_gpu_host_e4m3_kind)(i % 3),
                   i % 2 ? ZM_GELU_TANH : ZM_IDENTITY);
        shared_tokens(&rng);
    }
    zm_gpu_host_install(0);
    tap_ok(!zm_backend_use(ZM_DEVICE_CUDA, true, &err), "products of bf16 %s", err.text);
    for (int kind = 0; kind < 3; kind++)
        linear(&rng, kind == 2 ? ZM_F8_E4M3 : ZM_BF16, (zm_gpu_host_e4m3_kind)kind, kind ? ZM_IDENTITY : ZM_SILU);
    weights_once(&rng);
    the_rule();
    where_it_runs();
    return tap_done();
}
