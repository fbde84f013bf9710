/* What a training step does to parameters after the gradient: vectorised, spread over threads, the same numbers on
 * any count of threads.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_OPTIM_H
#define ZM_BACKEND_CPU_OPTIM_H

#include <stdint.h>

/* One AdamW step (Loshchilov & Hutter 2019, algorithm 2, as torch.optim.AdamW): p[n] decays by lr * wd first, then
 * moves by -lr m^ / (sqrt(v^) + eps) with m^ = m / (1 - beta1^step), v^ = v / (1 - beta2^step).  g: gradient; m, v:
 * running means, zero before the first step; step counts from 1. */
void zm_adamw_update(float *p, const float *g, float *m, float *v, int64_t n, double lr, double beta1, double beta2,
                     double eps, double wd, int64_t step);
/* ema = decay * ema + (1 - decay) * p. */
void zm_ema_update(float *ema, const float *p, int64_t n, double decay);
/* Sum of x[i]^2 in double, always added in the same order. */
double zm_sum_squares(const float *x, int64_t n);
/* y = a x + b y. */
void zm_axpby(float *y, const float *x, int64_t n, double a, double b);

#endif
