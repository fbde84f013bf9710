/* Matrix products through oneDNN's sgemm, with bias and activation passed over the result while it is warm.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/dnnl_kernels.h"

#include <oneapi/dnnl/dnnl.h>

#include "ops/matmul.h"

static zm_status prepare(const zm_tensor *node, void **state, size_t *scratch, zm_error *err)
{
    (void)state;
    (void)err;
    const zm_tensor *b = node->in[1];
    *scratch = b->dtype == ZM_F32 ? 0 : (size_t)zm_shape_elems(b->shape) * sizeof(float);
    return ZM_OK;
}

static void finish(float *y, int64_t rows, int64_t n, const float *bias, zm_unary_kind act)
{
    if (!bias && act == ZM_IDENTITY)
        return;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < n; j++) {
            float v = y[i * n + j] + (bias ? bias[j] : 0);
            y[i * n + j] = act == ZM_IDENTITY ? v : zm_unary_value(act, v);
        }
}

static void run(const zm_tensor *node, void *state, void *scratch)
{
    (void)state;
    const zm_tensor *a = node->in[0], *b = node->in[1];
    bool ta = node->attr.i[0] != 0, tb = node->attr.i[1] != 0;
    int64_t m = zm_dim(node, -2), n = zm_dim(node, -1), k = zm_dim(a, ta ? -2 : -1);
    int64_t rows = zm_shape_elems(node->shape) / n, batch = rows / m;
    if (b->shape.rank == 2)
        m = rows, batch = 1;
    const float *right = b->data;
    if (b->dtype != ZM_F32) {
        zm_dtype_to_f32(scratch, b->data, b->dtype, (size_t)zm_shape_elems(b->shape));
        right = scratch;
    }
    for (int64_t z = 0; z < batch; z++)
        dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, 1, (const float *)a->data + z * m * k, ta ? m : k,
                   right + z * n * k, tb ? k : n, 0, (float *)node->data + z * m * n, n);
    finish(node->data, rows, n, node->n_in > 2 && node->in[2] ? node->in[2]->data : NULL,
           (zm_unary_kind)node->attr.i[2]);
}

const zm_kernel zm_dnnl_gemm = {.op = &zm_op_matmul, .name = "dnnl_gemm", .prepare = prepare, .run = run};
