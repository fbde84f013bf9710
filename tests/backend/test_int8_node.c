/* Linear maps and convolutions of a graph in int8: to the bit what their definition says in plain loops, near f32, and
 * left to f32 where the rule says so.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/backend.h"
#include "backend/cpu/int8_node.h"
#include "base/rng.h"
#include "ops/conv.h"
#include "ops/conv_shape.h"
#include "ops/layout.h"
#include "ops/matmul.h"
#include "tap.h"

/* A node y = f(x, w, bias) of one graph, run in both precisions. */
typedef struct bed {
    zm_graph *g;
    zm_tensor *x, *w, *y;
    float *values, *bias;
    void *stored;
} bed;

static void normals(zm_rng *rng, float *v, int64_t n, float scale)
{
    zm_rng_normals(rng, v, (size_t)n);
    for (int64_t i = 0; i < n; i++)
        v[i] *= scale;
}

static void weights(bed *b, zm_rng *rng, zm_dtype t, zm_shape shape, int64_t outputs)
{
    size_t n = (size_t)zm_shape_elems(shape), bytes;
    b->values = malloc(n * sizeof(float));
    b->bias = malloc((size_t)outputs * sizeof(float));
    b->stored = zm_dtype_bytes(&bytes, t, n) ? zm_aligned_alloc(bytes) : NULL;
    normals(rng, b->values, (int64_t)n, 0.05F);
    normals(rng, b->bias, outputs, 1);
    zm_dtype_from_f32(b->stored, b->values, t, n);
    b->w = zm_external(b->g, t, shape, b->stored, "w");
}

/* Runs; y is malloc'd.  NULL, with a failed line, when something fails. */
static float *run(bed *b, zm_precision p, uint64_t seed, const char **kernel)
{
    zm_exec *e = NULL;
    zm_error err = {0};
    float *y = NULL;
    zm_exec_size size;
    zm_exec_options opt = {.precision = p};
    zm_rng rng = zm_rng_init(seed, 3);
    if (zm_exec_measure(&size, b->g, &opt, &err) || zm_exec_new(&e, b->g, &opt, &err)) {
        tap_ok(false, "%s", err.text);
        return NULL;
    }
    normals(&rng, b->x->data, zm_shape_elems(b->x->shape), 1);
    if (!zm_exec_run(e, &err)) {
        y = malloc(zm_tensor_bytes(b->y));
        zm_exec_read(e, b->y, y);
    }
    *kernel = zm_exec_kernel(e, b->y->id);
    tap_ok(y && (p == ZM_PRECISION_INT8) == (size.kept > 0) && zm_exec_bytes(e) == size.work + size.kept,
           "%s: %zu bytes kept are foretold", *kernel, size.kept);
    zm_exec_free(e);
    return y;
}

static void end(bed *b)
{
    zm_graph_free(b->g);
    free(b->values);
    free(b->bias);
    free(b->stored);
}

/* Weights as the definition has them: [n][k] bytes. */
typedef struct plain {
    zm_int8_weights w;
    void *memory;
} plain;

static plain plain_of(int64_t n, int64_t k)
{
    size_t bytes = zm_int8_weights_bytes(&zm_int8_plain, n, k);
    plain p = {.memory = zm_aligned_alloc(bytes)};
    memset(p.memory, 0, bytes);
    zm_int8_weights_init(&p.w, &zm_int8_plain, n, k, p.memory);
    return p;
}

static float value_of(const plain *p, const bed *b, int64_t j, int32_t sum, zm_int8_grid g)
{
    return (float)(sum - g.zero * p->w.sum[j]) * (g.scale * p->w.scale[j]) + b->bias[j];
}

static double distance(const float *a, const float *b, int64_t n)
{
    double error = 0, all = 0;
    for (int64_t i = 0; i < n; i++) {
        error += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        all += (double)b[i] * (double)b[i];
    }
    return sqrt(error / all);
}

