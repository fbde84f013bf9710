/* AdamW and Muon over a parameter set, with clipping and an averaged copy.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TRAIN_OPTIMIZER_H
#define ZM_TRAIN_OPTIMIZER_H

#include "backend/backend.h"
#include "model/params.h"

typedef enum { ZM_OPT_ADAMW, ZM_OPT_MUON } zm_opt_kind;

typedef struct zm_opt_options {
    zm_opt_kind kind;
    double lr;           /* of Muon's matrices, or of everything under AdamW */
    double adam_lr;      /* of the parameters Muon leaves to AdamW */
    double beta1, beta2; /* AdamW */
    double eps;
    double momentum;     /* Muon (Nesterov) */
    double weight_decay; /* decoupled, on matrices only */
    double clip;         /* global gradient norm; 0: no clipping */
    double ema;          /* decay of the averaged copy; 0: none */
    bool bf16;           /* Muon on the CPU: operands of its products are rounded to bf16 */
} zm_opt_options;

typedef struct zm_opt zm_opt;

/* State for every parameter that is not frozen; p (f32, filled) is borrowed and updated in place.
 * Muon (Jordan 2024, "Muon: an optimizer for hidden layers"): matrices (and kernels as [O, rest]) of a hidden layer
 * move along their orthogonalised Nesterov momentum, five Newton-Schulz steps, scaled by
 * 0.2 sqrt(max(rows, columns)) (Liu et al. 2025, "Muon is scalable for LLM training", eq. 4); all else by AdamW
 * (Loshchilov & Hutter 2019). */
ZM_MUST zm_status zm_opt_new(zm_opt **out, zm_params *p, const zm_opt_options *o, zm_error *err);
void zm_opt_free(zm_opt *o);

/* One step, `step` counted from 1, learning rates multiplied by `scale` (warm-up, decay).  grad[i] belongs to
 * parameter i (NULL: unused in this loss).  *norm: gradient norm before clipping.  ZM_E_FORMAT: a gradient is not
 * finite; nothing was changed then. */
ZM_MUST zm_status zm_opt_step(zm_opt *o, const float *const *grad, int64_t step, double scale, double *norm,
                              zm_error *err);

/* The same where the gradients are: outputs of x (grad[i] NULL: unused), whose options had zm_opt_outputs_stay.  On a
 * card parameters, moments and averages are newer there afterwards; the functions below bring them home. */
ZM_MUST zm_status zm_opt_step_there(zm_opt *o, zm_exec *x, zm_tensor *const *grad, int64_t step, double scale,
                                    double *norm, zm_error *err);

/* Whether an exec of the default device should leave its gradients there for zm_opt_step_there. */
bool zm_opt_outputs_stay(void);

/* The averaged value of parameter i, or its own when there is no average.  decay_i = min(ema, (1+i)/(10+i)). */
const float *zm_opt_average(const zm_opt *o, int i);

/* Exchange every parameter with its average in place; call again to undo. */
void zm_opt_swap_average(zm_opt *o);

/* Everything a resumed run needs, as named tensors: "param.N", "ema.N", "m.N", "v.N". */
int zm_opt_state_count(const zm_opt *o);
/* name is written into `buf`; *data may be written through when loading. */
void zm_opt_state_at(zm_opt *o, int i, char *buf, size_t cap, float **data, const zm_shape **shape);

#endif
