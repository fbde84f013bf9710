/* Small helpers of network tests: finish a graph, run it, read a tensor; random numbers for every parameter.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TESTS_MODEL_NET_H
#define ZM_TESTS_MODEL_NET_H

#include "tap.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "backend/backend.h"
#include "base/rng.h"
#include "model/params.h"

__attribute__((unused)) static zm_rng net_seed(void)
{
    zm_rng rng = zm_rng_init((uint64_t)time(NULL) * 1000003u ^ (uint64_t)getpid(), 7);
    printf("# seed %" PRIu64 "\n", rng.seed);
    return rng;
}

/* Zero draws (heads, biases) would hide mistakes: add noise to everything. */
__attribute__((unused)) static void net_randomise(zm_params *p, zm_rng *rng, float std)
{
    for (int i = 0; i < zm_params_count(p); i++) {
        zm_param *q = zm_params_at(p, i);
        for (int64_t k = 0; k < zm_shape_elems(q->shape); k++)
            ((float *)q->data)[k] += std * zm_rng_normal(rng);
    }
}

__attribute__((unused)) static zm_exec *net_finish(zm_graph *g)
{
    zm_error err = {0};
    zm_exec *x = NULL;
    zm_status s = zm_graph_finish(g, &err);
    if (!s)
        s = zm_exec_new(&x, g, NULL, &err);
    if (s)
        printf("# %s\n", err.text);
    return x;
}

__attribute__((unused)) static int net_run(zm_exec *x)
{
    zm_error err = {0};
    zm_status s = x ? zm_exec_run(x, &err) : ZM_E_USAGE;
    if (s)
        printf("# %s\n", err.text);
    return s == ZM_OK;
}

__attribute__((unused)) static float *net_read(zm_exec *x, const zm_tensor *t)
{
    float *v = malloc(zm_tensor_bytes(t));
    zm_exec_read(x, t, v);
    return v;
}

__attribute__((unused)) static float *net_normals(zm_rng *rng, size_t n)
{
    float *v = malloc(n * sizeof *v);
    zm_rng_normals(rng, v, n);
    return v;
}

__attribute__((unused)) static double net_norm(const float *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * (double)v[i];
    return sqrt(sum);
}

#endif
