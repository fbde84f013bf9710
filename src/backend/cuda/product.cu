/* Matrix products by plain tiles, and what stands around them: widening, casts, bias and activation.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/kernel.h"
#include "backend/cuda/unary.h"
#include "backend/cuda/widen.h"

/* in[0]: weights of any type -> out, f32 or (i[0] 1) bf16.  count: elements. */
ZM_GPU_EACH(zm_gpu_widen)
{
    float v = zm_gpu_weight(n->in[0].data, n->in[0].dtype, at);
    if (n->i[0])
        ((unsigned short *)n->out.data)[at] = zm_gpu_to_bf16(v);
    else
        ZM_GPU_OUT(n)[at] = v;
}

/* f32 -> bf16, four at a time: both addresses are aligned to 16 bytes.  i[0]: elements; count: a quarter of them,
 * rounded up. */
ZM_GPU_EACH(zm_gpu_cast)
{
    const float *x = ZM_GPU_IN(n, 0) + 4 * at;
    unsigned short *y = (unsigned short *)n->out.data + 4 * at;
    int64_t left = n->i[0] - 4 * at;
    if (left >= 4) {
#ifdef __CUDACC__
        float4 v = *(const float4 *)x;
        ushort4 r;
        r.x = zm_gpu_to_bf16(v.x);
        r.y = zm_gpu_to_bf16(v.y);
        r.z = zm_gpu_to_bf16(v.z);
        r.w = zm_gpu_to_bf16(v.w);
        *(ushort4 *)y = r;
#else
        for (int k = 0; k < 4; k++)
            y[k] = zm_gpu_to_bf16(x[k]);
#endif
    } else {
        for (int k = 0; k < left; k++)
            y[k] = zm_gpu_to_bf16(x[k]);
    }
}

/* out [rows,N] = act(out + bias), in place.  in[0]: bias or nothing; i[0]: N, i[1]: act.  count: elements. */
ZM_GPU_EACH(zm_gpu_bias_act)
{
    const float *bias = ZM_GPU_IN(n, 0);
    float v = ZM_GPU_OUT(n)[at] + (bias ? bias[at % n->i[0]] : 0);
    ZM_GPU_OUT(n)[at] = zm_gpu_value((int)n->i[1], v);
}

enum { TILE = 64, STEP = 16, PRODUCT_T = 256, EACH = 4 };

/* Element [row,column] of operand k of product `batch`, 0 outside; i[] as zm_gpu_tiles says. */
ZM_GPU_FN float operand(const zm_gpu_node *n, int k, int64_t batch, int64_t row, int64_t column, int turned)
{
    int64_t at = batch * n->i[8 + k] + (turned ? column * n->i[5 + k] + row : row * n->i[5 + k] + column);
    if (n->in[k].dtype == ZM_GPU_BF16)
        return zm_gpu_bf16(((const unsigned short *)n->in[k].data)[at]);
    return ((const float *)n->in[k].data)[at];
}

/* out = f[0] a b + f[1] out, where no library is: in[0] a, in[1] b, f32 or bf16; out f32.
 * i: 0 m, 1 n, 2 k, 3 a turned, 4 b turned, 5 6 7 row lengths of a, b, out, 8 9 10 steps from one product to the next.
 * count: products * tiles of 64x64. */
ZM_GPU_BLOCK(zm_gpu_tiles, PRODUCT_T)
{
    ZM_GPU_SHARED(float, left, TILE *STEP);
    ZM_GPU_SHARED(float, right, STEP *TILE);
    ZM_GPU_KEPT(float, sum, PRODUCT_T, EACH *EACH);
    int64_t M = n->i[0], N = n->i[1], K = n->i[2], wide = (N + TILE - 1) / TILE, high = (M + TILE - 1) / TILE;
    int64_t batch = block / (wide * high), row = block / wide % high * TILE, column = block % wide * TILE;
    ZM_GPU_THREADS(t, PRODUCT_T)
    for (int e = 0; e < EACH * EACH; e++)
        ZM_GPU_OF(sum, t)[e] = 0;
    for (int64_t k0 = 0; k0 < K; k0 += STEP) {
        ZM_GPU_THREADS(t, PRODUCT_T)
        for (int e = t; e < TILE * STEP; e += PRODUCT_T) {
            int64_t r = row + e / STEP, c = column + e % TILE, ka = k0 + e % STEP, kb = k0 + e / TILE;
            left[e % STEP * TILE + e / STEP] = r < M && ka < K ? operand(n, 0, batch, r, ka, (int)n->i[3]) : 0;
            right[e] = c < N && kb < K ? operand(n, 1, batch, kb, c, (int)n->i[4]) : 0;
        }
        ZM_GPU_SYNC();
        ZM_GPU_THREADS(t, PRODUCT_T)
        for (int k = 0; k < STEP; k++)
            for (int r = 0; r < EACH; r++)
                for (int c = 0; c < EACH; c++)
                    ZM_GPU_OF(sum, t)
        [r * EACH + c] += left[k * TILE + t / 16 * EACH + r] * right[k * TILE + t % 16 * EACH + c];
        ZM_GPU_SYNC();
    }
    ZM_GPU_THREADS(t, PRODUCT_T)
    for (int e = 0; e < EACH * EACH; e++) {
        int64_t r = row + t / 16 * EACH + e / EACH, c = column + t % 16 * EACH + e % EACH;
        float *to = ZM_GPU_OUT(n) + batch * n->i[10] + r * n->i[7] + c;
        if (r < M && c < N)
            *to = (float)n->f[0] * ZM_GPU_OF(sum, t)[e] + (n->f[1] != 0 ? (float)n->f[1] * *to : 0);
    }
    ZM_GPU_SYNC();
}
