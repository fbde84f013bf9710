/* What a card does with 8-bit floats and large convolutions, against the CPU on the same rounded numbers: these are the
 * libraries' own ways, which small cases do not reach.  And its toy-box beside the CPU's.  ZM_TEST_DEVICE=cuda chooses the card; without it there is
 * nothing to do, but for tests that bring a device of their own.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/backend.h"
#include "backend/draw.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "ops/conv.h"
#include "ops/matmul.h"
#include "tap.h"
#include "world/world.h"

#ifdef ZM_TEST_GPU
#include "gpu_host.h"
enum { SHARE = 16 }; /* of the sizes: its loops are slow */
#else
enum { SHARE = 1 };
#endif

/* y = f(x, w, bias) as a graph of one node. */
typedef struct node {
    zm_graph *g;
    zm_exec *exec;
    zm_tensor *x, *y;
} node;

typedef struct job {
    const char *name;
    zm_shape x, w;
    const zm_conv_shape *window; /* NULL: a linear map */
    float *values[3];            /* x, w, bias (NULL: none) */
} job;

static node make(const job *j, const float *x, float *w, const zm_exec_options *opt, zm_error *err)
{
    node n = {.g = zm_graph_new()};
    zm_tensor *leaf = zm_external(n.g, ZM_F32, j->w, w, "w"), *bias = NULL;
    n.x = zm_input(n.g, ZM_F32, j->x, "x");
    if (j->values[2])
        bias = zm_external(n.g, ZM_F32, ZM_SHAPE(j->w.dim[0]), j->values[2], "bias");
    n.y = zm_output(n.g, j->window ? zm_conv(n.g, n.x, leaf, bias, j->window)
                                   : zm_linear(n.g, n.x, leaf, bias, ZM_GELU_TANH));
    if (!zm_graph_finish(n.g, err) && !zm_exec_new(&n.exec, n.g, opt, err))
        zm_exec_write(n.exec, n.x, x);
    return n;
}

static void drop(node *n)
{
    zm_exec_free(n->exec);
    zm_graph_free(n->g);
}

/* x [n,k] as e4m3 with a scale a row, and back. */
static void round_rows(float *to, const float *x, int64_t n, int64_t k)
{
    for (int64_t i = 0; i < n; i++) {
        float most = 0;
        for (int64_t z = 0; z < k; z++)
            most = fmaxf(most, fabsf(x[i * k + z]));
        for (int64_t z = 0; z < k; z++)
            to[i * k + z] = zm_f8_e4m3_to_f32(zm_f32_to_f8_e4m3(x[i * k + z] * (448 / most))) * (most / 448);
    }
}

static float *rounded(const job *j, int which)
{
    const zm_shape *s = which ? &j->w : &j->x;
    int64_t n = zm_shape_elems(*s);
    float *to = malloc((size_t)n * sizeof *to);
    if (!j->window)
        round_rows(to, j->values[which], n / s->dim[1], s->dim[1]);
    for (int64_t i = 0; j->window && i < n; i++)
        to[i] = zm_bf16_to_f32(zm_f32_to_bf16(j->values[which][i]));
    return to;
}

/* Three runs, launched, recorded and replayed; sums in another order, and on some cards in fewer bits than f32 has. */
static void compare(const job *j)
{
    zm_error err = {0};
    float *x = rounded(j, 0), *w = rounded(j, 1);
    const zm_exec_options card = {.precision = j->window ? ZM_PRECISION_F32 : ZM_PRECISION_FP8},
                          cpu = {.device = ZM_DEVICE_CPU};
    node want = make(j, x, w, &cpu, &err), got = make(j, j->values[0], j->values[1], &card, &err);
    bool ran = want.exec && got.exec && !zm_exec_run(want.exec, &err);
    size_t n = (size_t)zm_shape_elems(want.y->shape);
    float *a = malloc(n * sizeof *a), *b = malloc(n * sizeof *b);
    double square = 0;
    if (ran)
        zm_exec_read(want.exec, want.y, b);
    for (size_t i = 0; ran && i < n; i++)
        square += (double)b[i] * (double)b[i];
    for (int run = 0; ran && run < 3; run++) {
        double start = zm_now();
        memset(a, 0, n * sizeof *a);
        ran = !zm_exec_run(got.exec, &err);
        printf("# %s, %s, run %d: %.2f ms\n", j->name, zm_exec_kernel(got.exec, got.y->id), run,
               1e3 * (zm_now() - start));
        zm_exec_read(got.exec, got.y, a);
        if (ran)
            tap_close_f32(a, b, n, 4e-3 * sqrt(square / (double)n), j->name);
    }
    tap_ok(ran, "%s runs %s", j->name, err.text);
    drop(&want);
    drop(&got);
    free(x);
    free(w);
    free(a);
    free(b);
}

