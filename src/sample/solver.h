/* ODE solvers for rectified flow, as plain arithmetic: a step is one to three linear combinations of stored tensors.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_SAMPLE_SOLVER_H
#define ZM_SAMPLE_SOLVER_H

#include <stdint.h>

#include "sample/schedule.h"

/* A run, as the pipeline sees it:
 *
 *     for (i = first; i < schedule.steps; i++) {
 *         slot[ZM_SLOT_V] = network(slot[ZM_SLOT_X], schedule.timestep[i]);   guidance already applied
 *         zm_step st = zm_solver_step(solver, &schedule, i, first);
 *         for (k = 0; k < st.n; k++)
 *             slot[st.set[k].out] = sum over j of coefficient[j] * slot[slot[j]];
 *     }                                       now slot[ZM_SLOT_X] is the sample at sigma[steps]
 *
 * Invariants
 *  1. zm_solver_step is a pure function of its arguments.  The whole state of a run is the step index, `first` and the
 *     tensors of slots below zm_solver.slots (V excepted): save those to resume in another process.
 *  2. Combinations are elementwise and run in order; `out` may be one of the sources, so in-place is fine.
 *  3. In every combination without V the coefficients sum to the value that keeps (1 - sigma) * x0 exact: a network
 *     that always answers the same x0 is integrated without error.
 *  4. Given frames (noise level 0) are not the solver's business: the pipeline overwrites those elements of
 *     ZM_SLOT_X after the last combination of each step, and nothing else.
 *  5. Slots that a combination reads were written by an earlier combination of the same run, X and V excepted. */
typedef enum {
    ZM_SLOT_X,    /* the sample at sigma[i] before a step, at sigma[i + 1] after it */
    ZM_SLOT_V,    /* the network's velocity for this step, written by the caller */
    ZM_SLOT_LAST, /* the corrected sample the predictor starts from */
    ZM_SLOT_X0_A, /* denoised history: step i writes slot ZM_SLOT_X0_A + i % 3 */
    ZM_SLOT_X0_B,
    ZM_SLOT_X0_C,
    ZM_SLOT_COUNT
} zm_slot;

#define ZM_SOLVER_MAX_TERMS 5
#define ZM_SOLVER_MAX_SETS  3

typedef struct zm_combination {
    zm_slot out;
    int n; /* terms used */
    struct {
        zm_slot slot;
        double coefficient;
    } term[ZM_SOLVER_MAX_TERMS];
} zm_combination;

typedef struct zm_step {
    int order;  /* order of accuracy of the predictor in this step */
    int x0_set; /* index of the combination that yields the denoised prediction (for previews), -1: none */
    int n;      /* combinations used */
    zm_combination set[ZM_SOLVER_MAX_SETS];
} zm_step;

typedef struct zm_solver {
    const char *name;
    int order;            /* order of accuracy of a long run */
    unsigned slots;       /* bit mask (1u << zm_slot) of the tensors a run needs */
    const char *schedule; /* name of the schedule it is published with */
    const char *paper;
    zm_step (*step)(const zm_schedule *s, int i, int first);
} zm_solver;

/* The table, best known first. */
extern const zm_solver *const zm_solvers[];
extern const size_t zm_solver_count;
/* NULL when there is no solver of that name. */
const zm_solver *zm_solver_find(const char *name);

/* Step i of a run that began at step `first` (history starts there); first <= i < s->steps asserted. */
zm_step zm_solver_step(const zm_solver *solver, const zm_schedule *s, int i, int first);

/* Apply one combination: slot[c->out][i] = sum over terms of coefficient * slot[term][i], n elements, sums in double. */
void zm_combine(const zm_combination *c, float *const slot[ZM_SLOT_COUNT], int64_t n);

/* For solver files: append a combination, append a term (terms with coefficient 0 are dropped). */
zm_combination *zm_step_set(zm_step *st, zm_slot out);
void zm_step_term(zm_combination *c, zm_slot slot, double coefficient);
/* The slot that holds the denoised prediction of step i. */
zm_slot zm_slot_x0(int i);
/* Append  x0(i) = X - sigma[i] * V. */
void zm_step_denoise(zm_step *st, const zm_schedule *s, int i);

#endif
