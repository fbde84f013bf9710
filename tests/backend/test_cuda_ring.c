/* Weights that pass through a card which does not hold them all: the same bits as with all of them on it.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <time.h>

#include "backend/backend.h"
#include "backend/cuda/call.h"
#include "backend/cuda/memory.h"
#include "backend/cuda/ring.h"
#include "base/rng.h"
#include "gpu_host.h"
#include "ops/ops.h"
#include "tap.h"

enum { LAYERS = 9, ROWS = 3, WIDTH = 576, RUNS = 3, MOST = LAYERS + 2 };

/* y of a chain of products: stored types of all kinds, one product of a sum of two leaves, one leaf read twice, one that
 * is read through a view, small biases. */
typedef struct net {
    zm_graph *g;
    zm_exec *x;
    zm_tensor *in, *y, *leaf[MOST];
    void *data[MOST];
    float bias[WIDTH];
    int n, rows[MOST], columns[MOST];
    zm_dtype type[MOST];
    size_t weights; /* bytes */
} net;

static const zm_dtype stored[] = {ZM_F32, ZM_BF16, ZM_Q8_0, ZM_F16};

static void fill(void *to, zm_dtype t, int64_t n, zm_rng *r)
{
    float *v = malloc((size_t)n * sizeof *v);
    ZM_ASSERT(v);
    for (int64_t i = 0; i < n; i++)
        v[i] = zm_rng_range(r, -0.15f, 0.15f);
    zm_dtype_from_f32(to, v, t, (size_t)n);
    free(v);
}

static zm_tensor *weight(net *n, zm_dtype t, int rows, int columns)
{
    size_t bytes = 0;
    int i = n->n++;
    ZM_ASSERT(i < MOST && zm_dtype_bytes(&bytes, t, (size_t)(rows * columns)));
    n->data[i] = n->data[i] ? n->data[i] : malloc(bytes);
    ZM_ASSERT(n->data[i]);
    n->type[i] = t;
    n->rows[i] = rows;
    n->columns[i] = columns;
    n->weights += bytes;
    return n->leaf[i] = zm_external(n->g, t, ZM_SHAPE(rows, columns), n->data[i], "w");
}

/* The same graph for the same seed, over the same memory. */
static void build(net *n, uint64_t seed)
{
    zm_rng r = zm_rng_init(seed, 3);
    int width = 512 + 32 * (int)zm_rng_below(&r, 3);
    zm_error err = {0};
    n->g = zm_graph_new();
    n->n = 0;
    n->weights = 0;
    zm_tensor *t = n->in = zm_input(n->g, ZM_F32, ZM_SHAPE(ROWS, width), "in"), *first = NULL;
    zm_tensor *bias = zm_external(n->g, ZM_F32, ZM_SHAPE(512), n->bias, "bias");
    for (int i = 0; i < LAYERS; i++) {
        int from = width, to = 512 + 32 * (int)zm_rng_below(&r, 3);
        zm_dtype type = stored[zm_rng_below(&r, 4)];
        if (i == LAYERS - 2) /* the second half of a leaf, which an earlier node read, too; in whole blocks of q8_0 */
            to = n->rows[0] / 64 * 32;
        if (i == 3) {
            zm_tensor *a = weight(n, ZM_F32, to, from), *b = weight(n, ZM_F32, to, from);
            t = zm_linear(n->g, t, zm_add(n->g, a, b), NULL, ZM_TANH);
        } else if (i == LAYERS - 2) {
            t = zm_slice(n->g, zm_concat(n->g, 2, (zm_tensor *[]){t, t}, 1), 1, 0, n->columns[0]);
            t = zm_linear(n->g, t, zm_view(n->g, first, (int64_t)to * n->columns[0], ZM_SHAPE(to, n->columns[0])), NULL,
                          ZM_TANH);
        } else {
            zm_tensor *w = weight(n, i ? type : ZM_F32, to, from);
            first = i ? first : w;
            t = zm_linear(n->g, t, w, to == 512 ? bias : NULL, ZM_TANH);
        }
        width = to;
        if (i % 3 == 1)
            t = zm_affine(n->g, t, 1.5, 0.01);
    }
    n->y = zm_output(n->g, t);
    if (zm_graph_finish(n->g, &err))
        tap_ok(false, "a graph: %s", err.text), exit(1);
}

