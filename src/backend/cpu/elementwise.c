/* Elementwise kernels: ranges of a node's elements, spread over threads.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/elementwise_walk.h"
#include "backend/cpu/simd.h"
#include "backend/cpu/simd_kernels.h"

static const float *input(const zm_tensor *node, int i)
{
    return node->in[i]->data;
}

static void unary_range(void *ctx, int64_t begin, int64_t end)
{
    const zm_tensor *t = ctx;
    float *y = t->data;
    zm_elementwise()->unary((zm_unary_kind)t->attr.i[0], y + begin, input(t, 0) + begin, end - begin);
}

static void unary_grad_range(void *ctx, int64_t begin, int64_t end)
{
    const zm_tensor *t = ctx;
    float *y = t->data;
    zm_elementwise()->unary_grad((zm_unary_kind)t->attr.i[0], y + begin, input(t, 0) + begin, input(t, 1) + begin,
                                 end - begin);
}

static void affine_range(void *ctx, int64_t begin, int64_t end)
{
    const zm_tensor *t = ctx;
    float *y = t->data;
    zm_elementwise()->affine(y + begin, input(t, 0) + begin, (float)t->attr.f[0], (float)t->attr.f[1], end - begin);
}

typedef struct binary_work {
    const zm_tensor *node;
    zm_walk walk;
} binary_work;

static void binary_range(void *ctx, int64_t begin, int64_t end)
{
    const binary_work *b = ctx;
    const zm_walk *w = &b->walk;
    const float *p = input(b->node, 0), *q = input(b->node, 1);
    float *y = b->node->data;
    int64_t inner = w->dim[w->rank - 1], sp = w->stride[0][w->rank - 1], sq = w->stride[1][w->rank - 1];
    for (int64_t at = begin; at < end;) {
        int64_t col = at % inner, n = inner - col < end - at ? inner - col : end - at, offset[2];
        zm_walk_at(w, at / inner, offset);
        zm_elementwise()->binary((zm_binary_kind)b->node->attr.i[0], y + at, p + offset[0] + col * sp, (int)sp,
                                 q + offset[1] + col * sq, (int)sq, n);
        at += n;
    }
}

static void run_unary(const zm_tensor *node, void *state, void *scratch)
{
    (void)state, (void)scratch;
    zm_parallel_ranges(zm_shape_elems(node->shape), ZM_GRAIN, unary_range, (void *)node);
}

static void run_unary_grad(const zm_tensor *node, void *state, void *scratch)
{
    (void)state, (void)scratch;
    zm_parallel_ranges(zm_shape_elems(node->shape), ZM_GRAIN, unary_grad_range, (void *)node);
}

static void run_affine(const zm_tensor *node, void *state, void *scratch)
{
    (void)state, (void)scratch;
    zm_parallel_ranges(zm_shape_elems(node->shape), ZM_GRAIN, affine_range, (void *)node);
}

static void run_binary(const zm_tensor *node, void *state, void *scratch)
{
    (void)state, (void)scratch;
    binary_work b = {.node = node, .walk.n = 2};
    zm_walk_repeat(&b.walk, 0, node->in[0]->shape, node->shape);
    zm_walk_repeat(&b.walk, 1, node->in[1]->shape, node->shape);
    zm_walk_join(&b.walk);
    zm_parallel_ranges(zm_shape_elems(node->shape), ZM_GRAIN, binary_range, &b);
}

static const char *decline_not_f32(const zm_tensor *node)
{
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] && node->in[i]->dtype != ZM_F32)
            return "an input is not f32";
    return NULL;
}

const zm_kernel zm_cpu_unary = {.op = &zm_op_unary, .name = "simd", .decline = decline_not_f32, .run = run_unary};
const zm_kernel zm_cpu_unary_grad = {
    .op = &zm_op_unary_grad, .name = "simd", .decline = decline_not_f32, .run = run_unary_grad};
const zm_kernel zm_cpu_affine = {.op = &zm_op_affine, .name = "simd", .decline = decline_not_f32, .run = run_affine};
const zm_kernel zm_cpu_binary = {.op = &zm_op_binary, .name = "simd", .decline = decline_not_f32, .run = run_binary};
