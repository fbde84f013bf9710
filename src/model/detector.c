/* The detector's network.
 * SPDX-License-Identifier: MIT */
#include "model/detector.h"

#include <stdio.h>
#include <stdlib.h>

#include "ops/ops.h"

enum { BLOCKS_MAX = 8, FOLD = 4 };
static const double eps = 1e-6;

typedef struct block {
    zm_param *norm[2], *space, *time; /* kernels 1x3x3 and 3x1x1 */
} block;

struct zm_detector {
    zm_detector_config c;
    zm_param *fold, *fold_norm, *down, *down_bias;
    block body[BLOCKS_MAX];
    zm_param *cell_norm, *cell_in, *cell_out, *cell_bias;
    zm_param *trunk_in, *trunk_norm[2], *trunk_time[2];
    block trunk;
    zm_param *out_norm, *hidden, *hidden_bias, *answer[ZM_HEADS], *answer_bias[ZM_HEADS];
};

void zm_detector_config_default(zm_detector_config *c)
{
    c->stem = 32;
    c->body = 64;
    c->trunk = 96;
    c->blocks = 3;
}

const zm_detector_config *zm_detector_config_of(const zm_detector *d)
{
    return &d->c;
}

int zm_detector_columns(const zm_detector_config *c)
{
    return c->classes + 1 + c->colours + ZM_DETECTOR_BOX;
}

static zm_status check(const zm_detector_config *c, zm_error *err)
{
    const struct {
        const char *name;
        int value, most;
    } row[] = {{"classes", c->classes, 1000}, {"colours", c->colours, 1000}, {"stem", c->stem, 1024},
               {"body", c->body, 1024},       {"trunk", c->trunk, 1024},     {"blocks", c->blocks, BLOCKS_MAX}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (row[i].value < 1 || row[i].value > row[i].most)
            return zm_fail(err, ZM_E_UNSUPPORTED, "detector: %s is %d, 1..%d is needed", row[i].name, row[i].value,
                           row[i].most);
    for (int i = 0; i < ZM_HEADS; i++)
        if (c->head[i] < 2 || c->head[i] > 1000)
            return zm_fail(err, ZM_E_UNSUPPORTED, "detector: question %d has %d answers, 2..1000 are needed", i,
                           c->head[i]);
    return ZM_OK;
}

static zm_param *gamma(zm_params *p, int n, const char *name)
{
    return zm_params_add(p, ZM_SHAPE(n), ZM_INIT_ONES, false, "%s.weight", name);
}

static zm_param *bias(zm_params *p, int n, const char *name)
{
    return zm_params_add(p, ZM_SHAPE(n), ZM_INIT_ZEROS, false, "%s.bias", name);
}

static zm_param *matrix(zm_params *p, int out, int in, const char *name)
{
    return zm_params_add(p, ZM_SHAPE(out, in), ZM_INIT_FAN_IN, true, "%s.weight", name);
}

static zm_param *kernel(zm_params *p, int out, int in, int kf, int k, double gain, const char *name)
{
    zm_param *w = zm_params_add(p, ZM_SHAPE(out, in, kf, k, k), ZM_INIT_FAN_IN, true, "%s.weight", name);
    w->scale = (float)gain;
    return w;
}

/* The last kernel of a block starts small: an untrained block passes its input on. */
static void declare_block(block *k, zm_params *p, int c, const char *name)
{
    char text[64];
    const struct {
        zm_param **to;
        const char *name;
    } norm[2] = {{&k->norm[0], "norm1"}, {&k->norm[1], "norm2"}};
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof text, "%s.%s", name, norm[i].name);
        *norm[i].to = gamma(p, c, text);
    }
    snprintf(text, sizeof text, "%s.space", name);
    k->space = kernel(p, c, c, 1, 3, 1.4, text);
    snprintf(text, sizeof text, "%s.time", name);
    k->time = kernel(p, c, c, 3, 1, 0.3, text);
}

