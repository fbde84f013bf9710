/* Element types of tensors and weight files, and conversion between them.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BASE_DTYPE_H
#define ZM_BASE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One row per dtype: enum, name, elements per block, bytes per block.
 * Quantised types lie byte for byte as in GGUF files; quant.h says how.  The 8-bit floats are those of PyTorch and
 * safetensors: e4m3 is the "fn" variant without infinities (largest 448), e5m2 the upper byte of an f16. */
#define ZM_DTYPE_TABLE(X)                                                                                              \
    X(ZM_F32, "f32", 1, 4)                                                                                             \
    X(ZM_F16, "f16", 1, 2)                                                                                             \
    X(ZM_BF16, "bf16", 1, 2)                                                                                           \
    X(ZM_Q8_0, "q8_0", 32, 34)                                                                                         \
    X(ZM_Q4_0, "q4_0", 32, 18)                                                                                         \
    X(ZM_Q4_1, "q4_1", 32, 20)                                                                                         \
    X(ZM_Q5_0, "q5_0", 32, 22)                                                                                         \
    X(ZM_Q5_1, "q5_1", 32, 24)                                                                                         \
    X(ZM_Q2_K, "q2_k", 256, 84)                                                                                        \
    X(ZM_Q3_K, "q3_k", 256, 110)                                                                                       \
    X(ZM_Q4_K, "q4_k", 256, 144)                                                                                       \
    X(ZM_Q5_K, "q5_k", 256, 176)                                                                                       \
    X(ZM_Q6_K, "q6_k", 256, 210)                                                                                       \
    X(ZM_F8_E4M3, "f8_e4m3", 1, 1)                                                                                     \
    X(ZM_F8_E5M2, "f8_e5m2", 1, 1)                                                                                     \
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

float zm_f8_e4m3_to_f32(uint8_t v);
float zm_f8_e5m2_to_f32(uint8_t v);
uint8_t zm_f32_to_f8_e4m3(float f); /* round to nearest even; beyond 448, infinities included: 448 */
uint8_t zm_f32_to_f8_e5m2(float f); /* round to nearest even; 61440 and beyond: infinity */

/* Whether weights can be stored in this type and widened by kernels: floats of up to 32 bits and quantised types. */
bool zm_dtype_is_weight(zm_dtype t);
/* A weight type of blocks with scales (q8_0, q4_k, ..). */
bool zm_dtype_is_quantised(zm_dtype t);
enum { ZM_DTYPE_BLOCK_MAX = 256 }; /* elements of the largest block */

/* n elements of dtype t -> f32: the plain reference of every kernel that widens.  Weight types and f64 only (asserted);
 * n a multiple of the block; `in` at any alignment. */
void zm_dtype_to_f32(float *out, const void *in, zm_dtype t, size_t n);
/* f32 -> dtype t, weight types only (asserted).  Floats round to nearest even; quantised types as quant.h says. */
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
