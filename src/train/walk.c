/* The teacher's fine steps between the points of the student's schedule.
 * SPDX-License-Identifier: MIT */
#include "train/walk.h"

#include <math.h>
#include <string.h>

bool zm_walk_schedules_fit(const zm_schedule *student, const zm_schedule *teacher, int fine)
{
    bool fit = teacher->steps == fine * student->steps;
    for (int i = 0; fit && i <= student->steps; i++)
        fit = fabs(student->sigma[i] - teacher->sigma[i * fine]) < 1e-6;
    return fit;
}

/* The teacher's fine steps first..end-1; its solver remembers back to step `known`. */
static zm_status walk_fine(zm_walk *w, int first, int end, int known, zm_error *err)
{
    zm_status s = ZM_OK;
    for (int k = first; !s && k < end; k++) {
        s = w->velocity(w->user, w->slot[ZM_SLOT_X], w->teacher->timestep[k], w->slot[ZM_SLOT_V], err);
        zm_step step = zm_solver_step(w->solver, w->teacher, k, known);
        for (int i = 0; !s && i < step.n; i++)
            zm_combine(&step.set[i], w->slot, w->n);
        if (w->hold)
            w->hold(w->user, w->slot[ZM_SLOT_X]);
    }
    return s;
}

zm_status zm_walk_run(zm_walk *w, zm_error *err)
{
    float *x = w->slot[ZM_SLOT_X], *v = w->slot[ZM_SLOT_V];
    zm_status s = ZM_OK;
    if (w->hold)
        w->hold(w->user, x);
    for (int i = 0; !s && i < w->student->steps; i++) {
        float span = (float)(w->student->sigma[i + 1] - w->student->sigma[i]);
        memcpy(w->start, x, (size_t)w->n * sizeof *x);
        s = walk_fine(w, i * w->fine, (i + 1) * w->fine, w->own ? i * w->fine : 0, err);
        if (s)
            break;
        for (int64_t k = 0; k < w->n; k++)
            v[k] = (x[k] - w->start[k]) / span;
        w->record(w->user, i, w->start, v);
        if (!w->own)
            continue;
        s = w->own(w->user, w->start, w->student->timestep[i], v, err);
        for (int64_t k = 0; k < w->n; k++)
            x[k] = w->start[k] + span * v[k];
        if (w->hold)
            w->hold(w->user, x);
    }
    return s;
}