static void check_linear(zm_rng *rng, zm_dtype t)
{
    bed b = {.g = zm_graph_new()};
    zm_error err = {0};
    int64_t block = (int64_t)zm_dtype_block_elems(t), m = 64 + zm_rng_below(rng, 20), n = 256 + zm_rng_below(rng, 30);
    int64_t k = (256 + (int64_t)zm_rng_below(rng, 60) + block - 1) / block * block, padded = (k + 15) / 16 * 16;
    uint64_t seed = zm_rng_u32(rng);
    const char *kernel, *other;
    b.x = zm_input(b.g, ZM_F32, ZM_SHAPE(m, k), "x");
    weights(&b, rng, t, ZM_SHAPE(n, k), n);
    b.y = zm_output(b.g, zm_linear(b.g, b.x, b.w, zm_external(b.g, ZM_F32, ZM_SHAPE(n), b.bias, "bias"), ZM_IDENTITY));
    tap_ok(!zm_graph_finish(b.g, &err), "%s", zm_dtype_name(t));
    float *y = run(&b, ZM_PRECISION_INT8, seed, &kernel), *want = run(&b, ZM_PRECISION_F32, seed, &other);
    float *x = malloc((size_t)(m * k) * sizeof *x), *column = calloc((size_t)padded, sizeof *column);
    uint8_t *q = malloc((size_t)k);
    zm_rng same = zm_rng_init(seed, 3);
    plain p = plain_of(n, padded);
    int64_t wrong = 0;
    normals(&same, x, m * k, 1);
    zm_dtype_to_f32(b.values, b.stored, t, (size_t)(n * k));
    for (int64_t j = 0; j < n; j++) {
        memcpy(column, b.values + j * k, (size_t)k * sizeof *column);
        zm_int8_weights_set(&p.w, j, column);
    }
    for (int64_t i = 0; y && i < m; i++) {
        float low = 0, high = 0;
        zm_int8_plain.range(x + i * k, k, &low, &high);
        zm_int8_grid g = zm_int8_grid_of(low, high);
        zm_int8_plain.to_bytes(q, x + i * k, k, g.inverse, g.zero);
        for (int64_t j = 0; j < n; j++) {
            int32_t sum = 0;
            for (int64_t z = 0; z < k; z++)
                sum += q[z] * zm_int8_weights_at(&p.w, j, z);
            wrong += y[i * n + j] != value_of(&p, &b, j, sum, g);
        }
    }
    double off = y && want ? distance(y, want, m * n) : NAN;
    tap_ok(y && !wrong && !strcmp(kernel, "int8_matmul") && off < 0.04,
           "%s [%lld,%lld,%lld] of %s: %lld wrong, %.2g from f32", kernel, (long long)m, (long long)n, (long long)k,
           zm_dtype_name(t), (long long)wrong, off);
    free(p.memory);
    free(x);
    free(q);
    free(column);
    free(y);
    free(want);
    end(&b);
}

/* Sum of one output of a convolution of bytes. */
static int32_t conv_sum(const zm_conv_sizes *c, const plain *p, const uint8_t *q, int32_t zero, int64_t place,
                        int64_t o)
{
    int64_t at[3] = {place / (c->out[2] * c->out[1]) % c->out[0], place / c->out[2] % c->out[1], place % c->out[2]};
    int64_t clip = place / (c->out[2] * c->out[1] * c->out[0]), padded = (c->c + 15) / 16 * 16, tap = 0;
    int32_t sum = 0;
    for (int64_t f = 0; f < c->kernel[0]; f++)
        for (int64_t h = 0; h < c->kernel[1]; h++)
            for (int64_t w = 0; w < c->kernel[2]; w++, tap++) {
                int64_t s[3] = {at[0] * c->stride[0] + f - c->before[0], at[1] * c->stride[1] + h - c->before[1],
                                at[2] * c->stride[2] + w - c->before[2]};
                bool inside = true;
                for (int a = 0; a < 3; a++)
                    inside &= s[a] >= 0 && s[a] < c->in[a];
                const uint8_t *from =
                    q + (((clip * c->in[0] + s[0]) * c->in[1] + s[1]) * c->in[2] + s[2]) * c->c * inside;
                for (int64_t k = 0; k < c->c; k++)
                    sum += (inside ? from[k] : zero) * zm_int8_weights_at(&p->w, o, tap * padded + k);
            }
    return sum;
}

