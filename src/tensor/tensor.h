/* Tensors and static graphs: shapes known when built, every tensor dense and row-major.
 *
 * Invariants other files cite:
 *  T1  A tensor is dense: element (i0,..,ir-1) lies at ((i0*d1 + i1)*d2 + ...) * size of an element.  The only
 *      aliases are views (same bytes, other shape, optional element offset); everything else copies.
 *  T2  Nodes stand in execution order: a node's inputs have smaller ids.
 *  T3  Builders are sticky: after the first error they return the graph's poison tensor (shape [1]) and do
 *      nothing; zm_graph_finish reports that error.
 *  T4  A leaf is an input (memory of the plan, written by the caller) or external (memory of somebody else:
 *      weights, caches); only external leaves may have a dtype other than f32 and i32.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TENSOR_TENSOR_H
#define ZM_TENSOR_TENSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/dtype.h"
#include "base/error.h"

enum { ZM_MAX_RANK = 8, ZM_MAX_IN = 8 };

typedef struct zm_shape {
    int rank;
    int64_t dim[ZM_MAX_RANK];
} zm_shape;

#define ZM_SHAPE(...)                                                                                                  \
    ((zm_shape){.rank = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), .dim = {__VA_ARGS__}})

/* Parameters of a node; each op's header names its slots. */
typedef struct zm_attr {
    int64_t i[16];
    double f[4];
} zm_attr;

typedef enum { ZM_COMPUTED, ZM_INPUT, ZM_EXTERNAL } zm_leaf_kind;

typedef struct zm_op zm_op;
typedef struct zm_graph zm_graph;

typedef struct zm_tensor {
    const zm_op *op; /* NULL for a leaf */
    zm_leaf_kind leaf;
    zm_dtype dtype;
    zm_shape shape;
    zm_attr attr;
    int n_in;
    struct zm_tensor *in[ZM_MAX_IN];
    int id;          /* place in execution order (T2) */
    int segment;     /* > 0: recomputed in the backward pass instead of kept (gradient checkpointing) */
    bool needs_grad; /* a leaf that asks for its gradient, or a node that depends on one */
    bool is_output;  /* its memory is kept after a run */
    const char *name;
    void *data; /* set by the plan, or by the owner of external memory; NULL before */
} zm_tensor;

int64_t zm_shape_elems(zm_shape s); /* product; 1 for rank 0 */
bool zm_shape_equal(zm_shape a, zm_shape b);
/* "[2,3,4]" into a caller's buffer, returned. */
const char *zm_shape_text(zm_shape s, char *buf, size_t cap);
/* Dimension i, negative counted from the end. */
int64_t zm_dim(const zm_tensor *t, int i);
size_t zm_tensor_bytes(const zm_tensor *t);

zm_graph *zm_graph_new(void); /* NULL when out of memory */
void zm_graph_free(zm_graph *g);
zm_arena *zm_graph_arena(zm_graph *g);

zm_tensor *zm_input(zm_graph *g, zm_dtype dtype, zm_shape shape, const char *name);
/* `data` is borrowed and must outlive every run; it may be set or changed later through ->data. */
zm_tensor *zm_external(zm_graph *g, zm_dtype dtype, zm_shape shape, void *data, const char *name);
/* A node; the op's shape rule decides its shape and dtype.  NULL inputs are allowed where the op says so. */
zm_tensor *zm_node(zm_graph *g, const zm_op *op, const zm_attr *attr, int n_in, zm_tensor *const *in);
/* Record a builder's own complaint (T3) and return the poison tensor. */
zm_tensor *zm_graph_fail(zm_graph *g, zm_status code, const char *fmt, ...) ZM_PRINTF(3, 4);
bool zm_graph_failed(const zm_graph *g);

/* Keep t's value after a run.  Returns t. */
zm_tensor *zm_output(zm_graph *g, zm_tensor *t);
/* Nodes built between begin and end are recomputed during the backward pass. */
void zm_segment_begin(zm_graph *g);
void zm_segment_end(zm_graph *g);

/* The first sticky error, or ZM_OK.  Drops nodes that no output needs and renumbers (T2 keeps). */
ZM_MUST zm_status zm_graph_finish(zm_graph *g, zm_error *err);

int zm_graph_size(const zm_graph *g);
zm_tensor *zm_graph_at(const zm_graph *g, int id);

#endif
