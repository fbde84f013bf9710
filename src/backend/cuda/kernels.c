/* The table of ops on the device, and the ones that are a kernel or two.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "backend/cuda/call.h"

static size_t round256(size_t n)
{
    return (n + 255) & ~(size_t)255;
}

size_t zm_gpu_compute_bytes(const zm_gpu_call *c, int64_t elems)
{
    return round256((size_t)elems * (c->compute == ZM_BF16 ? 2 : 4));
}

size_t zm_gpu_f32_bytes(int64_t elems)
{
    return round256((size_t)elems * 4);
}

zm_gpu_view zm_gpu_flat(void *data, zm_dtype t, int64_t elems)
{
    return (zm_gpu_view){.data = data, .elems = elems, .dim = {elems}, .rank = 1, .dtype = (int)t};
}

void zm_gpu_launch(zm_gpu_call *c, zm_gpu_kernel k, zm_gpu_node *n, int64_t count)
{
    n->count = count;
    if (!c->status && count > 0)
        c->status = c->gpu->fns->launch(c->gpu, k, n, c->err);
}

static void plain_product(zm_gpu_call *c, const zm_gpu_product *p)
{
    int64_t tiles = ((p->m + 63) / 64) * ((p->n + 63) / 64);
    zm_gpu_node n = {
        .in = {zm_gpu_flat((void *)(uintptr_t)p->a, p->type, 0), zm_gpu_flat((void *)(uintptr_t)p->b, p->type, 0)},
        .out = zm_gpu_flat(p->c, ZM_F32, 0),
        .i = {p->m, p->n, p->k, p->ta, p->tb, p->lda, p->ldb, p->ldc, p->step_a, p->step_b, p->step_c},
        .f = {p->alpha, p->beta}};
    zm_gpu_launch(c, ZM_K_zm_gpu_tiles, &n, p->batch * tiles);
}

void zm_gpu_multiply(zm_gpu_call *c, const zm_gpu_product *p)
{
    bool finished = false;
    if (c->status)
        return;
    zm_error why = {0};
    zm_status s = c->gpu->fns->product(c->gpu, p, &finished, &why);
    if (s == ZM_E_UNSUPPORTED) {
        plain_product(c, p);
    } else if (s) {
        c->status = zm_fail(c->err, s, "%s", why.text);
    }
    if (finished || (!p->bias && !p->act))
        return;
    ZM_ASSERT(p->ldc == p->n && (p->batch == 1 || p->step_c == p->m * p->n));
    zm_gpu_node n = {.in = {zm_gpu_flat((void *)(uintptr_t)p->bias, ZM_F32, p->n)},
                     .out = zm_gpu_flat(p->c, ZM_F32, p->batch * p->m * p->n),
                     .i = {p->n, p->act}};
    zm_gpu_launch(c, ZM_K_zm_gpu_bias_act, &n, n.out.elems);
}

/* ---- one kernel, one item for each element ---- */