/* Places of the output, of a clip. */
static int64_t draw_window(zm_rng *rng, int64_t in[3], int64_t kernel[3], zm_conv_shape *shape)
{
    int64_t places = 1;
    for (int i = 0; i < 3; i++) {
        in[i] = i ? 8 + zm_rng_below(rng, 6) : 2 + zm_rng_below(rng, 3);
        kernel[i] = i ? 1 + zm_rng_below(rng, 3) : 1 + zm_rng_below(rng, 2) * 2;
        shape->stride[i] = i && zm_rng_below(rng, 4) == 0 ? 2 : 1;
        shape->before[i] = (int)zm_rng_below(rng, 3), shape->after[i] = (int)zm_rng_below(rng, 3);
        if (in[i] + shape->before[i] + shape->after[i] < kernel[i])
            shape->before[i] = 2;
        places *= (in[i] + shape->before[i] + shape->after[i] - kernel[i]) / shape->stride[i] + 1;
    }
    return places;
}

static void check_conv(zm_rng *rng)
{
    bed b = {.g = zm_graph_new()};
    zm_error err = {0};
    int64_t c = 64 + zm_rng_below(rng, 40), o = 64 + zm_rng_below(rng, 40);
    int64_t in[3], kernel[3];
    zm_conv_shape shape;
    uint64_t seed = zm_rng_u32(rng);
    const char *name, *other;
    while (draw_window(rng, in, kernel, &shape) < 64) /* the rule leaves fewer to f32 */
        continue;
    b.x = zm_input(b.g, ZM_F32, ZM_SHAPE(1 + zm_rng_below(rng, 2), in[0], in[1], in[2], c), "x");
    weights(&b, rng, ZM_F32, ZM_SHAPE(o, c, kernel[0], kernel[1], kernel[2]), o);
    if (zm_rng_below(rng, 2)) /* weights that lie in their file under another shape */
        b.w = zm_reshape(b.g,
                         zm_external(b.g, ZM_F32, ZM_SHAPE(o, c * kernel[0] * kernel[1], kernel[2]), b.stored, "flat"),
                         b.w->shape);
    b.y = zm_output(b.g, zm_conv(b.g, b.x, b.w, zm_external(b.g, ZM_F32, ZM_SHAPE(o), b.bias, "bias"), &shape));
    tap_ok(!zm_graph_finish(b.g, &err), "a convolution");
    float *y = run(&b, ZM_PRECISION_INT8, seed, &name), *want = run(&b, ZM_PRECISION_F32, seed, &other);
    zm_conv_sizes s = zm_conv_sizes_of(b.y);
    int64_t all = zm_shape_elems(b.x->shape), taps = kernel[0] * kernel[1] * kernel[2], padded = (c + 15) / 16 * 16;
    int64_t places = zm_shape_elems(b.y->shape) / o, wrong = 0;
    float *x = malloc((size_t)all * sizeof *x), *column = malloc((size_t)(taps * padded) * sizeof *column);
    uint8_t *q = malloc((size_t)all);
    zm_rng same = zm_rng_init(seed, 3);
    plain p = plain_of(o, taps * padded);
    normals(&same, x, all, 1);
    for (int64_t j = 0; j < o; j++) {
        memset(column, 0, (size_t)(taps * padded) * sizeof *column);
        for (int64_t i = 0; i < c * taps; i++)
            column[i % taps * padded + i / taps] = b.values[j * c * taps + i];
        zm_int8_weights_set(&p.w, j, column);
    }
    float low = 0, high = 0;
    zm_int8_plain.range(x, all, &low, &high);
    zm_int8_grid g = zm_int8_grid_of(low, high);
    zm_int8_plain.to_bytes(q, x, all, g.inverse, g.zero);
    for (int64_t i = 0; y && i < places; i++)
        for (int64_t j = 0; j < o; j++)
            wrong += y[i * o + j] != value_of(&p, &b, j, conv_sum(&s, &p, q, g.zero, i, j), g);
    double off = y && want ? distance(y, want, places * o) : NAN;
    tap_ok(y && !wrong && !strcmp(name, "int8_conv") && off < 0.05,
           "%s %lldx%lldx%lld, %lld to %lld channels, %lld places: %lld wrong, %.2g from f32", name,
           (long long)kernel[0], (long long)kernel[1], (long long)kernel[2], (long long)c, (long long)o,
           (long long)places, (long long)wrong, off);
    free(p.memory);
    free(x);
    free(q);
    free(column);
    free(y);
    free(want);
    end(&b);
}

