/* Element types of tensors and weight files, and conversion between them.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BASE_DTYPE_H
#define ZM_BASE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One row per dtype: enum, name, elements per block, bytes per block.  Q8_0 (ggml): 32 weights as one f16
 * scale followed by 32 signed bytes; weight = scale * byte. */
#define ZM_DTYPE_TABLE(X)                                                                                              \
    X(ZM_F32, "f32", 1, 4)                                                                                             \
    X(ZM_F16, "f16", 1, 2)                                                                                             \
    X(ZM_BF16, "bf16", 1, 2)                                                                                           \
    X(ZM_Q8_0, "q8_0", 32, 34)                                                                                         \
    X(ZM_I32, "i32", 1, 4)                                                                                             \
    X(ZM_I64, "i64", 1, 8)                                                                                             \
    X(ZM_U8, "u8", 1, 1)                                                                                               \
    X(ZM_F64, "f64", 1, 8)

typedef enum {
#define ZM_DTYPE_ENUM(code, name, elems, bytes) code,
    ZM_DTYPE_TABLE(ZM_DTYPE_ENUM)
#undef ZM_DTYPE_ENUM
        ZM_DTYPE_COUNT
} zm_dtype;

const char *zm_dtype_name(zm_dtype t);
/* false when the name is unknown. */
bool zm_dtype_parse(zm_dtype *out, const char *name);
size_t zm_dtype_block_elems(zm_dtype t);
size_t zm_dtype_block_bytes(zm_dtype t);
/* Bytes of n elements; n must be a multiple of the block; false on overflow or a partial block. */
bool zm_dtype_bytes(size_t *out, zm_dtype t, size_t n);

float zm_f16_to_f32(uint16_t h);
uint16_t zm_f32_to_f16(float f); /* round to nearest even */
float zm_bf16_to_f32(uint16_t h);
uint16_t zm_f32_to_bf16(float f); /* round to nearest even */

/* n elements of dtype t -> f32.  Float and quantised types only (asserted); n a multiple of the block. */
void zm_dtype_to_f32(float *out, const void *in, zm_dtype t, size_t n);
/* f32 -> dtype t, round to nearest even; Q8_0 by ggml's rule scale = max|x|/127, q = round(x/scale). */
void zm_dtype_from_f32(void *out, const float *in, zm_dtype t, size_t n);

/* Little-endian loads from unaligned bytes, for file parsers. */
static inline uint16_t zm_load_u16le(const void *p)
{
    const unsigned char *b = p;
    return (uint16_t)(b[0] | b[1] << 8);
}
static inline uint32_t zm_load_u32le(const void *p)
{
    const unsigned char *b = p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}
static inline uint64_t zm_load_u64le(const void *p)
{
    return (uint64_t)zm_load_u32le(p) | (uint64_t)zm_load_u32le((const unsigned char *)p + 4) << 32;
}

#endif
