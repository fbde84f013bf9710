/* Which nodes of a graph run on bytes when it is asked for, and the weights they keep.
 *
 * The rule, by size, place and instruction set alone: of linear maps it is backend/coarse.h's; convolutions have 64
 * channels or more on both sides and 64 places or more; without VNNI those that Winograd's in f32 takes, which needs a
 * quarter of the products, have fewer than 4096 places.
 * Measured on layers of Wan 2.1's decoder (AMD Zen 4, one thread, direct operations a nanosecond, bytes : f32): with VNNI
 * 380 to 433 : 202 to 330 everywhere; without, of 1024 places, where transforms of weights count, 321 : 214 with AVX-512
 * and 266 : 181 with AVX2; of 8192 to 65536 places 274 to 323 : 274 to 341 and 221 to 270 : 250 to 306.
 * Measured on the bundled model (PSNR of clips with this alone on bytes): its head, 0.2 % of a step's arithmetic, 48.8 dB,
 * as much as all its maps to attention's values; its decoder's last convolution 48.9 dB, all the others together 49.8 dB.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_INT8_NODE_H
#define ZM_BACKEND_CPU_INT8_NODE_H

#include "backend/cpu/int8.h"
#include "backend/cpu/kernel.h"

extern const zm_kernel zm_int8_matmul, zm_int8_conv_source, zm_int8_conv;

/* A node's weights on bytes: what its kernel's state begins with. */
typedef struct zm_int8_kept {
    zm_int8_weights w;
    void *memory; /* NULL until loaded */
} zm_int8_kept;

/* NULL: a node whose in[1] may be kept as bytes; else why not. */
const char *zm_int8_decline(const zm_tensor *node);
/* Of a state that begins with zm_int8_kept: bytes that its n columns of k (padded to whole steps) take; its end. */
size_t zm_int8_keeps(const void *state);
void zm_int8_release(void *state);
/* Allocate, and set every column: column(node, j, out) fills w.k numbers, zeros where rows are padded; it is called from
 * several threads.  ZM_E_NOMEM. */
zm_status zm_int8_load(zm_int8_kept *kept, const zm_tensor *node,
                       void (*column)(const zm_tensor *node, const zm_int8_kept *kept, int64_t j, float *out),
                       zm_error *err);

#endif
