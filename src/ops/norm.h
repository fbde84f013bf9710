/* Normalisation over the last axis, with weights or per-group modulation, and the gated residual.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_OPS_NORM_H
#define ZM_OPS_NORM_H

#include "tensor/op.h"

typedef enum {
    ZM_NORM_LAYER, /* (x - mean) / sqrt(var + eps)          Ba et al. 2016 */
    ZM_NORM_RMS,   /* x / sqrt(mean(x^2) + eps)             Zhang & Sennrich 2019 */
    ZM_NORM_L2,    /* x / max(||x||_2, eps) * sqrt(D)       the video VAE's RMS_norm, eps 1e-12 */
} zm_norm_kind;

/* in: x [..,D], optional weight [D], optional bias [D]; attr i[0] kind, f[0] eps.  y = norm(x) * weight + bias. */
extern const zm_op zm_op_norm;
/* in: x, weight or NULL, gy -> flat [dx | dweight if weight | dbias if attr i[1]]. */
extern const zm_op zm_op_norm_grad;
/* in: x [R..,D], scale, shift (both G..*D elements, G divides R): row r belongs to group r / (R/G).
 * y = norm(x) * (1 + scale) + shift; attr as norm. */
extern const zm_op zm_op_norm_modulate;
/* in: x, scale, gy -> flat [dx | dscale | dshift]. */
extern const zm_op zm_op_norm_modulate_grad;
/* in: x [R..,D], h like x, gate (G..*D elements): y = x + h * gate. */
extern const zm_op zm_op_gate_add;
/* in: h, gate, gy -> flat [dh | dgate]. */
extern const zm_op zm_op_gate_add_grad;

zm_tensor *zm_norm(zm_graph *g, zm_norm_kind kind, zm_tensor *x, zm_tensor *weight, zm_tensor *bias, double eps);
zm_tensor *zm_norm_modulate(zm_graph *g, zm_norm_kind kind, zm_tensor *x, zm_tensor *scale, zm_tensor *shift,
                            double eps);
zm_tensor *zm_gate_add(zm_graph *g, zm_tensor *x, zm_tensor *h, zm_tensor *gate);

#endif