static void fill(job *j, zm_rng *rng, bool bias)
{
    const int64_t n[3] = {zm_shape_elems(j->x), zm_shape_elems(j->w), bias ? j->w.dim[0] : 0};
    for (int i = 0; i < 3; i++) {
        j->values[i] = n[i] ? zm_aligned_alloc((size_t)n[i] * sizeof(float)) : NULL;
        if (j->values[i])
            zm_rng_normals(rng, j->values[i], (size_t)n[i]);
    }
}

static void run(job j, zm_rng *rng, bool bias)
{
    fill(&j, rng, bias);
    compare(&j);
    for (int i = 0; i < 3; i++)
        free(j.values[i]);
}

static void linear_maps(zm_rng *rng)
{
    static const int64_t sizes[][3] = {{1000, 1536, 1536}, {4096, 5120, 1536}, {520, 260, 4096}}; /* m, n, k */
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int64_t *s = sizes[i];
        int64_t k = s[2] / SHARE / 16 * 16, n = s[1] / SHARE;
        k = k < 256 ? 256 : k;
        n = n < 256 ? 256 + s[1] % 8 : n;
        run((job){.name = "8-bit floats", .x = ZM_SHAPE(s[0] / SHARE + 64, k), .w = ZM_SHAPE(n, k)}, rng, i % 2);
    }
}

static void convolutions(zm_rng *rng)
{
    static const struct {
        const char *name;
        int64_t channels[2], size[3], taps[3];
        zm_conv_shape window;
    } of[] = {
        {"causal 3x3x3", {192, 192}, {4, 64, 96}, {3, 3, 3}, {{1, 1, 1}, {2, 1, 1}, {0, 1, 1}}},
        {"to few channels", {96, 12}, {8, 160, 160}, {3, 3, 3}, {{1, 1, 1}, {2, 1, 1}, {0, 1, 1}}},
        {"1x3x3", {256, 128}, {4, 96, 128}, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}, {0, 1, 1}}},
        {"stride 2, padded after", {128, 128}, {8, 200, 200}, {1, 3, 3}, {{1, 2, 2}, {0, 0, 0}, {0, 1, 1}}},
        {"time alone", {384, 768}, {4, 64, 96}, {3, 1, 1}, {{1, 1, 1}, {2, 0, 0}, {0, 0, 0}}},
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        int64_t c = of[i].channels[0] / SHARE, o = (of[i].channels[1] + SHARE - 1) / SHARE;
        int64_t h = of[i].size[1] / SHARE + 3, w = of[i].size[2] / SHARE + 3;
        run((job){.name = of[i].name,
                  .x = ZM_SHAPE(1 + (int64_t)i % 2, of[i].size[0], h, w, c),
                  .w = ZM_SHAPE(o, c, of[i].taps[0], of[i].taps[1], of[i].taps[2]),
                  .window = &of[i].window},
            rng, i % 2 == 0);
    }
}

/* Clips of the toy-box, 17 frames of 96x64: first .. first+n-1. */
typedef struct toys {
    zm_world_options world;
    uint64_t first;
    int n;
    uint8_t *rgb[2], *ids[2]; /* of the CPU, of the card */
} toys;

/* Seconds, or -1. */
static double draw_here(const toys *t, size_t pixels)
{
    double start = zm_now();
    bool ok = true;
#pragma omp parallel for schedule(dynamic) reduction(&& : ok)
    for (int i = 0; i < t->n; i++) {
        zm_scene scene;
        zm_scene_sample(&scene, t->first + (uint64_t)i, &t->world);
        ok = !zm_world_render(&scene, &t->world, t->rgb[0] + (size_t)i * pixels * 3, t->ids[0] + (size_t)i * pixels,
                              NULL, NULL) &&
             ok;
    }
    return ok ? zm_now() - start : -1;
}

static double move_bodies(const toys *t, zm_drawer *d)
{
    double start = zm_now();
    zm_still *room = zm_drawer_room(d);
    bool ok = true;
#pragma omp parallel for schedule(dynamic) reduction(&& : ok)
    for (int i = 0; i < t->n; i++) {
        zm_scene scene;
        zm_scene_sample(&scene, t->first + (uint64_t)i, &t->world);
        ok = !zm_world_describe(&scene, &t->world, room + i * t->world.frames, NULL, NULL) && ok;
    }
    return ok ? zm_now() - start : -1;
}

