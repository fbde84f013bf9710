/* Views, permutation, slices, padding, joining.
 * SPDX-License-Identifier: MIT */
#include "ops/layout.h"

#include <string.h>

static int64_t product(const int64_t *dim, int from, int to)
{
    int64_t n = 1;
    for (int i = from; i < to; i++)
        n *= dim[i];
    return n;
}

static zm_status bad_axis(const zm_tensor *t, int64_t axis, zm_error *err)
{
    char text[96];
    return zm_fail(err, ZM_E_SHAPE, "%s: axis %lld of shape %s", t->op->name, (long long)axis,
                   zm_shape_text(t->in[0]->shape, text, sizeof text));
}

/* ---- view ---- */

static zm_status view_shape(const zm_tensor *t, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    char a[96], b[96];
    *dtype = t->in[0]->dtype;
    *shape = (zm_shape){.rank = (int)t->attr.i[1]};
    if (shape->rank < 0 || shape->rank > ZM_MAX_RANK)
        return zm_fail(err, ZM_E_SHAPE, "view: rank %d", shape->rank);
    memcpy(shape->dim, t->attr.i + 2, (size_t)shape->rank * sizeof *shape->dim);
    int64_t have = zm_shape_elems(t->in[0]->shape), want = zm_shape_elems(*shape), offset = t->attr.i[0];
    if (offset < 0 || want < 0 || want > have || offset > have - want || zm_dtype_block_elems(*dtype) != 1)
        return zm_fail(err, ZM_E_SHAPE, "view: %s at element %lld of %s %s", zm_shape_text(*shape, a, sizeof a),
                       (long long)offset, zm_dtype_name(*dtype), zm_shape_text(t->in[0]->shape, b, sizeof b));
    return ZM_OK;
}

static void view_reference(const zm_tensor *t)
{
    (void)t; /* the plan made it an alias */
}

static void view_gradient(zm_graph *g, zm_tensor *t, zm_tensor *gy, zm_tensor **gin)
{
    int64_t have = zm_shape_elems(t->in[0]->shape), n = zm_shape_elems(t->shape), offset = t->attr.i[0];
    zm_tensor *flat = zm_reshape(g, gy, ZM_SHAPE(n));
    gin[0] = zm_reshape(g, zm_pad(g, flat, 0, offset, have - n - offset), t->in[0]->shape);
}

/* ---- permute ---- */

static zm_status permute_shape(const zm_tensor *t, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    const zm_tensor *x = t->in[0];
    unsigned seen = 0;
    *dtype = x->dtype;
    shape->rank = x->shape.rank;
    for (int k = 0; k < x->shape.rank; k++) {
        int64_t from = t->attr.i[k];
        if (from < 0 || from >= x->shape.rank || seen >> from & 1)
            return bad_axis(t, from, err);
        seen |= 1u << from;
        shape->dim[k] = x->shape.dim[from];
    }
    return zm_dtype_block_bytes(*dtype) == 4 ? ZM_OK
                                             : zm_fail(err, ZM_E_SHAPE, "permute: dtype %s", zm_dtype_name(*dtype));
}

static void permute_reference(const zm_tensor *t)
{
    const float *x = t->in[0]->data;
    float *y = t->data;
    int rank = t->shape.rank;
    int64_t stride[ZM_MAX_RANK], index[ZM_MAX_RANK] = {0}, at = 0;
    for (int k = 0; k < rank; k++)
        stride[k] = product(t->in[0]->shape.dim, (int)t->attr.i[k] + 1, rank);
    for (;;) {
        *y++ = x[at];
        int k = rank - 1;
        for (; k >= 0; k--) {
            at += stride[k];
            if (++index[k] < t->shape.dim[k])
                break;
            at -= stride[k] * t->shape.dim[k];
            index[k] = 0;
        }
        if (k < 0)
            return;
    }
}

static void permute_gradient(zm_graph *g, zm_tensor *t, zm_tensor *gy, zm_tensor **gin)
{
    int inverse[ZM_MAX_RANK] = {0};
    for (int k = 0; k < t->shape.rank; k++)
        inverse[t->attr.i[k]] = k;
    gin[0] = zm_permute(g, gy, inverse);
}

