/* Attention: heads and blocks of queries spread over threads.
 * SPDX-License-Identifier: MIT */
#include "ops/attention.h"

#include <math.h>
#include <stdlib.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "backend/cpu/simd.h"
#include "backend/cpu/simd_kernels.h"

typedef struct attention_state {
    const zm_attention_fns *f;
    int threads;
    int64_t block, floats; /* queries of a piece of work; scratch of a thread */
} attention_state;

static const void *data_of(const zm_tensor *node, int i)
{
    return i < node->n_in && node->in[i] ? node->in[i]->data : NULL;
}

static int bias_rank(const zm_tensor *node)
{
    return node->n_in > 3 && node->in[3] ? node->in[3]->shape.rank : 0;
}

static zm_attention_job job_of(const zm_tensor *node)
{
    const zm_tensor *q = node->in[0], *k = node->in[1], *v = node->in[2];
    double scale = node->attr.f[0];
    return (zm_attention_job){
        .B = zm_dim(q, 0),
        .Nq = zm_dim(q, 1),
        .H = zm_dim(q, 2),
        .d = zm_dim(q, 3),
        .Nk = zm_dim(k, 1),
        .dv = zm_dim(v, 3),
        .scale = (float)(scale != 0 ? scale : 1 / sqrt((double)zm_dim(q, 3))),
        .q = q->data,
        .k = k->data,
        .v = v->data,
        .bias = bias_rank(node) == 3 ? data_of(node, 3) : NULL,
        .key_bias = bias_rank(node) == 2 ? data_of(node, 3) : NULL,
        .k_len = data_of(node, 4),
        .mask = zm_block_causal_of(node),
    };
}

static int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

/* The largest block of whole panels below `most` that cuts Nq into equal pieces. */
static int64_t even_block(int64_t Nq, int64_t most, int64_t lanes)
{
    most = most < 2 * lanes ? 2 * lanes : most / (2 * lanes) * (2 * lanes);
    int64_t pieces = (Nq + most - 1) / most, each = (Nq + pieces - 1) / pieces;
    return round_up(each, each > lanes ? 2 * lanes : lanes);
}

static zm_status keep(const attention_state *s, void **state, size_t *scratch, zm_error *err)
{
    size_t bytes;
    attention_state *kept = malloc(sizeof *kept);
    *state = kept;
    if (!kept)
        return zm_fail(err, ZM_E_NOMEM, "attention: out of memory");
    *kept = *s;
    if (!zm_size_mul(&bytes, (size_t)s->floats, sizeof(float)) || !zm_size_mul(scratch, bytes, (size_t)s->threads))
        return zm_fail(err, ZM_E_NOMEM, "attention: scratch of %lld floats for each of %d threads does not fit",
                       (long long)s->floats, s->threads);
    return ZM_OK;
}

static zm_status forward_on(const zm_attention_fns *f, const zm_tensor *node, void **state, size_t *scratch,
                            zm_error *err)
{
    zm_attention_job j = job_of(node);
    attention_state s = {.f = f, .threads = zm_thread_count()};
    int64_t heads = j.B * j.H, most = j.Nq * heads / (4 * s.threads);
    s.block = j.block = even_block(j.Nq, most < 32 ? 32 : most > 192 ? 192 : most, f->lanes);
    s.floats = round_up(f->forward_scratch(&j), 16);
    return keep(&s, state, scratch, err);
}

/* A bias is what a text encoder adds to scores that may be large: they stay f32. */
static const char *decline_bf16(const zm_tensor *node)
{
    enum { LEAST = 32 };
    if (!zm_attention_bf16_loops())
        return "no tiles of bf16 (AMX)";
    if (bias_rank(node))
        return "a bias";
    return zm_dim(node->in[0], 1) < LEAST || zm_dim(node->in[1], 1) < LEAST || zm_dim(node->in[0], 3) < LEAST
               ? "few tokens or narrow heads"
               : NULL;
}

static const char *decline_backward(const zm_tensor *node)
{
    return bias_rank(node) == 2 ? "a bias of keys, whose gradient is a sum over heads" : NULL;
}

