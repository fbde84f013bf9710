/* The contract of an op: one descriptor gives its shape rule, plain reference, gradient and test cases.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TENSOR_OP_H
#define ZM_TENSOR_OP_H

#include "tensor/tensor.h"

/* A declarative test case: inputs of these shapes filled with uniform numbers in [lo, hi) (both 0: [-1, 1)),
 * i32 inputs with integers in [0, below).  rank -1 in a shape means "this optional input is absent". */
typedef struct zm_op_case {
    const char *name;
    int n_in;
    zm_shape shape[ZM_MAX_IN];
    zm_dtype dtype[ZM_MAX_IN]; /* ZM_F32 unless told */
    zm_attr attr;
    float lo, hi;
    int below;
    double tolerance; /* 0: the op's */
} zm_op_case;

#define ZM_ABSENT ((zm_shape){.rank = -1})

struct zm_op {
    const char *name;
    int min_in, max_in;
    /* Fill *shape and *dtype (preset: f32) from node->in, node->attr.  Errors name the op and both values. */
    zm_status (*shape)(const zm_tensor *node, zm_shape *shape, zm_dtype *dtype, zm_error *err);
    /* Plain loops: read node->in[i]->data, write node->data.  Sums in double where it is free. */
    void (*reference)(const zm_tensor *node);
    /* Append nodes computing d loss/d in[i] into gin[i] (shape of in[i]) from gy = d loss/d node.  gin[] comes in
     * zeroed; leave NULL what has no gradient or is not asked for (in[i]->needs_grad).  NULL: no gradient. */
    void (*gradient)(zm_graph *g, zm_tensor *node, zm_tensor *gy, zm_tensor **gin);
    bool in_place;    /* output may overwrite in[0] when in[0] is not needed any more */
    bool is_view;     /* output is in[0]'s memory at element offset attr.i[0] */
    bool overwrites;  /* in[1], an external leaf, is written: readers of its old value stand before this node (T2) */
    double tolerance; /* of a backend against the reference: max|diff| <= tolerance * max(1, max|reference|) */
    const zm_op_case *cases;
    int n_cases;
};

#define ZM_CASES(array) .cases = (array), .n_cases = (int)(sizeof(array) / sizeof *(array))

/* Weight element reads for references that accept every weight type (zm_dtype_is_weight): element i of t. */
float zm_read_stored(const zm_tensor *t, int64_t i);
static inline float zm_read_f32(const zm_tensor *t, int64_t i)
{
    return t->dtype == ZM_F32 ? ((const float *)t->data)[i] : zm_read_stored(t, i);
}

/* Whose memory t's numbers lie in: t itself, or what the views under it are of. */
static inline const zm_tensor *zm_tensor_base(const zm_tensor *t)
{
    while (t->op && t->op->is_view)
        t = t->in[0];
    return t;
}

#endif
