/* Convolutions that read what stands before them: joined frames and doubled pixels against the plain loops of every op,
 * random sizes, in f32 and on bytes; and graphs where the node between is needed by somebody else.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <time.h>

#include "backend/backend.h"
#include "backend/cpu/int8.h"
#include "base/arena.h"
#include "base/rng.h"
#include "ops/ops.h"
#include "tap.h"

static zm_rng fresh;

enum { LEAVES = 5 };

/* One small graph, built twice: for the kernels and for the references. */
typedef struct net {
    zm_graph *g;
    zm_tensor *leaf[LEAVES], *made, *conv, *also; /* also: another output, or NULL */
    int n;
} net;

typedef struct sizes {
    int64_t batch, past, frames, height, width, c, o;
    int kf;
    int twist;      /* 0: as the autoencoders have it; else why the node between must be computed */
    float *weights; /* [o,c,kf,3,3] as a leaf that kernels may keep in another form; NULL: computed */
} sizes;

static zm_tensor *leaf(net *n, zm_shape s)
{
    return n->leaf[n->n++] = zm_input(n->g, ZM_F32, s, "leaf");
}

static zm_tensor *weights(net *n, const sizes *s)
{
    zm_shape shape = ZM_SHAPE(s->o, s->c, s->kf, 3, 3);
    return s->weights ? zm_external(n->g, ZM_F32, shape, s->weights, "w") : leaf(n, shape);
}

/* Nodes between what is made and the convolution, in whose memory they could be put. */
static zm_tensor *between(net *n, const sizes *s, zm_tensor *w)
{
    return s->weights ? w : zm_unary(n->g, ZM_SILU, zm_unary(n->g, ZM_TANH, w));
}

static net joined(const sizes *s)
{
    net n = {.g = zm_graph_new()};
    zm_tensor *x = leaf(&n, ZM_SHAPE(s->batch, s->frames, s->height, s->width, s->c));
    zm_tensor *all[3] = {NULL};
    for (int i = 0; i < s->past; i++)
        all[i] = leaf(&n, ZM_SHAPE(s->batch, 1, s->height, s->width, s->c));
    zm_tensor *w = weights(&n, s), *bias = leaf(&n, ZM_SHAPE(s->o));
    x = zm_unary(n.g, ZM_SILU, x); /* memory of the plan, that something later could take */
    all[s->past] = x;
    n.made = zm_concat(n.g, (int)s->past + 1, all, 1);
    zm_conv_shape shape = {.stride = {1, 1, 1}, .before = {0, 1, 1}, .after = {0, 1, 1}};
    n.conv = zm_conv(n.g, n.made, between(&n, s, w), bias, &shape);
    zm_output(n.g, zm_unary(n.g, ZM_SILU, n.conv));
    n.also = s->twist == 1 ? zm_output(n.g, zm_unary(n.g, ZM_TANH, n.made)) : s->twist == 2 ? n.made : NULL;
    if (s->twist == 2)
        zm_output(n.g, n.made);
    return n;
}

static net doubled(const sizes *s)
{
    net n = {.g = zm_graph_new()};
    zm_tensor *x = leaf(&n, ZM_SHAPE(s->batch, s->frames, s->height, s->width, s->c));
    zm_tensor *w = weights(&n, s), *bias = leaf(&n, ZM_SHAPE(s->o));
    int64_t rows = s->batch * s->frames * s->height;
    x = zm_reshape(n.g, zm_unary(n.g, ZM_SILU, x), ZM_SHAPE(rows, 1, s->width, 1, s->c));
    n.made = zm_broadcast(n.g, x, ZM_SHAPE(rows, 2, s->width, 2, s->c));
    zm_tensor *seen = zm_reshape(n.g, n.made, ZM_SHAPE(s->batch, s->frames, 2 * s->height, 2 * s->width, s->c));
    int top =
        (int)zm_rng_below(&fresh, 2); /* an open edge has no zeros; both graphs are built from one state of fresh */
    zm_conv_shape shape = {.stride = {1, 1, 1}, .before = {s->kf - 1, top, 1}, .after = {0, 1, 1}};
    n.conv = zm_conv(n.g, seen, between(&n, s, w), bias, &shape);
    zm_output(n.g, zm_unary(n.g, ZM_SILU, n.conv));
    n.also = s->twist ? zm_output(n.g, zm_unary(n.g, ZM_TANH, seen)) : NULL;
    return n;
}

