/* The table of solvers, and the small vocabulary their steps are written in.
 * SPDX-License-Identifier: MIT */
#include "sample/solver.h"

#include <string.h>

#include "sample/dpmpp.h"
#include "sample/euler.h"
#include "sample/unipc.h"

const zm_solver *const zm_solvers[] = {
    &zm_solver_unipc,
    &zm_solver_dpmpp,
    &zm_solver_euler,
};
const size_t zm_solver_count = sizeof zm_solvers / sizeof *zm_solvers;

const zm_solver *zm_solver_find(const char *name)
{
    for (size_t i = 0; i < zm_solver_count; i++)
        if (!strcmp(zm_solvers[i]->name, name))
            return zm_solvers[i];
    return NULL;
}

zm_step zm_solver_step(const zm_solver *solver, const zm_schedule *s, int i, int first)
{
    ZM_ASSERT(first >= 0 && first <= i && i < s->steps);
    return solver->step(s, i, first);
}

void zm_combine(const zm_combination *c, float *const slot[ZM_SLOT_COUNT], int64_t n)
{
    float *out = slot[c->out];
    const float *in[ZM_SOLVER_MAX_TERMS];
    for (int k = 0; k < c->n; k++)
        in[k] = slot[c->term[k].slot];
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int k = 0; k < c->n; k++)
            sum += c->term[k].coefficient * (double)in[k][i];
        out[i] = (float)sum;
    }
}

zm_combination *zm_step_set(zm_step *st, zm_slot out)
{
    ZM_ASSERT(st->n < ZM_SOLVER_MAX_SETS);
    zm_combination *c = &st->set[st->n++];
    *c = (zm_combination){.out = out};
    return c;
}

void zm_step_term(zm_combination *c, zm_slot slot, double coefficient)
{
    if (coefficient == 0)
        return;
    ZM_ASSERT(c->n < ZM_SOLVER_MAX_TERMS);
    c->term[c->n].slot = slot;
    c->term[c->n].coefficient = coefficient;
    c->n++;
}

zm_slot zm_slot_x0(int i)
{
    return (zm_slot)(ZM_SLOT_X0_A + i % 3);
}

void zm_step_denoise(zm_step *st, const zm_schedule *s, int i)
{
    zm_combination *c = zm_step_set(st, zm_slot_x0(i));
    st->x0_set = st->n - 1;
    zm_step_term(c, ZM_SLOT_X, 1);
    zm_step_term(c, ZM_SLOT_V, -s->sigma[i]);
}
