/* Element types of tensors and weight files, and conversion between them.
 * SPDX-License-Identifier: MIT */
#include "base/dtype.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/quant.h"

static const struct {
    const char *name;
    size_t elems, bytes;
} dtypes[] = {
#define DTYPE_ROW(code, name, elems, bytes) [code] = {name, elems, bytes},
    ZM_DTYPE_TABLE(DTYPE_ROW)
#undef DTYPE_ROW
};

const char *zm_dtype_name(zm_dtype t)
{
    return (unsigned)t < ZM_DTYPE_COUNT ? dtypes[t].name : "unknown";
}

bool zm_dtype_parse(zm_dtype *out, const char *name)
{
    for (int i = 0; i < ZM_DTYPE_COUNT; i++)
        if (!strcmp(dtypes[i].name, name)) {
            *out = (zm_dtype)i;
            return true;
        }
    return false;
}

size_t zm_dtype_block_elems(zm_dtype t)
{
    return dtypes[t].elems;
}

size_t zm_dtype_block_bytes(zm_dtype t)
{
    return dtypes[t].bytes;
}

bool zm_dtype_bytes(size_t *out, zm_dtype t, size_t n)
{
    return n % dtypes[t].elems == 0 && !__builtin_mul_overflow(n / dtypes[t].elems, dtypes[t].bytes, out);
}

static float float_of_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}

static uint32_t bits_of_float(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

float zm_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = h & 0x7fff;
    if (rest >= 0x7c00) /* infinity or NaN */
        return float_of_bits(sign | 0x7f800000u | (rest & 0x3ff) << 13);
    if (rest < 0x400) /* subnormal: exact in f32 */
        return sign ? -(float)rest * 0x1p-24f : (float)rest * 0x1p-24f;
    return float_of_bits(sign | ((rest << 13) + (112u << 23)));
}

uint16_t zm_f32_to_f16(float f)
{
    uint32_t u = bits_of_float(f), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    if (a > 0x7f800000)
        return (uint16_t)(sign | 0x7e00);
    if (a >= 0x477ff000) /* rounds to 65536 or more */
        return (uint16_t)(sign | 0x7c00);
    if (a < 0x38800000) { /* subnormal result: let the FPU round at the right place */
        float shifted = float_of_bits(a) + 0.5f;
        return (uint16_t)(sign | (bits_of_float(shifted) - 0x3f000000u));
    }
    a += 0xfff + (a >> 13 & 1);
    return (uint16_t)(sign | (a - (112u << 23)) >> 13);
}

float zm_bf16_to_f32(uint16_t h)
{
    return float_of_bits((uint32_t)h << 16);
}

