/* A sum of products in f64 and the error that f32 may make of it.
 *
 * Adding one after the other in f32, each step rounds a running sum S_j by at most u |S_j|, u = 2^-24, some 0.42 u |S_j|
 * in the mean square; the errors are independent, so that their sum spreads by 0.42 u sqrt(sum S_j^2).  Seven times that
 * is allowed.  Kernels add in other orders, so sum S_j^2 is taken no smaller than k^2 / 18, which k products of numbers
 * from -1 to 1 make it on average.  2e-6 more are the activation's.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TEST_PLAIN_SUM_H
#define ZM_TEST_PLAIN_SUM_H

#include <math.h>

#include "ops/matmul.h"

typedef struct plain_sum {
    double sum, walk; /* walk: sum S_j^2 */
    double count;
} plain_sum;

static inline void plain_add(plain_sum *s, double term)
{
    s->sum += term;
    s->walk += s->sum * s->sum;
    s->count++;
}

/* What `got` is off the activation of the sum, in units of what is allowed; NaN for a NaN. */
static inline double plain_error(const plain_sum *s, zm_unary_kind act, float got)
{
    double walk = fmax(s->walk, s->count * s->count / 18);
    double off = fabs((double)zm_unary_value(act, (float)s->sum) - (double)got);
    return off / (7 * 0.42 * ldexp(sqrt(walk), -24) + 2e-6);
}

#endif
