/* Training the detector: pools of clips with their truth, the loss, and how often it is right on held-out clips.
 * SPDX-License-Identifier: MIT */
#include "train/detector_stage.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/ops.h"
#include "train/detector_soften.h"

/* Below this a body is too little to be named, nor is its cell background. */
static const float least_visible = 0.25f;
/* Cells without a body are many; so they count less. */
static const float background = 0.3f;
static const double question_weight[ZM_HEADS] = {0.3, 0.3, 1, 1.5, 0.5, 0.5, 0.5};

typedef struct pool {
    int64_t n;
    uint8_t *rgb;             /* [n,F,H,W,3] */
    int *answer;              /* [n, ZM_HEADS] */
    zm_detector_body *bodies; /* [n,F,ZM_DETECTOR_BODIES] */
} pool;

/* What the loss compares with, for one batch; inputs of a graph. */
typedef struct targets {
    zm_tensor *video, *cls, *cls_weight, *colour, *box, *box_weight, *answer[ZM_HEADS];
} targets;

struct zm_detector_stage {
    const zm_detector *d;
    const zm_params *p;
    zm_detector_stage_options o;
    int width, height, frames;
    zm_detector_source source;
    pool pool, held;
    targets in;
    zm_graph *g; /* one clip, for scores */
    zm_exec *x;
    zm_tensor *video;
    zm_detector_graph out;
};

static void pool_release(pool *p)
{
    free(p->rgb);
    free(p->answer);
    free(p->bodies);
    *p = (pool){0};
}

static zm_status pool_fill(pool *p, const zm_detector_source *s, int64_t n, zm_error *err)
{
    size_t bytes = (size_t)s->width * (size_t)s->height * (size_t)s->frames * 3,
           rows = (size_t)s->frames * ZM_DETECTOR_BODIES, all;
    *p = (pool){.n = n};
    if (n <= 0 || !zm_size_mul(&all, bytes, (size_t)n))
        return zm_fail(err, ZM_E_USAGE, "a pool of %lld clips is not possible", (long long)n);
    p->rgb = malloc(all);
    p->answer = calloc((size_t)n, ZM_HEADS * sizeof *p->answer);
    p->bodies = calloc((size_t)n, rows * sizeof *p->bodies);
    if (!p->rgb || !p->answer || !p->bodies)
        return zm_fail(err, ZM_E_NOMEM, "no memory for %lld clips", (long long)n);
    if (s->clips)
        return s->clips(s->user, 0, n, p->rgb, p->answer, p->bodies, err);
    zm_error first = {0};
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < n; i++) {
        zm_error e = {0};
        if (s->clip(s->user, i, p->rgb + (size_t)i * bytes, p->answer + i * ZM_HEADS, p->bodies + (size_t)i * rows,
                    &e)) {
#pragma omp critical(zm_detector_pool_error)
            if (!first.code)
                first = e;
        }
    }
    return first.code ? zm_fail(err, first.code, "%s", first.text) : ZM_OK;
}

static zm_status make_score_graph(zm_detector_stage *s, zm_error *err)
{
    if (!(s->g = zm_graph_new()))
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a graph");
    zm_build b = zm_build_begin(s->g, s->p, false, false);
    s->video = zm_input(s->g, ZM_F32, ZM_SHAPE(1, s->frames, s->height, s->width, 3), "video");
    s->out = zm_detector_build(&b, s->d, s->video);
    zm_output(s->g, s->out.cells);
    for (int i = 0; i < ZM_HEADS; i++)
        zm_output(s->g, s->out.answer[i]);
    zm_status st = zm_graph_finish(s->g, err);
    return st ? st : zm_exec_new(&s->x, s->g, NULL, err);
}

zm_status zm_detector_stage_new(zm_detector_stage **out, const zm_detector *d, const zm_params *p,
                                const zm_detector_source *train, const zm_detector_source *held,
                                const zm_detector_stage_options *o, zm_error *err)
{
    *out = NULL;
    zm_detector_stage *s = calloc(1, sizeof *s);
    if (!s)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a training stage");
    *s = (zm_detector_stage){.d = d,
                             .p = p,
                             .o = *o,
                             .width = train->width,
                             .height = train->height,
                             .frames = train->frames,
                             .source = *train};
    zm_status st = pool_fill(&s->pool, train, o->pool, err);
    if (!st)
        st = pool_fill(&s->held, held, o->held_out, err);
    if (!st)
        st = make_score_graph(s, err);
    if (st)
        zm_detector_stage_free(s);
    else
        *out = s;
    return st;
}

void zm_detector_stage_free(zm_detector_stage *s)
{
    if (!s)
        return;
    zm_exec_free(s->x);
    zm_graph_free(s->g);
    pool_release(&s->pool);
    pool_release(&s->held);
    free(s);
}

