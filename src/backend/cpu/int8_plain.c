/* Inner loops of products on bytes for any processor: what the others are held to.
 * SPDX-License-Identifier: MIT */
#define ISA_NAME  "plain"
#define ISA_TABLE zm_int8_plain
#define LANES     4
#define ROWS      4
#define VECTORS   2
#include "backend/cpu/int8_dot.h"

typedef struct left {
    const uint8_t *at;
} left;

INLINE left left_of(const uint8_t *a)
{
    return (left){a};
}

INLINE ivec dot_step(ivec acc, const left *l, const int8_t *b, int64_t line)
{
    for (int q = 0; q < 4; q++)
        for (int i = 0; i < LANES; i++)
            for (int k = 0; k < 4; k++)
                acc[i] += l->at[4 * q + k] * b[q * line + 4 * i + k];
    return acc;
}

#include "backend/cpu/int8_tile.h"
