/* Convolutions on the device: windows gathered piece by piece into scratch, each piece a matrix product.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/call.h"
#include "backend/cuda/operand.h"
#include "ops/conv.h"
#include "ops/conv_shape.h"

typedef struct work {
    zm_conv_sizes s;
    int64_t taps, rows, depth, piece; /* rows of `depth` gathered elements, at most `piece` at a time */
} work;

/* back: rows are places of x that look at y; else places of y that look at x. */
static work work_of(const zm_gpu_call *c, const zm_tensor *t, bool back)
{
    work w = {.s = zm_conv_sizes_of(t)};
    const int64_t *places = back ? w.s.in : w.s.out;
    w.taps = w.s.kernel[0] * w.s.kernel[1] * w.s.kernel[2];
    w.rows = w.s.batch * places[0] * places[1] * places[2];
    w.depth = w.taps * (back ? w.s.o : w.s.c);
    int64_t fit = (int64_t)(c->limit / (size_t)(w.depth * (c->compute == ZM_BF16 ? 2 : 4)));
    w.piece = fit < 1 ? 1 : fit < w.rows ? fit : w.rows;
    return w;
}

/* One tap, stride one, nothing padded: x is its own windows. */
static bool is_plain(const work *w, const zm_gpu_call *c)
{
    const zm_conv_sizes *s = &w->s;
    bool same = w->taps == 1 && c->compute == ZM_F32;
    for (int i = 0; i < 3; i++)
        same = same && s->stride[i] == 1 && s->in[i] == s->out[i] && !s->before[i];
    return same;
}

static void describe(zm_gpu_node *n, const work *w)
{
    for (int i = 0; i < 3; i++) {
        n->i[i] = w->s.stride[i];
        n->i[3 + i] = w->s.before[i];
        n->i[6 + i] = w->s.in[i];
        n->i[9 + i] = w->s.out[i];
    }
    n->i[12] = w->s.c;
    n->i[13] = w->s.o;
}

/* A view that tells the taps alone. */
static zm_gpu_view taps_of(const work *w)
{
    return (zm_gpu_view){.rank = 5, .dim = {0, 0, w->s.kernel[0], w->s.kernel[1], w->s.kernel[2]}};
}

static const void *gather(zm_gpu_call *c, const work *w, const zm_gpu_view *x, void *room, int64_t first, int64_t rows,
                          bool back)
{
    if (is_plain(w, c))
        return (const float *)x->data + first * w->depth;
    zm_gpu_node n = {.in = {*x, taps_of(w)}, .out = zm_gpu_flat(room, c->compute, rows * w->depth)};
    describe(&n, w);
    n.i[14] = first;
    zm_gpu_launch(c, back ? ZM_K_zm_gpu_gather_back : ZM_K_zm_gpu_gather, &n, rows * w->depth);
    return room;
}

static size_t conv_scratch(const zm_gpu_call *c, const zm_tensor *t)
{
    work w = work_of(c, t, t->op == &zm_op_conv_grad_x);
    return zm_gpu_compute_bytes(c, w.piece * w.depth) + zm_gpu_compute_bytes(c, w.taps * w.s.c * w.s.o);
}

/* y = windows w^T, or gx = windows of gy times the weights turned over. */
static void forth_or_back(zm_gpu_call *c, const zm_tensor *t, zm_gpu_node *n, bool back)
{
    work w = work_of(c, t, back);
    const zm_gpu_view *x = &n->in[back ? 1 : 0];
    int64_t columns = back ? w.s.c : w.s.o;
    char *room = n->scratch, *weights = room + zm_gpu_compute_bytes(c, w.piece * w.depth);
    zm_gpu_node turn = {.in = {n->in[back ? 0 : 1]}, .out = zm_gpu_flat(weights, c->compute, w.depth * columns)};
    zm_gpu_launch(c, back ? ZM_K_zm_gpu_conv_weights_back : ZM_K_zm_gpu_conv_weights, &turn, w.depth * columns);
    for (int64_t first = 0; first < w.rows; first += w.piece) {
        int64_t rows = w.rows - first < w.piece ? w.rows - first : w.piece;
        zm_gpu_product p = {.a = gather(c, &w, x, room, first, rows, back),
                            .b = weights,
                            .c = (float *)n->out.data + first * columns,
                            .type = c->compute,
                            .tb = true,
                            .m = rows,
                            .n = columns,
                            .k = w.depth,
                            .batch = 1,
                            .lda = w.depth,
                            .ldb = w.depth,
                            .ldc = columns,
                            .alpha = 1,
                            .bias = back ? NULL : n->in[2].data};
        zm_gpu_multiply(c, &p);
    }
}

static void run_conv(zm_gpu_call *c, const zm_tensor *t, zm_gpu_node *n)
{
    forth_or_back(c, t, n, false);
}

static void run_conv_grad_x(zm_gpu_call *c, const zm_tensor *t, zm_gpu_node *n)
{
    forth_or_back(c, t, n, true);
}

static size_t grad_w_scratch(const zm_gpu_call *c, const zm_tensor *t)
{
    work w = work_of(c, t, false);
    return zm_gpu_compute_bytes(c, w.piece * w.depth) + zm_gpu_compute_bytes(c, w.rows * w.s.o) +
           zm_gpu_f32_bytes(w.depth * w.s.o);
}

/* [O,taps C] sums gy^T windows over the pieces. */
static void run_conv_grad_w(zm_gpu_call *c, const zm_tensor *t, zm_gpu_node *n)
{
    work w = work_of(c, t, false);
    char *room = n->scratch, *narrow = room + zm_gpu_compute_bytes(c, w.piece * w.depth);
    void *behind = narrow + zm_gpu_compute_bytes(c, w.rows * w.s.o);
    float *sum = behind;
    zm_gpu_view gy = zm_gpu_operand(c, &n->in[1], n->in[1].elems, narrow);
    size_t each = c->compute == ZM_BF16 ? 2 : 4;
    for (int64_t first = 0; first < w.rows; first += w.piece) {
        int64_t rows = w.rows - first < w.piece ? w.rows - first : w.piece;
        zm_gpu_product p = {.a = (const char *)gy.data + (size_t)(first * w.s.o) * each,
                            .b = gather(c, &w, &n->in[0], room, first, rows, false),
                            .c = sum,
                            .type = c->compute,
                            .ta = true,
                            .m = w.s.o,
                            .n = w.depth,
                            .k = rows,
                            .batch = 1,
                            .lda = w.s.o,
                            .ldb = w.depth,
                            .ldc = w.depth,
                            .alpha = 1,
                            .beta = first ? 1 : 0};
        zm_gpu_multiply(c, &p);
    }
    zm_gpu_node turn = {.in = {zm_gpu_flat(sum, ZM_F32, w.depth * w.s.o)}, .out = n->out};
    zm_gpu_launch(c, ZM_K_zm_gpu_conv_weights_grad, &turn, n->out.elems);
}

const zm_gpu_op zm_gpu_op_conv = {.op = "conv", .name = "cuda_conv", .scratch = conv_scratch, .run = run_conv};
const zm_gpu_op zm_gpu_op_conv_grad_x = {
    .op = "conv_grad_x", .name = "cuda_conv_grad_x", .scratch = conv_scratch, .run = run_conv_grad_x};
const zm_gpu_op zm_gpu_op_conv_grad_w = {
    .op = "conv_grad_w", .name = "cuda_conv_grad_w", .scratch = grad_w_scratch, .run = run_conv_grad_w};
