/* Stored weights to f32 for one instruction set (layouts of blocks: base/quant.h).
 *
 * Why the bits are those of the plain loops, although products and sums may be fused here: a step d * scale has at most
 * 11 + 8 bits and a code 6, so that no product is rounded and only the last subtraction is, in both.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "backend/cpu/simd.h"
#include "backend/cpu/widen.h"
#include "base/error.h"

#define INLINE static inline __attribute__((always_inline, unused))
#define EACH(count, expr)                                                                                              \
    do {                                                                                                               \
        _Pragma("omp simd") for (int i = 0; i < (count); i++) y[i] = (expr);                                           \
    } while (0)

INLINE float float_of_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* f16: the exponent is set right by a product, which turns subnormal numbers into normal ones as well. */
INLINE float half(uint32_t h)
{
    float v = float_of_bits((h & 0x7fff) << 13) * 0x1p112F;
    uint32_t bits;
    memcpy(&bits, &v, 4);
    bits |= (h & 0x7c00) == 0x7c00 ? 0x7f800000 | (h & 0x3ff) << 13 : 0;
    return float_of_bits(bits | (h & 0x8000) << 16);
}

INLINE float eighth_e4m3(uint32_t b)
{
    float v = float_of_bits((b & 0x7f) << 20) * 0x1p120F;
    uint32_t bits;
    memcpy(&bits, &v, 4);
    bits = (b & 0x7f) == 0x7f ? 0x7fc00000 : bits;
    return float_of_bits(bits | (b & 0x80) << 24);
}

INLINE float f16_at(const unsigned char *p)
{
    return half(zm_load_u16le(p));
}

static void floats(float *y, const unsigned char *in, zm_dtype t, int n)
{
    uint16_t h[256];
    if (t == ZM_F16 || t == ZM_BF16)
        memcpy(h, in, 2 * (size_t)n);
    switch (t) {
    case ZM_F16:
        EACH(n, half(h[i]));
        break;
    case ZM_BF16:
        EACH(n, float_of_bits((uint32_t)h[i] << 16));
        break;
    case ZM_F8_E4M3:
        EACH(n, eighth_e4m3(in[i]));
        break;
    default:
        EACH(n, half((uint32_t)in[i] << 8));
        break;
    }
}

INLINE void q8_0(float *y, const unsigned char *b)
{
    float d = f16_at(b);
    EACH(32, d * (float)(int8_t)b[2 + i]);
}

/* Sixteen bytes as codes of four bits, lower halves first, plus a fifth bit each. */
INLINE void nibbles(float *y, const unsigned char *q, uint32_t fifth, int from, float d, float m)
{
    EACH(16, d * (float)((int)(q[i] & 15) + (int)((fifth >> i & 1) << 4) - from) + m);
    y += 16;
    fifth >>= 16;
    EACH(16, d * (float)((int)(q[i] >> 4) + (int)((fifth >> i & 1) << 4) - from) + m);
}

INLINE void q4_0(float *y, const unsigned char *b)
{
    nibbles(y, b + 2, 0, 8, f16_at(b), -0.0F); /* leaves a zero its sign */
}

INLINE void q4_1(float *y, const unsigned char *b)
{
    nibbles(y, b + 4, 0, 0, f16_at(b), f16_at(b + 2));
}

INLINE void q5_0(float *y, const unsigned char *b)
{
    nibbles(y, b + 6, zm_load_u32le(b + 2), 16, f16_at(b), -0.0F);
}

INLINE void q5_1(float *y, const unsigned char *b)
{
    nibbles(y, b + 8, zm_load_u32le(b + 4), 0, f16_at(b), f16_at(b + 2));
}

INLINE void q2_k(float *y, const unsigned char *b)
{
    float d = f16_at(b + 80), dmin = f16_at(b + 82);
    for (int s = 0; s < 16; s++, y += 16) {
        const unsigned char *q = b + 16 + s / 8 * 32 + s % 2 * 16;
        int shift = s / 2 % 4 * 2;
        float step = d * (float)(b[s] & 15), m = dmin * (float)(b[s] >> 4);
        EACH(16, step * (float)(q[i] >> shift & 3) - m);
    }
}

