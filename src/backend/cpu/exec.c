/* Running a planned graph on the CPU: one kernel per node, chosen once.
 * SPDX-License-Identifier: MIT */
#include "backend/exec.h"

#include <stdlib.h>
#include <string.h>

#include "backend/cpu/kernel.h"
#include "backend/cpu/stream.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mapfile.h"
#include "tensor/plan.h"

typedef struct chosen {
    const zm_kernel *kernel; /* NULL: the op's reference */
    void *state;
} chosen;

typedef struct cpu_exec {
    zm_exec base;
    zm_graph *g;
    zm_plan plan;
    void *block, *scratch;
    size_t scratch_bytes, kept_bytes;
    chosen *node;
    bool *loaded;      /* by node: in[1] is read once, before the first run */
    bool *skipped;     /* by node: never computed, its reader takes its inputs */
    zm_stream *stream; /* NULL: every weight may stay */
    double *seconds;
} cpu_exec;

/* Whether `reader` may take the inputs of `made` in its place. */
static bool only_reader(const zm_graph *g, const zm_tensor *made, const zm_tensor *reader)
{
    for (int i = made->id; i < zm_graph_size(g); i++) {
        const zm_tensor *t = zm_graph_at(g, i);
        bool view = t->op && t->op->is_view;
        if (t->is_output && zm_tensor_base(t) == made)
            return false;
        for (int k = 0; !view && t != reader && k < t->n_in; k++)
            if (t->in[k] && zm_tensor_base(t->in[k]) == made)
                return false;
        for (int k = 0; t->op && t->op->overwrites && i < reader->id && k < made->n_in; k++)
            if (made->in[k] && zm_tensor_base(made->in[k]) == zm_tensor_base(t->in[1]))
                return false;
    }
    return true;
}

/* The first kernel of a table that takes a node, if any. */
static zm_status choose(cpu_exec *x, const zm_tensor *t, const zm_kernel *const *table, zm_error *err)
{
    for (const zm_kernel *const *row = table; *row; row++) {
        const zm_kernel *k = *row;
        if (k->op != t->op)
            continue;
        const char *why = k->decline ? k->decline(t) : NULL;
        if (why) {
            zm_log(ZM_LOG_DEBUG, "%s: kernel %s declines: %s", t->op->name, k->name, why);
            continue;
        }
        const zm_tensor *skips = k->skips ? k->skips(t) : NULL;
        if (skips && !only_reader(x->g, skips, t))
            continue;
        if (skips)
            x->skipped[skips->id] = true;
        size_t scratch = 0;
        zm_status s = k->prepare ? k->prepare(t, &x->node[t->id].state, &scratch, err) : ZM_OK;
        if (s)
            return s;
        x->node[t->id].kernel = k;
        x->loaded[t->id] = k->load != NULL;
        x->kept_bytes += k->keeps ? k->keeps(x->node[t->id].state) : 0;
        x->scratch_bytes = scratch > x->scratch_bytes ? scratch : x->scratch_bytes;
        return ZM_OK;
    }
    return ZM_OK;
}

static void cpu_free(zm_exec *base);
static size_t cpu_bytes(const zm_exec *base);

/* Everything but the memory. */
static zm_status prepare(cpu_exec **out, zm_graph *g, const zm_exec_options *opt, zm_error *err)
{
    *out = NULL;
    int n = zm_graph_size(g);
    if (opt && opt->precision == ZM_PRECISION_FP8)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s runs on a card only (--device cuda-fp8); the CPU's own is int8",
                       zm_precision_name(opt->precision));
    cpu_exec *x = calloc(1, sizeof *x);
    if (!x)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for running a graph");
    x->base.fns = &zm_cpu_exec;
    x->g = g;
    x->node = calloc((size_t)n + 1, sizeof *x->node);
    x->loaded = calloc((size_t)n + 1, sizeof *x->loaded);
    x->skipped = calloc((size_t)n + 1, sizeof *x->skipped);
    zm_status s =
        x->node && x->loaded && x->skipped ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for %d nodes", n);
    for (int i = 0; !s && i < n; i++) {
        const zm_tensor *t = zm_graph_at(g, i);
        if (t->leaf != ZM_COMPUTED || t->op->is_view || (opt && opt->reference_only))
            continue;
        if (opt && opt->precision == ZM_PRECISION_INT8)
            s = choose(x, t, zm_cpu_int8_kernels, err);
        if (opt && opt->precision == ZM_PRECISION_BF16)
            s = choose(x, t, zm_cpu_bf16_kernels, err);
        if (!s && !x->node[i].kernel)
            s = choose(x, t, zm_cpu_kernels, err);
    }
    if (!s)
        s = zm_plan_make(&x->plan, g, x->skipped, err);
    if (s)
        cpu_free(&x->base);
    else
        *out = x;
    return s;
}

static zm_status cpu_measure(zm_exec_size *out, zm_graph *g, const zm_exec_options *opt, zm_error *err)
{
    cpu_exec *x;
    *out = (zm_exec_size){0};
    zm_status s = prepare(&x, g, opt, err);
    if (s)
        return s;
    out->work = x->plan.bytes + x->scratch_bytes;
    out->kept = x->kept_bytes;
    zm_stream_measure(g, x->loaded, &out->mapped, &out->window);
    cpu_free(&x->base);
    return ZM_OK;
}

