/* Winograd convolution: tiles of 4x4 outputs become 36 matrix products over channels and frames.
 *
 * Terms: a *tile* is 4x4 places of a picture; a *unit* is a block of tiles that one thread takes from their windows to
 * their results, frame after frame; a *point* is one of the 36 numbers that stand for a window of a channel.
 *  W1  A window of an input frame is transformed once a unit: a ring of kf frames serves the kernel's taps in time.
 *  W2  Weights are transformed in every run, since training changes them; they are small beside the activations.
 *  W3  Each result depends on sizes alone, not on the number of threads: every sum is made by one tile call.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/winograd.h"

#include <stdlib.h>

#include "backend/cpu/gemm.h"
#include "backend/cpu/gemm_kernels.h"
#include "ops/conv.h"

enum {
    POINTS = 36,
    SIDE = 4,        /* of a tile */
    WINDOW = 6,      /* of what it sees */
    TILES_MOST = 64, /* of a unit: their points of one kind and a panel of weights fit the second-level cache */
    GAP = 16,        /* floats between rows and planes, so that they do not all fall into one cache set */
    PANEL_MOST = 64, /* columns of a panel in any instruction set */
    WEIGHT_FLOATS_MOST = 8 << 20, /* transformed at a time */
    FRAMES_MOST = ZM_CONV_PAST_MAX + 1
};

static int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

const char *zm_winograd_decline(const zm_conv_sizes *s)
{
    int64_t places = s->out[1] * s->out[2], tiles = divide_up(s->out[1], SIDE) * divide_up(s->out[2], SIDE);
    if (s->kernel[1] != 3 || s->kernel[2] != 3 || s->kernel[0] > FRAMES_MOST)
        return "the kernel is not 3x3 in space";
    if (s->stride[0] != 1 || s->stride[1] != 1 || s->stride[2] != 1)
        return "strided";
    if (s->before[0] >= s->kernel[0] || s->out[0] + s->kernel[0] - 1 - s->before[0] > s->in[0])
        return "padded after the last frame";
    if (s->c % 16 || s->o % 16 || s->c < 32 || s->o < 32 || s->c > ZM_GEMM_ZEROS)
        return "channels are few or no multiple of 16";
    int64_t images = s->batch * s->out[0];
    /* transforms cost about as much as a quarter of the products, those of the weights as 16 tiles */
    if (POINTS * 5 * (tiles * images + 16) > 4 * 9 * places * images)
        return "too few places for the transforms to pay";
    return NULL;
}

static int64_t panel_start(const zm_winograd *w, int64_t cols, int64_t p, int64_t *panels)
{
    int64_t vectors = divide_up(cols, w->isa->lanes);
    *panels = divide_up(vectors, w->isa->vectors);
    return vectors * p / *panels * w->isa->lanes;
}

size_t zm_winograd_plan(zm_winograd *w)
{
    const zm_conv_sizes *s = &w->size;
    int64_t depth = s->kernel[0] * s->c, per_column = POINTS * depth, chunks;
    bool flat = s->kernel[0] == 1;
    w->images = flat ? s->batch * s->out[0] : s->batch;
    w->frames = flat ? 1 : s->out[0];
    w->from_frames = flat ? 1 : s->in[0];
    w->down = divide_up(s->out[1], SIDE), w->across = divide_up(s->out[2], SIDE);
    int64_t tiles = w->images * w->down * w->across, units = divide_up(tiles, TILES_MOST);
    units = divide_up(units, w->threads) * w->threads;
    w->block = divide_up(divide_up(tiles, units), w->isa->rows) * w->isa->rows;
    w->units = divide_up(tiles, w->block);
    chunks = divide_up(s->o, (WEIGHT_FLOATS_MOST / per_column + 15) / 16 * 16);
    w->chunk = divide_up(divide_up(s->o, chunks), 16) * 16;
    w->u_plane = depth * w->chunk + GAP;
    w->v_row = s->c + GAP, w->m_row = w->chunk + GAP;
    w->v_plane = w->block * w->v_row + GAP, w->m_plane = w->block * w->m_row + GAP;
    w->v_frame = POINTS * w->v_plane;
    w->share = (size_t)(s->kernel[0] * w->v_frame + POINTS * w->m_plane + 15) & ~(size_t)15;
    return ((size_t)(POINTS * w->u_plane) + (size_t)w->threads * w->share) * sizeof(float);
}