INLINE void q3_k(float *y, const unsigned char *b)
{
    float d = f16_at(b + 108);
    for (int s = 0; s < 16; s++, y += 16) {
        const unsigned char *q = b + 32 + s / 8 * 32 + s % 2 * 16, *high = b + s % 2 * 16;
        int shift = s / 2 % 4 * 2, bit = s / 2;
        int scale = (b[96 + s % 8] >> (s / 8 * 4) & 15) | (b[104 + s % 4] >> (s / 4 * 2) & 3) << 4;
        float step = d * (float)(scale - 32);
        EACH(16, step * (float)((q[i] >> shift & 3) + ((high[i] >> bit & 1) << 2) - 4));
    }
}

/* Scales and minima of q4_k and q5_k, as floats times d and dmin. */
INLINE void six_bits(float *step, float *m, const unsigned char *b)
{
    float d = f16_at(b), dmin = f16_at(b + 2);
    const unsigned char *p = b + 4;
    for (int s = 0; s < 4; s++) {
        step[s] = d * (float)(p[s] & 63);
        m[s] = dmin * (float)(p[s + 4] & 63);
        step[s + 4] = d * (float)((p[s + 8] & 15) | p[s] >> 6 << 4);
        m[s + 4] = dmin * (float)(p[s + 8] >> 4 | p[s + 4] >> 6 << 4);
    }
}

INLINE void q4_k(float *y, const unsigned char *b)
{
    float step[8], m[8];
    six_bits(step, m, b);
    for (int s = 0; s < 8; s += 2, y += 32) {
        const unsigned char *q = b + 16 + s * 16;
        EACH(32, step[s] * (float)(q[i] & 15) - m[s]);
        y += 32;
        EACH(32, step[s + 1] * (float)(q[i] >> 4) - m[s + 1]);
    }
}

INLINE void q5_k(float *y, const unsigned char *b)
{
    float step[8], m[8];
    six_bits(step, m, b);
    for (int s = 0; s < 8; s += 2, y += 32) {
        const unsigned char *q = b + 48 + s * 16, *high = b + 16;
        EACH(32, step[s] * (float)((q[i] & 15) | (high[i] >> s & 1) << 4) - m[s]);
        y += 32;
        EACH(32, step[s + 1] * (float)(q[i] >> 4 | (high[i] >> (s + 1) & 1) << 4) - m[s + 1]);
    }
}

INLINE void q6_k(float *y, const unsigned char *b)
{
    float d = f16_at(b + 208);
    for (int s = 0; s < 16; s++, y += 16) {
        int h = s / 8, j = s / 2 % 4, at = s % 2 * 16;
        const unsigned char *low = b + 64 * h + j % 2 * 32 + at, *high = b + 128 + 32 * h + at;
        int down = j / 2 * 4, shift = 2 * j;
        float step = d * (float)(int8_t)b[192 + s];
        EACH(16, step * (float)(((low[i] >> down & 15) | (high[i] >> shift & 3) << 4) - 32));
    }
}

#define BLOCKS(name, elems, bytes)                                                                                     \
    do {                                                                                                               \
        for (size_t at = 0; at < n; at += (elems), p += (bytes))                                                       \
            name(out + at, p);                                                                                         \
        return;                                                                                                        \
    } while (0)

void ZM_SIMD_NAME(zm_widen)(float *out, const void *in, zm_dtype t, size_t n)
{
    const unsigned char *p = in;
    switch (t) {
    case ZM_F32:
        memcpy(out, in, n * sizeof *out);
        return;
    case ZM_F16:
    case ZM_BF16:
    case ZM_F8_E4M3:
    case ZM_F8_E5M2:
        for (size_t at = 0, each = zm_dtype_block_bytes(t); at < n; at += 256)
            floats(out + at, p + at * each, t, n - at < 256 ? (int)(n - at) : 256);
        return;
    case ZM_Q8_0:
        BLOCKS(q8_0, 32, 34);
    case ZM_Q4_0:
        BLOCKS(q4_0, 32, 18);
    case ZM_Q4_1:
        BLOCKS(q4_1, 32, 20);
    case ZM_Q5_0:
        BLOCKS(q5_0, 32, 22);
    case ZM_Q5_1:
        BLOCKS(q5_1, 32, 24);
    case ZM_Q2_K:
        BLOCKS(q2_k, 256, 84);
    case ZM_Q3_K:
        BLOCKS(q3_k, 256, 110);
    case ZM_Q4_K:
        BLOCKS(q4_k, 256, 144);
    case ZM_Q5_K:
        BLOCKS(q5_k, 256, 176);
    case ZM_Q6_K:
        BLOCKS(q6_k, 256, 210);
    default:
        ZM_ASSERT(!"not a type of weights");
    }
}
