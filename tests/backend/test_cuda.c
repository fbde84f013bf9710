/* The CUDA backend's host side on a device made of host memory: who copies what when, records, full cards, streams.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "backend/backend.h"
#include "backend/cuda/memory.h"
#include "backend/cuda/unary.h"
#include "backend/cuda/widen.h"
#include "base/rng.h"
#include "gpu_host.h"
#include "ops/ops.h"
#include "tap.h"

typedef struct net {
    zm_graph *g;
    zm_exec *x;
    zm_tensor *in, *w, *y;
} net;

/* y = silu(in w^T) */
static net build(float *weights, const zm_exec_options *opt)
{
    net n = {.g = zm_graph_new()};
    zm_error err = {0};
    n.in = zm_input(n.g, ZM_F32, ZM_SHAPE(5, 8), "in");
    n.w = zm_external(n.g, ZM_F32, ZM_SHAPE(6, 8), weights, "w");
    n.y = zm_output(n.g, zm_linear(n.g, n.in, n.w, NULL, ZM_SILU));
    tap_ok(!zm_graph_finish(n.g, &err) && !zm_exec_new(&n.x, n.g, opt, &err), "a graph is made: %s", err.text);
    return n;
}

static void drop(net *n)
{
    zm_exec_free(n->x);
    zm_graph_free(n->g);
}

static void expect(net *n, const float *x, const float *w, const char *name)
{
    float want[30], got[30];
    zm_error err = {0};
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 6; j++) {
            double sum = 0;
            for (int k = 0; k < 8; k++)
                sum += (double)x[i * 8 + k] * (double)w[j * 8 + k];
            want[i * 6 + j] = zm_unary_value(ZM_SILU, (float)sum);
        }
    tap_ok(!zm_exec_run(n->x, &err), "%s: runs %s", name, err.text);
    zm_exec_read(n->x, n->y, got);
    tap_close_f32(got, want, 30, 1e-5, name);
}

static void fill(float *v, int n, uint64_t seed)
{
    zm_rng r = zm_rng_init(seed, 1);
    zm_rng_normals(&r, v, (size_t)n);
}

static void weights_are_shared(void)
{
    float w[48], x[40];
    fill(w, 48, 1);
    fill(x, 40, 2);
    net a = build(w, NULL), b = build(w, &(zm_exec_options){.outputs_stay = true});
    zm_gpu_host_counts before = zm_gpu_host_count();
    zm_exec_write(a.x, a.in, x);
    zm_exec_write(b.x, b.in, x);
    expect(&a, x, w, "first graph");
    expect(&b, x, w, "second graph, outputs stay on the device");
    zm_gpu_host_counts after = zm_gpu_host_count();
    tap_ok(after.put_bytes - before.put_bytes == sizeof w + 2 * sizeof x, "weights went over once, %zu bytes in all",
           after.put_bytes - before.put_bytes);
    expect(&a, x, w, "second run, recorded");
    expect(&a, x, w, "third run, replayed");
    tap_ok(zm_gpu_host_count().replays == after.replays + 2, "two runs were replayed");
    tap_ok(zm_gpu_host_count().put_bytes == after.put_bytes, "nothing went over again");
    fill(w, 48, 3);
    zm_backend_changed(w);
    expect(&a, x, w, "weights that the host changed");
    expect(&b, x, w, "and the other graph sees them too");
    float other[48];
    fill(other, 48, 4);
    a.w->data = other;
    expect(&a, x, other, "weights elsewhere: the record is made anew");
    memcpy(a.in->data, w, sizeof x); /* written by zm_exec_write before: that is the way from then on */
    expect(&a, x, other, "the memory of an input that zm_exec_write manages is not looked at");
    drop(&a);
    drop(&b);
    tap_ok(!zm_gpu_copy_of(zm_cuda_device(), w) && !zm_gpu_copy_of(zm_cuda_device(), other),
           "no copy outlives its graphs");
}

static void inputs_through_data(void)
{
    float w[48];
    fill(w, 48, 5);
    net a = build(w, NULL);
    for (int run = 0; run < 3; run++) {
        fill(a.in->data, 40, 6 + (uint64_t)run);
        expect(&a, a.in->data, w, "an input written through ->data");
        tap_ok(a.y->data != NULL, "an output has memory of the host");
    }
    drop(&a);
}

