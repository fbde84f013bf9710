/* Elementwise arithmetic with broadcasting, and sums back to a shape.
 * SPDX-License-Identifier: MIT */
#include "ops/binary.h"

#include <string.h>

#include "ops/unary.h"

static const char *const kind_name[] = {"add", "sub", "mul", "div"};

/* s seen with `rank` dims: ones put in front. */
static zm_shape widened(zm_shape s, int rank)
{
    zm_shape w = {.rank = rank};
    for (int i = 0; i < rank; i++) {
        int k = i - (rank - s.rank);
        w.dim[i] = k < 0 ? 1 : s.dim[k];
    }
    return w;
}

static zm_status binary_shape(const zm_tensor *t, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)dtype;
    const zm_tensor *a = t->in[0], *b = t->in[1];
    char ta[96], tb[96];
    if (t->attr.i[0] < ZM_ADD || t->attr.i[0] > ZM_DIV)
        return zm_fail(err, ZM_E_SHAPE, "binary: unknown kind %lld", (long long)t->attr.i[0]);
    int rank = a->shape.rank > b->shape.rank ? a->shape.rank : b->shape.rank;
    zm_shape x = widened(a->shape, rank), y = widened(b->shape, rank);
    shape->rank = rank;
    for (int i = 0; i < rank; i++) {
        if (x.dim[i] != y.dim[i] && x.dim[i] != 1 && y.dim[i] != 1)
            return zm_fail(err, ZM_E_SHAPE, "%s: shapes %s and %s do not broadcast", kind_name[t->attr.i[0]],
                           zm_shape_text(a->shape, ta, sizeof ta), zm_shape_text(b->shape, tb, sizeof tb));
        shape->dim[i] = x.dim[i] > y.dim[i] ? x.dim[i] : y.dim[i];
    }
    return ZM_OK;
}

/* Strides in elements of s as it is read while walking `over`: 0 where it is repeated. */
static void walk_strides(int64_t stride[ZM_MAX_RANK], zm_shape s, zm_shape over)
{
    zm_shape w = widened(s, over.rank);
    int64_t at = 1;
    for (int i = over.rank - 1; i >= 0; i--) {
        stride[i] = w.dim[i] == 1 ? 0 : at;
        at *= w.dim[i];
    }
}

/* Advance a multi-index over `s` and the offsets that go with it; false at the end. */
static bool step(int64_t index[ZM_MAX_RANK], zm_shape s, int n, int64_t at[], int64_t stride[][ZM_MAX_RANK])
{
    for (int i = s.rank - 1; i >= 0; i--) {
        for (int k = 0; k < n; k++)
            at[k] += stride[k][i];
        if (++index[i] < s.dim[i])
            return true;
        for (int k = 0; k < n; k++)
            at[k] -= stride[k][i] * s.dim[i];
        index[i] = 0;
    }
    return false;
}

static float apply(int64_t kind, float a, float b)
{
    return kind == ZM_ADD ? a + b : kind == ZM_SUB ? a - b : kind == ZM_MUL ? a * b : a / b;
}

static void binary_reference(const zm_tensor *t)
{
    const float *a = t->in[0]->data, *b = t->in[1]->data;
    float *y = t->data;
    int64_t stride[2][ZM_MAX_RANK], index[ZM_MAX_RANK] = {0}, at[2] = {0};
    walk_strides(stride[0], t->in[0]->shape, t->shape);
    walk_strides(stride[1], t->in[1]->shape, t->shape);
    do
        *y++ = apply(t->attr.i[0], a[at[0]], b[at[1]]);
    while (step(index, t->shape, 2, at, stride));
}

static void binary_gradient(zm_graph *g, zm_tensor *t, zm_tensor *gy, zm_tensor **gin)
{
    zm_tensor *a = t->in[0], *b = t->in[1];
    int64_t kind = t->attr.i[0];
    if (a->needs_grad) {
        zm_tensor *d = kind == ZM_MUL ? zm_mul(g, gy, b) : kind == ZM_DIV ? zm_div(g, gy, b) : gy;
        gin[0] = zm_sum_to(g, d, a->shape);
    }
    if (b->needs_grad) {
        zm_tensor *d = kind == ZM_ADD   ? gy
                       : kind == ZM_SUB ? zm_affine(g, gy, -1, 0)
                       : kind == ZM_MUL ? zm_mul(g, gy, a)
                                        : zm_affine(g, zm_div(g, zm_mul(g, gy, t), b), -1, 0);
        gin[1] = zm_sum_to(g, d, b->shape);
    }
}