/* Runs it; the result, then what `also` holds. */
static float *values(const net *n, const zm_exec_options *how, float *const *in, size_t *count, bool *skipped)
{
    zm_error err = {0};
    zm_exec *x = NULL;
    zm_status s = zm_graph_finish(n->g, &err);
    if (!s)
        s = zm_exec_new(&x, n->g, how, &err);
    zm_tensor *out = s ? NULL : zm_graph_at(n->g, n->conv->id + 1);
    for (int i = 0; !s && i < n->n; i++)
        zm_exec_write(x, n->leaf[i], in[i]);
    for (int again = 0; !s && again < 2; again++)
        s = zm_exec_run(x, &err);
    if (!tap_ok(!s, "a graph runs %s", err.text))
        exit(tap_done());
    *skipped = !strcmp(zm_exec_kernel(x, n->made->id), "skipped");
    size_t main = (size_t)zm_shape_elems(out->shape), also = n->also ? (size_t)zm_shape_elems(n->also->shape) : 0;
    float *v = malloc((main + also) * sizeof *v);
    *count = main + also;
    zm_exec_read(x, out, v);
    if (n->also)
        zm_exec_read(x, n->also, v + main);
    zm_exec_free(x);
    return v;
}

static void check(net (*build)(const sizes *), const sizes *s, const char *what)
{
    char name[200];
    zm_rng before = fresh;
    net fast = build(s);
    fresh = before;
    net plain = build(s);
    float *in[LEAVES];
    for (int i = 0; i < fast.n; i++) {
        size_t k = (size_t)zm_shape_elems(fast.leaf[i]->shape);
        in[i] = malloc(k * sizeof *in[i]);
        for (size_t j = 0; j < k; j++)
            in[i][j] = zm_rng_range(&fresh, -1, 1);
    }
    size_t n, m;
    bool skipped, never;
    float *got = values(&fast, &(zm_exec_options){0}, in, &n, &skipped);
    float *want = values(&plain, &(zm_exec_options){.reference_only = true}, in, &m, &never);
    snprintf(name, sizeof name, "%s [%lld,%lld+%lld,%lld,%lld,%lld] to %lld by %dx3x3%s", what, (long long)s->batch,
             (long long)s->past, (long long)s->frames, (long long)s->height, (long long)s->width, (long long)s->c,
             (long long)s->o, s->kf, s->twist ? ", and read by another" : "");
    tap_close_f32(got, want, n == m ? n : 0, zm_op_conv.tolerance * sqrt((double)(s->c * s->kf)), name);
    tap_ok(skipped == !s->twist && !never, "%s: the copy between is %s", what, s->twist ? "made" : "not made");
    for (int i = 0; i < fast.n; i++)
        free(in[i]);
    free(got);
    free(want);
    zm_graph_free(fast.g);
    zm_graph_free(plain.g);
}

/* On bytes: what is read where it lies gives the bits of the copy (test_int8_node holds those to plain loops). */
static void check_bytes(net (*build)(const sizes *), sizes s, const char *what)
{
    size_t k = (size_t)(s.o * s.c * s.kf * 9), n, m;
    zm_exec_options int8 = {.precision = ZM_PRECISION_INT8};
    s.weights = zm_aligned_alloc(k * sizeof *s.weights);
    for (size_t i = 0; i < k; i++)
        s.weights[i] = zm_rng_range(&fresh, -1, 1);
    zm_rng before = fresh;
    net fast = build(&s);
    fresh = before, s.twist = 1;
    net copied = build(&s);
    float *in[LEAVES];
    for (int i = 0; i < fast.n; i++) {
        size_t j = (size_t)zm_shape_elems(fast.leaf[i]->shape);
        in[i] = malloc(j * sizeof *in[i]);
        zm_rng_normals(&fresh, in[i], j);
    }
    bool skipped, never;
    float *got = values(&fast, &int8, in, &n, &skipped), *want = values(&copied, &int8, in, &m, &never);
    tap_ok(skipped && !never && n < m && !memcmp(got, want, n * sizeof *got),
           "%s [%lld,%lld+%lld,%lld,%lld,%lld] to %lld by %dx3x3 on bytes: %s, to the bit", what, (long long)s.batch,
           (long long)s.past, (long long)s.frames, (long long)s.height, (long long)s.width, (long long)s.c,
           (long long)s.o, s.kf, skipped ? "read where it lies" : "copied");
    for (int i = 0; i < fast.n; i++)
        free(in[i]);
    free(got);
    free(want);
    free(s.weights);
    zm_graph_free(fast.g);
    zm_graph_free(copied.g);
}

/* Small, but with places enough for Winograd's transforms to pay. */
static sizes draw(int twist)
{
    sizes s = {.batch = 1 + !zm_rng_below(&fresh, 6), .kf = 1 + 2 * (int)zm_rng_below(&fresh, 2), .twist = twist};
    s.frames = 1 + zm_rng_below(&fresh, 2);
    s.height = 12 + zm_rng_below(&fresh, 4), s.width = 12 + zm_rng_below(&fresh, 4);
    s.c = 16 * (2 + zm_rng_below(&fresh, 2)), s.o = 32;
    return s;
}

