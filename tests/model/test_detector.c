/* The detector: its shapes, its gradient, its file, and tracks of made-up sightings.
 * SPDX-License-Identifier: MIT */
#include "model/detector_track.h"
#include "../format/scratch.h"
#include "net.h"
#include "ops/ops.h"

enum { FRAMES = 5, SIDE = 32, CLASSES = 4, COLOURS = 3 };

static zm_detector_config small(void)
{
    zm_detector_config c = {.classes = CLASSES,
                            .colours = COLOURS,
                            .stem = 9,
                            .body = 10,
                            .trunk = 11,
                            .blocks = 1,
                            .width = SIDE,
                            .height = SIDE,
                            .frames = FRAMES};
    for (int i = 0; i < ZM_HEADS; i++)
        c.head[i] = 2 + i;
    return c;
}

typedef struct net {
    zm_params *p;
    zm_detector *d;
    zm_graph *g;
    zm_exec *x;
    zm_tensor *video, *loss;
    zm_detector_graph out;
    zm_build_grads grads;
} net;

static zm_tensor *square_sum(zm_graph *g, zm_tensor *x)
{
    return zm_mean(g, zm_unary(g, ZM_SQUARE, x));
}

static net start(zm_rng *rng, int batch, int frames)
{
    zm_error err = {0};
    net n = {.p = zm_params_new(), .g = zm_graph_new()};
    zm_detector_config c = small();
    if (zm_detector_declare(&n.d, &c, n.p, &err) || zm_params_fill(n.p, zm_rng_u64(rng), &err)) {
        printf("Bail out! %s\n", err.text);
        exit(1);
    }
    net_randomise(n.p, rng, 0.1f);
    zm_build b = zm_build_begin(n.g, n.p, true, false);
    n.video = zm_input(n.g, ZM_F32, ZM_SHAPE(batch, frames, SIDE, SIDE, 3), "video");
    n.out = zm_detector_build(&b, n.d, n.video);
    zm_output(n.g, n.out.cells);
    n.loss = square_sum(n.g, n.out.cells);
    for (int i = 0; i < ZM_HEADS; i++) {
        zm_output(n.g, n.out.answer[i]);
        n.loss = zm_add(n.g, n.loss, square_sum(n.g, n.out.answer[i]));
    }
    zm_output(n.g, n.loss);
    n.grads = zm_build_gradients(&b, n.loss);
    n.x = net_finish(n.g);
    float *v = net_normals(rng, (size_t)zm_shape_elems(n.video->shape));
    zm_exec_write(n.x, n.video, v);
    free(v);
    return n;
}

static void drop(net *n)
{
    zm_exec_free(n->x);
    zm_graph_free(n->g);
    zm_detector_free(n->d);
    zm_params_free(n->p);
}

static void test_shapes_and_gradient(zm_rng *rng)
{
    net n = start(rng, 2, FRAMES);
    zm_detector_config c = small();
    tap_equal_i64(zm_dim(n.out.cells, 0), 2 * FRAMES * (SIDE / 8) * (SIDE / 8), "a row for every cell of every frame");
    tap_equal_i64(zm_dim(n.out.cells, 1), zm_detector_columns(&c), "classes, background, colours and box");
    tap_ok(net_run(n.x), "it runs");
    tap_equal_i64(n.grads.n, zm_params_count(n.p), "every parameter has a gradient");
    /* along a random direction, by central differences */
    double slope = 0, step = 1e-3;
    float value[2];
    float **dir = calloc((size_t)n.grads.n, sizeof *dir);
    for (int i = 0; i < n.grads.n; i++) {
        size_t m = (size_t)zm_shape_elems(n.grads.param[i]->shape);
        dir[i] = net_normals(rng, m);
        float *got = net_read(n.x, n.grads.grad[i]);
        for (size_t k = 0; k < m; k++)
            slope += (double)dir[i][k] * (double)got[k];
        free(got);
    }
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < n.grads.n; i++)
            for (int64_t k = 0; k < zm_shape_elems(n.grads.param[i]->shape); k++)
                ((float *)n.grads.param[i]->data)[k] += (float)((side ? -2 : 1) * step) * dir[i][k];
        net_run(n.x);
        zm_exec_read(n.x, n.loss, &value[side]);
    }
    double differences = ((double)value[0] - (double)value[1]) / (2 * step);
    tap_ok(fabs(slope - differences) < 0.02 * fabs(differences) + 0.05,
           "gradient %g along a direction, by differences %g", slope, differences);
    for (int i = 0; i < n.grads.n; i++)
        free(dir[i]);
    free(dir);
    drop(&n);
}

static void test_groups(zm_rng *rng)
{
    /* A clip's answers do not depend on its neighbour in the batch. */
    net n = start(rng, 2, FRAMES);
    net_run(n.x);
    float *before = net_read(n.x, n.out.answer[ZM_HEAD_ACTION]), *cells = net_read(n.x, n.out.cells);
    float *v = net_read(n.x, n.video);
    size_t half = (size_t)zm_shape_elems(n.video->shape) / 2, rows = (size_t)zm_shape_elems(n.out.cells->shape) / 2;
    float *other = net_normals(rng, half);
    memcpy(v + half, other, half * sizeof *v);
    zm_exec_write(n.x, n.video, v);
    net_run(n.x);
    float *after = net_read(n.x, n.out.answer[ZM_HEAD_ACTION]), *cells2 = net_read(n.x, n.out.cells);
    tap_close_f32(after, before, (size_t)small().head[ZM_HEAD_ACTION], 1e-4, "answers of the first clip stay");
    tap_close_f32(cells2, cells, rows, 1e-4, "cells of the first clip stay");
    free(before);
    free(after);
    free(cells);
    free(cells2);
    free(other);
    free(v);
    drop(&n);
}