static zm_shape attr_shape(const zm_tensor *t)
{
    zm_shape s = {.rank = (int)t->attr.i[0]};
    for (int i = 0; i < s.rank && i < ZM_MAX_RANK; i++)
        s.dim[i] = t->attr.i[1 + i];
    return s;
}

static zm_attr shape_attr(zm_shape s)
{
    zm_attr a = {.i = {s.rank}};
    for (int i = 0; i < s.rank; i++)
        a.i[1 + i] = s.dim[i];
    return a;
}

/* Does `small` broadcast to `large`? */
static bool broadcasts(zm_shape small, zm_shape large)
{
    if (small.rank > large.rank || large.rank > ZM_MAX_RANK)
        return false;
    zm_shape w = widened(small, large.rank);
    for (int i = 0; i < large.rank; i++)
        if (w.dim[i] != large.dim[i] && w.dim[i] != 1)
            return false;
    return true;
}

static zm_status sum_to_shape(const zm_tensor *t, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)dtype;
    char a[96], b[96];
    *shape = attr_shape(t);
    if (!broadcasts(*shape, t->in[0]->shape))
        return zm_fail(err, ZM_E_SHAPE, "sum_to: %s cannot be summed to %s",
                       zm_shape_text(t->in[0]->shape, a, sizeof a), zm_shape_text(*shape, b, sizeof b));
    return ZM_OK;
}

static void sum_to_reference(const zm_tensor *t)
{
    const float *x = t->in[0]->data;
    float *y = t->data;
    zm_shape over = t->in[0]->shape;
    int64_t stride[1][ZM_MAX_RANK], index[ZM_MAX_RANK] = {0}, at[1] = {0};
    walk_strides(stride[0], t->shape, over);
    memset(y, 0, zm_tensor_bytes(t));
    do
        y[at[0]] += *x++;
    while (step(index, over, 1, at, stride));
}

static void sum_to_gradient(zm_graph *g, zm_tensor *t, zm_tensor *gy, zm_tensor **gin)
{
    gin[0] = zm_broadcast(g, gy, t->in[0]->shape);
}

static zm_status broadcast_shape(const zm_tensor *t, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)dtype;
    char a[96], b[96];
    *shape = attr_shape(t);
    if (!broadcasts(t->in[0]->shape, *shape))
        return zm_fail(err, ZM_E_SHAPE, "broadcast: %s cannot be repeated to %s",
                       zm_shape_text(t->in[0]->shape, a, sizeof a), zm_shape_text(*shape, b, sizeof b));
    return ZM_OK;
}

static void broadcast_reference(const zm_tensor *t)
{
    const float *x = t->in[0]->data;
    float *y = t->data;
    int64_t stride[1][ZM_MAX_RANK], index[ZM_MAX_RANK] = {0}, at[1] = {0};
    walk_strides(stride[0], t->in[0]->shape, t->shape);
    do
        *y++ = x[at[0]];
    while (step(index, t->shape, 1, at, stride));
}

static void broadcast_gradient(zm_graph *g, zm_tensor *t, zm_tensor *gy, zm_tensor **gin)
{
    gin[0] = zm_sum_to(g, gy, t->in[0]->shape);
}

