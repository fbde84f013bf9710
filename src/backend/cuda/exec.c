/* Running a planned graph on a CUDA device: one block for the plan, copies of weights or a ring that they pass through
 * (ring.h), launches in order of the nodes.
 *
 *  - Inputs and outputs have memory of the host (tensor->data); external leaves keep their owner's.  Other tensors have
 *    no ->data.
 *  - Addresses of the device stand in x->at, by id; they change only when an external leaf's ->data does.
 *  - Launches are recorded in the second run and replayed from then on, until an address changes or times are taken.
 *    Where weights pass nothing is recorded.
 * SPDX-License-Identifier: MIT */
#include "backend/exec.h"

#include <stdlib.h>
#include <string.h>

#include "backend/cuda/address.h"
#include "backend/cuda/bring.h"
#include "backend/cuda/device.h"
#include "backend/cuda/fp8.h"
#include "base/clock.h"
#include "base/log.h"
#include "tensor/plan.h"

typedef zm_cuda_node node;
typedef zm_cuda_state cuda_exec;

/* Whether t has memory of the host that this exec owns. */
static bool is_kept(const cuda_exec *x, const zm_tensor *t)
{
    return t->leaf == ZM_INPUT || (t->is_output && t->leaf == ZM_COMPUTED && !x->outputs_stay);
}

static size_t round256(size_t n)
{
    return (n + 255) & ~(size_t)255;
}

static void cuda_free(zm_exec *base);

static bool needs_host(const zm_tensor *t, const zm_gpu_op *op)
{
    return t->leaf == ZM_COMPUTED && !t->op->is_view && !op;
}

/* In which forms this node's inputs are wanted. */
static void note_readers(cuda_exec *x, const zm_tensor *t)
{
    bool fp8 = zm_fp8_takes(&x->call, t) && zm_fp8_bytes(t->in[1]);
    for (int k = 0; k < t->n_in; k++)
        if (t->in[k] && fp8 && k == 1)
            x->node[t->in[k]->id].quantised = true;
        else if (t->in[k])
            x->node[t->in[k]->id].read = true;
}

static size_t kept_bytes(const cuda_exec *x)
{
    size_t kept = 0;
    for (int i = 0; i < zm_graph_size(x->g); i++)
        kept += x->node[i].quantised ? zm_fp8_bytes(zm_graph_at(x->g, i)) : 0;
    return kept;
}

/* Everything but memory of the device. */
static zm_status prepare(cuda_exec **out, zm_graph *g, const zm_exec_options *opt, zm_error *err)
{
    *out = NULL;
    zm_precision precision = opt ? opt->precision : ZM_PRECISION_F32;
    zm_status s = zm_precision_check(precision, err);
    if (s)
        return s;
    int n = zm_graph_size(g);
    cuda_exec *x = calloc(1, sizeof *x);
    if (!x)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for running a graph");
    x->base.fns = &zm_cuda_exec;
    x->g = g;
    x->gpu = zm_cuda_device();
    x->outputs_stay = opt && opt->outputs_stay;
    x->resident_bytes = opt ? opt->resident_bytes : 0;
    x->call = (zm_gpu_call){
        .gpu = x->gpu, .compute = zm_cuda_compute(), .fp8 = precision == ZM_PRECISION_FP8, .limit = zm_cuda_limit()};
    x->node = calloc((size_t)n + 1, sizeof *x->node);
    s = x->node ? zm_plan_make(&x->plan, g, NULL, err) : zm_fail(err, ZM_E_NOMEM, "out of memory for %d nodes", n);
    for (int i = 0; !s && i < n; i++) {
        const zm_tensor *t = zm_graph_at(g, i);
        if (is_kept(x, t))
            x->host_bytes += round256(zm_tensor_bytes(t));
        note_readers(x, t);
        if (t->leaf != ZM_COMPUTED || t->op->is_view)
            continue;
        x->node[i].op = zm_gpu_op_find(t->op);
        if (needs_host(t, x->node[i].op)) {
            zm_log(ZM_LOG_DEBUG, "%s: no kernel for the device, the host computes it", t->op->name);
            x->host_ops = true;
        } else if (x->node[i].op->scratch) {
            size_t scratch = x->node[i].op->scratch(&x->call, t);
            x->scratch_bytes = scratch > x->scratch_bytes ? scratch : x->scratch_bytes;
        }
    }
    if (s)
        cuda_free(&x->base);
    else
        *out = x;
    return s;
}