/* ---- slice, pad, concat: copies of runs [outer][range of axis][inner] ---- */

static zm_status slice_shape(const zm_tensor *t, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    const zm_tensor *x = t->in[0];
    int64_t axis = t->attr.i[0], start = t->attr.i[1], length = t->attr.i[2];
    *dtype = x->dtype;
    *shape = x->shape;
    if (axis < 0 || axis >= x->shape.rank)
        return bad_axis(t, axis, err);
    int64_t have = x->shape.dim[axis];
    if (start < 0 || length <= 0 || length > have || start > have - length)
        return zm_fail(err, ZM_E_SHAPE, "slice: %lld elements from %lld of an axis of %lld", (long long)length,
                       (long long)start, (long long)have);
    shape->dim[axis] = length;
    return ZM_OK;
}

/* Copy `rows` runs of run elements between two buffers with different row lengths. */
static void copy_rows(float *to, int64_t to_row, const float *from, int64_t from_row, int64_t rows, int64_t run)
{
    for (int64_t i = 0; i < rows; i++)
        memcpy(to + i * to_row, from + i * from_row, (size_t)run * 4);
}

static void slice_reference(const zm_tensor *t)
{
    int axis = (int)t->attr.i[0];
    const zm_tensor *x = t->in[0];
    int64_t inner = product(x->shape.dim, axis + 1, x->shape.rank), outer = product(x->shape.dim, 0, axis);
    copy_rows(t->data, t->attr.i[2] * inner, (const float *)x->data + t->attr.i[1] * inner, x->shape.dim[axis] * inner,
              outer, t->attr.i[2] * inner);
}

static void slice_gradient(zm_graph *g, zm_tensor *t, zm_tensor *gy, zm_tensor **gin)
{
    int64_t have = t->in[0]->shape.dim[t->attr.i[0]], start = t->attr.i[1], length = t->attr.i[2];
    gin[0] = zm_pad(g, gy, (int)t->attr.i[0], start, have - start - length);
}

static zm_status pad_shape(const zm_tensor *t, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    int64_t axis = t->attr.i[0];
    (void)dtype;
    *shape = t->in[0]->shape;
    if (axis < 0 || axis >= shape->rank)
        return bad_axis(t, axis, err);
    if (t->attr.i[1] < 0 || t->attr.i[2] < 0 || t->attr.i[1] > INT32_MAX * 64LL || t->attr.i[2] > INT32_MAX * 64LL)
        return zm_fail(err, ZM_E_SHAPE, "pad: %lld before, %lld after", (long long)t->attr.i[1],
                       (long long)t->attr.i[2]);
    shape->dim[axis] += t->attr.i[1] + t->attr.i[2];
    return ZM_OK;
}

static void pad_reference(const zm_tensor *t)
{
    int axis = (int)t->attr.i[0];
    const zm_tensor *x = t->in[0];
    int64_t inner = product(x->shape.dim, axis + 1, x->shape.rank), outer = product(x->shape.dim, 0, axis);
    memset(t->data, 0, zm_tensor_bytes(t));
    copy_rows((float *)t->data + t->attr.i[1] * inner, t->shape.dim[axis] * inner, x->data, x->shape.dim[axis] * inner,
              outer, x->shape.dim[axis] * inner);
}

static void pad_gradient(zm_graph *g, zm_tensor *t, zm_tensor *gy, zm_tensor **gin)
{
    gin[0] = zm_slice(g, gy, (int)t->attr.i[0], t->attr.i[1], t->in[0]->shape.dim[t->attr.i[0]]);
}

