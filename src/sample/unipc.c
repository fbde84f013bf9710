/* UniPC of order two (bh2, data prediction): a corrector that costs no network call, then a predictor.
 * SPDX-License-Identifier: MIT */
#include "sample/unipc.h"

#include <math.h>

#include "sample/lambda.h"

/* Zhao et al. 2023, eq. 3 in its data-prediction form, with m_k the denoised prediction of step k, alpha = 1 - sigma,
 * h = lambda(t) - lambda(s) and B(h) = e^-h - 1 ("bh2"):
 *     x_t = sigma_t / sigma_s * x_s - alpha_t (e^-h - 1) m_s - alpha_t B(h) * sum of rho_k (m_k - m_s) / r_k,
 *     r_k = (lambda_k - lambda_s) / h,   r = 1 for the prediction at t itself (corrector only).
 * s is where the step starts.  Order two fixes rho_1 = 1/2 in the predictor; the corrector solves
 *     rho_1 + rho_t = b_1,   r_1 rho_1 + rho_t = b_2,   b_1 = g_2 / B,  b_2 = 2 g_3 / B,
 *     g_2 = (e^-h - 1) / (-h) - 1,   g_3 = g_2 / (-h) - 1/2. */

/* The order grows from 1 and drops to 1 at the end: a second-order step to sigma 0 has no finite coefficients. */
static int order_of(const zm_schedule *s, int i, int first)
{
    return i == first || i == s->steps - 1 || s->sigma[i + 1] == 0 ? 1 : 2;
}

/* b_1 and b_2 as functions of h; series below 1e-2, where the closed forms lose half their digits. */
static void right_hand_side(double h, double b[2])
{
    if (isinf(h)) {
        b[0] = b[1] = 1;
        return;
    }
    double e = expm1(-h), g2, g3;
    if (h < 1e-2) { /* (e^z - 1) / z - 1 = z/2 + z^2/6 + ...,  z = -h */
        double z = -h;
        g2 = z * (1. / 2 + z * (1. / 6 + z * (1. / 24 + z * (1. / 120 + z / 720))));
        g3 = z * (1. / 6 + z * (1. / 24 + z * (1. / 120 + z * (1. / 720 + z / 5040))));
    } else {
        g2 = e / -h - 1;
        g3 = g2 / -h - 0.5;
    }
    b[0] = g2 / e;
    b[1] = 2 * g3 / e;
}

/* LAST = the sample at sigma[i], corrected with the prediction just made there. */
static void correct(zm_step *st, const zm_schedule *s, int i, int first)
{
    double from = s->sigma[i - 1], at = s->sigma[i];
    double gain = -(1 - at) * zm_lambda_expm1(from, at);
    double rho_t = 0.5, past = 0; /* past: weight of m_{i-2} - m_{i-1}, that is rho_1 / r_1 */
    if (order_of(s, i - 1, first) == 2) {
        double b[2], h = zm_lambda_step(from, at);
        double inverse_r = -h / zm_lambda_step(s->sigma[i - 2], from); /* 0 when that step began at sigma 1 */
        right_hand_side(h, b);
        double rho_1 = (b[0] - b[1]) * inverse_r / (inverse_r - 1);
        past = rho_1 * inverse_r;
        rho_t = b[0] - rho_1;
    }
    zm_combination *c = zm_step_set(st, ZM_SLOT_LAST);
    zm_step_term(c, ZM_SLOT_LAST, at / from);
    zm_step_term(c, zm_slot_x0(i - 1), gain * (1 - past - rho_t));
    if (past != 0)
        zm_step_term(c, zm_slot_x0(i - 2), gain * past);
    zm_step_term(c, zm_slot_x0(i), gain * rho_t);
}

static void predict(zm_step *st, const zm_schedule *s, int i)
{
    double from = s->sigma[i], to = s->sigma[i + 1];
    double gain = -(1 - to) * zm_lambda_expm1(from, to), past = 0;
    if (st->order == 2)
        past = 0.5 * -zm_lambda_step(from, to) / zm_lambda_step(s->sigma[i - 1], from);
    zm_combination *c = zm_step_set(st, ZM_SLOT_X);
    zm_step_term(c, ZM_SLOT_LAST, to / from);
    zm_step_term(c, zm_slot_x0(i), gain * (1 - past));
    if (past != 0)
        zm_step_term(c, zm_slot_x0(i - 1), gain * past);
}

static zm_step unipc_step(const zm_schedule *s, int i, int first)
{
    zm_step st = {.order = order_of(s, i, first), .x0_set = -1};
    zm_step_denoise(&st, s, i);
    if (i > first)
        correct(&st, s, i, first);
    else
        zm_step_term(zm_step_set(&st, ZM_SLOT_LAST), ZM_SLOT_X, 1);
    predict(&st, s, i);
    return st;
}

const zm_solver zm_solver_unipc = {
    .name = "unipc",
    .order = 2,
    .slots = 1u << ZM_SLOT_X | 1u << ZM_SLOT_V | 1u << ZM_SLOT_LAST | 1u << ZM_SLOT_X0_A | 1u << ZM_SLOT_X0_B |
             1u << ZM_SLOT_X0_C,
    .schedule = "unipc",
    .paper = "Zhao et al. 2023, UniPC (arXiv:2302.04867), eq. 3, B(h) = e^h - 1, data prediction",
    .step = unipc_step,
};