zm_status zm_detector_declare(zm_detector **out, const zm_detector_config *c, zm_params *p, zm_error *err)
{
    static const char *const question[ZM_HEADS] = {"ground", "light", "camera", "action", "second", "side", "bodies"};
    *out = NULL;
    zm_status s = check(c, err);
    if (s)
        return s;
    zm_detector *d = calloc(1, sizeof *d);
    if (!d)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a detector");
    d->c = *c;
    d->fold = matrix(p, c->stem, 6 * FOLD * FOLD, "fold");
    d->fold_norm = gamma(p, c->stem, "fold_norm");
    d->down = kernel(p, c->body, c->stem, 1, 3, 1.4, "down");
    d->down_bias = bias(p, c->body, "down");
    char name[32];
    for (int i = 0; i < c->blocks; i++) {
        snprintf(name, sizeof name, "body.%d", i);
        declare_block(&d->body[i], p, c->body, name);
    }
    d->cell_norm = gamma(p, c->body, "cell_norm");
    d->cell_in = matrix(p, c->body, c->body, "cell_in");
    d->cell_out = matrix(p, zm_detector_columns(c), c->body, "cell_out");
    d->cell_bias = bias(p, zm_detector_columns(c), "cell_out");
    d->trunk_in = matrix(p, c->trunk, 4 * c->body, "trunk.in");
    declare_block(&d->trunk, p, c->trunk, "trunk");
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "trunk.half%d", i);
        d->trunk_time[i] = kernel(p, c->trunk, c->trunk, 3, 1, 1.4, name);
        snprintf(name, sizeof name, "trunk.half%d_norm", i);
        d->trunk_norm[i] = gamma(p, c->trunk, name);
    }
    d->out_norm = gamma(p, c->trunk, "out_norm");
    d->hidden = matrix(p, c->trunk, c->trunk, "hidden");
    d->hidden_bias = bias(p, c->trunk, "hidden");
    for (int i = 0; i < ZM_HEADS; i++) {
        d->answer[i] = matrix(p, c->head[i], c->trunk, question[i]);
        d->answer_bias[i] = bias(p, c->head[i], question[i]);
    }
    *out = d;
    return ZM_OK;
}

void zm_detector_free(zm_detector *d)
{
    free(d);
}

void zm_detector_start(zm_detector *d)
{
    ((float *)d->cell_bias->data)[d->c.classes] = 5;
}

static zm_tensor *norm_silu(zm_build *b, zm_tensor *x, const zm_param *w)
{
    return zm_unary(b->g, ZM_SILU, zm_norm(b->g, ZM_NORM_RMS, x, zm_use(b, w), NULL, eps));
}

/* Odd kernels, padded to the same size at stride 1. */
static zm_tensor *conv(zm_build *b, zm_tensor *x, const zm_param *w, const zm_param *bias, int stride_t, int stride)
{
    int t = (int)w->shape.dim[2] / 2, k = (int)w->shape.dim[3] / 2;
    zm_conv_shape s = {.stride = {stride_t, stride, stride}, .before = {t, k, k}, .after = {t, k, k}};
    return zm_conv(b->g, x, zm_use(b, w), zm_use(b, bias), &s);
}

static zm_tensor *apply(zm_build *b, const block *k, zm_tensor *x)
{
    if (b->checkpoint)
        zm_segment_begin(b->g);
    zm_tensor *y = conv(b, norm_silu(b, x, k->norm[0]), k->space, NULL, 1, 1);
    y = zm_add(b->g, x, conv(b, norm_silu(b, y, k->norm[1]), k->time, NULL, 1, 1));
    if (b->checkpoint)
        zm_segment_end(b->g);
    return y;
}

/* [B,F,H,W,C] -> [B,F,H/f,W/f,f*f*C]. */
static zm_tensor *fold(zm_graph *g, zm_tensor *x, int f)
{
    if (zm_graph_failed(g))
        return x;
    const int64_t *d = x->shape.dim;
    int64_t h = d[2] / f, w = d[3] / f;
    zm_tensor *y = zm_permute(g, zm_reshape(g, x, ZM_SHAPE(d[0] * d[1], h, f, w, f, d[4])), (int[]){0, 1, 3, 2, 4, 5});
    return zm_reshape(g, y, ZM_SHAPE(d[0], d[1], h, w, f * f * d[4]));
}

