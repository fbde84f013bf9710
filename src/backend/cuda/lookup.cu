/* Rows of a table, softmax, cross entropy and rotary embedding, on the device.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/kernel.h"
#include "backend/cuda/widen.h"

/* in: table [V,D] of any weight type, ids.  count: elements of the result. */
ZM_GPU_EACH(zm_gpu_embedding)
{
    int64_t V = n->in[0].dim[0], D = n->in[0].dim[1], id = ((const int *)n->in[1].data)[at / D];
    ZM_GPU_OUT(n)[at] = id >= 0 && id < V ? zm_gpu_weight(n->in[0].data, n->in[0].dtype, id * D + at % D) : 0;
}

/* in: ids, gy; every element of the table's gradient looks for its rows.  count: elements of the result. */
ZM_GPU_EACH(zm_gpu_embedding_grad)
{
    int64_t D = n->out.dim[1], id = at / D, c = at % D;
    const int *ids = (const int *)n->in[0].data;
    float sum = 0;
    for (int64_t r = 0; r < n->in[0].elems; r++)
        if (ids[r] == id)
            sum += ZM_GPU_IN(n, 1)[r * D + c];
    ZM_GPU_OUT(n)[at] = sum;
}

enum { ROW_T = 256 };

/* Largest of x[0..D) for all threads, through part. */
ZM_GPU_FN float largest(const float *x, int64_t D, float *part)
{
    ZM_GPU_THREADS(t, ROW_T)
    {
        float top = -INFINITY;
        for (int64_t k = t; k < D; k += ROW_T)
            top = fmaxf(top, x[k]);
        part[t] = top;
    }
    ZM_GPU_SYNC();
    for (int half = ROW_T / 2; half > 0; half /= 2) {
        ZM_GPU_THREADS(t, ROW_T)
        if (t < half)
            part[t] = fmaxf(part[t], part[t + half]);
        ZM_GPU_SYNC();
    }
    float top = part[0];
    ZM_GPU_SYNC();
    return top;
}

/* Sum of exp(x - top) over D for all threads. */
ZM_GPU_FN float sum_exp(const float *x, int64_t D, float top, float *part)
{
    ZM_GPU_THREADS(t, ROW_T)
    {
        float sum = 0;
        for (int64_t k = t; k < D; k += ROW_T)
            sum += expf(x[k] - top);
        part[t] = sum;
    }
    ZM_GPU_TREE(part, ROW_T);
    float sum = part[0];
    ZM_GPU_SYNC();
    return sum;
}

/* count: rows of the last axis. */
ZM_GPU_BLOCK(zm_gpu_softmax, ROW_T)
{
    ZM_GPU_SHARED(float, part, ROW_T);
    int64_t D = n->out.dim[n->out.rank - 1];
    const float *x = ZM_GPU_IN(n, 0) + block * D;
    float *y = ZM_GPU_OUT(n) + block * D, top = largest(x, D, part), scale = 1 / sum_exp(x, D, top, part);
    ZM_GPU_THREADS(t, ROW_T)
    for (int64_t k = t; k < D; k += ROW_T)
        y[k] = expf(x[k] - top) * scale;
    ZM_GPU_SYNC();
}

/* in: y, gy.  count: rows. */
ZM_GPU_BLOCK(zm_gpu_softmax_grad, ROW_T)
{
    ZM_GPU_SHARED(float, part, ROW_T);
    int64_t D = n->out.dim[n->out.rank - 1];
    const float *y = ZM_GPU_IN(n, 0) + block * D, *gy = ZM_GPU_IN(n, 1) + block * D;
    float *dx = ZM_GPU_OUT(n) + block * D;
    ZM_GPU_THREADS(t, ROW_T)
    {
        float sum = 0;
        for (int64_t k = t; k < D; k += ROW_T)
            sum += y[k] * gy[k];
        part[t] = sum;
    }
    ZM_GPU_TREE(part, ROW_T);
    float dot = part[0];
    ZM_GPU_SYNC();
    ZM_GPU_THREADS(t, ROW_T)
    for (int64_t k = t; k < D; k += ROW_T)
        dx[k] = y[k] * (gy[k] - dot);
    ZM_GPU_SYNC();
}

/* in: logits [R,C], labels.  count: rows. */
ZM_GPU_BLOCK(zm_gpu_cross_entropy, ROW_T)
{
    ZM_GPU_SHARED(float, part, ROW_T);
    int64_t C = n->in[0].dim[1], label = ((const int *)n->in[1].data)[block];
    const float *x = ZM_GPU_IN(n, 0) + block * C;
    float top = largest(x, C, part), sum = sum_exp(x, C, top, part);
    ZM_GPU_THREADS(t, ROW_T)
    if (t == 0)
        ZM_GPU_OUT(n)[block] = label >= 0 && label < C ? logf(sum) + (top - x[label]) : 0;
    ZM_GPU_SYNC();
}

/* in: logits, labels, gy [R].  count: rows. */
ZM_GPU_BLOCK(zm_gpu_cross_entropy_grad, ROW_T)
{
    ZM_GPU_SHARED(float, part, ROW_T);
    int64_t C = n->in[0].dim[1], label = ((const int *)n->in[1].data)[block];
    const float *x = ZM_GPU_IN(n, 0) + block * C;
    float *dx = ZM_GPU_OUT(n) + block * C, gy = ZM_GPU_IN(n, 2)[block];
    float top = largest(x, C, part), scale = 1 / sum_exp(x, C, top, part);
    ZM_GPU_THREADS(t, ROW_T)
    for (int64_t k = t; k < C; k += ROW_T)
        dx[k] = label >= 0 && label < C ? gy * (expf(x[k] - top) * scale - (k == label ? 1 : 0)) : 0;
    ZM_GPU_SYNC();
}

/* in: x [B,N,H,d], cos, sin [N,d/2]; i[0] 1: backwards.  count: pairs. */
ZM_GPU_EACH(zm_gpu_rope)
{
    int64_t half = n->out.dim[3] / 2, i = at % half, token = at / half / n->out.dim[2] % n->out.dim[1];
    float c = ZM_GPU_IN(n, 1)[token * half + i], s = ZM_GPU_IN(n, 2)[token * half + i];
    float x0 = ZM_GPU_IN(n, 0)[2 * at], x1 = ZM_GPU_IN(n, 0)[2 * at + 1];
    s = n->i[0] ? -s : s;
    ZM_GPU_OUT(n)[2 * at] = x0 * c - x1 * s;
    ZM_GPU_OUT(n)[2 * at + 1] = x0 * s + x1 * c;
}
