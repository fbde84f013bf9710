/* Counter-based random numbers: the same (seed, stream, index) gives the same number on every machine.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BASE_RNG_H
#define ZM_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

/* Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").  Plain data: copy it to
 * save the position, restore the copy to continue from there. */
typedef struct zm_rng {
    uint64_t seed, stream, index; /* index counts 32-bit words handed out */
} zm_rng;

zm_rng zm_rng_init(uint64_t seed, uint64_t stream);
uint32_t zm_rng_u32(zm_rng *r);
uint64_t zm_rng_u64(zm_rng *r);
/* Uniform integer in [0, n); n > 0; no modulo bias. */
uint32_t zm_rng_below(zm_rng *r, uint32_t n);
/* Uniform in [0, 1), multiples of 2^-24. */
float zm_rng_uniform(zm_rng *r);
/* Uniform in [lo, hi). */
float zm_rng_range(zm_rng *r, float lo, float hi);
/* Standard normal (Box-Muller in double, rounded once). */
float zm_rng_normal(zm_rng *r);
/* n standard normals; the same values as n calls of zm_rng_normal. */
void zm_rng_normals(zm_rng *r, float *out, size_t n);

/* 64-bit FNV-1a hash, for keys of caches and held-out sets; not for security. */
uint64_t zm_hash64(const void *data, size_t bytes, uint64_t start);

#endif