/* u[point][panel][frame of the kernel, channel][column] for output channels n0 .. n0+cols-1 */
static void pack_weights(const zm_winograd *w, const float *from, int64_t n0, int64_t cols, float *u)
{
    int64_t C = w->size.c, taps = 9 * w->size.kernel[0], depth = w->size.kernel[0] * C, panels;
    panel_start(w, cols, 0, &panels);
#pragma omp parallel for schedule(static) collapse(2) num_threads(w->threads)
    for (int64_t p = 0; p < panels; p++)
        for (int64_t c0 = 0; c0 < C; c0 += 16) {
            int64_t count, at = panel_start(w, cols, p, &count), width = panel_start(w, cols, p + 1, &count) - at;
            _Alignas(64) float kernel[FRAMES_MOST * 9 * PANEL_MOST];
            for (int64_t c = c0; c < c0 + 16; c++) {
                for (int64_t j = 0; j < width; j++) {
                    const float *k = from + ((n0 + at + j) * C + c) * taps;
                    for (int64_t t = 0; t < taps; t++)
                        kernel[t * width + j] = k[t];
                }
                for (int64_t t = 0; t < w->size.kernel[0]; t++)
                    w->fns->weights(u + at * depth + (t * C + c) * width, w->u_plane, kernel + 9 * t * width, width);
            }
        }
}

typedef struct tile {
    int64_t image, row, column; /* of its first place in the output */
} tile;

static tile tile_at(const zm_winograd *w, int64_t i)
{
    int64_t each = w->down * w->across;
    return (tile){i / each, i % each / w->across * SIDE, i % w->across * SIDE};
}

/* Points of one input frame's windows, for tiles first .. first+count-1. */
static void transform_frame(const zm_winograd *w, const zm_winograd_data *d, int64_t frame, int64_t first,
                            int64_t count, float *v)
{
    const zm_conv_sizes *s = &w->size;
    const int half = w->doubled; /* of a place in x: two places of the input lie on it */
    int64_t H = s->in[1], W = s->in[2], C = s->c, row = W >> half, plane = (H >> half) * row * C;
    for (int64_t i = 0; i < count; i++) {
        tile t = tile_at(w, first + i);
        const float *from = frame < 0 ? d->past[s->before[0] + frame] + t.image * plane
                                      : d->x + (t.image * w->from_frames + frame) * plane;
        const float *place[POINTS];
        for (int64_t a = 0; a < WINDOW; a++)
            for (int64_t b = 0; b < WINDOW; b++) {
                int64_t h = t.row + a - s->before[1], k = t.column + b - s->before[2];
                bool inside = h >= 0 && h < H && k >= 0 && k < W;
                place[a * WINDOW + b] = inside ? from + ((h >> half) * row + (k >> half)) * C : zm_gemm_zeros;
            }
        w->fns->input(v + i * w->v_row, w->v_plane, place, C);
    }
}

/* m[point] = V[point] U[point], over the `live` frames of the kernel that see no zeros. */
static void multiply(const zm_winograd *w, const float *u, const float *v, const int *slot, const int *live, int n_live,
                     int64_t count, int64_t cols, float *m)
{
    int64_t C = w->size.c, depth = w->size.kernel[0] * C, panels, slabs = divide_up(count, w->isa->rows);
    const float *a[FRAMES_MOST * ZM_TILE_ROWS];
    zm_tile t = {.segments = n_live, .length = (int)C, .a = a, .piece = live, .c_step = w->m_row};
    for (int64_t point = 0; point < POINTS; point++)
        for (int64_t p = 0, at = panel_start(w, cols, 0, &panels); p < panels; p++) {
            int64_t end = panel_start(w, cols, p + 1, &panels);
            t.width = t.cols = (int)(end - at);
            t.b = u + point * w->u_plane + at * depth;
            for (int64_t i = 0; i < slabs; i++) {
                int64_t row = count * i / slabs;
                t.rows = (int)(count * (i + 1) / slabs - row);
                for (int k = 0; k < n_live; k++)
                    for (int r = 0; r < t.rows; r++)
                        a[k * ZM_TILE_ROWS + r] = v + slot[k] * w->v_frame + point * w->v_plane + (row + r) * w->v_row;
                t.c = m + point * w->m_plane + row * w->m_row + at;
                w->isa->tile(&t);
            }
            at = end;
        }
}

static void put_frame(const zm_winograd *w, const zm_winograd_data *d, int64_t frame, int64_t first, int64_t count,
                      int64_t n0, int64_t cols, const float *m)
{
    int64_t H = w->size.out[1], W = w->size.out[2], O = w->size.o;
    for (int64_t i = 0; i < count; i++) {
        tile t = tile_at(w, first + i);
        float *to = d->y + (t.image * w->frames + frame) * H * W * O + n0, *place[SIDE * SIDE];
        for (int64_t a = 0; a < SIDE; a++)
            for (int64_t b = 0; b < SIDE; b++) {
                int64_t h = t.row + a, k = t.column + b;
                place[a * SIDE + b] = h < H && k < W ? to + (h * W + k) * O : NULL;
            }
        w->fns->output(place, m + i * w->m_row, w->m_plane, d->bias ? d->bias + n0 : NULL, cols);
    }
}

