/* Matrix products on the device: operands in the compute type, then one call of the product.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/call.h"
#include "backend/cuda/fp8.h"
#include "backend/cuda/operand.h"

zm_gpu_view zm_gpu_operand(zm_gpu_call *c, const zm_gpu_view *x, int64_t elems, void *room)
{
    if (x->dtype == (int)c->compute)
        return *x;
    zm_gpu_node n = {.in = {*x}, .out = zm_gpu_flat(room, c->compute, elems), .i = {c->compute == ZM_BF16}};
    if (x->dtype == ZM_F32 && (uintptr_t)x->data % 16 == 0) {
        n.i[0] = elems;
        zm_gpu_launch(c, ZM_K_zm_gpu_cast, &n, (elems + 3) / 4);
    } else {
        zm_gpu_launch(c, ZM_K_zm_gpu_widen, &n, elems);
    }
    return n.out;
}

/* Sizes as ops/matmul.c has them. */
static zm_gpu_product sizes_of(const zm_tensor *t)
{
    const zm_tensor *a = t->in[0], *b = t->in[1];
    zm_gpu_product p = {
        .batch = 1, .ta = t->attr.i[0] != 0, .tb = t->attr.i[1] != 0, .alpha = 1, .act = (int)t->attr.i[2]};
    p.m = zm_dim(a, p.ta ? -1 : -2);
    p.k = zm_dim(a, p.ta ? -2 : -1);
    p.n = zm_dim(b, p.tb ? -2 : -1);
    for (int i = 0; i < a->shape.rank - 2; i++)
        p.batch *= a->shape.dim[i];
    if (b->shape.rank == 2) { /* leading dims of a join m */
        p.m *= p.batch;
        p.batch = 1;
    }
    p.lda = p.ta ? p.m : p.k;
    p.ldb = p.tb ? p.k : p.n;
    p.ldc = p.n;
    p.step_a = p.m * p.k;
    p.step_b = p.n * p.k;
    p.step_c = p.m * p.n;
    return p;
}

static size_t matmul_scratch(const zm_gpu_call *c, const zm_tensor *t)
{
    if (zm_fp8_takes(c, t))
        return zm_fp8_scratch(c, t);
    size_t a = c->compute == ZM_F32 ? 0 : zm_gpu_compute_bytes(c, zm_shape_elems(t->in[0]->shape));
    size_t b = t->in[1]->dtype == c->compute ? 0 : zm_gpu_compute_bytes(c, zm_shape_elems(t->in[1]->shape));
    return a + b;
}

static void run_matmul(zm_gpu_call *c, const zm_tensor *t, zm_gpu_node *n)
{
    zm_gpu_product p = sizes_of(t);
    if (zm_fp8_takes(c, t)) {
        zm_fp8_matmul(c, t, n, &p);
        return;
    }
    char *room = n->scratch;
    zm_gpu_view a = n->in[0];
    if (c->compute != ZM_F32) {
        if (c->cast == t->in[0] && c->cast_as == c->compute) /* queries, keys and values read the same tokens */
            a = zm_gpu_flat(room, c->compute, a.elems);
        else
            a = zm_gpu_operand(c, &n->in[0], n->in[0].elems, room);
        c->cast = t->in[0];
        c->cast_as = c->compute;
        room += zm_gpu_compute_bytes(c, n->in[0].elems);
    }
    p.a = a.data;
    p.b = zm_gpu_operand(c, &n->in[1], n->in[1].elems, room).data;
    p.c = n->out.data;
    p.type = c->compute;
    p.bias = n->in[2].data;
    zm_gpu_multiply(c, &p);
}

const zm_gpu_op zm_gpu_op_matmul = {
    .op = "matmul", .name = "cuda_matmul", .scratch = matmul_scratch, .run = run_matmul};