static zm_status cuda_measure(zm_exec_size *out, zm_graph *g, const zm_exec_options *opt, zm_error *err)
{
    cuda_exec *x;
    *out = (zm_exec_size){0};
    zm_status s = prepare(&x, g, opt, err);
    if (s)
        return s;
    out->work = x->plan.bytes + x->scratch_bytes;
    out->kept = kept_bytes(x);
    bool *absent = zm_cuda_codes_only(x);
    s = absent ? zm_gpu_ring_measure(&out->mapped, &out->window, g, absent, err)
               : zm_fail(err, ZM_E_NOMEM, "out of memory for %d nodes", zm_graph_size(g));
    free(absent);
    cuda_free(&x->base);
    return s;
}

/* Addresses of the device and memory of the host, for all that the plan holds. */
static void bind(cuda_exec *x)
{
    char *host = x->host;
    for (int i = 0; i < zm_graph_size(x->g); i++) {
        zm_tensor *t = zm_graph_at(x->g, i);
        node *n = &x->node[i];
        if (t->leaf != ZM_EXTERNAL && !(t->op && t->op->is_view)) {
            n->at = x->block + x->plan.offset[i];
            t->data = NULL;
        } else if (t->leaf != ZM_EXTERNAL) {
            t->data = NULL;
        }
        if (is_kept(x, t)) {
            t->data = n->host = host;
            host += round256(zm_tensor_bytes(t));
            n->dirty = t->leaf == ZM_INPUT;
        }
    }
}

static zm_status cuda_new(zm_exec **out, zm_graph *g, const zm_exec_options *opt, zm_error *err)
{
    *out = NULL;
    cuda_exec *x;
    if (!zm_cuda_device())
        return zm_fail(err, ZM_E_UNSUPPORTED, "no CUDA device was opened");
    zm_status s = prepare(&x, g, opt, err);
    if (s)
        return s;
    const zm_gpu_fns *f = x->gpu->fns;
    void *at[3] = {0};
    s = f->alloc(x->gpu, &at[0], x->plan.bytes + 256, err);
    if (!s)
        s = f->alloc(x->gpu, &at[1], x->scratch_bytes + 256, err);
    if (!s)
        s = f->host_alloc(x->gpu, &at[2], x->host_bytes + 256, err);
    x->block = at[0];
    x->scratch = at[1];
    x->host = at[2];
    if (s) {
        cuda_free(&x->base);
        return s;
    }
    memset(x->host, 0, x->host_bytes);
    bind(x);
    *out = &x->base;
    return ZM_OK;
}

static void cuda_free(zm_exec *base)
{
    cuda_exec *x = (cuda_exec *)base;
    zm_cuda_forget(x);
    zm_gpu_ring_free(x->ring);
    for (int i = 0; x->node && i < zm_graph_size(x->g); i++) {
        zm_gpu_let_go(x->gpu, x->node[i].copy);
        zm_gpu_let_go(x->gpu, x->node[i].codes);
    }
    if (x->block)
        x->gpu->fns->release(x->gpu, x->block);
    if (x->scratch)
        x->gpu->fns->release(x->gpu, x->scratch);
    if (x->host)
        x->gpu->fns->host_release(x->gpu, x->host);
    zm_plan_release(&x->plan);
    free(x->node);
    free(x);
}

static zm_gpu_view view_of(const cuda_exec *x, const zm_tensor *t)
{
    zm_gpu_view v = {
        .data = zm_cuda_place(x, t), .elems = zm_shape_elems(t->shape), .rank = t->shape.rank, .dtype = (int)t->dtype};
    for (int i = 0; i < t->shape.rank; i++)
        v.dim[i] = t->shape.dim[i];
    return v;
}

