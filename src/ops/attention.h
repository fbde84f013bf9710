/* Scaled dot-product attention that never holds the N x N scores of a whole head.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_OPS_ATTENTION_H
#define ZM_OPS_ATTENTION_H

#include "tensor/op.h"

/* in: q [B,Nq,H,d], k [B,Nk,H,d], v [B,Nk,H,dv], optional bias [H,Nq,Nk] (added to the scaled scores, shared by the
 * batch) or
 * [B,Nk] (one for each key: the logarithm of how often the key stands there), optional k_len [B] i32 (keys at and beyond it are masked).  attr f[0] scale.  out [B,Nq,H,dv]. */
extern const zm_op zm_op_attention;
/* in: q, k, v, bias or NULL, k_len or NULL, gy -> flat [dq | dk | dv | dbias if bias]. */
extern const zm_op zm_op_attention_grad;

/* softmax(scale q k^T + bias) v per head (Vaswani et al. 2017, eq. 1); scale 0 means 1/sqrt(d). */
zm_tensor *zm_attention(zm_graph *g, zm_tensor *q, zm_tensor *k, zm_tensor *v, zm_tensor *bias, zm_tensor *k_len,
                        double scale);

#endif