static void test_file(zm_rng *rng)
{
    net n = start(rng, 1, 1);
    zm_error err = {0};
    const char *path = scratch("detector.gguf");
    tap_ok(!zm_detector_write(n.d, n.p, path, &err), "written");
    zm_detector *d = NULL;
    zm_params *p = NULL;
    tap_ok(!zm_detector_open(&d, &p, path, &err), "opened again %s", err.text);
    if (d) {
        zm_detector_config a = small(), b = *zm_detector_config_of(d);
        tap_ok(!memcmp(&a, &b, sizeof a), "the same sizes");
        int wrong = 0;
        for (int i = 0; i < zm_params_count(n.p); i++) {
            const zm_param *q = zm_params_at(n.p, i), *r = zm_params_find(p, q->name);
            for (int64_t k = 0; r && k < zm_shape_elems(q->shape); k++)
                wrong +=
                    fabsf(((float *)q->data)[k] - ((float *)r->data)[k]) > 1e-3f * fabsf(((float *)q->data)[k]) + 1e-6f;
            wrong += !r;
        }
        tap_equal_i64(wrong, 0, "values come back to half precision");
    }
    zm_detector_free(d);
    zm_params_free(p);
    FILE *f = fopen(path, "r+b");
    char head[4096];
    size_t n_head = f ? fread(head, 1, sizeof head, f) : 0, at = 0;
    while (at + 7 < n_head && memcmp(head + at, "classes", 7) != 0)
        at++;
    if (f) { /* the sizes go by another name */
        fseek(f, (long)at, SEEK_SET);
        fputs("clashes", f);
        fclose(f);
    }
    tap_equal_i64(zm_detector_open(&d, &p, path, &err), ZM_E_FORMAT, "a file without its sizes is refused");
    printf("# %s\n", err.text);
    tap_ok(!d && !p, "and nothing is left");
    remove(path);
    zm_error_clear(&err);
    tap_ok(zm_detector_open(&d, &p, path, &err) == ZM_E_MISSING, "a missing one is missing");
    drop(&n);
    scratch_end();
}

/* Cells that say: nothing but, at (x, y), a body. */
static void put(const zm_detector_config *c, float *cells, float x, float y, int cls, int colour, float sure)
{
    float *v = cells + ((int)(y / 8) * (SIDE / 8) + (int)(x / 8)) * zm_detector_columns(c);
    v[CLASSES] = 0;
    v[cls] = sure;
    v[CLASSES + 1 + colour] = 5;
    float *box = v + CLASSES + 1 + COLOURS;
    box[0] = x / 8 - floorf(x / 8) - 0.5f;
    box[1] = y / 8 - floorf(y / 8) - 0.5f;
    box[2] = box[3] = logf(10 / 8.0f);
}

static float *blank(const zm_detector_config *c, int frames)
{
    size_t rows = (size_t)frames * (SIDE / 8) * (SIDE / 8), columns = (size_t)zm_detector_columns(c);
    float *v = calloc(rows * columns, sizeof *v);
    for (size_t i = 0; i < rows; i++)
        v[i * columns + CLASSES] = 9;
    return v;
}

static void test_tracks(void)
{
    enum { N = 9 };
    zm_detector_config c = small();
    float *cells = blank(&c, N);
    size_t frame = (size_t)(SIDE / 8) * (SIDE / 8) * (size_t)zm_detector_columns(&c);
    for (int f = 0; f < N; f++) {
        put(&c, cells + (size_t)f * frame, 2.5f + 3 * (float)f, 4, 1, 2, 9); /* to the right */
        if (f < 3 || f > 5)
            put(&c, cells + (size_t)f * frame, 28, 29 - 1.5f * (float)f, f == 2 ? 2 : 3, 0,
                8); /* up, hidden for three frames, once mistaken */
    }
    zm_error err = {0};
    zm_tracks t;
    tap_ok(!zm_tracks_find(&t, &c, cells, N, SIDE, SIDE, &err), "tracks are found");
    tap_equal_i64(t.n, 2, "two bodies are two tracks, also over a gap");
    int a = t.n == 2 && t.track[0].cls == 1 ? 0 : 1, b = 1 - a;
    if (t.n == 2) {
        tap_equal_i64(t.track[a].n, N, "one is seen in every frame");
        tap_equal_i64(t.track[a].colour, 2, "its colour");
        tap_ok(fabsf(t.track[a].at[8].x - 26.5f) < 0.01f && fabsf(t.track[a].at[8].width - 10) < 0.01f,
               "place %g and width %g", (double)t.track[a].at[8].x, (double)t.track[a].at[8].width);
        tap_equal_i64(t.track[b].n, N - 3, "the other is hidden for three");
        tap_equal_i64(t.track[b].cls, 3, "its class is what most frames say");
        tap_equal_i64(t.track[b].last, N - 1, "it is followed to the end");
    }
    zm_tracks_release(&t);
    zm_detection seen[ZM_DETECTIONS_MAX];
    memset(cells, 0, frame * sizeof *cells);
    int n = zm_detections_read(&c, cells, SIDE, SIDE, 0.99f, seen);
    tap_equal_i64(n, 0, "cells that know nothing are no bodies");
    for (size_t i = 0; i < frame; i++)
        cells[i] = i % 7 ? (float)NAN : 1e30f;
    n = zm_detections_read(&c, cells, SIDE, SIDE, 0.5f, seen);
    tap_ok(n <= ZM_DETECTIONS_MAX, "numbers that are none do no harm: %d", n);
    free(cells);
}

int main(void)
{
    zm_rng rng = net_seed();
    test_shapes_and_gradient(&rng);
    test_groups(&rng);
    test_file(&rng);
    test_tracks();
    return tap_done();
}