static zm_status clobber_shape(const zm_tensor *node, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)node, (void)dtype, (void)err;
    *shape = ZM_SHAPE(1);
    return ZM_OK;
}

static void clobber_reference(const zm_tensor *node)
{
    memcpy(node->in[1]->data, node->in[0]->data, zm_tensor_bytes(node->in[1]));
    *(float *)node->data = 0;
}

static const zm_op clobber = {.name = "clobber",
                              .min_in = 2,
                              .max_in = 2,
                              .shape = clobber_shape,
                              .reference = clobber_reference,
                              .overwrites = true};

/* A state that the convolution would read has been overwritten before it: the joined copy has the old frames. */
static void stale_state(void)
{
    enum { C = 32, SIDE = 12, FRAME = C * SIDE * SIDE };
    static float state[2][FRAME];
    float *result[2];
    zm_rng before = fresh;
    size_t n = 0;
    for (int k = 0; k < 2; k++) {
        zm_error err = {0};
        zm_graph *g = zm_graph_new();
        fresh = before;
        for (int i = 0; i < FRAME; i++)
            state[k][i] = zm_rng_range(&fresh, -1, 1);
        zm_tensor *x = zm_input(g, ZM_F32, ZM_SHAPE(1, 2, SIDE, SIDE, C), "x");
        zm_tensor *w = zm_input(g, ZM_F32, ZM_SHAPE(C, C, 3, 3, 3), "w");
        zm_tensor *past = zm_external(g, ZM_F32, ZM_SHAPE(1, 1, SIDE, SIDE, C), state[k], "state");
        zm_tensor *seen = zm_concat(g, 2, (zm_tensor *[]){past, x}, 1);
        zm_output(g, zm_node(g, &clobber, &(zm_attr){0}, 2, (zm_tensor *[]){x, past}));
        zm_conv_shape shape = {.stride = {1, 1, 1}, .before = {0, 1, 1}, .after = {0, 1, 1}};
        zm_tensor *y = zm_output(g, zm_conv(g, seen, w, NULL, &shape));
        zm_exec *exec = NULL;
        zm_status s = zm_graph_finish(g, &err);
        if (!s)
            s = zm_exec_new(&exec, g, &(zm_exec_options){.device = ZM_DEVICE_CPU, .reference_only = k}, &err);
        n = (size_t)zm_shape_elems(y->shape);
        result[k] = malloc(n * sizeof(float));
        for (size_t i = 0, all = (size_t)zm_shape_elems(x->shape); !s && i < all; i++)
            ((float *)x->data)[i] = zm_rng_range(&fresh, -1, 1);
        for (size_t i = 0, all = (size_t)zm_shape_elems(w->shape); !s && i < all; i++)
            ((float *)w->data)[i] = zm_rng_range(&fresh, -1, 1);
        if (!s)
            s = zm_exec_run(exec, &err);
        tap_ok(!s, "a graph with a state runs %s", err.text);
        if (!s)
            zm_exec_read(exec, y, result[k]);
        zm_exec_free(exec);
        zm_graph_free(g);
    }
    tap_close_f32(result[0], result[1], n, 1e-4, "a state that is overwritten first is read from the copy");
    free(result[0]);
    free(result[1]);
}

int main(void)
{
    const char *given = getenv("ZM_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("# ZM_TEST_SEED=%llu\n", (unsigned long long)seed);
    fresh = zm_rng_init(seed, 41);
    for (int i = 0; i < 6; i++) {
        sizes s = draw(i < 4 ? 0 : i - 3);
        s.kf = 3, s.past = 1 + zm_rng_below(&fresh, 2);
        s.frames += s.past == 1;
        check(joined, &s, "joined frames");
    }
    for (int i = 0; i < 6; i++) {
        sizes s = draw(i == 5);
        s.height /= 2, s.width /= 2;
        s.kf = i == 1 ? 3 : 1;
        check(doubled, &s, "doubled pixels");
    }
    for (int i = 0; i < 8 && zm_int8_isa_best() != &zm_int8_plain; i++) {
        sizes s = draw(0);
        s.c = 64 + zm_rng_below(&fresh, 40), s.o = 64 + zm_rng_below(&fresh, 40);
        if (i % 2)
            s.height /= 2, s.width /= 2, s.kf = i == 3 ? 3 : 1;
        else
            s.kf = 3, s.past = 1 + zm_rng_below(&fresh, 2), s.frames += s.past == 1;
        check_bytes(i % 2 ? doubled : joined, s, i % 2 ? "doubled pixels" : "joined frames");
    }
    stale_state();
    return tap_done();
}
