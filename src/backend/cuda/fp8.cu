/* Rows of numbers as e4m3 with a scale each, and what is left to do for a product of such rows.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/e4m3.h"
#include "backend/cuda/unary.h"
#include "backend/cuda/widen.h"

enum { QUANT_T = 256 };

/* Four numbers of a row, from element `at` of in[0] on. */
ZM_GPU_FN void four(const zm_gpu_node *n, int64_t at, float *v)
{
    if (n->i[2]) {
#ifdef __CUDACC__
        float4 x = *(const float4 *)(ZM_GPU_IN(n, 0) + at);
        v[0] = x.x, v[1] = x.y, v[2] = x.z, v[3] = x.w;
#else
        for (int k = 0; k < 4; k++)
            v[k] = ZM_GPU_IN(n, 0)[at + k];
#endif
    } else {
        for (int k = 0; k < 4; k++)
            v[k] = zm_gpu_weight(n->in[0].data, n->in[0].dtype, at + k);
    }
}

/* in[0] [R,K], weights of any type -> out: e4m3 [R,K], in[1]: f32 scales [R], which is written.  A row's scale is its
 * largest size / 448; a row without numbers above 1e-30 becomes zeros.  i[0]: K, a multiple of 4; i[1]: first row of out
 * and of the scales; i[2]: 1 when in[0] is f32 at 16 bytes.  count: R. */
ZM_GPU_BLOCK(zm_gpu_quantise_rows, QUANT_T)
{
    ZM_GPU_SHARED(float, part, QUANT_T);
    int64_t K = n->i[0], row = n->i[1] + block;
    ZM_GPU_THREADS(t, QUANT_T)
    {
        float most = 0, v[4];
        for (int64_t k = 4 * t; k < K; k += 4 * QUANT_T) {
            four(n, block * K + k, v);
            for (int i = 0; i < 4; i++)
                most = fmaxf(most, fabsf(v[i]));
        }
        part[t] = most;
    }
    ZM_GPU_SYNC();
    for (int half = QUANT_T / 2; half > 0; half /= 2) {
        ZM_GPU_THREADS(t, QUANT_T)
        if (t < half)
            part[t] = fmaxf(part[t], part[t + half]);
        ZM_GPU_SYNC();
    }
    float most = part[0], inverse = most > 1e-30F && most <= 3.4028234663852886e38F ? 448.0F / most : 0; /* infinities become NaN */
    ZM_GPU_SYNC();
    ZM_GPU_THREADS(t, QUANT_T)
    {
        float v[4];
        if (t == 0)
            ((float *)n->in[1].data)[row] = most / 448.0F;
        for (int64_t k = 4 * t; k < K; k += 4 * QUANT_T) {
            unsigned word = 0;
            four(n, block * K + k, v);
            for (int i = 0; i < 4; i++)
                word |= (unsigned)zm_gpu_to_e4m3(v[i] * inverse) << (8 * i);
            *(unsigned *)((unsigned char *)n->out.data + row * K + k) = word;
        }
    }
    ZM_GPU_SYNC();
}

/* out [R,N] = act(out a b + bias), in place: in[0] a [R], in[1] b [N] or nothing, in[2] bias [N] or nothing.
 * i[0]: N, i[1]: act.  count: elements. */
ZM_GPU_EACH(zm_gpu_scale_act)
{
    const float *a = ZM_GPU_IN(n, 0), *b = ZM_GPU_IN(n, 1), *bias = ZM_GPU_IN(n, 2);
    int64_t row = at / n->i[0], column = at % n->i[0];
    float v = ZM_GPU_OUT(n)[at] * a[row] * (b ? b[column] : 1) + (bias ? bias[column] : 0);
    ZM_GPU_OUT(n)[at] = zm_gpu_value((int)n->i[1], v);
}