static void full_card(void)
{
    float w[48];
    fill(w, 48, 5);
    zm_error err = {0};
    zm_graph *g = zm_graph_new();
    zm_exec *x = NULL;
    zm_tensor *in = zm_input(g, ZM_F32, ZM_SHAPE(5, 8), "in"), *leaf = zm_external(g, ZM_F32, ZM_SHAPE(6, 8), w, "w");
    zm_output(g, zm_matmul(g, in, leaf, false, true));
    tap_ok(!zm_graph_finish(g, &err), "a graph");
    for (size_t room = 1; room < 5; room++) {
        zm_gpu_host_memory(4096 * room);
        zm_error full = {0};
        zm_status s = zm_exec_new(&x, g, NULL, &full);
        s = s ? s : zm_exec_run(x, &full);
        tap_ok(s == (room < 3 ? ZM_E_NOMEM : ZM_OK), "a card of %zu pages: %s", room, s ? full.text : "enough");
        zm_exec_free(x);
        x = NULL;
    }
    zm_gpu_host_memory(0);
    zm_graph_free(g);
}

static void host_reference(const zm_tensor *t)
{
    for (int i = 0; i < 4; i++)
        ((float *)t->data)[i] = ((const float *)t->in[0]->data)[i] + ((const float *)t->in[1]->data)[i];
}

static zm_status host_shape(const zm_tensor *t, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)dtype;
    (void)err;
    *shape = t->in[0]->shape;
    return ZM_OK;
}

static void unknown_op(void)
{
    static const zm_op odd = {
        .name = "odd", .min_in = 2, .max_in = 2, .shape = host_shape, .reference = host_reference};
    zm_graph *g = zm_graph_new();
    zm_error err = {0};
    zm_exec *x = NULL;
    zm_tensor *a = zm_input(g, ZM_F32, ZM_SHAPE(4), "a"), *b = zm_affine(g, a, 2, 1);
    zm_tensor *y = zm_output(g, zm_affine(g, zm_node(g, &odd, NULL, 2, (zm_tensor *[]){a, b}), -1, 0));
    tap_ok(!zm_graph_finish(g, &err) && !zm_exec_new(&x, g, NULL, &err), "a graph with an op of its own");
    for (int run = 0; run < 3; run++) {
        float in[4] = {1, 2, 3, (float)run}, got[4], want[4];
        for (int i = 0; i < 4; i++)
            want[i] = -(3 * in[i] + 1);
        zm_exec_write(x, a, in);
        tap_ok(!zm_exec_run(x, &err), "runs %s", err.text);
        zm_exec_read(x, y, got);
        tap_close_f32(got, want, 4, 1e-6, "the host computes what the device has no kernel for");
    }
    zm_exec_free(x);
    zm_graph_free(g);
}

static void every_op_has_a_kernel(void)
{
    tap_ok((int)ZM_GPU_CLAMP1 == (int)ZM_CLAMP1 && (int)ZM_GPU_SOFTPLUS == (int)ZM_SOFTPLUS,
           "functions have one order");
    tap_ok((int)ZM_GPU_F8_E5M2 == (int)ZM_F8_E5M2 && (int)ZM_GPU_Q6_K == (int)ZM_Q6_K, "types have one order");
    for (const zm_op *const *op = zm_ops; *op; op++) {
        const zm_op_case *c = (*op)->cases;
        if ((*op)->is_view)
            continue;
        zm_graph *g = zm_graph_new();
        zm_error err = {0};
        zm_exec *x = NULL;
        zm_tensor *in[ZM_MAX_IN] = {0};
        for (int i = 0; i < c->n_in; i++)
            if (c->shape[i].rank >= 0)
                in[i] = zm_input(g, c->dtype[i], c->shape[i], "x");
        zm_tensor *y = zm_output(g, zm_node(g, *op, &c->attr, c->n_in, in));
        bool made = !zm_graph_finish(g, &err) && !zm_exec_new(&x, g, NULL, &err);
        tap_ok(made && strcmp(zm_exec_kernel(x, y->id), "reference") != 0, "%s has a kernel", (*op)->name);
        zm_exec_free(x);
        zm_graph_free(g);
    }
}

