/* Counter-based random numbers (Philox4x32-10).
 * SPDX-License-Identifier: MIT */
#include "base/rng.h"

#include <math.h>

static void philox(uint32_t ctr[4], uint32_t k0, uint32_t k1)
{
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * ctr[0], p1 = (uint64_t)0xCD9E8D57u * ctr[2];
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ ctr[1] ^ k0, n2 = (uint32_t)(p0 >> 32) ^ ctr[3] ^ k1;
        ctr[1] = (uint32_t)p1;
        ctr[3] = (uint32_t)p0;
        ctr[0] = n0;
        ctr[2] = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

zm_rng zm_rng_init(uint64_t seed, uint64_t stream)
{
    return (zm_rng){.seed = seed, .stream = stream};
}

uint32_t zm_rng_u32(zm_rng *r)
{
    uint64_t at = r->index++;
    uint32_t ctr[4] = {(uint32_t)(at >> 2), (uint32_t)(at >> 34), (uint32_t)r->stream, (uint32_t)(r->stream >> 32)};
    philox(ctr, (uint32_t)r->seed, (uint32_t)(r->seed >> 32));
    return ctr[at & 3];
}

uint64_t zm_rng_u64(zm_rng *r)
{
    uint64_t lo = zm_rng_u32(r);
    return lo | (uint64_t)zm_rng_u32(r) << 32;
}

uint32_t zm_rng_below(zm_rng *r, uint32_t n)
{
    /* Lemire's multiply-shift with rejection. */
    uint64_t m = (uint64_t)zm_rng_u32(r) * n;
    if ((uint32_t)m < n) {
        uint32_t limit = (0u - n) % n;
        while ((uint32_t)m < limit)
            m = (uint64_t)zm_rng_u32(r) * n;
    }
    return (uint32_t)(m >> 32);
}

float zm_rng_uniform(zm_rng *r)
{
    return (float)(zm_rng_u32(r) >> 8) * 0x1p-24f;
}

float zm_rng_range(zm_rng *r, float lo, float hi)
{
    float x = lo + (hi - lo) * zm_rng_uniform(r);
    return x < hi ? x : nextafterf(hi, lo); /* rounding may reach the upper end */
}

float zm_rng_normal(zm_rng *r)
{
    double u = ((double)zm_rng_u32(r) + 0.5) * 0x1p-32, v = (double)zm_rng_u32(r) * 0x1p-32;
    return (float)(sqrt(-2.0 * log(u)) * cos(6.283185307179586477 * v));
}

void zm_rng_normals(zm_rng *r, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = zm_rng_normal(r);
}

uint64_t zm_hash64(const void *data, size_t bytes, uint64_t start)
{
    uint64_t h = start ^ 0xcbf29ce484222325u;
    for (size_t i = 0; i < bytes; i++)
        h = (h ^ ((const unsigned char *)data)[i]) * 0x100000001b3u;
    return h;
}