static void close_graph(net *n)
{
    zm_exec_free(n->x);
    if (n->g)
        zm_graph_free(n->g);
    n->x = NULL;
    n->g = NULL;
}

static void drop(net *n)
{
    close_graph(n);
    for (int i = 0; i < MOST; i++)
        free(n->data[i]);
    *n = (net){0};
}

/* Weights of run k differ from those before in one leaf. */
static zm_status run(net *n, int k, uint64_t seed, float *out, zm_error *err)
{
    zm_rng r = zm_rng_init(seed, 10 + (uint64_t)k);
    float in[ROWS * WIDTH];
    zm_rng_normals(&r, in, ROWS * WIDTH);
    int i = (int)zm_rng_below(&r, (uint32_t)n->n);
    fill(n->data[i], n->type[i], (int64_t)n->rows[i] * n->columns[i], &r);
    zm_backend_changed(n->data[i]);
    zm_exec_write(n->x, n->in, in);
    zm_status s = zm_exec_run(n->x, err);
    if (!s)
        zm_exec_read(n->x, n->y, out);
    return s;
}

static int64_t outputs(const net *n)
{
    return zm_shape_elems(n->y->shape);
}

typedef struct result {
    float y[RUNS][ROWS * WIDTH];
} result;

static zm_status run_all(net *n, uint64_t seed, const zm_exec_options *opt, result *out, zm_error *err)
{
    zm_rng r = zm_rng_init(seed, 9);
    for (int i = 0; i < n->n; i++) { /* whatever runs before left there */
        fill(n->data[i], n->type[i], (int64_t)n->rows[i] * n->columns[i], &r);
        zm_backend_changed(n->data[i]);
    }
    zm_status s = zm_exec_new(&n->x, n->g, opt, err);
    for (int k = 0; !s && k < RUNS; k++)
        s = run(n, k, seed, out->y[k], err);
    return s;
}

static bool same(const net *n, const result *a, const result *b)
{
    bool good = true;
    for (int k = 0; k < RUNS; k++)
        good = good && !memcmp(a->y[k], b->y[k], (size_t)outputs(n) * sizeof(float));
    return good;
}

/* Cards of random sizes between too small and large enough, side streams that run early and late. */
static void same_bits(uint64_t seed, bool bf16)
{
    zm_rng r = zm_rng_init(seed, 1);
    zm_error err = {0};
    static result want, got;
    net n = {0};
    zm_rng_normals(&r, n.bias, WIDTH);
    zm_cuda_install(zm_cuda_device(), bf16, (size_t)1 << 28);
    build(&n, seed);
    size_t before = zm_gpu_host_count().bytes;
    zm_status s = run_all(&n, seed, NULL, &want, &err);
    size_t all = zm_gpu_host_count().bytes - before;
    tap_ok(!s, "%zu weights of %zu KB on the card: %s", (size_t)n.n, n.weights >> 10, err.text);
    close_graph(&n);
    int passed = 0, refused = 0, stayed = 0;
    for (int way = 0; way < 8; way++) {
        size_t most = way == 7 ? 2 * all : all / 4 + zm_rng_below(&r, (uint32_t)(all * 7 / 8)),
               limit = (size_t)1 << (20 + way / 2);
        zm_cuda_install(zm_cuda_device(), bf16, limit);
        zm_gpu_host_eager(way & 1, way & 2);
        zm_gpu_host_memory(before + most);
        zm_error why = {0};
        build(&n, seed);
        zm_gpu_host_counts c = zm_gpu_host_count();
        s = run_all(&n, seed, NULL, &got, &why);
        bool passes = zm_gpu_host_count().copies > c.copies;
        if (s == ZM_E_NOMEM)
            refused += strlen(why.text) > 20;
        else if (tap_ok(!s && same(&n, &want, &got), "%zu of %zu KB, slots of %zu KB%s: the same bits %s", most >> 10,
                        all >> 10, limit >> 14, passes ? "" : ", all stay", why.text))
            *(passes ? &passed : &stayed) += 1;
        tap_ok(!passes || zm_gpu_host_count().replays == c.replays, "what passes is not recorded");
        close_graph(&n);
        zm_gpu_host_memory(0);
    }
    tap_ok(passed + refused + stayed == 8 && passed, "of 8 cards %d let weights pass, %d held all, %d refused", passed,
           stayed, refused);
    tap_ok(zm_gpu_host_count().bytes == before && zm_gpu_host_idle(), "nothing is left on the card");
    drop(&n);
}