static void run_node(cuda_exec *x, const zm_tensor *t)
{
    zm_gpu_node n = {.out = view_of(x, t), .scratch = x->scratch};
    const zm_gpu_op *op = x->node[t->id].op;
    for (int k = 0; k < ZM_MAX_IN; k++) {
        n.in[k].rank = -1;
        if (k < t->n_in && t->in[k])
            n.in[k] = view_of(x, t->in[k]);
    }
    for (int k = 0; k < 16; k++)
        n.i[k] = t->attr.i[k];
    for (int k = 0; k < 4; k++)
        n.f[k] = t->attr.f[k];
    if (zm_fp8_takes(&x->call, t) && x->node[t->in[1]->id].codes)
        zm_fp8_weights(&n, x->node[t->in[1]->id].codes, t->in[1]);
    n.count = n.out.elems;
    if (op->scratch && op != &zm_gpu_op_matmul)
        x->call.cast = NULL; /* scratch is about to be overwritten */
    op->run(&x->call, t, &n);
    if (op->writes)
        x->node[t->in[op->writes - 1]->id].copy->device_newer = true;
}

/* An op without a kernel: its inputs come home, its reference runs there, its result goes back. */
static zm_status run_on_host(cuda_exec *x, const zm_tensor *t, zm_error *err)
{
    zm_tensor self = *t, in[ZM_MAX_IN];
    zm_status s = ZM_OK;
    for (int k = 0; !s && k < t->n_in; k++) {
        if (!t->in[k])
            continue;
        size_t bytes = zm_tensor_bytes(t->in[k]);
        in[k] = *t->in[k];
        self.in[k] = &in[k];
        in[k].data = zm_aligned_alloc(bytes);
        s = in[k].data ? x->gpu->fns->get(x->gpu, in[k].data, zm_cuda_place(x, t->in[k]), bytes, err)
                       : zm_fail(err, ZM_E_NOMEM, "out of memory for %s on the host", t->op->name);
        if (s)
            self.n_in = k + 1;
    }
    self.data = s ? NULL : zm_aligned_alloc(zm_tensor_bytes(t));
    if (!s && !self.data)
        s = zm_fail(err, ZM_E_NOMEM, "out of memory for %s on the host", t->op->name);
    if (!s) {
        t->op->reference(&self);
        s = x->gpu->fns->put(x->gpu, x->node[t->id].at, self.data, zm_tensor_bytes(t), err);
    }
    for (int k = 0; k < self.n_in; k++)
        if (t->in[k])
            free(in[k].data);
    free(self.data);
    return s;
}

static zm_status run_nodes(cuda_exec *x, zm_error *err)
{
    zm_status s = ZM_OK;
    x->call.status = ZM_OK;
    x->call.err = err;
    x->call.cast = NULL;
    x->call.scratch = x->scratch;
    for (int i = 0, n = zm_graph_size(x->g); !s && i < n; i++) {
        const zm_tensor *t = zm_graph_at(x->g, i);
        if (t->leaf != ZM_COMPUTED || t->op->is_view)
            continue;
        double start = x->seconds ? zm_now() : 0;
        s = zm_gpu_ring_before(x->ring, i, err);
        if (!s && x->node[i].op)
            run_node(x, t);
        else if (!s)
            s = run_on_host(x, t, err);
        s = s ? s : x->call.status;
        if (!s)
            s = zm_gpu_ring_after(x->ring, i, err);
        if (x->seconds && !s) {
            s = x->gpu->fns->wait(x->gpu, err);
            x->seconds[i] += zm_now() - start;
        }
    }
    return s;
}

static zm_status run_with_ring(cuda_exec *x, zm_error *err)
{
    zm_error second = {0};
    zm_status s = zm_gpu_ring_begin(x->ring, err);
    if (!s)
        s = run_nodes(x, err);
    zm_status end = zm_gpu_ring_end(x->ring, &second);
    if (s)
        return s;
    return end ? zm_fail(err, end, "%s", second.text) : ZM_OK;
}

