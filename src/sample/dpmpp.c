/* DPM-Solver++ 2M, the midpoint multistep form on denoised predictions.
 * SPDX-License-Identifier: MIT */
#include "sample/dpmpp.h"

#include <math.h>

#include "sample/lambda.h"

/* Lu et al. 2022, Algorithm 2, with alpha = 1 - sigma and h = lambda(t) - lambda(s):
 *     x_t = sigma_t / sigma_s * x_s - alpha_t (e^-h - 1) D,   D = (1 + 1/(2r)) m0 - 1/(2r) m1,   r = h_previous / h.
 * The first step knows no m1 and the last one (to sigma 0) is first order. */
static zm_step dpmpp_step(const zm_schedule *s, int i, int first)
{
    zm_step st = {.order = i == first || i == s->steps - 1 || s->sigma[i + 1] == 0 ? 1 : 2, .x0_set = -1};
    double sigma = s->sigma[i], next = s->sigma[i + 1];
    double gain = -(1 - next) * zm_lambda_expm1(sigma, next);
    zm_step_denoise(&st, s, i);
    zm_combination *c = zm_step_set(&st, ZM_SLOT_X);
    zm_step_term(c, ZM_SLOT_X, next / sigma);
    if (st.order == 1) {
        zm_step_term(c, zm_slot_x0(i), gain);
    } else {
        /* From sigma 1 the previous step is infinitely long in lambda: 1/r is 0 and the step is first order. */
        double inverse_r = zm_lambda_step(sigma, next) / zm_lambda_step(s->sigma[i - 1], sigma);
        zm_step_term(c, zm_slot_x0(i), gain * (1 + 0.5 * inverse_r));
        zm_step_term(c, zm_slot_x0(i - 1), -gain * 0.5 * inverse_r);
    }
    return st;
}

const zm_solver zm_solver_dpmpp = {
    .name = "dpmpp",
    .order = 2,
    .slots = 1u << ZM_SLOT_X | 1u << ZM_SLOT_V | 1u << ZM_SLOT_X0_A | 1u << ZM_SLOT_X0_B | 1u << ZM_SLOT_X0_C,
    .schedule = "linear-int",
    .paper = "Lu et al. 2022, DPM-Solver++ (arXiv:2211.01095), Algorithm 2",
    .step = dpmpp_step,
};
