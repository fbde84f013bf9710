/* Steps in half log-SNR, lambda = log((1 - sigma) / sigma), exact at the ends sigma = 1 and sigma = 0.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_SAMPLE_LAMBDA_H
#define ZM_SAMPLE_LAMBDA_H

#include <math.h>

/* h = lambda(next) - lambda(sigma) > 0 for next < sigma; +inf from sigma 1 or to sigma 0. */
static inline double zm_lambda_step(double sigma, double next)
{
    if (sigma >= 1 || next <= 0)
        return INFINITY;
    return (log1p(-next) - log(next)) - (log1p(-sigma) - log(sigma));
}

/* e^-h - 1, in [-1, 0).  From the ratio itself: no cancellation where h is small, no inf - inf at the ends. */
static inline double zm_lambda_expm1(double sigma, double next)
{
    return (next - sigma) / ((1 - next) * sigma);
}

#endif