/* Weights that kernels keep in a form of their own; a file's pages go as soon as they are read. */
static zm_status load(cpu_exec *x, zm_error *err)
{
    zm_status s = ZM_OK;
    for (int i = 0; !s && i < zm_graph_size(x->g); i++) {
        if (!x->loaded[i])
            continue;
        const zm_tensor *t = zm_graph_at(x->g, i);
        zm_tensor *w = t->in[1];
        if (w->op && w->op->is_view) /* of the whole of a leaf, before the first run places it */
            w->data = zm_tensor_base(w)->data;
        if (!w->data)
            return zm_fail(err, ZM_E_MISSING, "%s: a weight without memory cannot become int8", w->name);
        s = x->node[i].kernel->load(t, x->node[i].state, err);
        if (!s && zm_map_holds(w->data, zm_tensor_bytes(w)))
            zm_map_drop(w->data, zm_tensor_bytes(w));
    }
    return s;
}

static zm_status cpu_new(zm_exec **out, zm_graph *g, const zm_exec_options *opt, zm_error *err)
{
    *out = NULL;
    cpu_exec *x;
    zm_status s = prepare(&x, g, opt, err);
    if (s)
        return s;
    if (opt)
        s = zm_stream_new(&x->stream, g, x->loaded, opt->resident_bytes, err);
    if (!s) {
        x->block = zm_aligned_alloc(x->plan.bytes);
        x->scratch = zm_aligned_alloc(x->scratch_bytes);
        if (!x->block || !x->scratch)
            s = zm_fail(err, ZM_E_NOMEM, "no memory for a plan of %zu bytes and %zu of scratch", x->plan.bytes,
                        x->scratch_bytes);
        else
            memset(x->block, 0, x->plan.bytes);
    }
    if (!s)
        s = load(x, err);
    if (s) {
        cpu_free(&x->base);
        return s;
    }
    zm_plan_bind(&x->plan, g, x->block);
    *out = &x->base;
    return ZM_OK;
}

static void cpu_free(zm_exec *base)
{
    cpu_exec *x = (cpu_exec *)base;
    for (int i = 0; x->node && i < zm_graph_size(x->g); i++)
        if (x->node[i].kernel && x->node[i].kernel->release)
            x->node[i].kernel->release(x->node[i].state);
    zm_stream_free(x->stream);
    zm_plan_release(&x->plan);
    free(x->node);
    free(x->loaded);
    free(x->skipped);
    free(x->block);
    free(x->scratch);
    free(x);
}

static zm_status cpu_run(zm_exec *base, zm_error *err)
{
    cpu_exec *x = (cpu_exec *)base;
    zm_stream_begin(x->stream);
    for (int i = 0, n = zm_graph_size(x->g); i < n; i++) {
        zm_tensor *t = zm_graph_at(x->g, i);
        if (t->leaf == ZM_EXTERNAL && !t->data)
            return zm_fail(err, ZM_E_MISSING, "%s: external tensor without memory", t->name);
        if (t->leaf != ZM_COMPUTED || x->skipped[i])
            continue;
        if (t->op->is_view) { /* its base may be external memory that moved since the last run */
            t->data = (char *)t->in[0]->data + t->attr.i[0] * (int64_t)zm_dtype_block_bytes(t->dtype);
            continue;
        }
        double start = x->seconds ? zm_now() : 0;
        const zm_kernel *k = x->node[i].kernel;
        zm_stream_before(x->stream, i);
        if (k)
            k->run(t, x->node[i].state, x->scratch);
        else
            t->op->reference(t);
        zm_stream_after(x->stream, i);
        if (x->seconds)
            x->seconds[i] += zm_now() - start;
    }
    return ZM_OK;
}

static void cpu_write(zm_exec *x, zm_tensor *t, const void *host)
{
    (void)x;
    memcpy(t->data, host, zm_tensor_bytes(t));
}

static void cpu_read(zm_exec *x, const zm_tensor *t, void *host)
{
    (void)x;
    memcpy(host, t->data, zm_tensor_bytes(t));
}

static size_t cpu_bytes(const zm_exec *base)
{
    const cpu_exec *x = (const cpu_exec *)base;
    return x->plan.bytes + x->scratch_bytes + x->kept_bytes;
}

static const char *cpu_kernel(const zm_exec *base, int id)
{
    const cpu_exec *x = (const cpu_exec *)base;
    return x->skipped[id] ? "skipped" : x->node[id].kernel ? x->node[id].kernel->name : "reference";
}

static void cpu_profile(zm_exec *base, double *seconds)
{
    ((cpu_exec *)base)->seconds = seconds;
}

const zm_exec_fns zm_cpu_exec = {
    .measure = cpu_measure,
    .create = cpu_new,
    .free = cpu_free,
    .run = cpu_run,
    .write = cpu_write,
    .read = cpu_read,
    .bytes = cpu_bytes,
    .kernel = cpu_kernel,
    .profile = cpu_profile,
};
