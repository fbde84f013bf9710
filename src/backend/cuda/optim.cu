/* Parameter updates on the device.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/kernel.h"

/* i[k] as the double whose bits it has. */
ZM_GPU_FN float real_of(const zm_gpu_node *n, int k)
{
    union {
        int64_t i;
        double f;
    } x;
    x.i = n->i[k];
    return (float)x.f;
}

/* One AdamW step, as zm_adamw_update.  in: gradient, m, v; out: p.  f[0] lr * decay, f[1] lr / (1 - beta1^step), f[2]
 * 1 / sqrt(1 - beta2^step), f[3] eps; i[0..2], bits of doubles: beta1, beta2, the gradient's factor.  count: elements. */
ZM_GPU_EACH(zm_gpu_adamw)
{
    float beta1 = real_of(n, 0), beta2 = real_of(n, 1), g = ZM_GPU_IN(n, 0)[at] * real_of(n, 2), p = ZM_GPU_OUT(n)[at];
    float *m = (float *)n->in[1].data + at, *v = (float *)n->in[2].data + at;
    p -= (float)n->f[0] * p;
    *m = beta1 * *m + (1 - beta1) * g;
    *v = beta2 * *v + (1 - beta2) * g * g;
    ZM_GPU_OUT(n)[at] = p - (float)n->f[1] * *m / (sqrtf(*v) * (float)n->f[2] + (float)n->f[3]);
}

/* Muon's momentum: in[1] m = f[1] m + f[0] g, out = f[0] g + f[1] m.  count: elements. */
ZM_GPU_EACH(zm_gpu_momentum)
{
    float g = (float)n->f[0] * ZM_GPU_IN(n, 0)[at], *m = (float *)n->in[1].data + at;
    *m = (float)n->f[1] * *m + g;
    ZM_GPU_OUT(n)[at] = g + (float)n->f[1] * *m;
}

/* out divided by its norm; in[0]: sums of squares, doubles, to be added up.  count: elements. */
ZM_GPU_EACH(zm_gpu_unit)
{
    double square = 0;
    for (int64_t k = 0; k < n->in[0].elems; k++)
        square += ((const double *)n->in[0].data)[k];
    ZM_GPU_OUT(n)[at] *= (float)(1 / (sqrt(square) + 1e-12));
}

/* out = f[0] in[0] + f[1] out.  count: elements. */
ZM_GPU_EACH(zm_gpu_axpby)
{
    ZM_GPU_OUT(n)[at] = (float)n->f[0] * ZM_GPU_IN(n, 0)[at] + (float)n->f[1] * ZM_GPU_OUT(n)[at];
}

enum { SQUARES_T = 256 };

/* Sums of squares of stretches of i[0] elements: in[0] -> out, double, one for each stretch.  count: stretches. */
ZM_GPU_BLOCK(zm_gpu_sum_squares, SQUARES_T)
{
    ZM_GPU_SHARED(double, part, SQUARES_T);
    int64_t from = block * n->i[0], end = from + n->i[0] < n->in[0].elems ? from + n->i[0] : n->in[0].elems;
    ZM_GPU_THREADS(t, SQUARES_T)
    {
        double sum = 0;
        for (int64_t k = from + t; k < end; k += SQUARES_T)
            sum += (double)ZM_GPU_IN(n, 0)[k] * (double)ZM_GPU_IN(n, 0)[k];
        part[t] = sum;
    }
    ZM_GPU_TREE(part, SQUARES_T);
    ZM_GPU_THREADS(t, SQUARES_T)
    if (t == 0)
        ((double *)n->out.data)[block] = part[0];
    ZM_GPU_SYNC();
}
