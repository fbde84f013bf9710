/* Optimiser steps where the gradients are, on a device made of host memory, against the host's own steps.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <time.h>

#include "base/rng.h"
#include "gpu_host.h"
#include "ops/ops.h"
#include "tap.h"
#include "train/optimizer.h"

enum { PARAMS = 5, STEPS = 4 };

static zm_params *make_params(void)
{
    zm_params *p = zm_params_new();
    zm_error err = {0};
    zm_params_add(p, ZM_SHAPE(16, 48), ZM_INIT_FAN_IN, true, "wide.weight");
    zm_params_add(p, ZM_SHAPE(40, 12), ZM_INIT_FAN_IN, true, "tall.weight");
    zm_params_add(p, ZM_SHAPE(10, 12, 3), ZM_INIT_FAN_IN, true, "kernel.weight");
    zm_params_add(p, ZM_SHAPE(70000), ZM_INIT_NORMAL, false, "bias");
    zm_params_add(p, ZM_SHAPE(48, 16), ZM_INIT_NORMAL, true, "other.weight");
    for (int i = 0; i < PARAMS; i++)
        zm_params_at(p, i)->scale = 0.5F;
    tap_ok(!zm_params_fill(p, 7, &err), "parameters %s", err.text);
    return p;
}

/* The sum of p * r: r is p's gradient. */
typedef struct plane {
    zm_graph *g;
    zm_exec *x;
    zm_tensor *leaf[PARAMS], *r[PARAMS], *grad[PARAMS];
} plane;

static plane make_plane(zm_params *p)
{
    plane n = {.g = zm_graph_new()};
    zm_error err = {0};
    zm_tensor *loss = NULL;
    for (int i = 0; i < PARAMS; i++) {
        zm_param *q = zm_params_at(p, i);
        n.leaf[i] = zm_want_grad(zm_external(n.g, ZM_F32, q->shape, q->data, q->name));
        n.r[i] = zm_input(n.g, ZM_F32, q->shape, "r");
        zm_tensor *s = zm_sum(n.g, zm_mul(n.g, n.leaf[i], n.r[i]));
        loss = loss ? zm_add(n.g, loss, s) : s;
    }
    zm_tensor *one = zm_input(n.g, ZM_F32, ZM_SHAPE(1), "one");
    zm_output(n.g, loss);
    zm_gradient(n.g, &zm_default_grad_ops, loss, one, PARAMS, n.leaf, n.grad);
    for (int i = 0; i < PARAMS; i++)
        zm_output(n.g, n.grad[i]);
    tap_ok(!zm_graph_finish(n.g, &err) && !zm_exec_new(&n.x, n.g, &(zm_exec_options){.outputs_stay = true}, &err),
           "a graph of gradients %s", err.text);
    zm_exec_write(n.x, one, &(float){1});
    return n;
}

static void compare(zm_params *a, zm_params *b, const char *what)
{
    for (int i = 0; i < PARAMS; i++) {
        zm_backend_fetch(zm_params_at(b, i)->data);
        char name[96];
        snprintf(name, sizeof name, "%s: %s", what, zm_params_at(a, i)->name);
        tap_close_f32(zm_params_at(b, i)->data, zm_params_at(a, i)->data,
                      (size_t)zm_shape_elems(zm_params_at(a, i)->shape), 2e-5, name);
    }
}

static void steps(zm_opt_kind kind, uint64_t seed)
{
    zm_opt_options o = {.kind = kind,
                        .lr = 0.02,
                        .adam_lr = 0.01,
                        .beta1 = 0.9,
                        .beta2 = 0.99,
                        .eps = 1e-8,
                        .momentum = 0.95,
                        .weight_decay = 0.1,
                        .clip = 5,
                        .ema = 0.9};
    zm_params *here = make_params(), *there = make_params();
    zm_opt *a, *b;
    zm_error err = {0};
    plane n = make_plane(there);
    tap_ok(!zm_opt_new(&a, here, &o, &err) && !zm_opt_new(&b, there, &o, &err), "two optimisers %s", err.text);
    zm_rng rng = zm_rng_init(seed, 1);
    for (int step = 1; step <= STEPS; step++) {
        const float *grad[PARAMS];
        double norm[2] = {0};
        for (int i = 0; i < PARAMS; i++) {
            zm_rng_normals(&rng, n.r[i]->data, (size_t)zm_shape_elems(n.r[i]->shape));
            float *copy = malloc(zm_tensor_bytes(n.r[i])); /* the host's step scales gradients in place */
            memcpy(copy, n.r[i]->data, zm_tensor_bytes(n.r[i]));
            grad[i] = copy;
        }
        tap_ok(!zm_exec_run(n.x, &err) && !zm_opt_step_there(b, n.x, n.grad, step, 0.5 * step, &norm[1], &err) &&
                   !zm_opt_step(a, grad, step, 0.5 * step, &norm[0], &err),
               "step %d %s", step, err.text);
        tap_ok(fabs(norm[0] - norm[1]) < 1e-6 * norm[0], "norms %.9g and %.9g", norm[0], norm[1]);
        for (int i = 0; i < PARAMS; i++)
            free((void *)(uintptr_t)grad[i]);
    }
    compare(here, there, kind == ZM_OPT_MUON ? "muon" : "adamw");
    zm_opt_swap_average(a);
    zm_opt_swap_average(b);
    compare(here, there, "averages");
    for (int i = 0; i < zm_opt_state_count(a); i++) {
        float *x, *y;
        const zm_shape *s;
        char name[128];
        zm_opt_state_at(a, i, name, sizeof name, &x, &s);
        zm_opt_state_at(b, i, name, sizeof name, &y, &s);
        if (x)
            tap_close_f32(y, x, (size_t)zm_shape_elems(*s), 5e-5, name);
    }
    float *bad = n.r[1]->data;
    double norm;
    bad[3] = NAN;
    tap_ok(!zm_exec_run(n.x, &err) && zm_opt_step_there(b, n.x, n.grad, 9, 1, &norm, &err) == ZM_E_FORMAT,
           "a gradient that is not finite is told: %s", err.text);
    zm_opt_free(a);
    zm_opt_free(b);
    zm_exec_free(n.x);
    zm_graph_free(n.g);
    zm_params_free(here);
    zm_params_free(there);
}

int main(void)
{
    uint64_t seed = (uint64_t)time(NULL);
    printf("# seed %llu\n", (unsigned long long)seed);
    zm_gpu_host_install(0);
    steps(ZM_OPT_ADAMW, seed);
    steps(ZM_OPT_MUON, seed + 1);
    zm_gpu_host_install(1);
    steps(ZM_OPT_MUON, seed + 2);
    return tap_done();
}
