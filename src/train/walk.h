/* One walk from noise to data: the teacher's fine steps between the points of the student's schedule.  Plain arithmetic;
 * who answers with velocities is the caller's business.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TRAIN_WALK_H
#define ZM_TRAIN_WALK_H

#include "sample/solver.h"

typedef struct zm_walk {
    const zm_schedule *student,
        *teacher; /* teacher->steps = fine * student->steps, and every fine-th point is shared */
    int fine;
    const zm_solver *solver;    /* the teacher's */
    int64_t n;                  /* numbers of one state */
    float *slot[ZM_SLOT_COUNT]; /* those of the solver, [n] each; ZM_SLOT_X holds the noise, and the data afterwards */
    float *start;               /* [n] */
    void *user;
    /* Velocity of x at a timestep of 0..1000, guidance applied. */
    zm_status (*velocity)(void *user, const float *x, double timestep, float *v, zm_error *err);
    /* The student's.  NULL: the teacher walks.  Else the student walks, and the teacher goes on from each of its points. */
    zm_status (*own)(void *user, const float *x, double timestep, float *v, zm_error *err);
    /* Put back what is given.  May be NULL. */
    void (*hold)(void *user, float *x);
    /* Step `step` of the student: where it begins, and the one velocity that leads to where the teacher's fine steps end
     * [n]; both are the walk's. */
    void (*record)(void *user, int step, const float *start, const float *velocity);
} zm_walk;

/* Every fine-th point of `teacher` is the student's. */
bool zm_walk_schedules_fit(const zm_schedule *student, const zm_schedule *teacher, int fine);
/* Errors are those of the callbacks. */
ZM_MUST zm_status zm_walk_run(zm_walk *w, zm_error *err);

#endif