/* resident_bytes is kept to, however little it is. */
static void limited(uint64_t seed)
{
    zm_error err = {0};
    static result want, got;
    net n = {0};
    zm_exec_size size;
    zm_cuda_install(zm_cuda_device(), false, (size_t)1 << 22);
    build(&n, seed);
    tap_ok(!run_all(&n, seed, NULL, &want, &err) && !zm_exec_measure(&size, n.g, NULL, &err), "unlimited %s", err.text);
    tap_ok(size.mapped == 0 && size.window == 0, "weights of the heap are not counted as weights of files");
    close_graph(&n);
    build(&n, seed);
    for (int i = 0; i < n.n; i++)
        n.leaf[i]->data = NULL;
    zm_status s = zm_exec_measure(&size, n.g, NULL, &err);
    tap_ok(!s && size.mapped == n.weights, "those without data are: %zu KB", size.mapped >> 10);
    size_t most = 0, small = 0; /* small: those of the heap that stay are beside the limit, as states are */
    for (int i = 0; i < n.n; i++)
        small += zm_tensor_bytes(n.leaf[i]) < ZM_GPU_RING_LEAST ? zm_tensor_bytes(n.leaf[i]) : 0;
    for (int i = 0; i < n.n; i++)
        most = zm_tensor_bytes(n.leaf[i]) > most ? zm_tensor_bytes(n.leaf[i]) : most;
    tap_ok(size.window > most && size.window < size.mapped / 4 * 3, "%zu KB of them are the least, the largest has %zu",
           size.window >> 10, most >> 10);
    close_graph(&n);
    for (int k = 0; k < 3; k++) {
        size_t limit[] = {1, size.window + 4096, size.mapped * 2 / 3};
        build(&n, seed);
        size_t before = zm_gpu_host_count().bytes;
        s = run_all(&n, seed, &(zm_exec_options){.resident_bytes = limit[k]}, &got, &err);
        size_t held = zm_gpu_host_count().bytes - before - zm_exec_bytes(n.x),
               allowed = (limit[k] > size.window ? limit[k] : size.window) + small + (size_t)16 * 4096;
        tap_ok(!s && same(&n, &want, &got), "%zu KB may stay: the same bits %s", limit[k] >> 10, err.text);
        tap_ok(held <= allowed, "%zu KB of weights were on the card, %zu allowed", held >> 10, allowed >> 10);
        close_graph(&n);
    }
    drop(&n);
}

/* Each call that can fail for want of memory fails once: one sentence, nothing left behind, and the next run is right. */
static void out_of_memory(uint64_t seed)
{
    static result want, got;
    zm_error err = {0};
    net n = {0};
    zm_cuda_install(zm_cuda_device(), false, (size_t)1 << 22);
    zm_exec_options opt = {.resident_bytes = 1};
    size_t before = zm_gpu_host_count().bytes;
    build(&n, seed);
    tap_ok(!run_all(&n, seed, &opt, &want, &err), "without a fault %s", err.text);
    close_graph(&n);
    int faults = 0, good = 0;
    int place = 1;
    for (bool failed = true; failed; faults += failed, place += place < 60 ? 1 : 61) {
        zm_error why = {0};
        build(&n, seed);
        zm_gpu_host_fail(place);
        zm_status s = run_all(&n, seed, &opt, &got, &why);
        zm_gpu_host_fail(0);
        failed = s != ZM_OK;
        bool told = s == ZM_E_NOMEM && strlen(why.text) > 10 && !strchr(why.text, '\n');
        zm_exec_free(failed && faults % 2 ? n.x : NULL); /* at once, or after a run that goes well */
        n.x = failed && faults % 2 ? NULL : n.x;
        zm_rng r = zm_rng_init(seed, 9);
        for (int i = 0; failed && n.x && i < n.n; i++) {
            fill(n.data[i], n.type[i], (int64_t)n.rows[i] * n.columns[i], &r);
            zm_backend_changed(n.data[i]);
        }
        zm_error none = {0};
        for (int k = 0; failed && n.x && k < RUNS; k++)
            told = !run(&n, k, seed, got.y[k], &none) && told;
        told = told && (!n.x || same(&n, &want, &got));
        close_graph(&n);
        good += failed && told && zm_gpu_host_count().bytes == before;
    }
    tap_ok(good == faults && faults > 30, "%d faults, %d of them told in one sentence and harmless", faults, good);
    tap_ok(zm_gpu_host_idle(), "nothing is under way");
    drop(&n);
}