static zm_tensor *build(void *user, zm_build *b)
{
    zm_detector_stage *s = user;
    zm_graph *g = b->g;
    const zm_detector_config *c = zm_detector_config_of(s->d);
    int64_t n = s->o.batch, rows = n * s->frames * (s->height / ZM_DETECTOR_CELL) * (s->width / ZM_DETECTOR_CELL);
    targets *t = &s->in;
    t->video = zm_input(g, ZM_F32, ZM_SHAPE(n, s->frames, s->height, s->width, 3), "video");
    t->cls = zm_input(g, ZM_I32, ZM_SHAPE(rows), "class");
    t->cls_weight = zm_input(g, ZM_F32, ZM_SHAPE(rows), "class weight");
    t->colour = zm_input(g, ZM_I32, ZM_SHAPE(rows), "colour");
    t->box = zm_input(g, ZM_F32, ZM_SHAPE(rows, ZM_DETECTOR_BOX), "box");
    t->box_weight = zm_input(g, ZM_F32, ZM_SHAPE(rows, 1), "box weight");
    zm_detector_graph o = zm_detector_build(b, s->d, t->video);
    double each = 1.0 / (2.0 * (double)n * s->frames); /* about two bodies a frame */
    zm_tensor *cls = zm_cross_entropy(g, zm_slice(g, o.cells, 1, 0, c->classes + 1), t->cls);
    zm_tensor *colour = zm_cross_entropy(g, zm_slice(g, o.cells, 1, c->classes + 1, c->colours), t->colour);
    zm_tensor *box = zm_slice(g, o.cells, 1, c->classes + 1 + c->colours, ZM_DETECTOR_BOX);
    box = zm_mul(g, zm_unary(g, ZM_ABS, zm_sub(g, box, t->box)), t->box_weight);
    zm_tensor *loss = zm_add(g, zm_affine(g, zm_sum(g, zm_mul(g, cls, t->cls_weight)), each, 0),
                             zm_affine(g, zm_sum(g, colour), each, 0));
    loss = zm_add(g, loss, zm_affine(g, zm_sum(g, box), each, 0));
    for (int i = 0; i < ZM_HEADS; i++) {
        t->answer[i] = zm_input(g, ZM_I32, ZM_SHAPE(n), "answer");
        loss = zm_add(g, loss,
                      zm_affine(g, zm_mean(g, zm_cross_entropy(g, o.answer[i], t->answer[i])), question_weight[i], 0));
    }
    return loss;
}

/* The cell a centre lies in, or -1 outside of the picture. */
static int cell_of(const zm_detector_stage *s, float x, float y)
{
    int col = (int)floorf(x / ZM_DETECTOR_CELL), row = (int)floorf(y / ZM_DETECTOR_CELL),
        w = s->width / ZM_DETECTOR_CELL;
    return col < 0 || row < 0 || col >= w || row >= s->height / ZM_DETECTOR_CELL ? -1 : row * w + col;
}

/* Targets of one frame's cells, beginning at row `at` of the inputs. */
static void fill_frame(zm_detector_stage *s, const zm_detector_body *bodies, bool mirror, int64_t at)
{
    const zm_detector_config *c = zm_detector_config_of(s->d);
    int w = s->width / ZM_DETECTOR_CELL, n = w * (s->height / ZM_DETECTOR_CELL);
    int32_t *cls = (int32_t *)s->in.cls->data + at, *colour = (int32_t *)s->in.colour->data + at;
    float *weight = (float *)s->in.cls_weight->data + at, *box = (float *)s->in.box->data + at * ZM_DETECTOR_BOX;
    float *box_weight = (float *)s->in.box_weight->data + at, seen[1024] = {0};
    for (int i = 0; i < n; i++) {
        cls[i] = c->classes;
        colour[i] = -1;
        weight[i] = background;
        box_weight[i] = 0;
    }
    memset(box, 0, (size_t)n * ZM_DETECTOR_BOX * sizeof *box);
    for (int k = 0; k < ZM_DETECTOR_BODIES; k++) {
        zm_detector_body b = bodies[k];
        if (b.visible <= 0)
            continue;
        float x = mirror ? (float)s->width - b.x : b.x;
        int i = cell_of(s, x, b.y);
        if (i < 0 || i >= 1024)
            continue;
        if (b.visible < least_visible || b.visible < seen[i]) {
            if (cls[i] == c->classes)
                weight[i] = 0;
            continue;
        }
        seen[i] = b.visible;
        cls[i] = b.cls;
        weight[i] = 1;
        colour[i] = b.colour;
        box_weight[i] = 1;
        float *to = box + i * ZM_DETECTOR_BOX;
        to[0] = x / ZM_DETECTOR_CELL - (float)(i % w) - 0.5f;
        to[1] = b.y / ZM_DETECTOR_CELL - (float)(i / w) - 0.5f;
        to[2] = logf(fmaxf(b.width, 1) / ZM_DETECTOR_CELL);
        to[3] = logf(fmaxf(b.height, 1) / ZM_DETECTOR_CELL);
    }
}