/* In bf16 every operand of a product is off by up to one part in 256, and their sum by less. */
static void rounded_operands(const zm_op *op, uint64_t seed)
{
    for (int k = 0; k < op->n_cases; k++) {
        const zm_op_case *c = &op->cases[k];
        zm_error err = {0};
        zm_exec *x[2] = {NULL, NULL};
        zm_graph *g[2];
        zm_tensor *y[2];
        bool made = true;
        for (int side = 0; side < 2; side++) {
            zm_tensor *in[ZM_MAX_IN] = {0};
            g[side] = zm_graph_new();
            for (int i = 0; i < c->n_in; i++)
                if (c->shape[i].rank >= 0)
                    in[i] = zm_input(g[side], c->dtype[i] == ZM_I32 ? ZM_I32 : ZM_F32, c->shape[i], "x");
            y[side] = zm_output(g[side], zm_node(g[side], op, &c->attr, c->n_in, in));
            made = made && !zm_graph_finish(g[side], &err) &&
                   !zm_exec_new(&x[side], g[side], &(zm_exec_options){.reference_only = side == 1}, &err);
            for (int i = 0; made && i < c->n_in; i++) {
                zm_rng r = zm_rng_init(seed + (uint64_t)k, (uint64_t)i);
                for (int64_t e = 0; in[i] && e < zm_shape_elems(in[i]->shape); e++)
                    if (in[i]->dtype == ZM_F32)
                        ((float *)in[i]->data)[e] = zm_rng_range(&r, -1, 1);
                    else
                        ((int32_t *)in[i]->data)[e] = (int32_t)zm_rng_below(&r, (uint32_t)c->below);
            }
            made = made && !zm_exec_run(x[side], &err);
        }
        int64_t n = zm_shape_elems(y[0]->shape);
        double square = 0;
        for (int64_t i = 0; made && i < n; i++)
            square += (double)((const float *)y[1]->data)[i] * (double)((const float *)y[1]->data)[i];
        char name[160];
        snprintf(name, sizeof name, "bf16 %s/%s", op->name, c->name);
        if (made)
            tap_close_f32(y[0]->data, y[1]->data, (size_t)n, 0.02 * fmax(sqrt(square / (double)n), 0.1) * 2.5, name);
        else
            tap_ok(0, "%s: %s", name, err.text);
        for (int side = 0; side < 2; side++) {
            zm_exec_free(x[side]);
            zm_graph_free(g[side]);
        }
    }
}

/* A card is asked for what it does not do. */
static void refuses_int8(void)
{
    zm_error err = {0};
    float w[48] = {0};
    zm_exec *x = NULL;
    zm_graph *g = zm_graph_new();
    zm_tensor *in = zm_input(g, ZM_F32, ZM_SHAPE(5, 8), "in");
    zm_output(g, zm_linear(g, in, zm_external(g, ZM_F32, ZM_SHAPE(6, 8), w, "w"), NULL, ZM_IDENTITY));
    zm_exec_options opt = {.precision = ZM_PRECISION_INT8};
    tap_ok(!zm_graph_finish(g, &err) && zm_exec_new(&x, g, &opt, &err) == ZM_E_UNSUPPORTED && !x,
           "int8 is refused, not ignored: %s", err.text);
    tap_ok(!zm_precision_runs(ZM_PRECISION_INT8) && zm_precision_runs(ZM_PRECISION_F32), "and said beforehand");
    zm_graph_free(g);
}

int main(void)
{
    zm_error err = {0};
    const zm_device_row *d = zm_device_find("cuda");
    tap_ok(d && d->device == ZM_DEVICE_CUDA && d->bf16 && !zm_device_find("gpu"), "devices have names");
    zm_gpu *real;
    if (zm_gpu_open(&real, &err))
        tap_ok(strlen(err.text) > 40 && strstr(err.text, "cpu"), "without a card one sentence says so: %s", err.text);
    zm_gpu_host_install(0);
    weights_are_shared();
    inputs_through_data();
    full_card();
    unknown_op();
    every_op_has_a_kernel();
    for (int pieces = 0; pieces < 2; pieces++) {
        zm_gpu_host_install(pieces);
        tap_ok(!zm_backend_use(ZM_DEVICE_CUDA, true, &err) && !strcmp(zm_backend_arithmetic(), "bf16"),
               "products of bf16");
        refuses_int8();
        rounded_operands(&zm_op_matmul, 11);
        rounded_operands(&zm_op_conv, 12);
        rounded_operands(&zm_op_conv_grad_x, 13);
        rounded_operands(&zm_op_conv_grad_w, 14);
        rounded_operands(&zm_op_attention, 15);
        rounded_operands(&zm_op_attention_grad, 16);
    }
    return tap_done();
}