static zm_status backward_on(const zm_attention_fns *f, const zm_tensor *node, void **state, size_t *scratch,
                             zm_error *err)
{
    zm_attention_job j = job_of(node);
    attention_state s = {.f = f, .threads = zm_thread_count()};
    int64_t most = 65536 / j.Nk; /* two blocks of scores in half a megabyte */
    s.block = j.block = even_block(j.Nq, most > 192 ? 192 : most, f->lanes);
    s.floats = round_up(f->backward_scratch(&j), 16);
    return keep(&s, state, scratch, err);
}

static zm_status prepare_forward(const zm_tensor *node, void **state, size_t *scratch, zm_error *err)
{
    return forward_on(zm_attention_loops(), node, state, scratch, err);
}

static zm_status prepare_backward(const zm_tensor *node, void **state, size_t *scratch, zm_error *err)
{
    return backward_on(zm_attention_loops(), node, state, scratch, err);
}

static zm_status prepare_forward_bf16(const zm_tensor *node, void **state, size_t *scratch, zm_error *err)
{
    return forward_on(zm_attention_bf16_loops(), node, state, scratch, err);
}

static zm_status prepare_backward_bf16(const zm_tensor *node, void **state, size_t *scratch, zm_error *err)
{
    return backward_on(zm_attention_bf16_loops(), node, state, scratch, err);
}

static int this_thread(void)
{
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

static void run_forward(const zm_tensor *node, void *state, void *scratch)
{
    const attention_state *s = state;
    const zm_attention_fns *f = s->f;
    zm_attention_job j = job_of(node);
    j.block = s->block;
    j.y = node->data;
    int64_t blocks = (j.Nq + j.block - 1) / j.block, pieces = j.B * j.H * blocks;
#pragma omp parallel for schedule(dynamic) num_threads(s->threads) if (pieces > 1)
    for (int64_t i = 0; i < pieces; i++)
        f->forward(&j, i / blocks / j.H, i / blocks % j.H, i % blocks * j.block,
                   (float *)scratch + this_thread() * s->floats);
}

/* With a bias the sum over the batch is one thread's work for each head, in order; otherwise heads are independent. */
static void run_backward(const zm_tensor *node, void *state, void *scratch)
{
    const attention_state *s = state;
    const zm_attention_fns *f = s->f;
    zm_attention_job j = job_of(node);
    j.block = s->block;
    j.gy = data_of(node, 5);
    j.dq = node->data;
    j.dk = j.dq + j.B * j.Nq * j.H * j.d;
    j.dv_out = j.dk + j.B * j.Nk * j.H * j.d;
    j.dbias = j.bias ? j.dv_out + j.B * j.Nk * j.H * j.dv : NULL;
    int64_t pieces = j.bias ? j.H : j.B * j.H, batch = j.bias ? j.B : 1;
#pragma omp parallel for schedule(dynamic) num_threads(s->threads) if (pieces > 1)
    for (int64_t i = 0; i < pieces; i++)
        for (int64_t b = 0; b < batch; b++)
            f->backward(&j, j.bias ? b : i / j.H, j.bias ? i : i % j.H, b > 0,
                        (float *)scratch + this_thread() * s->floats);
}

const zm_kernel zm_cpu_attention = {
    .op = &zm_op_attention, .name = "simd", .prepare = prepare_forward, .run = run_forward, .release = free};
const zm_kernel zm_cpu_attention_grad = {.op = &zm_op_attention_grad,
                                         .name = "simd",
                                         .decline = decline_backward,
                                         .prepare = prepare_backward,
                                         .run = run_backward,
                                         .release = free};
const zm_kernel zm_cpu_attention_bf16 = {.op = &zm_op_attention,
                                         .name = "simd_bf16",
                                         .decline = decline_bf16,
                                         .prepare = prepare_forward_bf16,
                                         .run = run_forward,
                                         .release = free};
const zm_kernel zm_cpu_attention_grad_bf16 = {.op = &zm_op_attention_grad,
                                              .name = "simd_bf16",
                                              .decline = decline_bf16,
                                              .prepare = prepare_backward_bf16,
                                              .run = run_backward,
                                              .release = free};
