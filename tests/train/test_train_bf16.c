/* Training with products in bf16 follows training in f32: the same batches, losses side by side.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "ops/ops.h"
#include "tap.h"
#include "train/trainer.h"

enum { STEPS = 60, BATCH = 96, IN = 40, HIDDEN = 72, OUT = 36 };

/* y = W2 silu(W1 x), taught by a network of other weights. */
typedef struct toy {
    zm_params *p;
    zm_param *w1, *w2;
    zm_tensor *x, *y;
    uint64_t seed;
    float teacher[OUT * IN];
} toy;

static zm_tensor *build(void *user, zm_build *b)
{
    toy *t = user;
    t->x = zm_input(b->g, ZM_F32, ZM_SHAPE(BATCH, IN), "x");
    t->y = zm_input(b->g, ZM_F32, ZM_SHAPE(BATCH, OUT), "y");
    zm_tensor *h = zm_linear(b->g, t->x, zm_use(b, t->w1), NULL, ZM_SILU);
    zm_tensor *d = zm_sub(b->g, zm_linear(b->g, h, zm_use(b, t->w2), NULL, ZM_IDENTITY), t->y);
    return zm_mean(b->g, zm_unary(b->g, ZM_SQUARE, d));
}

static zm_status fill(void *user, int64_t step, zm_error *err)
{
    toy *t = user;
    zm_rng r = zm_rng_init(t->seed, (uint64_t)step);
    float *x = t->x->data, *y = t->y->data;
    (void)err;
    zm_rng_normals(&r, x, BATCH * IN);
    for (int i = 0; i < BATCH; i++)
        for (int j = 0; j < OUT; j++) {
            float sum = 0;
            for (int k = 0; k < IN; k++)
                sum += t->teacher[j * IN + k] * x[i * IN + k];
            y[i * OUT + j] = tanhf(sum);
        }
    return ZM_OK;
}

/* Losses by step; returns how many. */
static int train(zm_precision precision, uint64_t seed, double loss[STEPS])
{
    char dir[] = "/tmp/zouma-bf16-XXXXXX", path[64], line[256];
    toy t = {.p = zm_params_new(), .seed = seed};
    zm_rng r = zm_rng_init(seed, 1u << 20);
    zm_error err = {0};
    zm_trainer_result result;
    int n = 0;
    for (int i = 0; i < OUT * IN; i++)
        t.teacher[i] = zm_rng_range(&r, -0.3F, 0.3F);
    t.w1 = zm_params_add(t.p, ZM_SHAPE(HIDDEN, IN), ZM_INIT_FAN_IN, true, "w1");
    t.w2 = zm_params_add(t.p, ZM_SHAPE(OUT, HIDDEN), ZM_INIT_FAN_IN, true, "w2");
    zm_stage stage = {
        .name = "toy", .user = &t, .tokens_per_step = BATCH, .tokens_name = "rows", .build = build, .fill = fill};
    zm_trainer_options o = {.dir = mkdtemp(dir),
                            .steps = STEPS,
                            .warmup = 3,
                            .cooldown = 10,
                            .opt = {.kind = ZM_OPT_MUON,
                                    .lr = 0.02,
                                    .adam_lr = 0.01,
                                    .beta1 = 0.9,
                                    .beta2 = 0.99,
                                    .eps = 1e-8,
                                    .momentum = 0.9,
                                    .clip = 1,
                                    .ema = 0.9,
                                    .bf16 = precision == ZM_PRECISION_BF16},
                            .precision = precision,
                            .checkpoint_seconds = 1000,
                            .fingerprint = "toy"};
    zm_status s = zm_params_fill(t.p, seed, &err);
    if (!s)
        s = zm_train(t.p, &stage, &o, &result, &err);
    snprintf(path, sizeof path, "%s/log.csv", dir);
    FILE *f = s ? NULL : fopen(path, "r");
    if (f && fgets(line, sizeof line, f))
        while (n < STEPS && fgets(line, sizeof line, f) && sscanf(line, "%*d,%lf", &loss[n]) == 1)
            n++;
    if (f)
        fclose(f);
    tap_ok(!s && n == STEPS, "%s: %d steps: %s", zm_precision_name(precision), n, err.text);
    static const char *const left[] = {"log.csv", "loss.png", "checkpoint.safetensors"};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, left[i]);
        unlink(path);
    }
    rmdir(dir);
    zm_params_free(t.p);
    return n;
}

int main(void)
{
    const char *given = getenv("ZM_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    double plain[STEPS], rounded[STEPS], worst = 0;
    printf("# ZM_TEST_SEED=%llu\n", (unsigned long long)seed);
    if (train(ZM_PRECISION_F32, seed, plain) != STEPS || train(ZM_PRECISION_BF16, seed, rounded) != STEPS)
        return tap_done();
    for (int i = 0; i < STEPS; i++) {
        double d = fabs(rounded[i] / plain[i] - 1);
        if (!(d <= worst))
            worst = d;
    }
    tap_ok(plain[STEPS - 1] < 0.5 * plain[0], "it learns: %.4f to %.4f", plain[0], plain[STEPS - 1]);
    tap_ok(worst > 0 && worst <= 1.0 / 256, "bf16 is never further than %.2g of f32's loss from it; last %.5f, %.5f",
           worst, rounded[STEPS - 1], plain[STEPS - 1]);
    return tap_done();
}