#define EACH(op_)                                                                                                      \
    static void run_##op_(zm_gpu_call *c, const zm_tensor *t, zm_gpu_node *n)                                          \
    {                                                                                                                  \
        (void)t;                                                                                                       \
        zm_gpu_launch(c, ZM_K_zm_gpu_##op_, n, n->out.elems);                                                          \
    }
/* ---- one kernel, one block for each row of the last axis of the first input ---- */
#define ROWS(op_)                                                                                                      \
    static void run_##op_(zm_gpu_call *c, const zm_tensor *t, zm_gpu_node *n)                                          \
    {                                                                                                                  \
        zm_gpu_launch(c, ZM_K_zm_gpu_##op_, n, n->in[0].elems / zm_dim(t->in[0], -1));                                 \
    }
EACH(unary)
EACH(unary_grad)
EACH(affine)
EACH(broadcast)
EACH(permute)
EACH(embedding)
EACH(embedding_grad)
ROWS(norm)
ROWS(norm_modulate)
ROWS(softmax)
ROWS(softmax_grad)
ROWS(cross_entropy)
ROWS(cross_entropy_grad)

/* b's dims are the last ones of a's, exactly. */
static bool is_tail(const zm_shape *b, const zm_shape *a)
{
    for (int i = 0; i < b->rank; i++)
        if (b->rank > a->rank || b->dim[b->rank - 1 - i] != a->dim[a->rank - 1 - i])
            return false;
    return true;
}

static void run_binary(zm_gpu_call *c, const zm_tensor *t, zm_gpu_node *n)
{
    bool rows = is_tail(&t->in[1]->shape, &t->in[0]->shape) || n->in[1].elems == 1;
    rows = rows && n->out.elems == n->in[0].elems;
    zm_gpu_launch(c, rows ? ZM_K_zm_gpu_binary_rows : ZM_K_zm_gpu_binary, n, n->out.elems);
}

/* Whole rows are summed: the result is [D] with ones in front. */
static bool sums_rows(const zm_tensor *t)
{
    int64_t D = zm_shape_elems(t->shape), n = zm_shape_elems(t->in[0]->shape);
    bool summed = false; /* a dim was: all dims in front of it must be, too */
    for (int i = 0, k = t->shape.rank - 1; k >= 0; i++, k--) {
        summed = summed || t->shape.dim[k] != zm_dim(t->in[0], -1 - i);
        if (summed && t->shape.dim[k] != 1)
            return false;
    }
    return D >= 8 && n > D;
}

/* Pieces that rows are summed in, side by side, before the pieces are added. */
static int64_t pieces_of(const zm_tensor *t)
{
    int64_t D = zm_shape_elems(t->shape), R = zm_shape_elems(t->in[0]->shape) / D, wide = (D + 31) / 32;
    int64_t want = 512 / wide, most = R / 64;
    want = want < most ? want : most;
    return want < 1 ? 1 : want;
}

static size_t sum_to_scratch(const zm_gpu_call *c, const zm_tensor *t)
{
    (void)c;
    return sums_rows(t) && pieces_of(t) > 1 ? zm_gpu_f32_bytes(pieces_of(t) * zm_shape_elems(t->shape)) : 0;
}

static void run_sum_to(zm_gpu_call *c, const zm_tensor *t, zm_gpu_node *n)
{
    if (!sums_rows(t)) {
        zm_gpu_launch(c, ZM_K_zm_gpu_sum_to, n, n->out.elems);
        return;
    }
    int64_t D = n->out.elems, wide = (D + 31) / 32, pieces = pieces_of(t);
    n->i[0] = D;
    n->i[1] = pieces;
    zm_gpu_launch(c, ZM_K_zm_gpu_sum_rows, n, pieces * wide);
    if (pieces == 1)
        return;
    n->in[0] = zm_gpu_flat(n->scratch, ZM_F32, pieces * D);
    n->i[1] = 1;
    zm_gpu_launch(c, ZM_K_zm_gpu_sum_rows, n, wide);
}

static int64_t product_of(const int64_t *dim, int from, int to)
{
    int64_t n = 1;
    for (int i = from; i < to; i++)
        n *= dim[i];
    return n;
}

static void run_slice(zm_gpu_call *c, const zm_tensor *t, zm_gpu_node *n)
{
    const zm_shape *x = &t->in[0]->shape;
    int axis = (int)t->attr.i[0];
    int64_t inner = product_of(x->dim, axis + 1, x->rank), run = t->attr.i[2] * inner;
    int64_t i[5] = {run, run, 0, x->dim[axis] * inner, t->attr.i[1] * inner};
    memcpy(n->i, i, sizeof i);
    zm_gpu_launch(c, ZM_K_zm_gpu_copy_rows, n, n->out.elems);
}

static void run_pad(zm_gpu_call *c, const zm_tensor *t, zm_gpu_node *n)
{
    n->i[3] = product_of(t->shape.dim, (int)t->attr.i[0] + 1, t->shape.rank);
    zm_gpu_launch(c, ZM_K_zm_gpu_pad, n, n->out.elems);
}

static void run_concat(zm_gpu_call *c, const zm_tensor *t, zm_gpu_node *n)
{
    int axis = (int)t->attr.i[0];
    int64_t inner = product_of(t->shape.dim, axis + 1, t->shape.rank), row = t->shape.dim[axis] * inner, at = 0;
    for (int k = 0; k < t->n_in; k++) {
        int64_t run = t->in[k]->shape.dim[axis] * inner, i[5] = {run, row, at, run, 0};
        zm_gpu_node one = {.in = {n->in[k]}, .out = n->out};
        memcpy(one.i, i, sizeof i);
        zm_gpu_launch(c, ZM_K_zm_gpu_copy_rows, &one, n->in[k].elems);
        at += run;
    }
}

static void run_keep_frames(zm_gpu_call *c, const zm_tensor *t, zm_gpu_node *n)
{
    n->i[0] = product_of(t->in[0]->shape.dim, 2, 5);
    zm_gpu_launch(c, ZM_K_zm_gpu_keep_frames, n, n->in[1].elems);
}

static void run_rope(zm_gpu_call *c, const zm_tensor *t, zm_gpu_node *n)
{
    (void)t;
    zm_gpu_launch(c, ZM_K_zm_gpu_rope, n, n->out.elems / 2);
}

static void run_gate_add(zm_gpu_call *c, const zm_tensor *t, zm_gpu_node *n)
{
    int64_t D = zm_dim(t, -1), groups = n->in[2].elems / D;
    n->i[0] = D;
    n->i[1] = n->out.elems / groups;
    zm_gpu_launch(c, ZM_K_zm_gpu_gate_add, n, n->out.elems);
}

/* ---- gradients that end in sums over rows ---- */

static void sum_groups(zm_gpu_call *c, const void *x, float *to, int64_t rows, int64_t D, int64_t groups)
{
    zm_gpu_node n = {.in = {zm_gpu_flat((void *)(uintptr_t)x, ZM_F32, rows * D)},
                     .out = zm_gpu_flat(to, ZM_F32, groups * D),
                     .i = {D, rows / groups}};
    zm_gpu_launch(c, ZM_K_zm_gpu_sum_groups, &n, groups * ((D + 31) / 32));
}

static size_t rows_scratch(const zm_gpu_call *c, const zm_tensor *t)
{
    (void)c;
    return zm_gpu_f32_bytes(zm_shape_elems(t->in[0]->shape));
}

static void run_norm_grad(zm_gpu_call *c, const zm_tensor *t, zm_gpu_node *n)
{
    int64_t D = zm_dim(t->in[0], -1), elems = n->in[0].elems, rows = elems / D;
    float *dw = (float *)n->out.data + elems, *db = dw + (t->in[1] ? D : 0);
    bool bias = t->attr.i[1] != 0;
    n->i[2] = 0;
    n->i[3] = t->in[1] != NULL;
    n->i[4] = rows;
    zm_gpu_launch(c, ZM_K_zm_gpu_norm_grad_rows, n, rows);
    if (t->in[1])
        sum_groups(c, n->scratch, dw, rows, D, 1);
    if (bias)
        sum_groups(c, n->in[2].data, db, rows, D, 1);
}

static void run_norm_modulate_grad(zm_gpu_call *c, const zm_tensor *t, zm_gpu_node *n)
{
    int64_t D = zm_dim(t->in[0], -1), elems = n->in[0].elems, rows = elems / D, groups = n->in[1].elems / D;
    float *dscale = (float *)n->out.data + elems;
    n->i[2] = n->i[3] = 1;
    n->i[4] = rows / groups;
    zm_gpu_launch(c, ZM_K_zm_gpu_norm_grad_rows, n, rows);
    sum_groups(c, n->scratch, dscale, rows, D, groups);
    sum_groups(c, n->in[2].data, dscale + groups * D, rows, D, groups);
}

static void run_gate_add_grad(zm_gpu_call *c, const zm_tensor *t, zm_gpu_node *n)
{
    int64_t D = zm_dim(t->in[0], -1), elems = n->in[0].elems, groups = n->in[1].elems / D;
    n->i[0] = D;
    n->i[1] = elems / groups;
    zm_gpu_launch(c, ZM_K_zm_gpu_gate_grad, n, elems);
    sum_groups(c, n->scratch, (float *)n->out.data + elems, elems / D, D, groups);
}

#define ROW(op_)                                                                                                       \
    {                                                                                                                  \
        .op = #op_, .name = "cuda_" #op_, .run = run_##op_                                                             \
    }
#define ROW_SCRATCH(op_, scratch_)                                                                                     \
    {                                                                                                                  \
        .op = #op_, .name = "cuda_" #op_, .run = run_##op_, .scratch = scratch_                                        \
    }
static const zm_gpu_op simple[] = {
    ROW(unary),
    ROW(unary_grad),
    ROW(affine),
    ROW(binary),
    ROW(broadcast),
    ROW_SCRATCH(sum_to, sum_to_scratch),
    ROW(permute),
    ROW(slice),
    ROW(pad),
    ROW(concat),
    {.op = "keep_frames", .name = "cuda_keep_frames", .run = run_keep_frames, .writes = 2},
    ROW(norm),
    ROW_SCRATCH(norm_grad, rows_scratch),
    ROW(norm_modulate),
    ROW_SCRATCH(norm_modulate_grad, rows_scratch),
    ROW(gate_add),
    ROW_SCRATCH(gate_add_grad, rows_scratch),
    ROW(rope),
    ROW(embedding),
    ROW(embedding_grad),
    ROW(softmax),
    ROW(softmax_grad),
    ROW(cross_entropy),
    ROW(cross_entropy_grad),
};
static const zm_gpu_op *const larger[] = {
    &zm_gpu_op_matmul,      &zm_gpu_op_conv,      &zm_gpu_op_conv_grad_x,
    &zm_gpu_op_conv_grad_w, &zm_gpu_op_attention, &zm_gpu_op_attention_grad,
};

const zm_gpu_op *zm_gpu_op_find(const zm_op *op)
{
    for (size_t i = 0; i < sizeof simple / sizeof *simple; i++)
        if (!strcmp(simple[i].op, op->name))
            return &simple[i];
    for (size_t i = 0; i < sizeof larger / sizeof *larger; i++)
        if (!strcmp(larger[i]->op, op->name))
            return larger[i];
    return NULL;
}
