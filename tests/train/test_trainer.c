/* The training loop on a small problem: it learns, stops and goes on, and survives being killed at any moment.
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mapfile.h"
#include "ops/ops.h"
#include "tap.h"
#ifdef ZM_TEST_GPU
#include "gpu_host.h"
#endif
#include "train/log.h"
#include "train/trainer.h"

enum { STEPS = 30, BATCH = 16, IN = 12, HIDDEN = 24, ROW_MAX = 200 };

/* y = W2 tanh(W1 x), taught by a network of other weights. */
typedef struct toy {
    zm_params *p;
    zm_param *w1, *w2;
    zm_tensor *x, *y;
    int64_t stop_at;   /* raise `stop` when this batch is asked for; -1 never */
    int64_t poison_at; /* write NaN into this batch; -1 never */
    int pause_us;
    volatile sig_atomic_t stop;
    float teacher[IN];
} toy;

static zm_tensor *build(void *user, zm_build *b)
{
    toy *t = user;
    t->x = zm_input(b->g, ZM_F32, ZM_SHAPE(BATCH, IN), "x");
    t->y = zm_input(b->g, ZM_F32, ZM_SHAPE(BATCH, 8), "y");
    zm_tensor *h = zm_linear(b->g, t->x, zm_use(b, t->w1), NULL, ZM_TANH);
    zm_tensor *d = zm_sub(b->g, zm_linear(b->g, h, zm_use(b, t->w2), NULL, ZM_IDENTITY), t->y);
    return zm_mean(b->g, zm_unary(b->g, ZM_SQUARE, d));
}

static zm_status fill(void *user, int64_t step, zm_error *err)
{
    toy *t = user;
    zm_rng r = zm_rng_init(99, (uint64_t)step);
    (void)err;
    float *x = t->x->data, *y = t->y->data;
    zm_rng_normals(&r, x, BATCH * IN);
    for (int i = 0; i < BATCH; i++)
        for (int k = 0; k < 8; k++)
            y[i * 8 + k] = tanhf(t->teacher[k] * x[i * IN + k] + x[i * IN + k + 4]);
    if (step == t->stop_at)
        t->stop = 1;
    if (step == t->poison_at)
        x[3] = NAN;
    if (t->pause_us)
        usleep((useconds_t)t->pause_us);
    return ZM_OK;
}

static zm_status validate(void *user, int64_t step, char *text, size_t cap, zm_error *err)
{
    (void)user;
    (void)err;
    snprintf(text, cap, "score %lld", (long long)step);
    return ZM_OK;
}

static zm_status train(const char *dir, zm_opt_kind kind, toy *t, bool resume, zm_trainer_result *result, zm_error *err)
{
    t->p = zm_params_new();
    t->w1 = zm_params_add(t->p, ZM_SHAPE(HIDDEN, IN), ZM_INIT_FAN_IN, true, "w1");
    t->w2 = zm_params_add(t->p, ZM_SHAPE(8, HIDDEN), ZM_INIT_FAN_IN, true, "w2");
    for (int i = 0; i < IN; i++)
        t->teacher[i] = (float)(i % 3) - 1;
    zm_status s = zm_params_fill(t->p, 5, err);
    zm_stage stage = {.name = "toy",
                      .user = t,
                      .tokens_per_step = BATCH,
                      .tokens_name = "rows",
                      .build = build,
                      .fill = fill,
                      .validate = validate};
    zm_trainer_options o = {.dir = dir,
                            .steps = STEPS,
                            .warmup = 3,
                            .cooldown = 10,
                            .opt = {.kind = kind,
                                    .lr = 0.02,
                                    .adam_lr = 0.02,
                                    .beta1 = 0.9,
                                    .beta2 = 0.99,
                                    .eps = 1e-8,
                                    .momentum = 0.9,
                                    .clip = 1,
                                    .ema = 0.9},
                            .checkpoint_seconds = t->pause_us ? 0 : 1000,
                            .validate_every = 10,
                            .resume = resume,
                            .fingerprint = "toy",
                            .stop = &t->stop};
    return s ? s : zm_train(t->p, &stage, &o, result, err);
}

static char root[] = "/tmp/zouma-trainer-XXXXXX";