static void refused(uint64_t seed)
{
    zm_error err = {0};
    net n = {0};
    static result got;
    zm_cuda_install(zm_cuda_device(), false, (size_t)1 << 22);
    build(&n, seed);
    tap_ok(!zm_exec_new(&n.x, n.g, NULL, &err), "a graph %s", err.text);
    zm_gpu_host_memory(zm_gpu_host_count().bytes + ((size_t)1 << 20));
    zm_status s = run(&n, 0, seed, got.y[0], &err);
    tap_ok(s == ZM_E_NOMEM && strstr(err.text, "the least") && strstr(err.text, "1.0 of its"), "too small: %s",
           err.text);
    zm_gpu_host_memory(0);
    drop(&n);
}

/* Graphs that share weights share copies, and what a device made newer is what passes next. */
static void shared_copies(uint64_t seed)
{
    zm_error err = {0};
    static result want, got;
    net n = {0};
    zm_gpu *g = zm_cuda_device();
    zm_cuda_install(g, false, (size_t)1 << 22);
    zm_exec_options opt = {.resident_bytes = 1};
    build(&n, seed);
    tap_ok(!run_all(&n, seed, &opt, &want, &err), "weights pass %s", err.text);
    enum { ONE = 1 };
    size_t bytes = zm_tensor_bytes(n.leaf[ONE]), copied = zm_gpu_host_count().copy_bytes;
    void *old = malloc(bytes);
    zm_gpu_copy *c;
    ZM_ASSERT(old);
    memcpy(old, n.data[ONE], bytes);
    float y[2][ROWS * WIDTH];
    tap_ok(!zm_exec_run(n.x, &err) && !zm_gpu_hold(&c, g, n.data[ONE], bytes, &err), "somebody holds one of them");
    zm_exec_read(n.x, n.y, y[0]);
    memset(n.data[ONE], 0, bytes);
    tap_ok(!g->fns->put(g, c->device, old, bytes, &err), "on the card it is newer");
    c->host_newer = false;
    c->device_newer = true;
    size_t all = zm_gpu_host_count().copy_bytes - copied;
    copied += all;
    tap_ok(!zm_exec_run(n.x, &err), "runs %s", err.text);
    size_t once = zm_gpu_host_count().copy_bytes - copied;
    zm_exec_read(n.x, n.y, y[1]);
    tap_ok(!memcmp(y[0], y[1], (size_t)outputs(&n) * sizeof(float)) && all - once == bytes, "the card's side counts");
    zm_gpu_let_go(g, c);
    copied = zm_gpu_host_count().copy_bytes;
    tap_ok(!zm_exec_run(n.x, &err) && zm_gpu_host_count().copy_bytes - copied == once, "and it passes no more");
    close_graph(&n);
    tap_ok(!memcmp(old, n.data[ONE], bytes), "in the end it comes home");
    free(old);

    net other = {0};
    build(&n, seed);
    memcpy(other.data, n.data, sizeof n.data);
    memcpy(other.bias, n.bias, sizeof n.bias);
    build(&other, seed);
    tap_ok(!run_all(&n, seed, NULL, &want, &err), "all on the card %s", err.text);
    copied = zm_gpu_host_count().copy_bytes;
    tap_ok(!run_all(&other, seed, &opt, &got, &err) && same(&n, &want, &got) &&
               zm_gpu_host_count().copy_bytes == copied,
           "a second graph takes what is there %s", err.text);
    close_graph(&other);
    drop(&n);
}

static zm_status any_shape(const zm_tensor *t, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)dtype;
    (void)err;
    *shape = t->in[0]->shape;
    return ZM_OK;
}