static zm_status fill(void *user, int64_t step, zm_error *err)
{
    (void)err;
    zm_detector_stage *s = user;
    size_t pixels = (size_t)s->frames * (size_t)s->width * (size_t)s->height;
    int64_t cells = (int64_t)(s->width / ZM_DETECTOR_CELL) * (s->height / ZM_DETECTOR_CELL);
#pragma omp parallel for
    for (int i = 0; i < s->o.batch; i++) {
        zm_rng r = zm_rng_init(s->o.seed, (uint64_t)(step * s->o.batch + i));
        /* Every clip once before any a second time. */
        int64_t drawn = step * s->o.batch + i, clip = (drawn * 7919 + drawn / s->pool.n) % s->pool.n;
        bool mirror = zm_rng_below(&r, 2) != 0;
        zm_detector_soften(s->pool.rgb + (size_t)clip * pixels * 3, s->frames, s->height, s->width, mirror, &r,
                           (float *)s->in.video->data + (size_t)i * pixels * 3);
        int answer[ZM_HEADS];
        memcpy(answer, s->pool.answer + clip * ZM_HEADS, sizeof answer);
        if (mirror)
            s->source.mirror(s->source.user, answer);
        for (int k = 0; k < ZM_HEADS; k++)
            ((int32_t *)s->in.answer[k]->data)[i] = answer[k];
        for (int f = 0; f < s->frames; f++)
            fill_frame(s, s->pool.bodies + ((size_t)clip * (size_t)s->frames + (size_t)f) * ZM_DETECTOR_BODIES, mirror,
                       ((int64_t)i * s->frames + f) * cells);
    }
    return ZM_OK;
}

static int best_of(const float *v, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (v[i] > v[best])
            best = i;
    return best;
}

/* Cells with a clearly visible body: how many name its class and colour, and how far off the centre is. */
typedef struct found {
    int64_t bodies, cls, shapes, colour;
    double off;
} found;

static void look(const zm_detector_stage *s, const zm_detector_body *bodies, const float *cells, found *out)
{
    const zm_detector_config *c = zm_detector_config_of(s->d);
    int w = s->width / ZM_DETECTOR_CELL, columns = zm_detector_columns(c);
    for (int k = 0; k < ZM_DETECTOR_BODIES; k++) {
        const zm_detector_body *b = &bodies[k];
        int i = b->visible > 0.6f ? cell_of(s, b->x, b->y) : -1;
        if (i < 0)
            continue;
        const float *v = cells + (size_t)i * (size_t)columns, *box = v + c->classes + 1 + c->colours;
        out->bodies++;
        out->cls += best_of(v, c->classes + 1) == b->cls;
        out->shapes += b->colour >= 0;
        out->colour += b->colour >= 0 && best_of(v + c->classes + 1, c->colours) == b->colour;
        double dx = (double)(((float)(i % w) + 0.5f + box[0]) * ZM_DETECTOR_CELL - b->x),
               dy = (double)(((float)(i / w) + 0.5f + box[1]) * ZM_DETECTOR_CELL - b->y);
        out->off += sqrt(dx * dx + dy * dy);
    }
}

static zm_status validate(void *user, int64_t step, char *text, size_t cap, zm_error *err)
{
    (void)step;
    zm_detector_stage *s = user;
    const zm_detector_config *c = zm_detector_config_of(s->d);
    size_t pixels = (size_t)s->frames * (size_t)s->width * (size_t)s->height;
    int64_t cells = (int64_t)(s->width / ZM_DETECTOR_CELL) * (s->height / ZM_DETECTOR_CELL);
    int right[ZM_HEADS] = {0};
    found all = {0};
    for (int64_t i = 0; i < s->held.n; i++) {
        zm_detector_plain(s->held.rgb + (size_t)i * pixels * 3, pixels * 3, s->video->data);
        zm_status st = zm_exec_run(s->x, err);
        if (st)
            return st;
        for (int k = 0; k < ZM_HEADS; k++)
            right[k] += best_of(s->out.answer[k]->data, c->head[k]) == s->held.answer[i * ZM_HEADS + k];
        for (int f = 0; f < s->frames; f++)
            look(s, s->held.bodies + ((size_t)i * (size_t)s->frames + (size_t)f) * ZM_DETECTOR_BODIES,
                 (const float *)s->out.cells->data + (int64_t)f * cells * zm_detector_columns(c), &all);
    }
    double n = 0.01 * (double)s->held.n, bodies = fmax(1, (double)all.bodies);
    snprintf(
        text, cap,
        "class %.1f %%, colour %.1f %%, centre off by %.2f px, ground %.0f, light %.0f, camera %.0f, action %.0f, second %.0f, side %.0f, bodies %.0f %%",
        100 * (double)all.cls / bodies, 100 * (double)all.colour / fmax(1, (double)all.shapes), all.off / bodies,
        right[0] / n, right[1] / n, right[2] / n, right[3] / n, right[4] / n, right[5] / n, right[6] / n);
    return ZM_OK;
}

zm_stage zm_detector_stage_interface(zm_detector_stage *s)
{
    return (zm_stage){.name = "detector",
                      .user = s,
                      .tokens_per_step = s->o.batch,
                      .tokens_name = "clips",
                      .build = build,
                      .fill = fill,
                      .validate = validate};
}
