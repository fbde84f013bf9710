/* Normalisation over the last axis, modulation, the gated residual and their gradients, on the device.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/kernel.h"

enum { NORM_T = 256, NORM_LAYER = 0, NORM_L2 = 2 }; /* kinds as in ops/norm.h */

/* Statistics of a row of D: norm(x) = (x - mean) r; follows: r depends on x. */
typedef struct row_stats {
    float mean, r, follows;
} row_stats;

/* All threads of the block together; part: NORM_T floats of shared memory. */
ZM_GPU_FN row_stats stats_of(const zm_gpu_node *n, const float *x, int64_t D, float *part)
{
    row_stats s = {0, 0, 1};
    float eps = (float)n->f[0];
    if (n->i[0] == NORM_LAYER) {
        ZM_GPU_THREADS(t, NORM_T)
        {
            float sum = 0;
            for (int64_t k = t; k < D; k += NORM_T)
                sum += x[k];
            part[t] = sum;
        }
        ZM_GPU_TREE(part, NORM_T);
        s.mean = part[0] / (float)D;
        ZM_GPU_SYNC();
    }
    ZM_GPU_THREADS(t, NORM_T)
    {
        float sum = 0;
        for (int64_t k = t; k < D; k += NORM_T)
            sum += (x[k] - s.mean) * (x[k] - s.mean);
        part[t] = sum;
    }
    ZM_GPU_TREE(part, NORM_T);
    float square = part[0];
    ZM_GPU_SYNC();
    if (n->i[0] == NORM_L2) {
        s.follows = sqrtf(square) > eps ? 1 : 0;
        s.r = sqrtf((float)D) / (s.follows > 0 ? sqrtf(square) : eps);
    } else {
        s.r = 1 / sqrtf(square / (float)D + eps);
    }
    return s;
}

/* in: x, weight or nothing, bias or nothing.  count: rows. */
ZM_GPU_BLOCK(zm_gpu_norm, NORM_T)
{
    ZM_GPU_SHARED(float, part, NORM_T);
    int64_t D = n->out.dim[n->out.rank - 1];
    const float *x = ZM_GPU_IN(n, 0) + block * D, *w = ZM_GPU_IN(n, 1), *b = ZM_GPU_IN(n, 2);
    float *y = ZM_GPU_OUT(n) + block * D;
    row_stats s = stats_of(n, x, D, part);
    ZM_GPU_THREADS(t, NORM_T)
    for (int64_t k = t; k < D; k += NORM_T)
        y[k] = (x[k] - s.mean) * s.r * (w ? w[k] : 1) + (b ? b[k] : 0);
    ZM_GPU_SYNC();
}

/* in: x, scale, shift (a row for each group of rows).  count: rows. */
ZM_GPU_BLOCK(zm_gpu_norm_modulate, NORM_T)
{
    ZM_GPU_SHARED(float, part, NORM_T);
    int64_t D = n->out.dim[n->out.rank - 1], group = block / (n->count / (n->in[1].elems / D));
    const float *x = ZM_GPU_IN(n, 0) + block * D, *scale = ZM_GPU_IN(n, 1) + group * D,
                *shift = ZM_GPU_IN(n, 2) + group * D;
    float *y = ZM_GPU_OUT(n) + block * D;
    row_stats s = stats_of(n, x, D, part);
    ZM_GPU_THREADS(t, NORM_T)
    for (int64_t k = t; k < D; k += NORM_T)
        y[k] = (x[k] - s.mean) * s.r * (1 + scale[k]) + shift[k];
    ZM_GPU_SYNC();
}

/* dx of a row and what its weight receives.  in[0] x, in[1] a factor row (weight, or scale with one more: i[2] 1), in[2]
 * gy.  dx at out; gy norm(x) at scratch [R,D] when i[3].  count: rows; i[4]: rows that share a factor row. */