static zm_status concat_shape(const zm_tensor *t, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    int64_t axis = t->attr.i[0];
    char a[96], b[96];
    (void)dtype;
    *shape = t->in[0]->shape;
    if (axis < 0 || axis >= shape->rank)
        return bad_axis(t, axis, err);
    for (int k = 1; k < t->n_in; k++) {
        zm_shape other = t->in[k]->shape;
        int64_t more = axis < other.rank ? other.dim[axis] : 0;
        if (axis < other.rank)
            other.dim[axis] = shape->dim[axis];
        if (!zm_shape_equal(other, *shape))
            return zm_fail(err, ZM_E_SHAPE, "concat: %s joined to %s on axis %lld",
                           zm_shape_text(t->in[k]->shape, a, sizeof a), zm_shape_text(t->in[0]->shape, b, sizeof b),
                           (long long)axis);
        shape->dim[axis] += more;
    }
    return ZM_OK;
}

static void concat_reference(const zm_tensor *t)
{
    int axis = (int)t->attr.i[0];
    int64_t inner = product(t->shape.dim, axis + 1, t->shape.rank), outer = product(t->shape.dim, 0, axis), at = 0;
    for (int k = 0; k < t->n_in; k++) {
        int64_t run = t->in[k]->shape.dim[axis] * inner;
        copy_rows((float *)t->data + at, t->shape.dim[axis] * inner, t->in[k]->data, run, outer, run);
        at += run;
    }
}

static void concat_gradient(zm_graph *g, zm_tensor *t, zm_tensor *gy, zm_tensor **gin)
{
    int axis = (int)t->attr.i[0];
    int64_t at = 0;
    for (int k = 0; k < t->n_in; k++) {
        int64_t n = t->in[k]->shape.dim[axis];
        if (t->in[k]->needs_grad)
            gin[k] = zm_slice(g, gy, axis, at, n);
        at += n;
    }
}

static const zm_op_case view_cases[] = {
    {.name = "reshape", .n_in = 1, .shape = {{2, {4, 6}}}, .attr.i = {0, 3, 2, 3, 4}},
    {.name = "window", .n_in = 1, .shape = {{2, {4, 6}}}, .attr.i = {5, 2, 2, 3}},
};
static const zm_op_case permute_cases[] = {
    {.name = "transpose", .n_in = 1, .shape = {{2, {5, 7}}}, .attr.i = {1, 0}},
    {.name = "channels last", .n_in = 1, .shape = {{5, {2, 3, 4, 5, 6}}}, .attr.i = {0, 2, 3, 4, 1}},
    {.name = "fold", .n_in = 1, .shape = {{7, {2, 3, 2, 3, 2, 2, 3}}}, .attr.i = {0, 1, 3, 2, 4, 5, 6}},
    {.name = "keep last", .n_in = 1, .shape = {{4, {3, 4, 5, 16}}}, .attr.i = {0, 2, 1, 3}},
    {.name = "eight axes", .n_in = 1, .shape = {{8, {2, 1, 3, 2, 2, 2, 1, 3}}}, .attr.i = {0, 2, 4, 6, 1, 3, 5, 7}},
};
static const zm_op_case slice_cases[] = {
    {.name = "first axis", .n_in = 1, .shape = {{2, {6, 4}}}, .attr.i = {0, 2, 3}},
    {.name = "middle axis", .n_in = 1, .shape = {{3, {3, 7, 5}}}, .attr.i = {1, 1, 4}},
    {.name = "last axis", .n_in = 1, .shape = {{2, {4, 9}}}, .attr.i = {1, 8, 1}},
};
static const zm_op_case pad_cases[] = {
    {.name = "first axis", .n_in = 1, .shape = {{2, {3, 4}}}, .attr.i = {0, 2, 1}},
    {.name = "middle axis", .n_in = 1, .shape = {{3, {2, 3, 5}}}, .attr.i = {1, 0, 4}},
    {.name = "last axis", .n_in = 1, .shape = {{2, {3, 4}}}, .attr.i = {1, 3, 0}},
};
static const zm_op_case concat_cases[] = {
    {.name = "first axis", .n_in = 2, .shape = {{2, {3, 4}}, {2, {2, 4}}}, .attr.i = {0}},
    {.name = "middle axis", .n_in = 3, .shape = {{3, {2, 3, 5}}, {3, {2, 1, 5}}, {3, {2, 4, 5}}}, .attr.i = {1}},
    {.name = "last axis", .n_in = 2, .shape = {{2, {3, 4}}, {2, {3, 5}}}, .attr.i = {1}},
};