static const zm_op_case binary_cases[] = {
    {.name = "add", .n_in = 2, .shape = {{2, {4, 33}}, {2, {4, 33}}}, .attr.i[0] = ZM_ADD},
    {.name = "sub row", .n_in = 2, .shape = {{3, {2, 3, 17}}, {1, {17}}}, .attr.i[0] = ZM_SUB},
    {.name = "mul group", .n_in = 2, .shape = {{3, {3, 5, 16}}, {3, {3, 1, 16}}}, .attr.i[0] = ZM_MUL},
    {.name = "mul scalar", .n_in = 2, .shape = {{2, {6, 9}}, {1, {1}}}, .attr.i[0] = ZM_MUL},
    {.name = "mul column", .n_in = 2, .shape = {{2, {6, 9}}, {2, {6, 1}}}, .attr.i[0] = ZM_MUL},
    {.name = "add both broadcast", .n_in = 2, .shape = {{3, {2, 1, 5}}, {2, {4, 1}}}, .attr.i[0] = ZM_ADD},
    {.name = "add small to large", .n_in = 2, .shape = {{1, {8}}, {3, {2, 3, 8}}}, .attr.i[0] = ZM_ADD},
    {.name = "div", .n_in = 2, .shape = {{2, {3, 7}}, {1, {7}}}, .attr.i[0] = ZM_DIV, .lo = 0.5F, .hi = 2},
    {.name = "add long", .n_in = 2, .shape = {{2, {301, 333}}, {2, {301, 333}}}, .attr.i[0] = ZM_ADD},
};
static const zm_op_case sum_to_cases[] = {
    {.name = "leading", .n_in = 1, .shape = {{3, {4, 5, 6}}}, .attr.i = {1, 6}},
    {.name = "all", .n_in = 1, .shape = {{3, {4, 5, 6}}}, .attr.i = {1, 1}},
    {.name = "middle", .n_in = 1, .shape = {{4, {2, 3, 5, 4}}}, .attr.i = {4, 2, 1, 1, 4}},
    {.name = "last", .n_in = 1, .shape = {{2, {9, 31}}}, .attr.i = {2, 9, 1}},
    {.name = "middle of two", .n_in = 1, .shape = {{3, {2, 2, 16}}}, .attr.i = {3, 2, 1, 16}},
    {.name = "alternating", .n_in = 1, .shape = {{4, {2, 3, 4, 5}}}, .attr.i = {4, 1, 3, 1, 5}},
    {.name = "nothing", .n_in = 1, .shape = {{2, {3, 4}}}, .attr.i = {2, 3, 4}},
    {.name = "long rows", .n_in = 1, .shape = {{2, {1000, 64}}}, .attr.i = {1, 64}, .tolerance = 2e-5},
    {.name = "long all", .n_in = 1, .shape = {{2, {1000, 64}}}, .attr.i = {1, 1}, .tolerance = 1e-3},
};
static const zm_op_case broadcast_cases[] = {
    {.name = "rows", .n_in = 1, .shape = {{1, {6}}}, .attr.i = {3, 4, 5, 6}},
    {.name = "middle", .n_in = 1, .shape = {{4, {2, 1, 3, 1}}}, .attr.i = {4, 2, 5, 3, 4}},
    {.name = "scalar", .n_in = 1, .shape = {{1, {1}}}, .attr.i = {2, 3, 4}},
};

const zm_op zm_op_binary = {.name = "binary",
                            .min_in = 2,
                            .max_in = 2,
                            .shape = binary_shape,
                            .reference = binary_reference,
                            .gradient = binary_gradient,
                            .tolerance = 1e-6,
                            ZM_CASES(binary_cases)};
const zm_op zm_op_sum_to = {.name = "sum_to",
                            .min_in = 1,
                            .max_in = 1,
                            .shape = sum_to_shape,
                            .reference = sum_to_reference,
                            .gradient = sum_to_gradient,
                            .tolerance = 2e-6,
                            ZM_CASES(sum_to_cases)};
const zm_op zm_op_broadcast = {.name = "broadcast",
                               .min_in = 1,
                               .max_in = 1,
                               .shape = broadcast_shape,
                               .reference = broadcast_reference,
                               .gradient = broadcast_gradient,
                               .tolerance = 0,
                               ZM_CASES(broadcast_cases)};

static zm_tensor *binary(zm_graph *g, zm_binary_kind kind, zm_tensor *a, zm_tensor *b)
{
    return zm_node(g, &zm_op_binary, &(zm_attr){.i = {kind}}, 2, (zm_tensor *[]){a, b});
}

zm_tensor *zm_add(zm_graph *g, zm_tensor *a, zm_tensor *b)
{
    return binary(g, ZM_ADD, a, b);
}

zm_tensor *zm_sub(zm_graph *g, zm_tensor *a, zm_tensor *b)
{
    return binary(g, ZM_SUB, a, b);
}

zm_tensor *zm_mul(zm_graph *g, zm_tensor *a, zm_tensor *b)
{
    return binary(g, ZM_MUL, a, b);
}

zm_tensor *zm_div(zm_graph *g, zm_tensor *a, zm_tensor *b)
{
    return binary(g, ZM_DIV, a, b);
}

zm_tensor *zm_sum_to(zm_graph *g, zm_tensor *x, zm_shape shape)
{
    if (zm_shape_equal(x->shape, shape))
        return x;
    zm_attr a = shape_attr(shape);
    return zm_node(g, &zm_op_sum_to, &a, 1, &x);
}

zm_tensor *zm_broadcast(zm_graph *g, zm_tensor *x, zm_shape shape)
{
    if (zm_shape_equal(x->shape, shape))
        return x;
    zm_attr a = shape_attr(shape);
    return zm_node(g, &zm_op_broadcast, &a, 1, &x);
}

zm_tensor *zm_sum(zm_graph *g, zm_tensor *x)
{
    return zm_sum_to(g, x, ZM_SHAPE(1));
}

zm_tensor *zm_mean(zm_graph *g, zm_tensor *x)
{
    return zm_affine(g, zm_sum(g, x), 1.0 / (double)zm_shape_elems(x->shape), 0);
}