static void in_root(char *out, size_t cap, const char *name)
{
    zm_error err = {0};
    snprintf(out, cap, "%s/%s", root, name);
    if (zm_mkdirs(out, &err))
        printf("# %s\n", err.text);
}

/* Losses by step from DIR/log.csv; the number of rows, or -1 when they are not steps 1, 2, 3... */
static int read_losses(const char *dir, double loss[ROW_MAX])
{
    char path[256], line[256];
    snprintf(path, sizeof path, "%s/log.csv", dir);
    FILE *f = fopen(path, "r");
    int n = 0;
    long long step;
    if (!f || !fgets(line, sizeof line, f))
        n = -1;
    while (n >= 0 && n < ROW_MAX && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%lld,%lf", &step, &loss[n]) != 2 || step != n + 1)
            n = -1;
        else
            n++;
    }
    if (f)
        fclose(f);
    return n;
}

static bool same_losses(const double *a, const double *b, int n, double *worst)
{
    *worst = 0;
    for (int i = 0; i < n; i++) {
        double off = fabs(a[i] - b[i]) / fabs(a[i]);
        *worst = off <= *worst ? *worst : off; /* NaN stays */
    }
    return *worst < 1e-6;
}

static bool same_params(const toy *a, const toy *b)
{
    double worst = 0;
    for (int i = 0; i < HIDDEN * IN; i++)
        worst = fmax(worst, fabs((double)((float *)a->w1->data)[i] - (double)((float *)b->w1->data)[i]));
    for (int i = 0; i < 8 * HIDDEN; i++)
        worst = fmax(worst, fabs((double)((float *)a->w2->data)[i] - (double)((float *)b->w2->data)[i]));
    return worst < 1e-6;
}

static void test_resume(zm_opt_kind kind, const char *name)
{
    char straight_dir[128], halves_dir[128];
    toy straight = {.stop_at = -1, .poison_at = -1}, half = {.stop_at = STEPS / 2, .poison_at = -1},
        rest = {.stop_at = -1, .poison_at = -1};
    zm_trainer_result r;
    zm_error err = {0};
    double a[ROW_MAX], b[ROW_MAX], worst = 0;
    in_root(straight_dir, sizeof straight_dir, kind == ZM_OPT_MUON ? "straight-muon" : "straight");
    in_root(halves_dir, sizeof halves_dir, kind == ZM_OPT_MUON ? "halves-muon" : "halves");
    tap_ok(!train(straight_dir, kind, &straight, false, &r, &err) && r.step == STEPS, "%s: trained: %s", name,
           err.text);
    int n = read_losses(straight_dir, a);
    tap_ok(n == STEPS && a[n - 1]<0.7 * a[0], "%s: it learns, %g to %g", name, a[0], n> 0 ? a[n - 1] : NAN);
    tap_ok(train(halves_dir, kind, &half, false, &r, &err) == ZM_E_INTERRUPTED && r.step == STEPS / 2 + 1,
           "%s: stopped: %s", name, err.text);
    zm_error_clear(&err);
    tap_ok(!train(halves_dir, kind, &rest, true, &r, &err) && r.step == STEPS, "%s: resumed: %s", name, err.text);
    int m = read_losses(halves_dir, b);
    bool same = n == STEPS && m == STEPS && same_losses(a, b, n, &worst);
    tap_ok(same, "%s: the same losses as without the stop (%.2g)", name, worst);
    tap_ok(same_params(&straight, &rest), "%s: the same parameters at the end", name);
    zm_params_free(straight.p);
    zm_params_free(half.p);
    zm_params_free(rest.p);
    char path[256];
    snprintf(path, sizeof path, "%s/loss.png", halves_dir);
    tap_ok(zm_path_is_file(path), "%s: a loss curve was drawn", name);
}

static void test_not_finite(void)
{
    char dir[128];
    toy t = {.stop_at = -1, .poison_at = 4};
    zm_trainer_result r;
    zm_error err = {0};
    in_root(dir, sizeof dir, "poison");
    tap_ok(train(dir, ZM_OPT_ADAMW, &t, false, &r, &err) == ZM_E_FORMAT && strstr(err.text, "finite"),
           "a loss that is no number ends it: %s", err.text);
    zm_params_free(t.p);
}

