/* Convolution and its two gradients through oneDNN, on channels-last activations as they lie.
 *
 * Activations keep our layout; the weights' layout is oneDNN's choice and they are reordered in every run, because
 * training changes them between runs (they are small beside the activations).
 *
 * One core of Zen 3, without AVX-512 (peak 88 GFLOPS): kernels that reach in time alone, over [4,32,64,384], are done at 14 by
 * oneDNN and at 73 by our own loops, strided ones at 31-35 against 67-71; at few places, and without taps, oneDNN is
 * the faster one (53-87 against 30-80).
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/dnnl_kernels.h"

#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/gemm.h"
#include "ops/conv.h"
#include "ops/conv_shape.h"

enum {
    MANY_PLACES = 1024 /* from which our own loops are ahead on some kernels */
};

typedef enum { FORWARD, BACK_X, BACK_W } direction;

/* The convolution as oneDNN sees it: 2 or 3 axes; index 0 is the first of them. */
typedef struct problem {
    int axes;
    dnnl_dims_t x, w, y, bias, stride, dilate, left, right;
} problem;

typedef struct job {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_desc_t hint, desc;
    dnnl_primitive_t conv, reorder;
    dnnl_memory_t x, w, y, bias, plain_w, pad; /* w: in oneDNN's layout; plain_w: as the checkpoint has it */
    bool has_bias, reorders;
    size_t w_at, plain_at, pad_at; /* offsets in scratch */
    size_t plain_elems;            /* > 0: weights stored as f16 or bf16 are widened first */
} job;

static problem problem_of(const zm_tensor *node)
{
    zm_conv_sizes c = zm_conv_sizes_of(node);
    problem p = {.axes = 3};
    int64_t images = c.batch, in[3], out[3], kernel[3], stride[3], before[3], after[3];
    for (int i = 0; i < 3; i++) {
        in[i] = c.in[i], out[i] = c.out[i], kernel[i] = c.kernel[i], stride[i] = c.stride[i], before[i] = c.before[i];
        after[i] = (out[i] - 1) * stride[i] + kernel[i] - in[i] - before[i]; /* what the last window needs */
        if (after[i] < 0)
            after[i] = 0;
    }
    bool flat_time = kernel[0] == 1 && stride[0] == 1 && before[0] == 0 && after[0] == 0;
    bool flat_space = kernel[1] == 1 && kernel[2] == 1 && in[1] == out[1] && in[2] == out[2];
    int from = 0;
    if (flat_time) { /* frames are images */
        images *= in[0];
        from = 1, p.axes = 2;
    } else if (flat_space) { /* frames are rows of an image whose columns are all places */
        in[1] *= in[2], out[1] *= out[2];
        p.axes = 2;
    }
    p.x[0] = p.y[0] = images;
    p.x[1] = p.w[1] = c.c;
    p.y[1] = p.w[0] = p.bias[0] = c.o;
    for (int i = 0; i < p.axes; i++) {
        p.x[2 + i] = in[from + i], p.y[2 + i] = out[from + i], p.w[2 + i] = kernel[from + i];
        p.stride[i] = stride[from + i], p.left[i] = before[from + i], p.right[i] = after[from + i];
    }
    return p;
}

static void job_release(void *state)
{
    job *j = state;
    if (!j)
        return;
    dnnl_memory_t memory[] = {j->x, j->w, j->y, j->bias, j->plain_w, j->pad};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        if (memory[i])
            dnnl_memory_destroy(memory[i]);
    if (j->conv)
        dnnl_primitive_destroy(j->conv);
    if (j->reorder)
        dnnl_primitive_destroy(j->reorder);
    if (j->desc)
        dnnl_primitive_desc_destroy(j->desc);
    if (j->hint)
        dnnl_primitive_desc_destroy(j->hint);
    if (j->stream)
        dnnl_stream_destroy(j->stream);
    if (j->engine)
        dnnl_engine_destroy(j->engine);
    free(j);
}

typedef struct layouts {
    dnnl_memory_desc_t x, w, y, bias, plain_w;
} layouts;

