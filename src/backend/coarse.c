/* Which linear maps of a graph may be made of 8-bit numbers when it is asked for.
 * SPDX-License-Identifier: MIT */
#include "backend/coarse.h"

enum { ROWS_LEAST = 64, SIDE_LEAST = 256 };

const char *zm_coarse_linear(const zm_tensor *node)
{
    const zm_tensor *b = node->in[1];
    if (b->leaf != ZM_EXTERNAL || b->needs_grad)
        return "b is no weight";
    if (node->attr.i[0] || !node->attr.i[1] || b->shape.rank != 2)
        return "no linear map";
    if (zm_shape_elems(node->shape) / zm_dim(node, -1) < ROWS_LEAST)
        return "few rows";
    if (b->shape.dim[0] < SIDE_LEAST || b->shape.dim[1] < SIDE_LEAST)
        return "a narrow map";
    return NULL;
}