static void run_unit(const zm_winograd *w, const zm_winograd_data *d, const float *u, int64_t unit, int64_t n0,
                     int64_t cols, float *share)
{
    int64_t first = unit * w->block, tiles = w->images * w->down * w->across;
    int64_t count = first + w->block < tiles ? w->block : tiles - first, kf = w->size.kernel[0];
    int64_t have = d->past[0] ? -w->size.before[0] : 0; /* the next frame to transform */
    float *m = share + kf * w->v_frame;
    for (int64_t f = 0; f < w->frames; f++) {
        int slot[FRAMES_MOST], live[FRAMES_MOST], n = 0;
        for (int64_t k = 0; k < kf; k++) {
            int64_t frame = f + k - w->size.before[0];
            if (frame < 0 && !d->past[0])
                continue;
            slot[n] = (int)((frame + kf) % kf);
            live[n] = (int)k;
            if (frame == have)
                transform_frame(w, d, have++, first, count, share + slot[n] * w->v_frame);
            n++;
        }
        multiply(w, u, share, slot, live, n, count, cols, m);
        put_frame(w, d, f, first, count, n0, cols, m);
    }
}

void zm_winograd_run(const zm_winograd *w, const zm_winograd_data *d, void *scratch)
{
    float *u = scratch;
    for (int64_t n0 = 0; n0 < w->size.o; n0 += w->chunk) {
        int64_t cols = n0 + w->chunk < w->size.o ? w->chunk : w->size.o - n0;
        float *shares = u + POINTS * w->u_plane;
        pack_weights(w, d->w, n0, cols, u);
#pragma omp parallel for schedule(dynamic, 1) num_threads(w->threads)
        for (int64_t i = 0; i < w->units; i++)
            run_unit(w, d, u, i, n0, cols, shares + (size_t)zm_gemm_thread() * w->share);
    }
}

static const char *decline(const zm_tensor *node)
{
    zm_conv_sizes size = zm_conv_sizes_of(node);
    return node->in[1]->dtype != ZM_F32 ? "weights are not f32" : zm_winograd_decline(&size);
}

static const zm_tensor *made_before(const zm_tensor *node)
{
    return zm_conv_source_of(node).made;
}

static const char *decline_source(const zm_tensor *node)
{
    zm_conv_source from = zm_conv_source_of(node);
    if (!from.made)
        return "its input is read as it lies";
    return node->in[1]->dtype != ZM_F32 ? "weights are not f32" : zm_winograd_decline(&from.size);
}

static zm_status make(void **state, size_t *scratch, const zm_conv_sizes *size, bool doubled, zm_error *err)
{
    zm_winograd *w = calloc(1, sizeof *w);
    if (!w)
        return zm_fail(err, ZM_E_NOMEM, "conv: out of memory");
    *w = (zm_winograd){.isa = zm_gemm_isa_best(), .fns = zm_winograd_loops(), .size = *size, .doubled = doubled};
    w->threads = zm_gemm_threads();
    *scratch = zm_winograd_plan(w);
    *state = w;
    return ZM_OK;
}

static zm_status prepare(const zm_tensor *node, void **state, size_t *scratch, zm_error *err)
{
    zm_conv_sizes size = zm_conv_sizes_of(node);
    return make(state, scratch, &size, false, err);
}

static zm_status prepare_source(const zm_tensor *node, void **state, size_t *scratch, zm_error *err)
{
    zm_conv_source from = zm_conv_source_of(node);
    return make(state, scratch, &from.size, from.doubled, err);
}

static void run(const zm_tensor *node, void *state, void *scratch)
{
    zm_winograd_data d = {.x = node->in[0]->data, .w = node->in[1]->data, .y = node->data};
    d.bias = node->n_in > 2 && node->in[2] ? node->in[2]->data : NULL;
    zm_winograd_run(state, &d, scratch);
}

static void run_source(const zm_tensor *node, void *state, void *scratch)
{
    zm_conv_source from = zm_conv_source_of(node);
    zm_winograd_data d = {.x = from.x->data, .w = node->in[1]->data, .y = node->data};
    d.bias = node->n_in > 2 && node->in[2] ? node->in[2]->data : NULL;
    for (int i = 0; i < ZM_CONV_PAST_MAX && from.past[i]; i++)
        d.past[i] = from.past[i]->data;
    zm_winograd_run(state, &d, scratch);
}

/* Reads what stands before the convolution: no copy of a causal cache with its frames, no enlarged picture. */
const zm_kernel zm_winograd_source = {
    .op = &zm_op_conv,
    .name = "winograd_source",
    .decline = decline_source,
    .skips = made_before,
    .prepare = prepare_source,
    .run = run_source,
    .release = free,
};

const zm_kernel zm_winograd_conv = {
    .op = &zm_op_conv,
    .name = "winograd",
    .decline = decline,
    .prepare = prepare,
    .run = run,
    .release = free,
};