static dnnl_status_t describe_memory(layouts *l, const problem *p)
{
    bool deep = p->axes == 3;
    int rank = p->axes + 2;
    dnnl_format_tag_t tag = deep ? dnnl_ndhwc : dnnl_nhwc;
    dnnl_status_t s = dnnl_memory_desc_init_by_tag(&l->x, rank, p->x, dnnl_f32, tag);
    s = s ? s : dnnl_memory_desc_init_by_tag(&l->y, rank, p->y, dnnl_f32, tag);
    s = s ? s : dnnl_memory_desc_init_by_tag(&l->w, rank, p->w, dnnl_f32, dnnl_format_tag_any);
    s = s ? s : dnnl_memory_desc_init_by_tag(&l->plain_w, rank, p->w, dnnl_f32, deep ? dnnl_oidhw : dnnl_oihw);
    return s ? s : dnnl_memory_desc_init_by_tag(&l->bias, 1, p->bias, dnnl_f32, dnnl_a);
}

static dnnl_status_t describe_conv(job *j, const problem *p, const layouts *l, direction way,
                                   dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t c;
    const dnnl_memory_desc_t *bias = j->has_bias ? &l->bias : NULL;
    dnnl_prop_kind_t kind = way == FORWARD ? dnnl_forward_inference : dnnl_forward_training;
    dnnl_status_t s = dnnl_dilated_convolution_forward_desc_init(&c, kind, dnnl_convolution_direct, &l->x, &l->w, bias,
                                                                 &l->y, p->stride, p->dilate, p->left, p->right);
    if (way == FORWARD)
        return s ? s : dnnl_primitive_desc_create(&j->desc, &c, attr, j->engine, NULL);
    s = s ? s : dnnl_primitive_desc_create(&j->hint, &c, attr, j->engine, NULL);
    if (s)
        return s;
    if (way == BACK_X)
        s = dnnl_dilated_convolution_backward_data_desc_init(&c, dnnl_convolution_direct, &l->x, &l->w, &l->y,
                                                             p->stride, p->dilate, p->left, p->right);
    else
        s = dnnl_dilated_convolution_backward_weights_desc_init(&c, dnnl_convolution_direct, &l->x, &l->w, NULL, &l->y,
                                                                p->stride, p->dilate, p->left, p->right);
    return s ? s : dnnl_primitive_desc_create(&j->desc, &c, attr, j->engine, j->hint);
}

static dnnl_status_t make_reorder(job *j, const layouts *l, const dnnl_memory_desc_t *chosen, direction way)
{
    const dnnl_memory_desc_t *from = way == BACK_W ? chosen : &l->plain_w, *to = way == BACK_W ? &l->plain_w : chosen;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t s = dnnl_reorder_primitive_desc_create(&desc, from, j->engine, to, j->engine, NULL);
    if (s)
        return s;
    s = dnnl_primitive_create(&j->reorder, desc);
    dnnl_primitive_desc_destroy(desc);
    return s;
}

static dnnl_status_t make_memory(job *j, const layouts *l, const dnnl_memory_desc_t *chosen,
                                 const dnnl_memory_desc_t *pad)
{
    dnnl_status_t s = dnnl_memory_create(&j->x, &l->x, j->engine, DNNL_MEMORY_NONE);
    s = s ? s : dnnl_memory_create(&j->y, &l->y, j->engine, DNNL_MEMORY_NONE);
    s = s ? s : dnnl_memory_create(&j->w, chosen, j->engine, DNNL_MEMORY_NONE);
    s = s ? s : dnnl_memory_create(&j->plain_w, &l->plain_w, j->engine, DNNL_MEMORY_NONE);
    s = s ? s : dnnl_memory_create(&j->pad, pad, j->engine, DNNL_MEMORY_NONE);
    if (!s && j->has_bias)
        s = dnnl_memory_create(&j->bias, &l->bias, j->engine, DNNL_MEMORY_NONE);
    return s;
}

