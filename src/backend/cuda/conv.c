/* Convolutions on the device: by its library where it has them, else windows gathered piece by piece into scratch, each
 * piece a matrix product.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/call.h"
#include "backend/cuda/operand.h"
#include "ops/conv.h"
#include "ops/conv_shape.h"
#include "ops/unary.h"

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

/* ---- by the device's library ---- */

/* Places of y that are made together: whole clips, whole frames of one clip, or lines of one frame. */
typedef struct box {
    int64_t clips, size[3];
} box;

/* What a box of places sees. */
static void seen_by(const zm_conv_sizes *s, const int64_t *size, int64_t *seen)
{
    for (int i = 0; i < 3; i++)
        seen[i] = (size[i] - 1) * s->stride[i] + s->kernel[i];
}

static int64_t seen_elems(const zm_conv_sizes *s, const box *b)
{
    int64_t seen[3];
    seen_by(s, b->size, seen);
    return b->clips * seen[0] * seen[1] * seen[2] * s->c;
}

/* The largest of 1 .. *n for which what is seen fits; one is always allowed. */
static void shrink(const zm_gpu_call *c, const zm_conv_sizes *s, box *b, int64_t *n)
{
    int64_t low = 1, high = *n, fit = (int64_t)(c->limit / 2);
    while (low < high) {
        *n = (low + high + 1) / 2;
        if (seen_elems(s, b) <= fit)
            low = *n;
        else
            high = *n - 1;
    }
    *n = low;
}

static box box_of(const zm_gpu_call *c, const zm_conv_sizes *s)
{
    box b = {s->batch, {s->out[0], s->out[1], s->out[2]}};
    shrink(c, s, &b, &b.clips);
    if (b.clips == 1)
        shrink(c, s, &b, &b.size[0]);
    if (b.clips == 1 && b.size[0] == 1)
        shrink(c, s, &b, &b.size[1]);
    return b;
}

/* x as a box at these places of y sees it, zeros where it looks outside. */
static void pad(zm_gpu_call *c, const zm_conv_sizes *s, const zm_gpu_view *x, const box *b, const int64_t *at,
                void *room)
{
    int64_t seen[3];
    seen_by(s, b->size, seen);
    zm_gpu_node n = {.in = {*x}, .out = zm_gpu_flat(room, ZM_BF16, seen_elems(s, b)), .i = {s->c}};
    for (int i = 0; i < 3; i++) {
        n.i[1 + i] = s->in[i];
        n.i[4 + i] = seen[i];
        n.i[7 + i] = at[1 + i] * s->stride[i] - s->before[i];
    }
    n.i[10] = at[0];
    n.i[11] = s->c % 4 == 0 && (uintptr_t)x->data % 16 == 0;
    zm_gpu_launch(c, ZM_K_zm_gpu_pad_lines, &n, b->clips * seen[0] * seen[1]);
}

/* One box; false: the library does not do it. */
static bool convolve(zm_gpu_call *c, const zm_conv_sizes *s, const zm_gpu_node *n, const box *b, const int64_t *at,
                     int64_t first, void *room, const void *weights)
{
    bool finished = false;
    int64_t places = b->clips * b->size[0] * b->size[1] * b->size[2];
    zm_gpu_convolution p = {.w = weights,
                            .y = (float *)n->out.data + first * s->o,
                            .batch = b->clips,
                            .c = s->c,
                            .o = s->o,
                            .bias = n->in[2].data};
    zm_error why = {0};
    seen_by(s, b->size, p.in);
    for (int i = 0; i < 3; i++) {
        p.out[i] = b->size[i];
        p.kernel[i] = s->kernel[i];
        p.stride[i] = s->stride[i];
    }
    if (c->gpu->fns->convolve(c->gpu, &p, &finished, &why) == ZM_E_UNSUPPORTED)
        return false;
    pad(c, s, &n->in[0], b, at, room);
    if (c->status)
        return true;
    p.x = room;
    zm_status status = c->gpu->fns->convolve(c->gpu, &p, &finished, &why);
    if (status == ZM_E_UNSUPPORTED)
        return false;
    if (status)
        c->status = zm_fail(c->err, status, "%s", why.text);
    zm_gpu_node add = {.in = {n->in[2]}, .out = zm_gpu_flat(p.y, ZM_F32, places * s->o), .i = {s->o, ZM_IDENTITY}};
    if (!finished && p.bias)
        zm_gpu_launch(c, ZM_K_zm_gpu_bias_act, &add, add.out.elems);
    return true;
}

/* As many places as the library does, from the first on: their number. */
static int64_t by_library(zm_gpu_call *c, const zm_conv_sizes *s, const zm_gpu_node *n, void *room, const void *weights)
{
    if (c->compute != ZM_BF16 || !c->gpu->fns->convolve)
        return 0;
    box most = box_of(c, s);
    int64_t done = 0;
    for (int64_t z = 0; z < s->batch; z += most.clips)
        for (int64_t f = 0; f < s->out[0]; f += most.size[0])
            for (int64_t h = 0; h < s->out[1]; h += most.size[1]) {
                const int64_t left[3] = {s->batch - z, s->out[0] - f, s->out[1] - h}, at[4] = {z, f, h, 0};
                box b = most;
                b.clips = left[0] < b.clips ? left[0] : b.clips;
                b.size[0] = left[1] < b.size[0] ? left[1] : b.size[0];
                b.size[1] = left[2] < b.size[1] ? left[2] : b.size[1];
                if (c->status || !convolve(c, s, n, &b, at, done, room, weights))
                    return done;
                done += b.clips * b.size[0] * b.size[1] * b.size[2];
            }
    return done;
}

/* ---- by products ---- */

/* Of a piece of windows, or of what a box sees. */
static size_t piece_bytes(const zm_gpu_call *c, const work *w)
{
    box b = box_of(c, &w->s);
    size_t windows = zm_gpu_compute_bytes(c, w->piece * w->depth);
    size_t seen = c->compute == ZM_BF16 ? zm_gpu_compute_bytes(c, seen_elems(&w->s, &b)) : 0;
    return windows > seen ? windows : seen;
}

static size_t conv_scratch(const zm_gpu_call *c, const zm_tensor *t)
{
    work w = work_of(c, t, t->op == &zm_op_conv_grad_x);
    return piece_bytes(c, &w) + zm_gpu_compute_bytes(c, w.taps * w.s.c * w.s.o);
}

/* y = windows w^T, or gx = windows of gy times the weights turned over. */
static void forth_or_back(zm_gpu_call *c, const zm_tensor *t, zm_gpu_node *n, bool back)
{
    work w = work_of(c, t, back);
    const zm_gpu_view *x = &n->in[back ? 1 : 0];
    int64_t columns = back ? w.s.c : w.s.o;
    char *room = n->scratch, *weights = room + piece_bytes(c, &w);
    zm_gpu_node turn = {.in = {n->in[back ? 0 : 1]}, .out = zm_gpu_flat(weights, c->compute, w.depth * columns)};
    zm_gpu_launch(c, back ? ZM_K_zm_gpu_conv_weights_back : ZM_K_zm_gpu_conv_weights, &turn, w.depth * columns);
    for (int64_t first = back ? 0 : by_library(c, &w.s, n, room, weights); first < w.rows; first += w.piece) {
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
