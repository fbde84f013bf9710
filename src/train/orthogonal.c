/* Newton-Schulz orthogonalisation as one small graph per matrix shape.
 * SPDX-License-Identifier: MIT */
#include "train/orthogonal.h"

#include <stdlib.h>

#include "backend/backend.h"
#include "ops/ops.h"

struct zm_orthogonal {
    zm_graph *g;
    zm_exec *x;
    zm_tensor *in, *out;
    int64_t each; /* elements of one matrix */
};

/* X <- a X + (b A + c A A) X with A = X X^T, five times (Jordan 2024; the coefficients trade exactness for speed:
 * singular values end in about [0.7, 1.2]). */
static zm_tensor *iterate(zm_graph *g, zm_tensor *x)
{
    static const double a = 3.4445, b = -4.7750, c = 2.0315;
    zm_tensor *square = zm_matmul(g, x, x, false, true);
    zm_tensor *quartic = zm_matmul(g, square, square, false, false);
    zm_tensor *mix = zm_add(g, zm_affine(g, square, b, 0), zm_affine(g, quartic, c, 0));
    return zm_add(g, zm_affine(g, x, a, 0), zm_matmul(g, mix, x, false, false));
}

zm_status zm_orthogonal_new(zm_orthogonal **out, int64_t n, int64_t rows, int64_t columns, zm_error *err)
{
    *out = NULL;
    zm_orthogonal *o = calloc(1, sizeof *o);
    if (!o || !(o->g = zm_graph_new())) {
        free(o);
        return zm_fail(err, ZM_E_NOMEM, "out of memory for the optimiser");
    }
    o->each = rows * columns;
    o->in = zm_input(o->g, ZM_F32, ZM_SHAPE(n, rows, columns), "momentum");
    zm_tensor *x = o->in;
    for (int i = 0; i < 5; i++)
        x = iterate(o->g, x);
    o->out = zm_output(o->g, x);
    zm_status s = zm_graph_finish(o->g, err);
    if (!s)
        s = zm_exec_new(&o->x, o->g, NULL, err);
    if (s)
        zm_orthogonal_free(o);
    else
        *out = o;
    return s;
}

void zm_orthogonal_free(zm_orthogonal *o)
{
    if (!o)
        return;
    zm_exec_free(o->x);
    zm_graph_free(o->g);
    free(o);
}

float *zm_orthogonal_in(zm_orthogonal *o, int64_t i)
{
    return (float *)o->in->data + i * o->each;
}

const float *zm_orthogonal_out(const zm_orthogonal *o, int64_t i)
{
    return (const float *)o->out->data + i * o->each;
}

zm_status zm_orthogonal_run(zm_orthogonal *o, zm_error *err)
{
    return zm_exec_run(o->x, err);
}
