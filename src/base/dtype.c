/* Element types of tensors and weight files, and conversion between them.
 * SPDX-License-Identifier: MIT */
#include "base/dtype.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

static const struct {
    const char *name;
    size_t elems, bytes;
} dtypes[] = {
#define DTYPE_ROW(code, name, elems, bytes) [code] = {name, elems, bytes},
    ZM_DTYPE_TABLE(DTYPE_ROW)
#undef DTYPE_ROW
};

enum { Q8_ELEMS = 32, Q8_BYTES = 34 };

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

static void q8_0_to_f32(float *out, const unsigned char *in, size_t n)
{
    for (size_t b = 0; b < n / Q8_ELEMS; b++, in += Q8_BYTES) {
        float scale = zm_f16_to_f32(zm_load_u16le(in));
        for (int i = 0; i < Q8_ELEMS; i++)
            *out++ = scale * (float)(int8_t)in[2 + i];
    }
}

static void q8_0_from_f32(unsigned char *out, const float *in, size_t n)
{
    for (size_t b = 0; b < n / Q8_ELEMS; b++, in += Q8_ELEMS, out += Q8_BYTES) {
        float top = 0;
        for (int i = 0; i < Q8_ELEMS; i++)
            top = fmaxf(top, fabsf(in[i]));
        float scale = top / 127.0f, inverse = scale > 0 ? 1.0f / scale : 0.0f;
        uint16_t h = zm_f32_to_f16(scale);
        out[0] = (unsigned char)h;
        out[1] = (unsigned char)(h >> 8);
        for (int i = 0; i < Q8_ELEMS; i++)
            out[2 + i] = (unsigned char)(int8_t)lrintf(in[i] * inverse);
    }
}

void zm_dtype_to_f32(float *out, const void *in, zm_dtype t, size_t n)
{
    switch (t) {
    case ZM_F32:
        memcpy(out, in, n * 4);
        return;
    case ZM_F16:
        for (size_t i = 0; i < n; i++)
            out[i] = zm_f16_to_f32(zm_load_u16le((const char *)in + 2 * i));
        return;
    case ZM_BF16:
        for (size_t i = 0; i < n; i++)
            out[i] = zm_bf16_to_f32(zm_load_u16le((const char *)in + 2 * i));
        return;
    case ZM_Q8_0:
        q8_0_to_f32(out, in, n);
        return;
    case ZM_F64:
        for (size_t i = 0; i < n; i++) {
            double d;
            memcpy(&d, (const char *)in + 8 * i, 8);
            out[i] = (float)d;
        }
        return;
    default:
        ZM_ASSERT(!"integer dtype has no f32 conversion");
    }
}

void zm_dtype_from_f32(void *out, const float *in, zm_dtype t, size_t n)
{
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
    case ZM_Q8_0:
        q8_0_from_f32(out, in, n);
        return;
    default:
        ZM_ASSERT(!"no conversion from f32 to this dtype");
    }
}