static void test_log(void)
{
    char dir[128];
    zm_train_log l;
    zm_error err = {0};
    double loss[ROW_MAX];
    in_root(dir, sizeof dir, "log");
    bool ok = !zm_train_log_open(&l, dir, "test", 0, &err);
    for (int i = 1; i <= 8 && ok; i++)
        ok = !zm_train_log_add(&l, &(zm_train_row){.step = i, .loss = i, .norm = 1, .rate = 1}, &err);
    ok = ok && !zm_train_log_flush(&l, &err);
    zm_train_log_close(&l);
    char path[256];
    snprintf(path, sizeof path, "%s/log.csv", dir);
    FILE *f = fopen(path, "a");
    if (f) {
        fputs("9,0.12", f); /* a row cut short by a kill */
        fclose(f);
    }
    ok = ok && !zm_train_log_open(&l, dir, "test", 6, &err);
    if (ok)
        ok = !zm_train_log_add(&l, &(zm_train_row){.step = 7, .loss = 70}, &err);
    zm_train_log_close(&l);
    int n = read_losses(dir, loss);
    tap_ok(ok && n == 7 && loss[5] == 6 && loss[6] == 70, "rows after the checkpoint are written anew (%d): %s", n,
           err.text);
}

/* This program again, as `test_trainer child DIR`: forking alone would leave OpenMP without its threads. */
static pid_t start_child(const char *dir)
{
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 1);
        execl("/proc/self/exe", "test_trainer", "child", dir, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static int child(const char *dir)
{
    toy t = {.stop_at = -1, .poison_at = -1, .pause_us = 15000};
    zm_trainer_result r;
    zm_error err = {0};
    zm_status s = train(dir, ZM_OPT_ADAMW, &t, true, &r, &err);
    zm_params_free(t.p);
    return s ? 1 : 0;
}

static void test_killed(void)
{
    char dir[128], straight_dir[128], checkpoint[256];
    double a[ROW_MAX], b[ROW_MAX], worst = NAN;
    zm_rng r = zm_rng_init((uint64_t)time(NULL), 8);
    int kills = 0, status = -1, lives = 0;
    in_root(dir, sizeof dir, "killed");
    in_root(straight_dir, sizeof straight_dir, "straight");
    snprintf(checkpoint, sizeof checkpoint, "%s/checkpoint.safetensors", dir);
    for (; lives < 12; lives++) {
        pid_t pid = start_child(dir);
        if (kills < 3) {
            double start = zm_now();
            while (!zm_path_is_file(checkpoint) && zm_now() - start < 60)
                usleep(2000);
            usleep((useconds_t)(zm_rng_below(&r, kills ? 900000 : 150000)));
            kill(pid, SIGKILL);
        }
        waitpid(pid, &status, 0);
        if (WIFSIGNALED(status))
            kills++;
        else
            break;
    }
    tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "killed %d times, then finished", kills);
    tap_ok(kills >= 1, "at least one kill came before the end (%d)", kills);
    int n = read_losses(straight_dir, a), m = read_losses(dir, b);
    bool same = n == STEPS && m == STEPS && same_losses(a, b, n, &worst);
    tap_ok(same, "log.csv equals that of a run without kills (%d and %d rows, %.2g)", n, m, worst);
}

static void remove_all(void)
{
    static const char *const sub[] = {"straight", "halves", "straight-muon", "halves-muon", "poison", "log", "killed"};
    char path[512];
    for (size_t i = 0; i < sizeof sub / sizeof *sub; i++) {
        snprintf(path, sizeof path, "%s/%s", root, sub[i]);
        DIR *d = opendir(path);
        for (struct dirent *e; d && (e = readdir(d));) {
            snprintf(path, sizeof path, "%s/%s/%.200s", root, sub[i], e->d_name);
            unlink(path);
        }
        if (d)
            closedir(d);
        snprintf(path, sizeof path, "%s/%s", root, sub[i]);
        rmdir(path);
    }
    rmdir(root);
}

int main(int argc, char **argv)
{
#ifdef ZM_TEST_GPU
    zm_gpu_host_install(ZM_TEST_GPU);
#endif
    if (argc == 3)
        return child(argv[2]);
    if (!mkdtemp(root))
        return 1;
    test_resume(ZM_OPT_ADAMW, "AdamW");
    test_resume(ZM_OPT_MUON, "Muon");
    test_not_finite();
    test_log();
    test_killed();
    remove_all();
    return tap_done();
}
