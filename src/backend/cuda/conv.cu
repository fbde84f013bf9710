/* Convolution on the device as products: windows gathered into rows, weights put in the rows' order.
 *
 * i[]: 0-2 stride, 3-5 padding before, 6-8 sizes of x (frames, height, width), 9-11 sizes of y, 12 C, 13 O; taps are the
 * last three dims of in[1] (gather, gather_back: a view without data), of in[0] (weights) or of out (weights_grad).
 * Rows are [taps,channels], the channel fastest.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/kernel.h"
#include "backend/cuda/widen.h"

ZM_GPU_FN void store(const zm_gpu_node *n, int64_t at, float v)
{
    if (n->out.dtype == ZM_GPU_BF16)
        ((unsigned short *)n->out.data)[at] = zm_gpu_to_bf16(v);
    else
        ZM_GPU_OUT(n)[at] = v;
}

enum { LINE_T = 256 };

/* What a stretch of places sees of x, as bf16, zeros outside: in[0] x -> out, lines [clips,PF,PH] of PW places.
 * i[]: 0 C, 1-3 sizes of x, 4 5 6 PF PH PW, 7 8 9 x's frame, line and place that the first ones are (may be outside),
 * 10 first clip, 11: 1 when C is a multiple of 4 and x lies at 16 bytes.  count: lines. */
ZM_GPU_BLOCK(zm_gpu_pad_lines, LINE_T)
{
    int64_t C = n->i[0], width = n->i[3] * C, wide = n->i[6] * C, shift = n->i[9] * C;
    int64_t h = block % n->i[5] + n->i[8], f = block / n->i[5] % n->i[4] + n->i[7];
    int64_t clip = block / n->i[5] / n->i[4] + n->i[10];
    int inside = h >= 0 && h < n->i[2] && f >= 0 && f < n->i[1];
    const float *x = ZM_GPU_IN(n, 0) + (inside ? ((clip * n->i[1] + f) * n->i[2] + h) * width : 0);
    unsigned short *y = (unsigned short *)n->out.data + block * wide;
    int step = n->i[11] ? 4 : 1;
    ZM_GPU_THREADS(t, LINE_T)
    for (int64_t e = step * t; e < wide; e += step * LINE_T) {
        int64_t from = e + shift;
        int seen = inside && from >= 0 && from < width;
#ifdef __CUDACC__
        if (step == 4) {
            float4 v = seen ? *(const float4 *)(x + from) : make_float4(0, 0, 0, 0);
            *(ushort4 *)(y + e) = make_ushort4(zm_gpu_to_bf16(v.x), zm_gpu_to_bf16(v.y), zm_gpu_to_bf16(v.z),
                                               zm_gpu_to_bf16(v.w));
            continue;
        }
#endif
        for (int k = 0; k < step; k++)
            y[e + k] = seen ? zm_gpu_to_bf16(x[from + k]) : 0;
    }
}

/* Windows of x that output places i[14].. see, zeros outside.  in[0] x; count: rows * taps * C. */
ZM_GPU_EACH(zm_gpu_gather)
{
    const int64_t *kernel = n->in[1].dim + 2, *in = n->i + 6, *out = n->i + 9;
    int64_t C = n->i[12], taps = kernel[0] * kernel[1] * kernel[2], c = at % C, tap = at / C % taps;
    int64_t place = n->i[14] + at / C / taps;
    int64_t w = place % out[2] * n->i[2] + tap % kernel[2] - n->i[5];
    int64_t h = place / out[2] % out[1] * n->i[1] + tap / kernel[2] % kernel[1] - n->i[4];
    int64_t f = place / out[2] / out[1] % out[0] * n->i[0] + tap / kernel[2] / kernel[1] - n->i[3];
    int64_t b = place / out[2] / out[1] / out[0];
    int inside = w >= 0 && w < in[2] && h >= 0 && h < in[1] && f >= 0 && f < in[0];
    store(n, at, inside ? ZM_GPU_IN(n, 0)[(((b * in[0] + f) * in[1] + h) * in[2] + w) * C + c] : 0);
}

/* The output place that sees `at` through tap k, or -1. */
ZM_GPU_FN int64_t seen_from(int64_t at, int64_t k, int64_t stride, int64_t before, int64_t size)
{
    int64_t place = at + before - k;
    if (place < 0 || place % stride)
        return -1;
    return place / stride < size ? place / stride : -1;
}

/* What saw input places i[14]..: gradients of y through every tap, zeros where none.  in[0] gy; count: rows * taps * O. */
ZM_GPU_EACH(zm_gpu_gather_back)
{
    const int64_t *kernel = n->in[1].dim + 2, *in = n->i + 6, *out = n->i + 9;
    int64_t O = n->i[13], taps = kernel[0] * kernel[1] * kernel[2], o = at % O, tap = at / O % taps;
    int64_t place = n->i[14] + at / O / taps;
    int64_t w = seen_from(place % in[2], tap % kernel[2], n->i[2], n->i[5], out[2]);
    int64_t h = seen_from(place / in[2] % in[1], tap / kernel[2] % kernel[1], n->i[1], n->i[4], out[1]);
    int64_t f = seen_from(place / in[2] / in[1] % in[0], tap / kernel[2] / kernel[1], n->i[0], n->i[3], out[0]);
    int64_t b = place / in[2] / in[1] / in[0];
    int seen = w >= 0 && h >= 0 && f >= 0;
    store(n, at, seen ? ZM_GPU_IN(n, 0)[(((b * out[0] + f) * out[1] + h) * out[2] + w) * O + o] : 0);
}

/* in[0] w [O,C,taps] -> [O,taps,C].  count: elements. */
ZM_GPU_EACH(zm_gpu_conv_weights)
{
    int64_t C = n->in[0].dim[1], taps = n->in[0].dim[2] * n->in[0].dim[3] * n->in[0].dim[4];
    int64_t c = at % C, tap = at / C % taps, o = at / C / taps;
    store(n, at, zm_gpu_weight(n->in[0].data, n->in[0].dtype, (o * C + c) * taps + tap));
}

/* in[0] w [O,C,taps] -> [C,taps,O].  count: elements. */
ZM_GPU_EACH(zm_gpu_conv_weights_back)
{
    int64_t O = n->in[0].dim[0], C = n->in[0].dim[1], taps = n->in[0].dim[2] * n->in[0].dim[3] * n->in[0].dim[4];
    int64_t o = at % O, tap = at / O % taps, c = at / O / taps;
    store(n, at, zm_gpu_weight(n->in[0].data, n->in[0].dtype, (o * C + c) * taps + tap));
}

/* in[0] [O,taps,C] -> out [O,C,taps].  count: elements. */
ZM_GPU_EACH(zm_gpu_conv_weights_grad)
{
    int64_t C = n->out.dim[1], taps = n->out.dim[2] * n->out.dim[3] * n->out.dim[4];
    int64_t tap = at % taps, c = at / taps % C, o = at / taps / C;
    ZM_GPU_OUT(n)[at] = ZM_GPU_IN(n, 0)[(o * taps + tap) * C + c];
}