static size_t place(size_t *scratch, size_t bytes)
{
    size_t at = *scratch;
    *scratch += (bytes + 63) & ~(size_t)63;
    return at;
}

static dnnl_status_t build(job *j, const problem *p, direction way, size_t *scratch)
{
    layouts l;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t s = dnnl_engine_create(&j->engine, dnnl_cpu, 0);
    s = s ? s : dnnl_stream_create(&j->stream, j->engine, dnnl_stream_default_flags);
    s = s ? s : describe_memory(&l, p);
    s = s ? s : dnnl_primitive_attr_create(&attr);
    s = s ? s : dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    s = s ? s : describe_conv(j, p, &l, way, attr);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    s = s ? s : dnnl_primitive_create(&j->conv, j->desc);
    if (s)
        return s;
    dnnl_query_t which = way == BACK_W ? dnnl_query_diff_weights_md : dnnl_query_weights_md;
    const dnnl_memory_desc_t *chosen = dnnl_primitive_desc_query_md(j->desc, which, 0);
    const dnnl_memory_desc_t *pad = dnnl_primitive_desc_query_md(j->desc, dnnl_query_scratchpad_md, 0);
    j->reorders = !dnnl_memory_desc_equal(chosen, &l.plain_w);
    if (j->reorders) {
        s = make_reorder(j, &l, chosen, way);
        j->w_at = place(scratch, dnnl_memory_desc_get_size(chosen));
    }
    j->pad_at = place(scratch, dnnl_memory_desc_get_size(pad));
    if (j->plain_elems)
        j->plain_at = place(scratch, j->plain_elems * sizeof(float));
    return s ? s : make_memory(j, &l, chosen, pad);
}

static zm_status prepare(const zm_tensor *node, direction way, void **state, size_t *scratch, zm_error *err)
{
    job *j = calloc(1, sizeof *j);
    if (!j)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory for a oneDNN primitive", node->op->name);
    const zm_tensor *w = way == FORWARD ? node->in[1] : node->in[0];
    j->has_bias = way == FORWARD && node->n_in > 2 && node->in[2];
    if (way != BACK_W && w->dtype != ZM_F32)
        j->plain_elems = (size_t)zm_shape_elems(w->shape);
    problem p = problem_of(node);
    dnnl_status_t s = build(j, &p, way, scratch);
    if (s) {
        job_release(j);
        return zm_fail(err, s == dnnl_out_of_memory ? ZM_E_NOMEM : ZM_E_UNSUPPORTED,
                       "%s: oneDNN refuses with status %d", node->op->name, (int)s);
    }
    *state = j;
    return ZM_OK;
}

static zm_status prepare_forward(const zm_tensor *node, void **state, size_t *scratch, zm_error *err)
{
    return prepare(node, FORWARD, state, scratch, err);
}

static zm_status prepare_back_x(const zm_tensor *node, void **state, size_t *scratch, zm_error *err)
{
    return prepare(node, BACK_X, state, scratch, err);
}

static zm_status prepare_back_w(const zm_tensor *node, void **state, size_t *scratch, zm_error *err)
{
    return prepare(node, BACK_W, state, scratch, err);
}

