/* Stored weights as floats, one at a time, for kernels; layouts: base/quant.h.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CUDA_WIDEN_H
#define ZM_BACKEND_CUDA_WIDEN_H

#include "backend/cuda/kernel.h"

/* In the order of ZM_DTYPE_TABLE (asserted in backend/cuda/kernels.c). */
enum {
    ZM_GPU_F32,
    ZM_GPU_F16,
    ZM_GPU_BF16,
    ZM_GPU_Q8_0,
    ZM_GPU_Q4_0,
    ZM_GPU_Q4_1,
    ZM_GPU_Q5_0,
    ZM_GPU_Q5_1,
    ZM_GPU_Q2_K,
    ZM_GPU_Q3_K,
    ZM_GPU_Q4_K,
    ZM_GPU_Q5_K,
    ZM_GPU_Q6_K,
    ZM_GPU_F8_E4M3,
    ZM_GPU_F8_E5M2
};

ZM_GPU_FN unsigned zm_gpu_u16(const unsigned char *p)
{
    return (unsigned)p[0] | (unsigned)p[1] << 8;
}

ZM_GPU_FN float zm_gpu_f16(unsigned h)
{
    union {
        unsigned u;
        float f;
    } x;
    unsigned sign = (h & 0x8000u) << 16, exponent = h >> 10 & 31, part = h & 1023;
    if (exponent == 0) {
        x.f = (float)part * 5.9604644775390625e-8F; /* 2^-24 */
        x.u |= sign;
    } else {
        x.u = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | part << 13;
    }
    return x.f;
}

ZM_GPU_FN float zm_gpu_e4m3(unsigned v)
{
    union {
        unsigned u;
        float f;
    } x;
    unsigned sign = (v & 0x80u) << 24, exponent = v >> 3 & 15, part = v & 7;
    if ((v & 0x7f) == 0x7f) {
        x.u = sign | 0x7fc00000u;
    } else if (exponent == 0) {
        x.f = (float)part * 0.001953125F; /* 2^-9 */
        x.u |= sign;
    } else {
        x.u = sign | (exponent + 120) << 23 | part << 20;
    }
    return x.f;
}

ZM_GPU_FN float zm_gpu_simple(const unsigned char *b, int dtype, int i)
{
    int half = i / 16, q;
    switch (dtype) {
    case ZM_GPU_Q8_0:
        return zm_gpu_f16(zm_gpu_u16(b)) * (float)(signed char)b[2 + i];
    case ZM_GPU_Q4_0:
        q = b[2 + i % 16] >> (4 * half) & 15;
        return zm_gpu_f16(zm_gpu_u16(b)) * (float)(q - 8);
    case ZM_GPU_Q4_1:
        q = b[4 + i % 16] >> (4 * half) & 15;
        return zm_gpu_f16(zm_gpu_u16(b)) * (float)q + zm_gpu_f16(zm_gpu_u16(b + 2));
    case ZM_GPU_Q5_0:
        q = (b[6 + i % 16] >> (4 * half) & 15) | (b[2 + i / 8] >> (i % 8) & 1) << 4;
        return zm_gpu_f16(zm_gpu_u16(b)) * (float)(q - 16);
    default: /* q5_1 */
        q = (b[8 + i % 16] >> (4 * half) & 15) | (b[4 + i / 8] >> (i % 8) & 1) << 4;
        return zm_gpu_f16(zm_gpu_u16(b)) * (float)q + zm_gpu_f16(zm_gpu_u16(b + 2));
    }
}