const zm_op zm_op_view = {.name = "view",
                          .min_in = 1,
                          .max_in = 1,
                          .shape = view_shape,
                          .reference = view_reference,
                          .gradient = view_gradient,
                          .is_view = true,
                          ZM_CASES(view_cases)};
const zm_op zm_op_permute = {.name = "permute",
                             .min_in = 1,
                             .max_in = 1,
                             .shape = permute_shape,
                             .reference = permute_reference,
                             .gradient = permute_gradient,
                             ZM_CASES(permute_cases)};
const zm_op zm_op_slice = {.name = "slice",
                           .min_in = 1,
                           .max_in = 1,
                           .shape = slice_shape,
                           .reference = slice_reference,
                           .gradient = slice_gradient,
                           ZM_CASES(slice_cases)};
const zm_op zm_op_pad = {.name = "pad",
                         .min_in = 1,
                         .max_in = 1,
                         .shape = pad_shape,
                         .reference = pad_reference,
                         .gradient = pad_gradient,
                         ZM_CASES(pad_cases)};
const zm_op zm_op_concat = {.name = "concat",
                            .min_in = 1,
                            .max_in = ZM_MAX_IN,
                            .shape = concat_shape,
                            .reference = concat_reference,
                            .gradient = concat_gradient,
                            ZM_CASES(concat_cases)};

zm_tensor *zm_view(zm_graph *g, zm_tensor *x, int64_t offset, zm_shape shape)
{
    zm_attr a = {.i = {offset, shape.rank}};
    for (int i = 0; i < shape.rank; i++)
        a.i[2 + i] = shape.dim[i];
    return zm_node(g, &zm_op_view, &a, 1, &x);
}

zm_tensor *zm_reshape(zm_graph *g, zm_tensor *x, zm_shape shape)
{
    char a[96], b[96];
    if (zm_shape_equal(x->shape, shape))
        return x;
    if (!zm_graph_failed(g) && zm_shape_elems(x->shape) != zm_shape_elems(shape))
        return zm_graph_fail(g, ZM_E_SHAPE, "reshape: %s to %s", zm_shape_text(x->shape, a, sizeof a),
                             zm_shape_text(shape, b, sizeof b));
    return zm_view(g, x, 0, shape);
}

zm_tensor *zm_permute(zm_graph *g, zm_tensor *x, const int *order)
{
    zm_attr a = {0};
    for (int i = 0; i < x->shape.rank; i++)
        a.i[i] = order[i];
    return zm_node(g, &zm_op_permute, &a, 1, &x);
}

zm_tensor *zm_slice(zm_graph *g, zm_tensor *x, int axis, int64_t start, int64_t length)
{
    if (axis >= 0 && axis < x->shape.rank && start == 0 && length == x->shape.dim[axis])
        return x;
    zm_attr a = {.i = {axis, start, length}};
    bool outermost = axis >= 0 && axis < x->shape.rank && product(x->shape.dim, 0, axis) == 1;
    if (outermost && start >= 0 && length > 0 && length <= x->shape.dim[axis] && start <= x->shape.dim[axis] - length) {
        zm_shape s = x->shape;
        s.dim[axis] = length;
        return zm_view(g, x, start * product(x->shape.dim, axis + 1, x->shape.rank), s);
    }
    return zm_node(g, &zm_op_slice, &a, 1, &x);
}

zm_tensor *zm_pad(zm_graph *g, zm_tensor *x, int axis, int64_t before, int64_t after)
{
    if (!before && !after)
        return x;
    return zm_node(g, &zm_op_pad, &(zm_attr){.i = {axis, before, after}}, 1, &x);
}

zm_tensor *zm_concat(zm_graph *g, int n, zm_tensor *const *x, int axis)
{
    return n == 1 ? x[0] : zm_node(g, &zm_op_concat, &(zm_attr){.i = {axis}}, n, x);
}
