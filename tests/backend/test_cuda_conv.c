/* Convolutions by a device's library: what it is asked for, piece by piece, against plain loops over the same rounded
 * operands, padding that is not alike on both sides included.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <time.h>

#include "backend/backend.h"
#include "base/rng.h"
#include "gpu_host.h"
#include "ops/conv.h"
#include "ops/conv_shape.h"
#include "tap.h"

typedef struct bed {
    zm_graph *g;
    zm_tensor *x, *w, *y;
    float *weights, *bias;
    zm_conv_sizes s;
} bed;

static bed bed_of(zm_rng *rng, bool causal)
{
    bed b = {.g = zm_graph_new()};
    zm_error err = {0};
    zm_conv_shape shape;
    int64_t c = 1 + zm_rng_below(rng, 9), o = 1 + zm_rng_below(rng, 9), in[3], k[3];
    for (int i = 0; i < 3; i++) {
        in[i] = 3 + zm_rng_below(rng, 6);
        k[i] = 1 + zm_rng_below(rng, 3);
        shape.stride[i] = 1 + (int)zm_rng_below(rng, 4) / 3;
        shape.before[i] = i == 0 && causal ? (int)k[0] - 1 : (int)zm_rng_below(rng, 3);
        shape.after[i] = i == 0 && causal ? 0 : (int)zm_rng_below(rng, 3);
    }
    size_t taps = (size_t)(k[0] * k[1] * k[2]), n = (size_t)(o * c) * taps;
    b.weights = malloc(n * sizeof *b.weights);
    b.bias = malloc((size_t)o * sizeof *b.bias);
    zm_rng_normals(rng, b.weights, n);
    zm_rng_normals(rng, b.bias, (size_t)o);
    b.x = zm_input(b.g, ZM_F32, ZM_SHAPE(1 + zm_rng_below(rng, 3), in[0], in[1], in[2], c), "x");
    b.w = zm_external(b.g, ZM_F32, ZM_SHAPE(o, c, k[0], k[1], k[2]), b.weights, "w");
    zm_tensor *bias = zm_rng_below(rng, 3) ? zm_external(b.g, ZM_F32, ZM_SHAPE(o), b.bias, "bias") : NULL;
    if (!bias)
        for (int64_t i = 0; i < o; i++)
            b.bias[i] = 0;
    b.y = zm_output(b.g, zm_conv(b.g, b.x, b.w, bias, &shape));
    tap_ok(!zm_graph_finish(b.g, &err), "a convolution %s", err.text);
    b.s = zm_conv_sizes_of(b.y);
    return b;
}

static double rounded(float v)
{
    return zm_bf16_to_f32(zm_f32_to_bf16(v));
}

static double sum_at(const bed *b, const float *x, int64_t place, int64_t o)
{
    const zm_conv_sizes *s = &b->s;
    int64_t at[3] = {place / (s->out[2] * s->out[1]) % s->out[0], place / s->out[2] % s->out[1], place % s->out[2]};
    int64_t clip = place / (s->out[2] * s->out[1] * s->out[0]), taps = s->kernel[0] * s->kernel[1] * s->kernel[2];
    double sum = (double)b->bias[o];
    for (int64_t tap = 0; tap < taps; tap++) {
        int64_t k[3] = {tap / (s->kernel[2] * s->kernel[1]), tap / s->kernel[2] % s->kernel[1], tap % s->kernel[2]};
        int64_t from[3];
        bool inside = true;
        for (int i = 0; i < 3; i++) {
            from[i] = at[i] * s->stride[i] + k[i] - s->before[i];
            inside = inside && from[i] >= 0 && from[i] < s->in[i];
        }
        for (int64_t c = 0; inside && c < s->c; c++)
            sum += rounded(x[(((clip * s->in[0] + from[0]) * s->in[1] + from[1]) * s->in[2] + from[2]) * s->c + c]) *
                   rounded(b->weights[(o * s->c + c) * taps + tap]);
    }
    return sum;
}

static void check(zm_rng *rng, zm_gpu_host_conv_kind kind, bool pieces)
{
    static const char *const how[] = {"gathered", "by the library, bias after it", "by the library",
                                      "begun by the library"};
    bed b = bed_of(rng, zm_rng_below(rng, 2));
    zm_error err = {0};
    zm_exec *e = NULL;
    size_t n = (size_t)zm_shape_elems(b.y->shape);
    float *x = malloc(zm_tensor_bytes(b.x)), *want = malloc(n * sizeof *want), *got = malloc(n * sizeof *got);
    zm_gpu_host_convolves(kind);
    tap_ok(!zm_exec_new(&e, b.g, NULL, &err), "made %s", err.text);
    zm_gpu_host_counts before = zm_gpu_host_count();
    for (int run = 0; run < 3; run++) { /* launched, recorded, replayed */
        zm_rng_normals(rng, x, (size_t)zm_shape_elems(b.x->shape));
        for (size_t i = 0; i < n; i++)
            want[i] = (float)sum_at(&b, x, (int64_t)i / b.s.o, (int64_t)i % b.s.o);
        zm_exec_write(e, b.x, x);
        tap_ok(!zm_exec_run(e, &err), "runs %s", err.text);
        zm_exec_read(e, b.y, got);
        tap_close_f32(got, want, n, 1e-4, how[kind]);
    }
    zm_gpu_host_counts after = zm_gpu_host_count();
    tap_ok((after.convolutions > before.convolutions) == (kind != ZM_GPU_HOST_CONV_NONE),
           "%d convolutions of the library%s", after.convolutions - before.convolutions, pieces ? ", in pieces" : "");
    zm_exec_free(e);
    zm_graph_free(b.g);
    free(b.weights);
    free(b.bias);
    free(x);
    free(want);
    free(got);
}

int main(void)
{
    const char *given = getenv("ZM_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    zm_rng rng = zm_rng_init(seed, 22);
    zm_error err = {0};
    printf("# ZM_TEST_SEED=%llu\n", (unsigned long long)seed);
    for (int pieces = 0; pieces < 2; pieces++) {
        zm_gpu_host_install(pieces);
        tap_ok(!zm_backend_use(ZM_DEVICE_CUDA, true, &err), "products of bf16 %s", err.text);
        if (pieces)
            zm_cuda_install(zm_cuda_device(), true, 512);
        for (int kind = 0; kind < 4; kind++)
            for (int i = 0; i < 8; i++)
                check(&rng, (zm_gpu_host_conv_kind)kind, pieces);
    }
    return tap_done();
}
