/* Matrix products through oneDNN's sgemm, with bias and activation passed over the result while it is warm.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/dnnl_kernels.h"

#include <oneapi/dnnl/dnnl.h>

#include "backend/cpu/gemm_isa.h"
#include "ops/matmul.h"

/* Where it is the faster of the two, by measurement: long sums, and operands that stream from memory. */
static const char *decline(const zm_tensor *node)
{
    const zm_tensor *a = node->in[0], *b = node->in[1];
    bool ta = node->attr.i[0] != 0;
    int64_t n = zm_dim(node, -1), k = zm_dim(a, ta ? -2 : -1), rows = zm_shape_elems(node->shape) / n;
    if (b->dtype != ZM_F32)
        return "weights are stored in another type than f32";
    if (b->shape.rank > 2 && rows / zm_dim(node, -2) > 1)
        return "a batch of products";
    if (rows < 256 || n < 128)
        return "too small to gain";
    return ta || k > 384 ? NULL : "short sums";
}

static void finish(float *y, int64_t rows, int64_t n, const float *bias, zm_unary_kind act)
{
    if (!bias && act == ZM_IDENTITY)
        return;
    const zm_gemm_isa *isa = zm_gemm_isa_best();
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < rows; i++)
        isa->finish(y + i * n, n, bias, (int)act);
}

static void run(const zm_tensor *node, void *state, void *scratch)
{
    (void)state;
    (void)scratch;
    const zm_tensor *a = node->in[0], *b = node->in[1];
    bool ta = node->attr.i[0] != 0, tb = node->attr.i[1] != 0;
    int64_t m = zm_dim(node, -2), n = zm_dim(node, -1), k = zm_dim(a, ta ? -2 : -1);
    int64_t rows = zm_shape_elems(node->shape) / n, batch = rows / m;
    if (b->shape.rank == 2)
        m = rows, batch = 1;
    for (int64_t z = 0; z < batch; z++)
        dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, 1, (const float *)a->data + z * m * k, ta ? m : k,
                   (const float *)b->data + z * n * k, tb ? k : n, 0, (float *)node->data + z * m * n, n);
    finish(node->data, rows, n, node->n_in > 2 && node->in[2] ? node->in[2]->data : NULL,
           (zm_unary_kind)node->attr.i[2]);
}

const zm_kernel zm_dnnl_gemm = {.op = &zm_op_matmul, .name = "dnnl_gemm", .decline = decline, .run = run};