/* The first run launches, so that everything is loaded; the second records; later ones replay. */
static zm_status launch(cuda_exec *x, zm_error *err)
{
    const zm_gpu_fns *f = x->gpu->fns;
    if (x->ring)
        return run_with_ring(x, err);
    if (x->seconds || x->host_ops || x->runs++ == 0)
        return run_nodes(x, err);
    if (!x->record) {
        zm_error why = {0};
        zm_status s = f->record_begin(x->gpu, &why);
        if (s)
            return run_nodes(x, err);
        s = run_nodes(x, err);
        zm_status end = f->record_end(x->gpu, &x->record, &why);
        if (s)
            return s;
        if (end) { /* something in it cannot be recorded: launch for good */
            zm_log(ZM_LOG_DEBUG, "launches are not recorded: %s", why.text);
            x->host_ops = true;
            x->record = NULL;
            return run_nodes(x, err);
        }
    }
    zm_status s = f->replay(x->gpu, x->record, err);
    for (int i = 0; !s && i < zm_graph_size(x->g); i++) { /* what run_node notes when it launches */
        const zm_gpu_op *op = x->node[i].op;
        if (op && op->writes)
            x->node[zm_graph_at(x->g, i)->in[op->writes - 1]->id].copy->device_newer = true;
    }
    return s;
}

static zm_status cuda_run(zm_exec *base, zm_error *err)
{
    cuda_exec *x = (cuda_exec *)base;
    zm_status s = zm_cuda_bring(x, err);
    if (!s)
        s = launch(x, err);
    for (int i = 0; !s && !x->outputs_stay && i < zm_graph_size(x->g); i++) {
        const zm_tensor *t = zm_graph_at(x->g, i);
        if (t->is_output && t->leaf == ZM_COMPUTED)
            s = x->gpu->fns->get(x->gpu, x->node[i].host, x->node[i].at, zm_tensor_bytes(t), err);
    }
    zm_error second = {0};
    zm_status end = !s || x->ring ? x->gpu->fns->wait(x->gpu, s ? &second : err) : ZM_OK;
    return s ? s : end;
}

static void cuda_write(zm_exec *base, zm_tensor *t, const void *host)
{
    cuda_exec *x = (cuda_exec *)base;
    node *n = &x->node[t->id];
    memcpy(t->data, host, zm_tensor_bytes(t));
    if (t->leaf == ZM_EXTERNAL)
        zm_cuda_changed(t->data);
    n->written = n->dirty = t->leaf == ZM_INPUT;
}

static void cuda_read(zm_exec *base, const zm_tensor *t, void *host)
{
    cuda_exec *x = (cuda_exec *)base;
    const node *n = &x->node[t->id];
    zm_error err = {0};
    zm_status s = ZM_OK;
    if (t->leaf == ZM_EXTERNAL && n->copy)
        s = zm_gpu_copy_out(x->gpu, n->copy, &err);
    else if (!n->host)
        s = x->gpu->fns->get(x->gpu, host, n->at, zm_tensor_bytes(t), &err);
    if (s)
        zm_log(ZM_LOG_WARN, "%s", err.text);
    if (t->leaf == ZM_EXTERNAL || n->host)
        memcpy(host, t->leaf == ZM_EXTERNAL ? t->data : n->host, zm_tensor_bytes(t));
}

static size_t cuda_bytes(const zm_exec *base)
{
    const cuda_exec *x = (const cuda_exec *)base;
    return x->plan.bytes + x->scratch_bytes + kept_bytes(x);
}

static const char *cuda_kernel(const zm_exec *base, int id)
{
    const cuda_exec *x = (const cuda_exec *)base;
    const zm_gpu_op *op = x->node[id].op;
    if (op == &zm_gpu_op_matmul && zm_fp8_takes(&x->call, zm_graph_at(x->g, id)))
        return "cuda_matmul_fp8";
    return op ? op->name : "reference";
}

void *zm_cuda_address(const zm_exec *base, const zm_tensor *t)
{
    return ((const cuda_exec *)base)->node[t->id].at;
}

static void cuda_profile(zm_exec *base, double *seconds)
{
    ((cuda_exec *)base)->seconds = seconds;
}

const zm_exec_fns zm_cuda_exec = {
    .measure = cuda_measure,
    .create = cuda_new,
    .free = cuda_free,
    .run = cuda_run,
    .write = cuda_write,
    .read = cuda_read,
    .bytes = cuda_bytes,
    .kernel = cuda_kernel,
    .profile = cuda_profile,
};