ZM_GPU_FN int zm_gpu_quarter(const unsigned char *low, int i)
{
    return low[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
}

ZM_GPU_FN int zm_gpu_half(const unsigned char *low, int i)
{
    return low[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15;
}

ZM_GPU_FN int zm_gpu_high(const unsigned char *high, int i)
{
    return high[i % 32] >> (i / 32) & 1;
}

/* Scale and minimum of sub-block s of q4_k and q5_k. */
ZM_GPU_FN float zm_gpu_six_bits(const unsigned char *b, int s, int q)
{
    const unsigned char *p = b + 4;
    int scale = s < 4 ? p[s] & 63 : (p[s + 4] & 15) | p[s - 4] >> 6 << 4;
    int low = s < 4 ? p[s + 4] & 63 : p[s + 4] >> 4 | p[s] >> 6 << 4;
    return zm_gpu_f16(zm_gpu_u16(b)) * (float)scale * (float)q - zm_gpu_f16(zm_gpu_u16(b + 2)) * (float)low;
}

ZM_GPU_FN float zm_gpu_super(const unsigned char *b, int dtype, int i)
{
    int s = i / 16, scale, q;
    switch (dtype) {
    case ZM_GPU_Q2_K:
        return zm_gpu_f16(zm_gpu_u16(b + 80)) * (float)(b[s] & 15) * (float)zm_gpu_quarter(b + 16, i) -
               zm_gpu_f16(zm_gpu_u16(b + 82)) * (float)(b[s] >> 4);
    case ZM_GPU_Q3_K:
        scale = (b[96 + s % 8] >> (s / 8 * 4) & 15) | (b[104 + s % 4] >> (s / 4 * 2) & 3) << 4;
        q = zm_gpu_quarter(b + 32, i) + (zm_gpu_high(b, i) ? 0 : -4);
        return zm_gpu_f16(zm_gpu_u16(b + 108)) * (float)(scale - 32) * (float)q;
    case ZM_GPU_Q4_K:
        return zm_gpu_six_bits(b, i / 32, zm_gpu_half(b + 16, i));
    case ZM_GPU_Q5_K:
        return zm_gpu_six_bits(b, i / 32, zm_gpu_half(b + 48, i) | zm_gpu_high(b + 16, i) << 4);
    default: /* q6_k */
        q = (b[64 * (i / 128) + i % 64] >> (i / 64 % 2 * 4) & 15) |
            (b[128 + 32 * (i / 128) + i % 32] >> (2 * (i / 32 % 4)) & 3) << 4;
        return zm_gpu_f16(zm_gpu_u16(b + 208)) * (float)(signed char)b[192 + s] * (float)(q - 32);
    }
}

/* Element `at` of weights of a type. */
ZM_GPU_FN float zm_gpu_weight(const void *data, int dtype, int64_t at)
{
    const unsigned char *p = (const unsigned char *)data;
    switch (dtype) {
    case ZM_GPU_F32:
        return ((const float *)data)[at];
    case ZM_GPU_F16:
        return zm_gpu_f16(((const unsigned short *)data)[at]);
    case ZM_GPU_BF16:
        return zm_gpu_bf16(((const unsigned short *)data)[at]);
    case ZM_GPU_Q8_0:
        return zm_gpu_simple(p + at / 32 * 34, dtype, (int)(at % 32));
    case ZM_GPU_Q4_0:
        return zm_gpu_simple(p + at / 32 * 18, dtype, (int)(at % 32));
    case ZM_GPU_Q4_1:
        return zm_gpu_simple(p + at / 32 * 20, dtype, (int)(at % 32));
    case ZM_GPU_Q5_0:
        return zm_gpu_simple(p + at / 32 * 22, dtype, (int)(at % 32));
    case ZM_GPU_Q5_1:
        return zm_gpu_simple(p + at / 32 * 24, dtype, (int)(at % 32));
    case ZM_GPU_Q2_K:
        return zm_gpu_super(p + at / 256 * 84, dtype, (int)(at % 256));
    case ZM_GPU_Q3_K:
        return zm_gpu_super(p + at / 256 * 110, dtype, (int)(at % 256));
    case ZM_GPU_Q4_K:
        return zm_gpu_super(p + at / 256 * 144, dtype, (int)(at % 256));
    case ZM_GPU_Q5_K:
        return zm_gpu_super(p + at / 256 * 176, dtype, (int)(at % 256));
    case ZM_GPU_Q6_K:
        return zm_gpu_super(p + at / 256 * 210, dtype, (int)(at % 256));
    case ZM_GPU_F8_E4M3:
        return zm_gpu_e4m3(p[at]);
    default: /* f8_e5m2: the upper byte of an f16 */
        return zm_gpu_f16((unsigned)p[at] << 8);
    }
}

#endif