static void reorder(job *j, dnnl_memory_t from, dnnl_memory_t to)
{
    dnnl_exec_arg_t arg[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    ZM_ASSERT(dnnl_primitive_execute(j->reorder, j->stream, 2, arg) == dnnl_success);
}

static void point(job *j, const void *x, const void *y, char *scratch)
{
    dnnl_memory_set_data_handle(j->x, (void *)x);
    dnnl_memory_set_data_handle(j->y, (void *)y);
    dnnl_memory_set_data_handle(j->pad, scratch + j->pad_at);
}

/* The weights where the primitive wants them: widened, reordered, or as they are. */
static void point_weights(job *j, const zm_tensor *w, char *scratch)
{
    void *plain = w->data;
    if (j->plain_elems) {
        plain = scratch + j->plain_at;
        zm_dtype_to_f32(plain, w->data, w->dtype, j->plain_elems);
    }
    dnnl_memory_set_data_handle(j->plain_w, plain);
    dnnl_memory_set_data_handle(j->w, j->reorders ? scratch + j->w_at : plain);
    if (j->reorders)
        reorder(j, j->plain_w, j->w);
}

static void run_forward(const zm_tensor *node, void *state, void *scratch)
{
    job *j = state;
    point(j, node->in[0]->data, node->data, scratch);
    point_weights(j, node->in[1], scratch);
    dnnl_exec_arg_t arg[] = {{DNNL_ARG_SRC, j->x},
                             {DNNL_ARG_WEIGHTS, j->w},
                             {DNNL_ARG_DST, j->y},
                             {DNNL_ARG_SCRATCHPAD, j->pad},
                             {DNNL_ARG_BIAS, j->bias}};
    if (j->has_bias)
        dnnl_memory_set_data_handle(j->bias, node->in[2]->data);
    ZM_ASSERT(dnnl_primitive_execute(j->conv, j->stream, j->has_bias ? 5 : 4, arg) == dnnl_success);
    dnnl_stream_wait(j->stream);
}

static void run_back_x(const zm_tensor *node, void *state, void *scratch)
{
    job *j = state;
    point(j, node->data, node->in[1]->data, scratch);
    point_weights(j, node->in[0], scratch);
    dnnl_exec_arg_t arg[] = {
        {DNNL_ARG_DIFF_SRC, j->x}, {DNNL_ARG_WEIGHTS, j->w}, {DNNL_ARG_DIFF_DST, j->y}, {DNNL_ARG_SCRATCHPAD, j->pad}};
    ZM_ASSERT(dnnl_primitive_execute(j->conv, j->stream, 4, arg) == dnnl_success);
    dnnl_stream_wait(j->stream);
}

static void run_back_w(const zm_tensor *node, void *state, void *scratch)
{
    job *j = state;
    point(j, node->in[0]->data, node->in[1]->data, scratch);
    dnnl_memory_set_data_handle(j->plain_w, node->data);
    dnnl_memory_set_data_handle(j->w, j->reorders ? (char *)scratch + j->w_at : node->data);
    dnnl_exec_arg_t arg[] = {
        {DNNL_ARG_SRC, j->x}, {DNNL_ARG_DIFF_WEIGHTS, j->w}, {DNNL_ARG_DIFF_DST, j->y}, {DNNL_ARG_SCRATCHPAD, j->pad}};
    ZM_ASSERT(dnnl_primitive_execute(j->conv, j->stream, 4, arg) == dnnl_success);
    if (j->reorders)
        reorder(j, j->w, j->plain_w);
    dnnl_stream_wait(j->stream);
}

static const char *decline_forward(const zm_tensor *node)
{
    zm_conv_sizes c = zm_conv_sizes_of(node);
    bool in_time = c.kernel[0] > 1 && c.kernel[1] == 1 && c.kernel[2] == 1;
    if (zm_gemm_isa_best()->lanes >= ZM_DNNL_WIDE_LANES || c.batch * c.out[0] * c.out[1] * c.out[2] < MANY_PLACES)
        return NULL;
    return in_time || c.stride[1] > 1 || c.stride[2] > 1 ? "taps in time alone, or strides, without AVX-512" : NULL;
}

const zm_kernel zm_dnnl_conv = {
    .op = &zm_op_conv,
    .name = "dnnl_conv",
    .decline = decline_forward,
    .prepare = prepare_forward,
    .run = run_forward,
    .release = job_release,
};

const zm_kernel zm_dnnl_conv_grad_x = {
    .op = &zm_op_conv_grad_x,
    .name = "dnnl_conv_grad_x",
    .prepare = prepare_back_x,
    .run = run_back_x,
    .release = job_release,
};

const zm_kernel zm_dnnl_conv_grad_w = {
    .op = &zm_op_conv_grad_w,
    .name = "dnnl_conv_grad_w",
    .prepare = prepare_back_w,
    .run = run_back_w,
    .release = job_release,
};
