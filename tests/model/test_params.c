/* Parameter sets: declaring, drawing, binding every dtype, refusing what does not fit, gradients by one call.
 * SPDX-License-Identifier: MIT */
#include "net.h"

#include "base/mapfile.h"
#include "format/safetensors_write.h"
#include "ops/ops.h"

static char path[256];

static void test_declare(void)
{
    zm_params *p = zm_params_new();
    zm_error err = {0};
    for (int i = 0; i < 500; i++)
        zm_params_add(p, ZM_SHAPE(2, i + 1), ZM_INIT_ZEROS, true, "layer.%d.weight", i);
    int ok = zm_params_count(p) == 500;
    for (int i = 0; i < 500; i++) {
        char name[32];
        snprintf(name, sizeof name, "layer.%d.weight", i);
        zm_param *q = zm_params_find(p, name);
        ok &= q && q->index == i && q == zm_params_at(p, i) && !strcmp(q->name, name);
    }
    tap_ok(ok && !zm_params_find(p, "layer.500.weight"), "500 parameters are found by name");
    tap_equal_i64(zm_params_elems(p), 500 * 501, "their elements are counted");
    zm_params_add(p, ZM_SHAPE(1), ZM_INIT_ZEROS, true, "layer.7.weight");
    tap_ok(zm_params_fill(p, 1, &err) == ZM_E_USAGE, "a second declaration is reported late: %s", err.text);
    zm_params_free(p);
}

static double deviation(const zm_param *q)
{
    size_t n = (size_t)zm_shape_elems(q->shape);
    return net_norm(q->data, n) / sqrt((double)n);
}

static void test_fill(zm_rng *rng)
{
    zm_params *p[2] = {zm_params_new(), zm_params_new()};
    uint64_t seed = zm_rng_u64(rng);
    zm_error err = {0};
    for (int k = 0; k < 2; k++) { /* the second set in another order */
        zm_params_add(p[k], ZM_SHAPE(64, k ? 100 : 100), ZM_INIT_FAN_IN, true, "%s", k ? "b" : "a");
        zm_params_add(p[k], ZM_SHAPE(64, 100), ZM_INIT_FAN_IN, true, "%s", k ? "a" : "b");
        zm_params_add(p[k], ZM_SHAPE(60, 90), ZM_INIT_XAVIER, true, "x");
        zm_params_add(p[k], ZM_SHAPE(80, 80), ZM_INIT_NORMAL, true, "n")->scale = 0.02f;
        zm_params_add(p[k], ZM_SHAPE(5), ZM_INIT_ONES, false, "one");
        tap_ok(!zm_params_fill(p[k], seed, &err), "filled %s", err.text);
    }
    const zm_param *a = zm_params_find(p[0], "a"), *b = zm_params_find(p[0], "b"), *a2 = zm_params_find(p[1], "a");
    tap_ok(!memcmp(a->data, a2->data, 6400 * sizeof(float)), "values depend on the name, not on the order");
    tap_ok(memcmp(a->data, b->data, 6400 * sizeof(float)) != 0, "two names draw different values");
    tap_ok(fabs(deviation(a) - 0.1) < 0.01, "fan-in: std %.4g of 0.1", deviation(a));
    double want = sqrt(2.0 / 150);
    tap_ok(fabs(deviation(zm_params_find(p[0], "x")) - want) < 0.1 * want, "Xavier: std %.4g of %.4g",
           deviation(zm_params_find(p[0], "x")), want);
    tap_ok(fabs(deviation(zm_params_find(p[0], "n")) - 0.02) < 0.002, "normal: std %.4g of 0.02",
           deviation(zm_params_find(p[0], "n")));
    tap_ok(deviation(zm_params_find(p[0], "one")) == 1, "ones");
    zm_params_free(p[0]);
    zm_params_free(p[1]);
}

enum { ROWS = 4, COLS = 32 };

/* A file with one matrix in every dtype a parameter may have, and some that it may not. */
static zm_weights *write_file(const float *v, zm_error *err)
{
    uint16_t half[ROWS * COLS], brain[ROWS * COLS];
    double wide[ROWS * COLS];
    int32_t whole[ROWS * COLS] = {0};
    zm_dtype_from_f32(half, v, ZM_F16, ROWS * COLS);
    zm_dtype_from_f32(brain, v, ZM_BF16, ROWS * COLS);
    for (int i = 0; i < ROWS * COLS; i++)
        wide[i] = (double)v[i];
    const zm_weight w[] = {
        {.name = "net.f32", .dtype = ZM_F32, .rank = 2, .dim = {ROWS, COLS}, .data = v, .bytes = ROWS * COLS * 4},
        {.name = "net.f16", .dtype = ZM_F16, .rank = 2, .dim = {ROWS, COLS}, .data = half, .bytes = sizeof half},
        {.name = "net.bf16", .dtype = ZM_BF16, .rank = 3, .dim = {ROWS, 1, COLS}, .data = brain, .bytes = sizeof brain},
        {.name = "net.f64", .dtype = ZM_F64, .rank = 2, .dim = {ROWS, COLS}, .data = wide, .bytes = sizeof wide},
        {.name = "net.i32", .dtype = ZM_I32, .rank = 2, .dim = {ROWS, COLS}, .data = whole, .bytes = sizeof whole},
    };
    zm_weights *out = NULL;
    if (zm_safetensors_write(path, w, sizeof w / sizeof *w, NULL, 0, err) || zm_weights_open(&out, path, err))
        printf("# %s\n", err->text);
    return out;
}

