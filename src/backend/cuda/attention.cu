/* Attention on the device by products and rows of scores: the parts between the products.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/kernel.h"

/* [B,N,H,d] -> [B,H,N,d], f32 or (i[0] 1) bf16.  in[0] has those dims; count: elements. */
ZM_GPU_EACH(zm_gpu_heads_in)
{
    int64_t N = n->in[0].dim[1], H = n->in[0].dim[2], d = n->in[0].dim[3];
    int64_t c = at % d, token = at / d % N, h = at / d / N % H, b = at / d / N / H;
    float v = ZM_GPU_IN(n, 0)[((b * N + token) * H + h) * d + c];
    if (n->i[0])
        ((unsigned short *)n->out.data)[at] = zm_gpu_to_bf16(v);
    else
        ZM_GPU_OUT(n)[at] = v;
}

/* [B,H,N,d] -> [B,N,H,d]; out has the dims of the result.  count: elements. */
ZM_GPU_EACH(zm_gpu_heads_out)
{
    int64_t N = n->out.dim[1], H = n->out.dim[2], d = n->out.dim[3];
    int64_t c = at % d, h = at / d % H, token = at / d / H % N, b = at / d / H / N;
    ZM_GPU_OUT(n)[at] = ZM_GPU_IN(n, 0)[((b * H + h) * N + token) * d + c];
}

enum { SCORES_T = 256 };

ZM_GPU_FN void put(void *to, int64_t at, float v, int narrow)
{
    if (narrow)
        ((unsigned short *)to)[at] = zm_gpu_to_bf16(v);
    else
        ((float *)to)[at] = v;
}

/* Rows of scores become probabilities.  in[0] scores [heads,rows,Nk] of heads i[0].. and queries i[1].., f32, scaled;
 * in[1] bias [H,Nq,Nk] or nothing, in[2] bias of keys [B,Nk] or nothing, in[3] lengths [B] or nothing.
 * out: f32 in place of the scores; in[4], where not absent: the same as bf16.  i[2] H, i[3] Nq, i[4] Nk, i[5] rows,
 * i[7..8] the keys that count, from .. to - 1: others are neither read nor written, i[9..12] a zm_block_causal.
 * count: heads * rows. */
ZM_GPU_BLOCK(zm_gpu_scores, SCORES_T)
{
    ZM_GPU_SHARED(float, part, SCORES_T);
    int64_t Nk = n->i[4], z = n->i[0] + block / n->i[5], h = z % n->i[2], b = z / n->i[2],
            q = n->i[1] + block % n->i[5];
    int64_t seen = n->in[3].data ? ((const int *)n->in[3].data)[b] : Nk;
    float *p = ZM_GPU_OUT(n) + block * Nk;
    const float *bias = n->in[1].data ? ZM_GPU_IN(n, 1) + (h * n->i[3] + q) * Nk : 0;
    const float *key = n->in[2].data ? ZM_GPU_IN(n, 2) + b * Nk : 0;
    int64_t from = n->i[7], to = n->i[8], of = n->i[9] ? q / n->i[9] + n->i[12] : 0;
    int64_t end = n->i[9] ? (of + 1) * n->i[9] : to, sink = n->i[11] * n->i[9];
    int64_t begin = n->i[9] && n->i[10] && of >= n->i[10] ? (of - n->i[10] + 1) * n->i[9] : 0;
    seen = seen > to ? to : seen;
    seen = seen > end ? end : seen;
    ZM_GPU_THREADS(t, SCORES_T)
    {
        float top = -INFINITY;
        for (int64_t k = from + t; k < seen; k += SCORES_T) {
            p[k] += (bias ? bias[k] : 0) + (key ? key[k] : 0);
            p[k] = k >= begin || k < sink ? p[k] : -INFINITY;
            top = fmaxf(top, p[k]);
        }
        part[t] = top;
    }
    ZM_GPU_SYNC();
    for (int half = SCORES_T / 2; half > 0; half /= 2) {
        ZM_GPU_THREADS(t, SCORES_T)
        if (t < half)
            part[t] = fmaxf(part[t], part[t + half]);
        ZM_GPU_SYNC();
    }
    float top = part[0];
    ZM_GPU_SYNC();
    ZM_GPU_THREADS(t, SCORES_T)
    {
        float sum = 0;
        for (int64_t k = from + t; k < seen; k += SCORES_T) {
            p[k] = top == -INFINITY ? 0 : expf(p[k] - top);
            sum += p[k];
        }
        part[t] = sum;
    }
    ZM_GPU_TREE(part, SCORES_T);
    float scale = part[0] > 0 ? 1 / part[0] : 0;
    ZM_GPU_SYNC();
    ZM_GPU_THREADS(t, SCORES_T)
    for (int64_t k = from + t; k < to; k += SCORES_T) {
        p[k] = k < seen ? p[k] * scale : 0;
        if (n->in[4].data)
            put(n->in[4].data, block * Nk + k, p[k], 1);
    }
    ZM_GPU_SYNC();
}

/* ds = p (dp - sum p dp) by rows.  in[0] p, in[1] dp, both [heads,rows,Nk] f32; out: ds in place of dp; in[2], where not
 * absent: the same as bf16; in[3] gradient of the bias [H,Nq,Nk] or nothing, added to.  i[] and count as scores. */
ZM_GPU_BLOCK(zm_gpu_scores_grad, SCORES_T)
{
    ZM_GPU_SHARED(float, part, SCORES_T);
    int64_t Nk = n->i[4], z = n->i[0] + block / n->i[5], h = z % n->i[2], q = n->i[1] + block % n->i[5];
    const float *p = ZM_GPU_IN(n, 0) + block * Nk;
    float *ds = ZM_GPU_OUT(n) + block * Nk, *bias = n->in[3].data ? (float *)n->in[3].data : 0;
    ZM_GPU_THREADS(t, SCORES_T)
    {
        float sum = 0;
        for (int64_t k = n->i[7] + t; k < n->i[8]; k += SCORES_T)
            sum += p[k] * ds[k];
        part[t] = sum;
    }
    ZM_GPU_TREE(part, SCORES_T);
    float dot = part[0];
    ZM_GPU_SYNC();
    ZM_GPU_THREADS(t, SCORES_T)
    for (int64_t k = n->i[7] + t; k < n->i[8]; k += SCORES_T) {
        ds[k] = p[k] * (ds[k] - dot);
        if (n->in[2].data)
            put(n->in[2].data, block * Nk + k, ds[k], 1);
        if (bias) /* other clips of the batch add to the same place */
            ZM_GPU_ADD(&bias[(h * n->i[3] + q) * Nk + k], ds[k]);
    }
    ZM_GPU_SYNC();
}

/* Sums of ds over heads and queries of a clip.  in[0] ds [heads,rows,Nk] of heads i[0]..; out [B,Nk], added to.  i[2] H,
 * i[4] Nk, i[5] rows, i[6] heads.  count: clips from i[0] / H on, times Nk. */
ZM_GPU_EACH(zm_gpu_key_bias_grad)
{
    int64_t Nk = n->i[4], b = n->i[0] / n->i[2] + at / Nk, k = at % Nk;
    float sum = 0;
    for (int64_t z = 0; z < n->i[6]; z++)
        for (int64_t r = 0; (n->i[0] + z) / n->i[2] == b && r < n->i[5]; r++)
            sum += ZM_GPU_IN(n, 0)[(z * n->i[5] + r) * Nk + k];
    ZM_GPU_OUT(n)[b * Nk + k] += sum;
}
