/* Looking rows up, softmax and its cross entropy.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_OPS_LOOKUP_H
#define ZM_OPS_LOOKUP_H

#include "tensor/op.h"

extern const zm_op
    zm_op_embedding; /* in: table [V,D] of any weight type, ids [..] i32 -> [..,D]; an id outside 0..V-1 gives zeros */
extern const zm_op zm_op_embedding_grad; /* in: ids, gy; attr i[0] V -> [V,D] */
extern const zm_op zm_op_softmax;        /* in: x; over the last axis */
extern const zm_op zm_op_softmax_grad;   /* in: y, gy */
extern const zm_op
    zm_op_cross_entropy; /* in: logits [R,C], labels [R] i32 -> [R]: -log softmax at the label; label < 0: 0 */
extern const zm_op zm_op_cross_entropy_grad; /* in: logits, labels, gy [R] -> [R,C] */

zm_tensor *zm_embedding(zm_graph *g, zm_tensor *table, zm_tensor *ids);
zm_tensor *zm_softmax(zm_graph *g, zm_tensor *x);
zm_tensor *zm_cross_entropy(zm_graph *g, zm_tensor *logits, zm_tensor *labels);

#endif