static void test_load(zm_rng *rng)
{
    float *v = net_normals(rng, ROWS * COLS);
    zm_error err = {0};
    zm_weights *w = write_file(v, &err);
    for (int way = 0; w && way < 3; way++) { /* as stored, all f32, all f32 but what may stay */
        bool all_f32 = way > 0;
        static const char *const names[] = {"f32", "f16", "bf16", "f64"};
        static const zm_dtype kept[] = {ZM_F32, ZM_F16, ZM_BF16, ZM_F32};
        zm_params *p = zm_params_new();
        for (int i = 0; i < 4; i++)
            zm_params_add(p, ZM_SHAPE(ROWS, COLS), ZM_INIT_ZEROS, true, "%s", names[i]);
        if (way == 2)
            zm_params_only_read(p);
        zm_error_clear(&err);
        tap_ok(!zm_params_load(p, w, "net.", all_f32, &err), "bound %s", err.text);
        for (int i = 0; i < 4; i++) {
            const zm_param *q = zm_params_at(p, i);
            float back[ROWS * COLS];
            zm_dtype_to_f32(back, q->data, q->dtype, ROWS * COLS);
            tap_ok(q->dtype == (all_f32 ? ZM_F32 : kept[i]), "%s is kept as %s", q->name, zm_dtype_name(q->dtype));
            tap_close_f32(back, v, ROWS * COLS, i == 2 ? 0.03 : i == 1 ? 0.003 : 0, q->name);
            tap_ok(way != 1 || zm_param_owned(p, i), "%s: a copy of its own when training", q->name);
            tap_ok(way != 2 || i == 0 || zm_param_owned(p, i), "%s: a copy of what is not f32", q->name);
        }
        zm_weight row = zm_param_weight(zm_params_at(p, 1));
        tap_ok(row.bytes == (size_t)ROWS * COLS * (all_f32 ? 4 : 2) && row.rank == 2 && row.dim[1] == COLS,
               "as a row to be written");
        zm_params_free(p);
    }
    static const struct {
        const char *name;
        int cols;
        zm_status want;
    } bad[] = {{"f32", COLS + 1, ZM_E_SHAPE}, {"i32", COLS, ZM_E_UNSUPPORTED}, {"nosuch", COLS, ZM_E_MISSING}};
    for (size_t i = 0; w && i < sizeof bad / sizeof *bad; i++) {
        zm_params *p = zm_params_new();
        zm_params_add(p, ZM_SHAPE(ROWS, bad[i].cols), ZM_INIT_ZEROS, true, "%s", bad[i].name);
        zm_error_clear(&err);
        tap_ok(zm_params_load(p, w, "net.", false, &err) == bad[i].want, "refused: %s", err.text);
        zm_params_free(p);
    }
    zm_weights_free(w);
    free(v);
    remove(path);
}

/* loss = mean((x w^T)^2) with w frozen or not, beside an unused parameter. */
static void test_gradients(zm_rng *rng)
{
    zm_params *p = zm_params_new();
    zm_param *w = zm_params_add(p, ZM_SHAPE(3, 4), ZM_INIT_FAN_IN, true, "w");
    zm_param *bias = zm_params_add(p, ZM_SHAPE(3), ZM_INIT_NORMAL, false, "bias");
    zm_params_add(p, ZM_SHAPE(7), ZM_INIT_ONES, false, "unused");
    zm_error err = {0};
    tap_ok(!zm_params_fill(p, zm_rng_u64(rng), &err), "filled %s", err.text);
    w->frozen = true;
    zm_graph *g = zm_graph_new();
    zm_build b = zm_build_begin(g, p, true, false);
    zm_tensor *x = zm_input(g, ZM_F32, ZM_SHAPE(2, 4), "x");
    tap_ok(zm_use(&b, w) == zm_use(&b, w) && !zm_use(&b, NULL), "one leaf for each parameter of a graph");
    zm_tensor *y = zm_linear(g, x, zm_use(&b, w), zm_use(&b, bias), ZM_IDENTITY);
    zm_tensor *loss = zm_output(g, zm_mean(g, zm_unary(g, ZM_SQUARE, zm_output(g, y))));
    zm_build_grads grads = zm_build_gradients(&b, loss);
    zm_exec *e = net_finish(g);
    float *in = net_normals(rng, 8), want[3] = {0};
    if (e) {
        zm_exec_write(e, x, in);
        net_run(e);
    }
    tap_ok(e && grads.n == 1 && grads.param[0] == bias, "only what is used and not frozen has a gradient");
    if (e && grads.n == 1) {
        float *out = net_read(e, y), *got = net_read(e, grads.grad[0]);
        for (int i = 0; i < 6; i++)
            want[i % 3] += 2 * out[i] / 6;
        tap_close_f32(got, want, 3, 1e-6, "d mean(y^2) / d bias");
        free(out);
        free(got);
    }
    free(in);
    zm_exec_free(e);
    zm_graph_free(g);
    g = zm_graph_new();
    b = zm_build_begin(g, p, true, false);
    zm_build_gradients(&b, zm_unary(g, ZM_SQUARE, zm_use(&b, bias)));
    tap_ok(zm_graph_finish(g, &err) == ZM_E_SHAPE, "refused: %s", err.text);
    zm_graph_free(g);
    zm_params_free(p);
}

int main(void)
{
    zm_rng rng = net_seed();
    const char *dir = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/zouma-params-%ld.safetensors", dir ? dir : "/tmp", (long)getpid());
    test_declare();
    test_fill(&rng);
    test_load(&rng);
    test_gradients(&rng);
    return tap_done();
}
