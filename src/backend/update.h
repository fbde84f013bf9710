/* Parameter updates on the device that a graph's gradients are on, so that neither has to come home.
 *
 * Parameters, moments and averages are named by their memory of the host, which the device holds copies of; after a step
 * the copies are newer (zm_backend_fetch brings one home).  Calls are put in order; the first error is told by
 * zm_update_end.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_UPDATE_H
#define ZM_BACKEND_UPDATE_H

#include "backend/backend.h"

typedef struct zm_update zm_update;

/* What one matrix adds to a step of Muon; rows and columns as stored. */
typedef struct zm_update_matrix {
    int group;     /* of zm_update_group */
    int64_t place; /* in the group */
    int64_t rows, columns;
} zm_update_matrix;

/* For gradients of x, an exec of the default device, with room for the sums of `slots` gradients of `elems` elements
 * each.  *out NULL and ZM_OK: this device has no such updates (the CPU), backend/cpu/optim.h has them. */
ZM_MUST zm_status zm_update_new(zm_update **out, zm_exec *x, int slots, const int64_t *elems, zm_error *err);
/* Memory of the host becomes as new as the device's. */
void zm_update_free(zm_update *u);
/* Room for n matrices of [rows,columns] to be orthogonalised at once, rows <= columns; groups count from 0. */
ZM_MUST zm_status zm_update_group(zm_update *u, int64_t n, int64_t rows, int64_t columns, zm_error *err);

/* The sum of squares of each slot's gradient (NULL: 0) into sum[0..slots). */
ZM_MUST zm_status zm_update_squares(zm_update *u, zm_tensor *const *grad, double *sum, zm_error *err);
/* As zm_adamw_update with the gradient times `clip`. */
void zm_update_adamw(zm_update *u, const zm_tensor *grad, float *const p_m_v[3], double clip, double lr,
                     const double beta[2], double eps, double wd, int64_t step);
/* average = decay * average + (1 - decay) * p; n elements. */
void zm_update_average(zm_update *u, float *average, float *p, int64_t n, double decay);
/* m = mu m + clip g; the group's matrix becomes clip g + mu m with norm 1, turned when it is tall. */
void zm_update_direction(zm_update *u, const zm_update_matrix *a, const zm_tensor *grad, float *m, double clip,
                         double mu);
/* Newton-Schulz on all matrices of a group, as zm_newton_schulz with this many steps. */
void zm_update_orthogonal(zm_update *u, int group, int steps);
/* p = keep p - size u, u being the group's matrix. */
void zm_update_apply(zm_update *u, const zm_update_matrix *a, float *p, double size, double keep);
ZM_MUST zm_status zm_update_end(zm_update *u, zm_error *err);

#endif