/* Colours and how much they changed since the frame before: motion is seen from the first layer on. */
static zm_tensor *with_change(zm_graph *g, zm_tensor *x)
{
    int64_t frames = zm_dim(x, 1);
    zm_tensor *d = zm_affine(g, x, 0, 0);
    if (frames > 1)
        d = zm_pad(g, zm_sub(g, zm_slice(g, x, 1, 1, frames - 1), zm_slice(g, x, 1, 0, frames - 1)), 1, 1, 0);
    return zm_concat(g, 2, (zm_tensor *[]){x, d}, 4);
}

static zm_tensor *mean_pool(zm_graph *g, zm_tensor *x)
{
    int64_t n = zm_dim(x, 0), c = zm_dim(x, 4), places = zm_dim(x, 1) * zm_dim(x, 2) * zm_dim(x, 3);
    x = zm_sum_to(g, zm_reshape(g, x, ZM_SHAPE(n, places, c)), ZM_SHAPE(n, 1, c));
    return zm_reshape(g, zm_affine(g, x, 1.0 / (double)places, 0), ZM_SHAPE(n, c));
}

zm_detector_graph zm_detector_build(zm_build *b, const zm_detector *d, zm_tensor *video)
{
    zm_detector_graph out = {0};
    zm_graph *g = b->g;
    if (!zm_graph_failed(g) && (video->shape.rank != 5 || zm_dim(video, 4) != 3 ||
                                zm_dim(video, 2) % (2 * ZM_DETECTOR_CELL) || zm_dim(video, 3) % (2 * ZM_DETECTOR_CELL)))
        zm_graph_fail(g, ZM_E_SHAPE, "detector: a video [B,F,H,W,3] with H and W multiples of %d is needed",
                      2 * ZM_DETECTOR_CELL);
    if (zm_graph_failed(g)) {
        out.cells = video;
        for (int i = 0; i < ZM_HEADS; i++)
            out.answer[i] = video;
        return out;
    }
    zm_tensor *x = zm_linear(g, fold(g, with_change(g, video), FOLD), zm_use(b, d->fold), NULL, ZM_IDENTITY);
    x = conv(b, norm_silu(b, x, d->fold_norm), d->down, d->down_bias, 1, 2);
    for (int i = 0; i < d->c.blocks; i++)
        x = apply(b, &d->body[i], x);
    x = norm_silu(b, x, d->cell_norm);
    zm_tensor *cells = zm_linear(g, zm_linear(g, x, zm_use(b, d->cell_in), NULL, ZM_SILU), zm_use(b, d->cell_out),
                                 zm_use(b, d->cell_bias), ZM_IDENTITY);
    int64_t columns = zm_detector_columns(&d->c);
    if (!zm_graph_failed(g))
        out.cells = zm_reshape(g, cells, ZM_SHAPE(zm_shape_elems(cells->shape) / columns, columns));
    x = zm_linear(g, fold(g, x, 2), zm_use(b, d->trunk_in), NULL, ZM_IDENTITY);
    x = conv(b, norm_silu(b, x, d->trunk_norm[0]), d->trunk_time[0], NULL, 2, 1);
    x = apply(b, &d->trunk, x);
    x = conv(b, norm_silu(b, x, d->trunk_norm[1]), d->trunk_time[1], NULL, 2, 1);
    x = norm_silu(b, x, d->out_norm);
    if (zm_graph_failed(g)) {
        out.cells = x;
        for (int i = 0; i < ZM_HEADS; i++)
            out.answer[i] = x;
        return out;
    }
    x = zm_linear(g, mean_pool(g, x), zm_use(b, d->hidden), zm_use(b, d->hidden_bias), ZM_SILU);
    for (int i = 0; i < ZM_HEADS; i++)
        out.answer[i] = zm_linear(g, x, zm_use(b, d->answer[i]), zm_use(b, d->answer_bias[i]), ZM_IDENTITY);
    return out;
}