ZM_GPU_BLOCK(zm_gpu_norm_grad_rows, NORM_T)
{
    ZM_GPU_SHARED(float, part, NORM_T);
    int64_t D = n->in[0].dim[n->in[0].rank - 1];
    const float *x = ZM_GPU_IN(n, 0) + block * D, *gy = ZM_GPU_IN(n, 2) + block * D, *w = ZM_GPU_IN(n, 1);
    float *dx = ZM_GPU_OUT(n) + block * D, *share = n->i[3] ? (float *)n->scratch + block * D : 0;
    float more = (float)n->i[2], dot, mean = 0;
    w = w ? w + block / n->i[4] * D : 0;
    row_stats s = stats_of(n, x, D, part);
    ZM_GPU_THREADS(t, NORM_T)
    {
        float sum = 0;
        for (int64_t k = t; k < D; k += NORM_T)
            sum += gy[k] * (w ? more + w[k] : 1) * (x[k] - s.mean) * s.r;
        part[t] = sum;
    }
    ZM_GPU_TREE(part, NORM_T);
    dot = s.follows > 0 ? part[0] / (float)D : 0;
    ZM_GPU_SYNC();
    if (n->i[0] == NORM_LAYER) {
        ZM_GPU_THREADS(t, NORM_T)
        {
            float sum = 0;
            for (int64_t k = t; k < D; k += NORM_T)
                sum += gy[k] * (w ? more + w[k] : 1);
            part[t] = sum;
        }
        ZM_GPU_TREE(part, NORM_T);
        mean = part[0] / (float)D;
        ZM_GPU_SYNC();
    }
    ZM_GPU_THREADS(t, NORM_T)
    for (int64_t k = t; k < D; k += NORM_T) {
        float u = gy[k] * (w ? more + w[k] : 1), normal = (x[k] - s.mean) * s.r, g = gy[k];
        dx[k] = s.r * (u - mean - normal * dot);
        if (share)
            share[k] = g * normal;
    }
    ZM_GPU_SYNC();
}

/* out [..,D] = x + h gate; count: elements; i[0]: D, i[1]: elements of x that share a row of gate. */
ZM_GPU_EACH(zm_gpu_gate_add)
{
    int64_t D = n->i[0];
    ZM_GPU_OUT(n)
    [at] = ZM_GPU_IN(n, 0)[at] + ZM_GPU_IN(n, 1)[at] * ZM_GPU_IN(n, 2)[at / n->i[1] * D + at % D];
}

/* in: h, gate, gy; out: dh; scratch [R,D]: gy h.  As gate_add. */
ZM_GPU_EACH(zm_gpu_gate_grad)
{
    float g = ZM_GPU_IN(n, 2)[at];
    ((float *)n->scratch)[at] = g * ZM_GPU_IN(n, 0)[at];
    ZM_GPU_OUT(n)[at] = g * ZM_GPU_IN(n, 1)[at / n->i[1] * n->i[0] + at % n->i[0]];
}

enum { COLS = 32, LINES = 8 };

/* Sums over the rows of each group: in[0] [R,D] -> out [G,D].  i[0]: D, i[1]: rows of a group.
 * count: G * ceil(D / 32). */
ZM_GPU_BLOCK(zm_gpu_sum_groups, COLS *LINES)
{
    ZM_GPU_SHARED(float, part, COLS *LINES);
    int64_t D = n->i[0], wide = (D + COLS - 1) / COLS, group = block / wide, column = block % wide * COLS;
    const float *x = ZM_GPU_IN(n, 0) + group * n->i[1] * D;
    ZM_GPU_THREADS(t, COLS * LINES)
    {
        int64_t c = column + t % COLS;
        float sum = 0, lost = 0;
        for (int64_t r = t / COLS; c < D && r < n->i[1]; r += LINES) {
            float y = x[r * D + c] - lost, next = sum + y;
            lost = (next - sum) - y;
            sum = next;
        }
        part[t] = sum;
    }
    ZM_GPU_SYNC();
    ZM_GPU_THREADS(t, COLS * LINES)
    if (t < COLS && column + t < D) {
        float sum = 0;
        for (int k = 0; k < LINES; k++)
            sum += part[k * COLS + t];
        ZM_GPU_OUT(n)[group * D + column + t] = sum;
    }
    ZM_GPU_SYNC();
}
