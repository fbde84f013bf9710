/* Rows of a table, softmax and cross entropy: rows spread over threads.
 * SPDX-License-Identifier: MIT */
#include "ops/lookup.h"

#include <string.h>

#include "backend/cpu/simd.h"
#include "backend/cpu/simd_kernels.h"
#include "backend/cpu/widen.h"

static int64_t grain_of(int64_t D)
{
    return ZM_GRAIN / D > 1 ? ZM_GRAIN / D : 1;
}

static void run_rows(const zm_tensor *node, const zm_tensor *like, void (*range)(void *, int64_t, int64_t))
{
    int64_t D = zm_dim(like, -1);
    zm_parallel_ranges(zm_shape_elems(like->shape) / D, grain_of(D), range, (void *)node);
}

static void embedding_range(void *ctx, int64_t begin, int64_t end)
{
    const zm_tensor *t = ctx, *table = t->in[0];
    const int32_t *id = t->in[1]->data;
    int64_t V = zm_dim(table, 0), D = zm_dim(table, 1);
    size_t row = 0;
    ZM_ASSERT(zm_dtype_bytes(&row, table->dtype, (size_t)D));
    for (int64_t i = begin; i < end; i++) {
        float *y = (float *)t->data + i * D;
        if (id[i] >= 0 && id[i] < V)
            zm_widen()(y, (const char *)table->data + (size_t)id[i] * row, table->dtype, (size_t)D);
        else
            memset(y, 0, (size_t)D * sizeof *y);
    }
}

static void run_embedding(const zm_tensor *node, void *state, void *scratch)
{
    (void)state, (void)scratch;
    run_rows(node, node, embedding_range);
}

/* Each range owns rows of the table and reads all ids, so that a row is added up in one order. */
static void embedding_grad_range(void *ctx, int64_t begin, int64_t end)
{
    const zm_tensor *t = ctx;
    const int32_t *id = t->in[0]->data;
    const float *gy = t->in[1]->data;
    float *y = t->data;
    int64_t D = zm_dim(t, 1), n = zm_shape_elems(t->in[0]->shape);
    memset(y + begin * D, 0, (size_t)((end - begin) * D) * sizeof *y);
    for (int64_t i = 0; i < n; i++)
        if (id[i] >= begin && id[i] < end)
            zm_elementwise()->binary(ZM_ADD, y + id[i] * D, y + id[i] * D, 1, gy + i * D, 1, D);
}

static void run_embedding_grad(const zm_tensor *node, void *state, void *scratch)
{
    (void)state, (void)scratch;
    int64_t V = zm_dim(node, 0), share = (V + 4 * zm_thread_count() - 1) / (4 * zm_thread_count());
    zm_parallel_ranges(V, share, embedding_grad_range, (void *)node);
}

static void softmax_range(void *ctx, int64_t begin, int64_t end)
{
    const zm_tensor *t = ctx;
    int64_t D = zm_dim(t, -1);
    zm_elementwise()->softmax((float *)t->data + begin * D, (const float *)t->in[0]->data + begin * D, end - begin, D);
}

static void run_softmax(const zm_tensor *node, void *state, void *scratch)
{
    (void)state, (void)scratch;
    run_rows(node, node, softmax_range);
}

static void softmax_grad_range(void *ctx, int64_t begin, int64_t end)
{
    const zm_tensor *t = ctx;
    int64_t D = zm_dim(t, -1), at = begin * D;
    zm_elementwise()->softmax_grad((float *)t->data + at, (const float *)t->in[0]->data + at,
                                   (const float *)t->in[1]->data + at, end - begin, D);
}

static void run_softmax_grad(const zm_tensor *node, void *state, void *scratch)
{
    (void)state, (void)scratch;
    run_rows(node, node, softmax_grad_range);
}

static void cross_entropy_range(void *ctx, int64_t begin, int64_t end)
{
    const zm_tensor *t = ctx;
    const float *x = t->in[0]->data;
    const int32_t *label = t->in[1]->data;
    int64_t C = zm_dim(t->in[0], 1);
    for (int64_t r = begin; r < end; r++)
        ((float *)t->data)[r] =
            label[r] >= 0 && label[r] < C ? zm_elementwise()->cross_entropy(x + r * C, label[r], C) : 0;
}

static void run_cross_entropy(const zm_tensor *node, void *state, void *scratch)
{
    (void)state, (void)scratch;
    run_rows(node, node->in[0], cross_entropy_range);
}

static void cross_entropy_grad_range(void *ctx, int64_t begin, int64_t end)
{
    const zm_tensor *t = ctx;
    const float *x = t->in[0]->data, *gy = t->in[2]->data;
    const int32_t *label = t->in[1]->data;
    int64_t C = zm_dim(t, 1);
    for (int64_t r = begin; r < end; r++) {
        float *dx = (float *)t->data + r * C;
        if (label[r] >= 0 && label[r] < C)
            zm_elementwise()->cross_entropy_grad(dx, x + r * C, label[r], gy[r], C);
        else
            memset(dx, 0, (size_t)C * sizeof *dx);
    }
}

static void run_cross_entropy_grad(const zm_tensor *node, void *state, void *scratch)
{
    (void)state, (void)scratch;
    run_rows(node, node, cross_entropy_grad_range);
}

#define ROWS(op_name)                                                                                                  \
    {                                                                                                                  \
        .op = &zm_op_##op_name, .name = "simd", .run = run_##op_name                                                   \
    }
const zm_kernel zm_cpu_embedding = ROWS(embedding);
const zm_kernel zm_cpu_embedding_grad = ROWS(embedding_grad);
const zm_kernel zm_cpu_softmax = ROWS(softmax);
const zm_kernel zm_cpu_softmax_grad = ROWS(softmax_grad);
const zm_kernel zm_cpu_cross_entropy = ROWS(cross_entropy);
const zm_kernel zm_cpu_cross_entropy_grad = ROWS(cross_entropy_grad);
