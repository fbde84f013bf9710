/* Gradients as graphs, with recomputation of checkpointed segments.
 * SPDX-License-Identifier: MIT */
#include "tensor/autodiff.h"

#include <string.h>

#include "tensor/op.h"

typedef struct pass {
    zm_graph *g;
    const zm_grad_ops *ops;
    zm_tensor **grad;  /* by id of a forward tensor: gradient accumulated so far */
    zm_tensor **clone; /* by id: the recomputed copy of a segment's node */
    int n;             /* forward tensors, ids 0..n-1 */
} pass;

zm_tensor *zm_want_grad(zm_tensor *t)
{
    t->needs_grad = true;
    return t;
}

static zm_tensor *mapped(pass *p, zm_tensor *t)
{
    return t && t->id >= 0 && t->id < p->n && p->clone[t->id] ? p->clone[t->id] : t;
}

static void recompute_segment(pass *p, int segment)
{
    for (int i = 0; i < p->n; i++) {
        zm_tensor *t = zm_graph_at(p->g, i);
        if (t->segment != segment)
            continue;
        zm_tensor *in[ZM_MAX_IN];
        for (int k = 0; k < t->n_in; k++)
            in[k] = mapped(p, t->in[k]);
        p->clone[i] = zm_node(p->g, t->op, &t->attr, t->n_in, in);
    }
}

static void accumulate(pass *p, zm_tensor *into, zm_tensor *gradient)
{
    if (zm_graph_failed(p->g) || !into || !gradient || !into->needs_grad || into->id < 0 || into->id >= p->n)
        return;
    char a[128], b[128];
    if (!zm_shape_equal(into->shape, gradient->shape)) {
        zm_graph_fail(p->g, ZM_E_SHAPE, "gradient of %s has shape %s, the tensor %s", into->name,
                      zm_shape_text(gradient->shape, a, sizeof a), zm_shape_text(into->shape, b, sizeof b));
        return;
    }
    zm_tensor **slot = &p->grad[into->id];
    *slot = *slot ? p->ops->add(p->g, *slot, gradient) : gradient;
}

void zm_gradient(zm_graph *g, const zm_grad_ops *ops, zm_tensor *loss, zm_tensor *loss_grad, int n,
                 zm_tensor *const *wrt, zm_tensor **grad)
{
    memset(grad, 0, (size_t)n * sizeof *grad);
    if (zm_graph_failed(g) || !loss->needs_grad)
        return;
    pass p = {.g = g, .ops = ops, .n = zm_graph_size(g)};
    p.grad = zm_arena_array(zm_graph_arena(g), (size_t)p.n, sizeof *p.grad);
    p.clone = zm_arena_array(zm_graph_arena(g), (size_t)p.n, sizeof *p.clone);
    if (!p.grad || !p.clone) {
        zm_graph_fail(g, ZM_E_NOMEM, "out of memory for the gradient of %d nodes", p.n);
        return;
    }
    accumulate(&p, loss, loss_grad);
    int segment = 0;
    for (int i = loss->id; i >= 0 && !zm_graph_failed(g); i--) {
        zm_tensor *t = zm_graph_at(g, i), *gy = p.grad[i];
        if (!gy || t->leaf != ZM_COMPUTED)
            continue;
        if (t->segment && t->segment != segment)
            recompute_segment(&p, segment = t->segment);
        zm_tensor *gin[ZM_MAX_IN] = {0};
        t->op->gradient(g, mapped(&p, t), gy, gin);
        for (int k = 0; k < t->n_in; k++)
            accumulate(&p, t->in[k], gin[k]);
    }
    for (int i = 0; i < n; i++)
        grad[i] = wrt[i]->id >= 0 && wrt[i]->id < p.n ? p.grad[wrt[i]->id] : NULL;
}