static double draw_there(const toys *t, zm_drawer *d, zm_error *err)
{
    double start = zm_now();
    bool ok = !zm_drawer_start(d, t->n * t->world.frames, false, err) &&
              !zm_drawer_finish(d, t->rgb[1], t->ids[1], NULL, err);
    return ok ? zm_now() - start : -1;
}

/* A card's exp and log2 are rounded from doubles, the CPU's are its library's: now and then one bit of a float differs, and
 * where it stands at a seam, a byte.  On the device made of memory they are the same functions. */
static void compare_toys(const toys *t, size_t pixels)
{
    int64_t bytes = 0, far = 0, bodies = 0;
    size_t n = (size_t)t->n * pixels;
    for (size_t i = 0; i < 3 * n; i++) {
        int d = abs(t->rgb[0][i] - t->rgb[1][i]);
        bytes += d > 0;
        far += d > 1;
    }
    for (size_t i = 0; i < n; i++)
        bodies += t->ids[0][i] != t->ids[1][i];
    printf("# the toy-box, %zu pixels: %lld bytes by one level, %lld by more, %lld of other bodies\n", n,
           (long long)(bytes - far), (long long)far, (long long)bodies);
    double allowed = SHARE == 1 ? 1e-5 * (double)n : 0;
    tap_ok((double)bytes <= allowed && (double)bodies <= allowed && !far, "a card draws the CPU's toy-box");
}

static void toy_box(uint64_t seed)
{
    toys t = {.world = {.width = 96, .height = 64, .frames = 17, .fps = 8, .level = 1, .camera_share = 0.5F},
              .first = seed % 1000003,
              .n = 256 / SHARE / (SHARE == 1 ? 1 : 4)};
    zm_error err = {0};
    zm_draw_art art = zm_world_art();
    zm_drawer *d = NULL;
    if (zm_world_check(&t.world, &err)) {
        tap_skip("the toy-box", err.text);
        return;
    }
    size_t pixels = (size_t)t.world.width * (size_t)t.world.height * (size_t)t.world.frames, n = (size_t)t.n * pixels;
    for (int i = 0; i < 2; i++) {
        t.rgb[i] = malloc(n * 3);
        t.ids[i] = malloc(n);
    }
    double here = -1, moved = -1, there = -1;
    if (!zm_drawer_new(&d, &art, t.world.width, t.world.height, t.n * t.world.frames, &err)) {
        here = draw_here(&t, pixels);
        for (int run = 0; run < 2; run++) { /* the first one loads the kernel */
            moved = move_bodies(&t, d);
            there = draw_there(&t, d, &err);
        }
    }
    if (tap_ok(here > 0 && moved > 0 && there > 0, "the toy-box is drawn twice %s", err.text)) {
        printf(
            "# the toy-box, %d clips of 17 frames of 96x64: the card draws %.0f clips/s, home included; physics on the "
            "CPU gives %.0f clips/s; the CPU does both at %.0f clips/s\n",
            t.n, t.n / there, t.n / moved, t.n / here);
        compare_toys(&t, pixels);
    }
    zm_drawer_free(d);
    for (int i = 0; i < 2; i++) {
        free(t.rgb[i]);
        free(t.ids[i]);
    }
}

static void print_line(zm_log_level level, const char *text, void *user)
{
    (void)level;
    (void)user;
    printf("# %s\n", text);
}

int main(void)
{
    const char *given = getenv("ZM_TEST_SEED"), *device = getenv("ZM_TEST_DEVICE");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    zm_rng rng = zm_rng_init(seed, 23);
    zm_error err = {0};
    printf("# ZM_TEST_SEED=%llu\n", (unsigned long long)seed);
    zm_log_set(print_line, ZM_LOG_DEBUG, NULL);
#ifdef ZM_TEST_GPU
    zm_gpu_host_install(ZM_TEST_GPU);
    zm_gpu_host_convolves(ZM_GPU_HOST_CONV_ALL);
    device = "cuda";
#endif
    const zm_device_row *row = zm_device_find(device ? device : "cpu");
    if (!row || row->device != ZM_DEVICE_CUDA) {
        tap_skip("a card", "ZM_TEST_DEVICE names none");
        return tap_done();
    }
    if (zm_backend_use(row->device, true, &err)) {
        printf("Bail out! %s\n", err.text);
        return 1;
    }
    printf("# %s with: %s\n", zm_backend_name(), zm_backend_libraries());
    linear_maps(&rng);
    convolutions(&rng);
    toy_box(seed);
    return tap_done();
}
