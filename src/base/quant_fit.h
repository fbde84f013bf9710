/* The searches of quant_fit.c for each instruction set they are compiled for.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BASE_QUANT_FIT_H
#define ZM_BASE_QUANT_FIT_H

#include <stdbool.h>

/* x has n values, 16 or 32, all finite and at most 2^23 in size. */
typedef struct zm_fit_fns {
    /* Sum of squared errors of s q + m with the best codes q in lo..hi, which are written to q unless that is NULL. */
    float (*error)(const float *x, int n, int lo, int hi, float s, float m, int *q);
    /* The step s for which codes clamp(round(x / s), lo, hi), lo < 0 < hi, leave the least sum of squares that the
     * search met; s may be negative, since one more code lies below zero than above; 0 when all x are 0. */
    float (*signed_step)(const float *x, int n, int lo, int hi);
    /* A step s >= 0 and *m for codes clamp(round((x - m) / s), 0, top); `below`: *m <= 0, as super-blocks want. */
    float (*affine_step)(const float *x, int n, int top, bool below, float *m);
} zm_fit_fns;

extern const zm_fit_fns zm_fit_base;
#if defined(__x86_64__)
extern const zm_fit_fns zm_fit_avx2, zm_fit_avx512;
#endif
/* The fastest that this processor runs. */
const zm_fit_fns *zm_fit(void);

#endif
