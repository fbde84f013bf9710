/* Quantised weights: ggml's blocks, how they lie in bytes, and how values are fitted to them.
 *
 * A simple block holds 32 weights:
 *   q8_0  f16 d, 32 signed bytes q                   w = d q
 *   q4_0  f16 d, 16 bytes                            w = d (q - 8),  q of 4 bits
 *   q4_1  f16 d, f16 m, 16 bytes                     w = d q + m
 *   q5_0  f16 d, u32 fifth bits, 16 bytes            w = d (q - 16), q of 5 bits
 *   q5_1  f16 d, f16 m, u32 fifth bits, 16 bytes     w = d q + m
 * Byte i holds weight i in its lower half and weight i + 16 in its upper; fifth bit i of the u32 belongs to weight i.
 *
 * A super-block holds 256 weights in sub-blocks of 16 or 32, each with a small integer scale (and minimum):
 *   w = d scale[s] q - dmin min[s]
 *   type  sub-blocks  scale      min    q         weights a byte of `low` holds
 *   q2_k  16 of 16    0..15      0..15  0..3      bits 0-1, 2-3, 4-5, 6-7: weights 32 apart
 *   q3_k  16 of 16   -32..31     none  -4..3      the same, and a third bit elsewhere
 *   q4_k   8 of 32    0..63      0..63  0..15     lower and upper half: weights 32 apart
 *   q5_k   8 of 32    0..63      0..63  0..31     the same, and a fifth bit elsewhere
 *   q6_k  16 of 16   -128..127   none  -32..31    lower and upper half: weights 64 apart; two more bits elsewhere
 *
 * Fitting.  ggml's published rules weigh each weight's error by its size.  Here the plain sum of squared errors is made
 * small: inputs of a linear layer are as likely to meet a small weight as a large one, so that this sum is what reaches
 * the layer's output.  q8_0 alone keeps the published rule, scale = max|x| / 127.  Values that are not finite count as
 * zero.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BASE_QUANT_H
#define ZM_BASE_QUANT_H

#include "base/dtype.h"

/* One quantised type: one block at a time. */
typedef struct zm_quant {
    zm_dtype dtype;
    void (*widen)(float *out, const unsigned char *block);
    void (*narrow)(unsigned char *block, const float *in);
} zm_quant;

/* NULL when t has no blocks. */
const zm_quant *zm_quant_find(zm_dtype t);

extern const zm_quant zm_quant_q8_0, zm_quant_q4_0, zm_quant_q4_1, zm_quant_q5_0, zm_quant_q5_1; /* quant_simple.c */
extern const zm_quant zm_quant_q2_k, zm_quant_q3_k, zm_quant_q4_k, zm_quant_q5_k, zm_quant_q6_k; /* quant_k.c */

/* A super-block taken apart; q3_k and q6_k leave dmin and min zero. */
typedef struct zm_superblock {
    float d, dmin;
    int scale[16], min[16];
    int q[256];
} zm_superblock;

/* Between bytes and parts (quant_k_bytes.c).  d and dmin must be f16 values, scale, min and q in range. */
typedef struct zm_superblock_bytes {
    void (*unpack)(zm_superblock *out, const unsigned char *block);
    void (*pack)(unsigned char *block, const zm_superblock *in);
} zm_superblock_bytes;
extern const zm_superblock_bytes zm_q2_k_bytes, zm_q3_k_bytes, zm_q4_k_bytes, zm_q5_k_bytes, zm_q6_k_bytes;

/* in with zeros for what is not finite. */
void zm_fit_finite(float *out, const float *in, int n);
/* v as f16, at most 65504 in size. */
uint16_t zm_fit_f16(float v);

/* What ggml's published rule for t makes of n values, there and back: plain loops of their own, to compare with.
 * t is a quantised type, n a multiple of its block, all values finite (quant_published.c). */
void zm_quant_published(float *out, const float *in, zm_dtype t, size_t n);

#endif