/* What may never pass is part of the least. */
static void what_stays(void)
{
    static const zm_op over = {.name = "over", .min_in = 2, .max_in = 2, .shape = any_shape, .overwrites = true};
    enum { D = 512, BYTES = D * D * 4 };
    for (int kind = 0; kind < 4; kind++) {
        zm_error err = {0};
        size_t mapped, least, want[] = {3 * BYTES, 3 * BYTES, 3 * BYTES, 2 * BYTES};
        const bool absent[16] = {false};
        zm_graph *g = zm_graph_new();
        zm_tensor *w[4], *t = zm_input(g, ZM_F32, ZM_SHAPE(D, D), "in");
        for (int i = 0; i < 4; i++)
            w[i] = zm_external(g, ZM_F32, ZM_SHAPE(D, D), NULL, "w");
        for (int i = 0; i < 4; i++)
            t = i == 1 && kind == 0 ? zm_node(g, &over, NULL, 2, (zm_tensor *[]){t, w[i]})
                                    : zm_linear(g, t, w[i], NULL, ZM_TANH);
        zm_output(g, t);
        if (kind == 1)
            zm_output(g, zm_view(g, w[1], 0, ZM_SHAPE(D * D)));
        w[1]->needs_grad = kind == 2;
        tap_ok(!zm_graph_finish(g, &err) && !zm_gpu_ring_measure(&mapped, &least, g, absent, &err) &&
                   mapped == 4 * BYTES,
               "four weights %s", err.text);
        tap_equal_i64((long long)least, (long long)want[kind],
                      kind == 3 ? "two in succession are the least" : "overwritten, output, trained: it stays");
        zm_graph_free(g);
    }
}

/* The device of these tests sees what goes wrong without marks. */
static void the_device_sees(void)
{
    zm_gpu *g = zm_cuda_device();
    const zm_gpu_fns *f = g->fns;
    zm_error err = {0};
    void *at = NULL, *to = NULL, *pinned = NULL, *m[2] = {NULL, NULL};
    bool made = !f->alloc(g, &at, 1024, &err) && !f->alloc(g, &to, 1024, &err) &&
                !f->host_alloc(g, &pinned, 1024, &err) && !f->mark_new(g, &m[0], &err) && !f->mark_new(g, &m[1], &err);
    tap_ok(made, "a device %s", err.text);
    zm_gpu_node n = {.in = {zm_gpu_flat(at, ZM_F32, 8)}, .out = zm_gpu_flat(to, ZM_F32, 8), .f = {1, 0}, .count = 8};
    for (int k = 0; made && k < 5; k++) {
        static const char *const what[] = {"all in order", "a reader that does not wait", "a writer that does not wait",
                                           "a mark that nobody set", "memory that goes too early"};
        static const int want[] = {0, 1, 1, 2, 1};
        zm_gpu_host_count_missed();
        bool ok = !f->put_on(g, ZM_GPU_COPY, at, pinned, 64, &err) && !f->mark(g, ZM_GPU_COPY, m[0], &err);
        if (k != 1)
            ok = ok && !f->await(g, ZM_GPU_MAIN, m[0], &err);
        ok = ok && !f->launch(g, ZM_K_zm_gpu_affine, &n, &err);
        if (k != 3)
            ok = ok && !f->mark(g, ZM_GPU_MAIN, m[1], &err);
        if (k != 2)
            ok = ok && !f->await(g, ZM_GPU_COPY, m[1], &err);
        ok = ok && !f->put_on(g, ZM_GPU_COPY, at, pinned, 64, &err);
        if (k == 4)
            f->release(g, at);
        ok = ok && !f->mark(g, ZM_GPU_COPY, m[0], &err) && (k == 4 || !f->await(g, ZM_GPU_MAIN, m[0], &err));
        int missed = zm_gpu_host_missed();
        tap_ok(ok && missed == want[k], "%s: %d seen", what[k], missed);
        f->mark_free(g, m[1]);
        ok = !f->mark_new(g, &m[1], &err);
    }
    f->mark_free(g, m[0]);
    f->mark_free(g, m[1]);
    f->host_release(g, pinned);
    f->release(g, to);
}

int main(void)
{
    uint64_t seed = (uint64_t)time(NULL);
    printf("# seed %llu\n", (unsigned long long)seed);
    zm_gpu_host_install(0);
    the_device_sees();
    what_stays();
    for (int bf16 = 0; bf16 < 2; bf16++)
        for (int k = 0; k < (TAP_SANITIZED ? 1 : 2); k++)
            same_bits(seed + (uint64_t)k, bf16);
    limited(seed);
    refused(seed);
    shared_copies(seed);
    zm_gpu_host_install(2); /* quicker, and what the host may touch has been seen by now */
    out_of_memory(seed);
    return tap_done();
}
