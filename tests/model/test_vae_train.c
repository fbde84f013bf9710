/* The autoencoder's loss: its gradient against differences along random directions, and that training lowers it.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "backend/backend.h"
#include "model/vae.h"
#include "ops/ops.h"
#include "tap.h"

enum { FRAMES = 5, SIDE = 8, BATCH = 2 };

typedef struct lesson {
    zm_params *params;
    zm_vae *vae;
    zm_graph *g;
    zm_exec *exec;
    zm_tensor *video, *weight, *eps;
    zm_vae_loss loss;
    zm_build_grads grads;
} lesson;

static void must(zm_status s, const zm_error *err)
{
    if (!s)
        return;
    printf("Bail out! %s\n", err->text);
    exit(1);
}

static lesson start(bool checkpoint, zm_vae_loss_options o)
{
    zm_error err = {0};
    lesson l = {.params = zm_params_new(), .g = zm_graph_new()};
    zm_vae_config c = zm_vae_config_light();
    c.z_dim = 4;
    c.fold = 2;
    c.channels[0] = 6;
    c.channels[1] = 8;
    c.enc_blocks[1] = c.dec_blocks[1] = 1;
    must(zm_vae_declare(&l.vae, &c, l.params, "", &err), &err);
    must(zm_params_fill(l.params, 3, &err), &err);
    zm_build b = zm_build_begin(l.g, l.params, true, checkpoint);
    l.video = zm_input(l.g, ZM_F32, ZM_SHAPE(BATCH, FRAMES, SIDE, SIDE, 3), "video");
    l.weight = zm_input(l.g, ZM_F32, ZM_SHAPE(BATCH, FRAMES, SIDE, SIDE, 1), "weight");
    l.eps = zm_input(l.g, ZM_F32, ZM_SHAPE(BATCH, 1 + FRAMES / 4, SIDE / 4, SIDE / 4, c.z_dim), "eps");
    l.loss = zm_vae_build_loss_parts(&b, l.vae, l.video, l.weight, l.eps, &o);
    zm_output(l.g, l.loss.total);
    l.grads = zm_build_gradients(&b, l.loss.total);
    must(zm_graph_finish(l.g, &err), &err);
    must(zm_exec_new(&l.exec, l.g, NULL, &err), &err);
    return l;
}

static void drop(lesson *l)
{
    zm_exec_free(l->exec);
    zm_graph_free(l->g);
    zm_vae_free(l->vae);
    zm_params_free(l->params);
}

/* A bright square that moves over a plain ground; pixels inside weigh twice. */
static void fill(lesson *l)
{
    float *x = l->video->data, *w = l->weight->data;
    for (int i = 0; i < BATCH * FRAMES * SIDE * SIDE; i++) {
        int col = i % SIDE, row = i / SIDE % SIDE, f = i / (SIDE * SIDE) % FRAMES, b = i / (SIDE * SIDE * FRAMES);
        bool inside = abs(col - 2 - f) < 2 && abs(row - 3 - b) < 2;
        w[i] = inside ? 2 : 1;
        for (int c = 0; c < 3; c++)
            x[3 * i + c] = inside ? 0.8f - 0.3f * (float)c : -0.5f + 0.2f * (float)c;
    }
    zm_rng r = zm_rng_init(8, 8);
    zm_rng_normals(&r, l->eps->data, (size_t)zm_shape_elems(l->eps->shape));
}

static double run(lesson *l)
{
    zm_error err = {0};
    must(zm_exec_run(l->exec, &err), &err);
    return (double)*(float *)l->loss.total->data;
}

/* Parameters along a random direction of unit size: p + step * d. */
static double along(lesson *l, uint64_t seed, double step, bool dot)
{
    double sum = 0;
    zm_rng r = zm_rng_init(seed, 2);
    for (int i = 0; i < l->grads.n; i++) {
        float *p = l->grads.param[i]->data, *g = l->grads.grad[i]->data;
        for (int64_t k = 0, n = zm_shape_elems(l->grads.param[i]->shape); k < n; k++) {
            double d = (double)zm_rng_normal(&r) * 0.02;
            if (dot)
                sum += d * (double)g[k];
            else
                p[k] += (float)(step * d);
        }
    }
    return sum;
}

static void gradient_is_right(bool checkpoint)
{
    lesson l = start(checkpoint, (zm_vae_loss_options){.l2 = 1, .kl = 1e-2}); /* smooth: differences mean something */
    fill(&l);
    tap_equal_i64(l.grads.n, zm_params_count(l.params), "every parameter has a gradient");
    along(&l, 99, 4, false); /* away from the start, where some branches are zero */
    for (uint64_t seed = 0; seed < 4; seed++) {
        run(&l);
        double want = along(&l, seed, 0, true), h = 0.01;
        along(&l, seed, h, false);
        double up = run(&l);
        along(&l, seed, -2 * h, false);
        double down = run(&l), got = (up - down) / (2 * h);
        along(&l, seed, h, false);
        tap_ok(fabs(got - want) <= 0.01 * fabs(want) + 1e-4, "slope %.6f, gradient %.6f%s", got, want,
               checkpoint ? " (recomputed)" : "");
    }
    drop(&l);
}

static void training_lowers_the_loss(void)
{
    lesson l = start(false, (zm_vae_loss_options){.l1 = 1, .l2 = 0.5, .edge = 0.5, .kl = 1e-3});
    fill(&l);
    double first = run(&l), last = first;
    for (int step = 0; step < 60; step++) { /* sign descent: no moments to keep */
        for (int i = 0; i < l.grads.n; i++) {
            float *p = l.grads.param[i]->data, *g = l.grads.grad[i]->data, rate = 4e-3f / (1 + 0.05f * (float)step);
            for (int64_t k = 0, n = zm_shape_elems(l.grads.param[i]->shape); k < n; k++)
                p[k] -= g[k] > 0 ? rate : g[k] < 0 ? -rate : 0;
        }
        last = run(&l);
    }
    tap_ok(last < 0.5 * first, "60 steps: loss %.4f -> %.4f", first, last);
    drop(&l);
}

int main(void)
{
    gradient_is_right(false);
    gradient_is_right(true);
    training_lowers_the_loss();
    return tap_done();
}
