/* Recognises joined frames and doubled pixels in front of a convolution.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/conv_source.h"

#include "ops/binary.h"
#include "ops/layout.h"

/* [past frame, .., x] along the frames. */
static bool is_joined(zm_conv_source *s, const zm_tensor *t)
{
    int n = t->n_in - 1;
    if (t->op != &zm_op_concat || t->attr.i[0] != 1 || s->size.before[0] != 0 || n < 1 || n >= s->size.kernel[0] ||
        n > ZM_CONV_PAST_MAX)
        return false;
    for (int i = 0; i < n; i++)
        if (t->in[i]->shape.dim[1] != 1)
            return false;
    for (int i = 0; i < n; i++)
        s->past[i] = t->in[i];
    s->x = t->in[n];
    s->size.before[0] = n;
    s->size.in[0] = s->x->shape.dim[1];
    return true;
}

/* [rows,1,W,1,C] repeated to [rows,2,W,2,C] and seen as [batch,F,2H,2W,C]. */
static bool is_doubled(zm_conv_source *s, const zm_tensor *t, const zm_tensor *seen)
{
    const int64_t *d = t->shape.dim, *e = seen->shape.dim;
    if (t->op != &zm_op_broadcast || t->shape.rank != 5 || d[1] != 2 || d[3] != 2 || e[4] != d[4] || e[3] != 2 * d[2] ||
        e[2] % 2)
        return false;
    const zm_shape *from = &t->in[0]->shape;
    if (!zm_shape_equal(*from, ZM_SHAPE(d[0], 1, d[2], 1, d[4])))
        return false;
    s->x = t->in[0];
    s->doubled = true;
    return true;
}

zm_conv_source zm_conv_source_of(const zm_tensor *conv)
{
    const zm_tensor *seen = conv->in[0], *t = seen;
    zm_conv_source s = {.x = seen, .size = zm_conv_sizes_of(conv)};
    while (t->op && t->op->is_view && t->attr.i[0] == 0 && zm_shape_elems(t->shape) == zm_shape_elems(t->in[0]->shape))
        t = t->in[0];
    if ((t == seen && is_joined(&s, t)) || is_doubled(&s, t, seen))
        s.made = t;
    return s;
}