uint16_t zm_f32_to_bf16(float f)
{
    uint32_t u = bits_of_float(f);
    if ((u & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

/* Sign, 4 bits of exponent (bias 7), 3 of mantissa; all ones is NaN, there is no infinity. */
float zm_f8_e4m3_to_f32(uint8_t v)
{
    uint32_t sign = (uint32_t)(v & 0x80) << 24, rest = v & 0x7f;
    if (rest == 0x7f)
        return float_of_bits(sign | 0x7fc00000u);
    if (rest < 8)
        return sign ? -(float)rest * 0x1p-9f : (float)rest * 0x1p-9f;
    return float_of_bits(sign | ((rest << 20) + (120u << 23)));
}

uint8_t zm_f32_to_f8_e4m3(float f)
{
    uint32_t u = bits_of_float(f), sign = u >> 24 & 0x80, a = u & 0x7fffffff;
    if (a > 0x7f800000)
        return (uint8_t)(sign | 0x7f);
    if (a >= 0x43e00000) /* 448 */
        return (uint8_t)(sign | 0x7e);
    if (a < 0x3c800000) { /* below 2^-6, the least normal number: steps of 2^-9 */
        float shifted = float_of_bits(a) + 0x1p14f;
        return (uint8_t)(sign | (bits_of_float(shifted) - 0x46800000u));
    }
    a += 0x7ffff + (a >> 20 & 1);
    return (uint8_t)(sign | (a - (120u << 23)) >> 20);
}

float zm_f8_e5m2_to_f32(uint8_t v)
{
    return zm_f16_to_f32((uint16_t)(v << 8));
}

uint8_t zm_f32_to_f8_e5m2(float f)
{
    uint32_t u = bits_of_float(f), sign = u >> 24 & 0x80, a = u & 0x7fffffff;
    if (a > 0x7f800000)
        return (uint8_t)(sign | 0x7e);
    if (a >= 0x47700000) /* 61440: rounds to 65536 or more */
        return (uint8_t)(sign | 0x7c);
    if (a < 0x38800000) { /* below 2^-14: steps of 2^-16 */
        float shifted = float_of_bits(a) + 0x1p7f;
        return (uint8_t)(sign | (bits_of_float(shifted) - 0x43000000u));
    }
    a += 0xfffff + (a >> 21 & 1);
    return (uint8_t)(sign | (a - (112u << 23)) >> 21);
}

bool zm_dtype_is_quantised(zm_dtype t)
{
    return zm_quant_find(t) != NULL;
}

bool zm_dtype_is_weight(zm_dtype t)
{
    return t == ZM_F32 || t == ZM_F16 || t == ZM_BF16 || t == ZM_F8_E4M3 || t == ZM_F8_E5M2 || zm_quant_find(t);
}

void zm_dtype_to_f32(float *out, const void *in, zm_dtype t, size_t n)
{
    const unsigned char *b = in;
    switch (t) {
    case ZM_F32:
        memcpy(out, in, n * 4);
        return;
    case ZM_F16:
        for (size_t i = 0; i < n; i++)
            out[i] = zm_f16_to_f32(zm_load_u16le(b + 2 * i));
        return;
    case ZM_BF16:
        for (size_t i = 0; i < n; i++)
            out[i] = zm_bf16_to_f32(zm_load_u16le(b + 2 * i));
        return;
    case ZM_F8_E4M3:
        for (size_t i = 0; i < n; i++)
            out[i] = zm_f8_e4m3_to_f32(b[i]);
        return;
    case ZM_F8_E5M2:
        for (size_t i = 0; i < n; i++)
            out[i] = zm_f8_e5m2_to_f32(b[i]);
        return;
    case ZM_F64:
        for (size_t i = 0; i < n; i++) {
            double d;
            memcpy(&d, b + 8 * i, 8);
            out[i] = (float)d;
        }
        return;
    default:
        break;
    }
    const zm_quant *q = zm_quant_find(t);
    ZM_ASSERT(q != NULL); /* integers have no f32 conversion */
    for (size_t i = 0; i < n; i += dtypes[t].elems, b += dtypes[t].bytes)
        q->widen(out + i, b);
}

void zm_dtype_from_f32(void *out, const float *in, zm_dtype t, size_t n)
{
    unsigned char *b = out;
    switch (t) {
    case ZM_F32:
        memcpy(out, in, n * 4);
        return;
    case ZM_F16:
        for (size_t i = 0; i < n; i++)
            ((uint16_t *)out)[i] = zm_f32_to_f16(in[i]);
        return;
    case ZM_BF16:
        for (size_t i = 0; i < n; i++)
            ((uint16_t *)out)[i] = zm_f32_to_bf16(in[i]);
        return;
    case ZM_F8_E4M3:
        for (size_t i = 0; i < n; i++)
            b[i] = zm_f32_to_f8_e4m3(in[i]);
        return;
    case ZM_F8_E5M2:
        for (size_t i = 0; i < n; i++)
            b[i] = zm_f32_to_f8_e5m2(in[i]);
        return;
    default:
        break;
    }
    const zm_quant *q = zm_quant_find(t);
    ZM_ASSERT(q != NULL);
    for (size_t i = 0; i < n; i += dtypes[t].elems, b += dtypes[t].bytes)
        q->narrow(b, in + i);
}