/* Convolutions of 4096 places that Winograd's kernel would take: bytes are faster with VNNI alone. */
static void check_rule_of_convolutions(zm_rng *rng)
{
    for (int64_t rows = 63; rows <= 64; rows++) {
        bed b = {.g = zm_graph_new()};
        zm_exec *e = NULL;
        zm_error err = {0};
        b.x = zm_input(b.g, ZM_F32, ZM_SHAPE(1, 1, rows, 64, 64), "x");
        weights(&b, rng, ZM_F32, ZM_SHAPE(64, 64, 1, 3, 3), 64);
        zm_conv_shape shape = {.stride = {1, 1, 1}, .before = {0, 1, 1}, .after = {0, 1, 1}};
        b.y = zm_output(b.g, zm_conv(b.g, b.x, b.w, NULL, &shape));
        zm_exec_options opt = {.precision = ZM_PRECISION_INT8};
        bool ran = !zm_graph_finish(b.g, &err) && !zm_exec_new(&e, b.g, &opt, &err);
        const char *name = ran ? zm_exec_kernel(e, b.y->id) : err.text;
        tap_ok(!strcmp(name, rows < 64 || zm_int8_isa_best()->fours ? "int8_conv" : "winograd"),
               "%lldx64 places, %s: %s", (long long)rows, zm_int8_isa_best()->name, name);
        zm_exec_free(e);
        end(&b);
    }
}

/* What the rule leaves to f32, and weights that are not there yet. */
static void check_rule(void)
{
    static const int64_t sizes[][3] = {{63, 256, 256}, {64, 255, 256}, {64, 256, 240}};
    zm_error err = {0};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        zm_graph *g = zm_graph_new();
        zm_exec *e = NULL;
        const int64_t *z = sizes[i];
        zm_tensor *x = zm_input(g, ZM_F32, ZM_SHAPE(z[0], z[2]), "x");
        zm_tensor *w = zm_external(g, ZM_F32, ZM_SHAPE(z[1], z[2]), NULL, "w");
        zm_tensor *y = zm_output(g, zm_linear(g, x, w, NULL, ZM_IDENTITY));
        bool ran =
            !zm_graph_finish(g, &err) && !zm_exec_new(&e, g, &(zm_exec_options){.precision = ZM_PRECISION_INT8}, &err);
        tap_ok(ran && strcmp(zm_exec_kernel(e, y->id), "int8_matmul") != 0, "[%lld,%lld,%lld] stays in f32: %s",
               (long long)z[0], (long long)z[1], (long long)z[2], ran ? zm_exec_kernel(e, y->id) : err.text);
        zm_exec_free(e);
        zm_graph_free(g);
    }
    zm_graph *g = zm_graph_new();
    zm_exec *e = NULL;
    zm_tensor *x = zm_input(g, ZM_F32, ZM_SHAPE(64, 256), "x");
    zm_output(g, zm_linear(g, x, zm_external(g, ZM_F32, ZM_SHAPE(256, 256), NULL, "w"), NULL, ZM_IDENTITY));
    zm_status s = zm_graph_finish(g, &err);
    s = s ? s : zm_exec_new(&e, g, &(zm_exec_options){.precision = ZM_PRECISION_INT8}, &err);
    tap_ok(s == ZM_E_MISSING && !e, "a weight without data: %s", err.text);
    zm_graph_free(g);
    zm_precision p;
    tap_ok(zm_precision_parse(&p, "int8") && p == ZM_PRECISION_INT8 && !zm_precision_parse(&p, "int4"),
           "precisions have names");
}

int main(void)
{
    static const zm_dtype types[] = {ZM_F32, ZM_BF16, ZM_F8_E4M3, ZM_Q8_0, ZM_Q4_K, ZM_F16};
    const char *given = getenv("ZM_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    zm_rng rng = zm_rng_init(seed, 8);
    printf("# ZM_TEST_SEED=%llu\n", (unsigned long long)seed);
    if (zm_int8_isa_best() == &zm_int8_plain) {
        tap_ok(true, "this processor has no instructions for products of bytes");
        return tap_done();
    }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        check_linear(&rng, types[i]);
    for (int i = 0; i < 3; i++)
        check_conv(&rng);
    check_rule();
    check_rule_of_convolutions(&rng);
    return tap_done();
}
