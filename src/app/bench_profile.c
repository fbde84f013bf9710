/* Where the time of a graph goes: nodes gathered by op, kernel and result shape.
 * SPDX-License-Identifier: MIT */
#include "app/bench_profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/flops.h"
#include "tensor/op.h"

enum { RUNS = 3 };

typedef struct group {
    const zm_tensor *first;
    const char *kernel;
    int nodes;
    double seconds, flops;
} group;

static bool belongs(const group *p, const zm_tensor *t, const char *kernel)
{
    bool same = p->first->op == t->op && p->kernel == kernel && zm_shape_equal(p->first->shape, t->shape) &&
                p->first->n_in == t->n_in;
    for (int i = 0; same && i < t->n_in; i++) {
        const zm_tensor *a = p->first->in[i], *b = t->in[i];
        same = !a == !b && (!a || (a->dtype == b->dtype && zm_shape_equal(a->shape, b->shape)));
    }
    return same;
}

static int longest_first(const void *a, const void *b)
{
    double x = ((const group *)a)->seconds, y = ((const group *)b)->seconds;
    return (x < y) - (x > y);
}

static int gather(group *list, const zm_exec *x, const zm_graph *g, const double *seconds)
{
    int n = 0;
    for (int i = 0; i < zm_graph_size(g); i++) {
        const zm_tensor *t = zm_graph_at(g, i);
        if (t->leaf != ZM_COMPUTED || t->op->is_view)
            continue;
        const char *kernel = zm_exec_kernel(x, i);
        int k = 0;
        while (k < n && !belongs(&list[k], t, kernel))
            k++;
        if (k == n)
            list[n++] = (group){.first = t, .kernel = kernel};
        list[k].nodes++;
        list[k].seconds += seconds[i] / RUNS;
        list[k].flops += zm_node_flops(t);
    }
    qsort(list, (size_t)n, sizeof *list, longest_first);
    return n;
}

static void print_group(const group *p, double all)
{
    char shape[96];
    printf("%9.2f %6.1f %%", 1e3 * p->seconds, 100 * p->seconds / all);
    if (p->flops > 0)
        printf(" %8.1f", 1e-9 * p->flops / p->seconds);
    else
        printf(" %8s", "-");
    printf(" %5d  %-14s %s %s <-", p->nodes, p->kernel, p->first->op->name,
           zm_shape_text(p->first->shape, shape, sizeof shape));
    for (int i = 0; i < p->first->n_in; i++) {
        const zm_tensor *in = p->first->in[i];
        if (in)
            printf(" %s%s%s", zm_shape_text(in->shape, shape, sizeof shape), in->dtype == ZM_F32 ? "" : " ",
                   in->dtype == ZM_F32 ? "" : zm_dtype_name(in->dtype));
    }
    putchar('\n');
}

zm_status zm_bench_profile(zm_exec *x, const zm_graph *g, const char *title, zm_error *err)
{
    size_t size = (size_t)zm_graph_size(g) + 1;
    double *seconds = calloc(size, sizeof *seconds), all = 0;
    group *list = calloc(size, sizeof *list);
    zm_status s = seconds && list ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for a profile");
    if (!s) {
        zm_exec_profile(x, seconds);
        for (int i = 0; !s && i < RUNS; i++)
            s = zm_exec_run(x, err);
        zm_exec_profile(x, NULL);
    }
    if (!s) {
        int n = gather(list, x, g, seconds);
        for (int i = 0; i < n; i++)
            all += list[i].seconds;
        printf("%s: %.2f ms\n%9s %8s %8s %5s  %-14s op result <- inputs\n", title, 1e3 * all, "ms", "share", "GFLOPS",
               "nodes", "kernel");
        for (int i = 0; i < n && list[i].seconds >= 0.005 * all; i++)
            print_group(&list[i], all);
    }
    free(list);
    free(seconds);
    return s;
}
