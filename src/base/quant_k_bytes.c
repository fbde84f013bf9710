/* Super-blocks of 256 quantised weights between bytes and parts, byte for byte as GGUF files have them.
 *
 * Offsets in a block:      scales          codes                           d, dmin (f16)
 *   q2_k  (84 bytes)       0, 16 bytes     low 16, 64 bytes                80, 82
 *   q3_k  (110)            96, 12 bytes    low 32, 64 bytes; third bit 0   108
 *   q4_k  (144)            4, 12 bytes     low 16, 128 bytes               0, 2
 *   q5_k  (176)            4, 12 bytes     low 48, 128; fifth bit 16       0, 2
 *   q6_k  (210)            192, 16 bytes   low 0, 128; two bits 128, 64    208
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/quant.h"

static void put_f16(unsigned char *p, float v)
{
    uint16_t h = zm_f32_to_f16(v);
    p[0] = (unsigned char)h;
    p[1] = (unsigned char)(h >> 8);
}

static float get_f16(const unsigned char *p)
{
    return zm_f16_to_f32(zm_load_u16le(p));
}

/* Two bits a code: weight 128 h + 32 j + i is bits 2j of byte 32 h + i. */
static void get_quarters(int *q, const unsigned char *low)
{
    for (int i = 0; i < 256; i++)
        q[i] = low[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
}

static void put_quarters(unsigned char *low, const int *q)
{
    memset(low, 0, 64);
    for (int i = 0; i < 256; i++)
        low[i / 128 * 32 + i % 32] |= (unsigned char)((q[i] & 3) << (i / 32 % 4 * 2));
}

/* Four bits a code: weight 64 h + 32 j + i is half j of byte 32 h + i. */
static void get_halves(int *q, const unsigned char *low)
{
    for (int i = 0; i < 256; i++)
        q[i] = low[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15;
}

static void put_halves(unsigned char *low, const int *q)
{
    memset(low, 0, 128);
    for (int i = 0; i < 256; i++)
        low[i / 64 * 32 + i % 32] |= (unsigned char)((q[i] & 15) << (i / 32 % 2 * 4));
}

/* One more bit a code: bit i / 32 of byte i % 32. */
static int high_bit(const unsigned char *high, int i)
{
    return high[i % 32] >> (i / 32) & 1;
}

static void put_high_bits(unsigned char *high, const int *q, int bit)
{
    memset(high, 0, 32);
    for (int i = 0; i < 256; i++)
        high[i % 32] |= (unsigned char)((q[i] >> bit & 1) << (i / 32));
}

static void q2_k_unpack(zm_superblock *b, const unsigned char *in)
{
    for (int s = 0; s < 16; s++) {
        b->scale[s] = in[s] & 15;
        b->min[s] = in[s] >> 4;
    }
    get_quarters(b->q, in + 16);
    b->d = get_f16(in + 80);
    b->dmin = get_f16(in + 82);
}

static void q2_k_pack(unsigned char *out, const zm_superblock *b)
{
    for (int s = 0; s < 16; s++)
        out[s] = (unsigned char)(b->scale[s] | b->min[s] << 4);
    put_quarters(out + 16, b->q);
    put_f16(out + 80, b->d);
    put_f16(out + 82, b->dmin);
}

/* Sixteen scales of 6 bits, 32 more than their value: lower four bits in bytes 0-7, upper two in bytes 8-11. */
static void q3_k_unpack(zm_superblock *b, const unsigned char *in)
{
    const unsigned char *scale = in + 96;
    memset(b->min, 0, sizeof b->min);
    for (int s = 0; s < 16; s++) {
        int low = scale[s % 8] >> (s / 8 * 4) & 15, high = scale[8 + s % 4] >> (s / 4 * 2) & 3;
        b->scale[s] = (low | high << 4) - 32;
    }
    get_quarters(b->q, in + 32);
    for (int i = 0; i < 256; i++)
        b->q[i] += high_bit(in, i) ? 0 : -4;
    b->d = get_f16(in + 108);
    b->dmin = 0;
}

static void q3_k_pack(unsigned char *out, const zm_superblock *b)
{
    unsigned char *scale = out + 96;
    int q[256];
    memset(scale, 0, 12);
    for (int s = 0; s < 16; s++) {
        int v = b->scale[s] + 32;
        scale[s % 8] |= (unsigned char)((v & 15) << (s / 8 * 4));
        scale[8 + s % 4] |= (unsigned char)(v >> 4 << (s / 4 * 2));
    }
    for (int i = 0; i < 256; i++)
        q[i] = b->q[i] + 4;
    put_quarters(out + 32, q);
    put_high_bits(out, q, 2);
    put_f16(out + 108, b->d);
}

/* Eight scales and eight minima of 6 bits in 12 bytes: the first four of each in the lower six bits of bytes 0-3 and
 * 4-7, the others' lower four bits in the halves of bytes 8-11 and their upper two in the top of bytes 0-7. */
static void get_six_bits(zm_superblock *b, const unsigned char *in)
{
    for (int s = 0; s < 4; s++) {
        b->scale[s] = in[s] & 63;
        b->min[s] = in[s + 4] & 63;
        b->scale[s + 4] = (in[s + 8] & 15) | in[s] >> 6 << 4;
        b->min[s + 4] = in[s + 8] >> 4 | in[s + 4] >> 6 << 4;
    }
}

static void put_six_bits(unsigned char *out, const zm_superblock *b)
{
    for (int s = 0; s < 4; s++) {
        out[s] = (unsigned char)(b->scale[s] | b->scale[s + 4] >> 4 << 6);
        out[s + 4] = (unsigned char)(b->min[s] | b->min[s + 4] >> 4 << 6);
        out[s + 8] = (unsigned char)((b->scale[s + 4] & 15) | (b->min[s + 4] & 15) << 4);
    }
}

static void q4_k_unpack(zm_superblock *b, const unsigned char *in)
{
    b->d = get_f16(in);
    b->dmin = get_f16(in + 2);
    get_six_bits(b, in + 4);
    get_halves(b->q, in + 16);
}

static void q4_k_pack(unsigned char *out, const zm_superblock *b)
{
    put_f16(out, b->d);
    put_f16(out + 2, b->dmin);
    put_six_bits(out + 4, b);
    put_halves(out + 16, b->q);
}

static void q5_k_unpack(zm_superblock *b, const unsigned char *in)
{
    b->d = get_f16(in);
    b->dmin = get_f16(in + 2);
    get_six_bits(b, in + 4);
    get_halves(b->q, in + 48);
    for (int i = 0; i < 256; i++)
        b->q[i] |= high_bit(in + 16, i) << 4;
}

static void q5_k_pack(unsigned char *out, const zm_superblock *b)
{
    put_f16(out, b->d);
    put_f16(out + 2, b->dmin);
    put_six_bits(out + 4, b);
    put_high_bits(out + 16, b->q, 4);
    put_halves(out + 48, b->q);
}

/* Weight 128 h + 32 j + i: four bits in half j / 2 of byte 64 h + 32 (j % 2) + i, two bits 2j of byte 32 h + i. */
static void q6_k_unpack(zm_superblock *b, const unsigned char *in)
{
    memset(b->min, 0, sizeof b->min);
    for (int i = 0; i < 256; i++) {
        int h = i / 128, j = i / 32 % 4;
        int low = in[64 * h + i % 64] >> (j / 2 * 4) & 15, high = in[128 + 32 * h + i % 32] >> (2 * j) & 3;
        b->q[i] = (low | high << 4) - 32;
    }
    for (int s = 0; s < 16; s++)
        b->scale[s] = (int8_t)in[192 + s];
    b->d = get_f16(in + 208);
    b->dmin = 0;
}

static void q6_k_pack(unsigned char *out, const zm_superblock *b)
{
    memset(out, 0, 192);
    for (int i = 0; i < 256; i++) {
        int h = i / 128, j = i / 32 % 4, v = b->q[i] + 32;
        out[64 * h + i % 64] |= (unsigned char)((v & 15) << (j / 2 * 4));
        out[128 + 32 * h + i % 32] |= (unsigned char)(v >> 4 << (2 * j));
    }
    for (int s = 0; s < 16; s++)
        out[192 + s] = (unsigned char)(int8_t)b->scale[s];
    put_f16(out + 208, b->d);
}

const zm_superblock_bytes zm_q2_k_bytes = {q2_k_unpack, q2_k_pack};
const zm_superblock_bytes zm_q3_k_bytes = {q3_k_unpack, q3_k_pack};
const zm_superblock_bytes zm_q4_k_bytes = {q4_k_unpack, q4_k_pack};
const zm_superblock_bytes zm_q5_k_bytes = {q5_k_unpack, q5_k_pack};
const zm_superblock_bytes zm_q6_k_bytes = {q6_k_unpack, q6_k_pack};
