/* The measurements of zouma bench: random weights in the bundled model's sizes, medians of several runs.
 * SPDX-License-Identifier: MIT */
#include "app/bench_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/bench_profile.h"
#include "app/bench_quality.h"
#include "app/bench_quant.h"
#include "app/bench_scaling.h"
#include "app/bench_vae.h"
#include "backend/backend.h"
#include "base/clock.h"
#include "base/rng.h"
#include "ops/flops.h"
#include "ops/ops.h"
#include "pipeline/generate.h"
#include "train/optimizer.h"

enum { RUNS_MAX = 50, RUNS_LEAST = 3 };
enum { BATCHED_TOKENS = 1024 }; /* below: both branches of guidance in one batch, as generation does */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef zm_status (*task)(void *user, zm_error *err);

/* Median seconds of a task, which is run once beforehand. */
static zm_status median_of(const zm_bench *b, task run, void *user, double *seconds, zm_error *err)
{
    double each[RUNS_MAX], start;
    int n = 0;
    zm_status s = run(user, err);
    start = zm_now();
    while (!s && n < RUNS_MAX && (n < RUNS_LEAST || zm_now() - start < b->seconds)) {
        double at = zm_now();
        s = run(user, err);
        each[n++] = zm_now() - at;
    }
    if (s)
        return s;
    qsort(each, (size_t)n, sizeof *each, ascending);
    *seconds = 0.5 * (each[(n - 1) / 2] + each[n / 2]);
    return ZM_OK;
}

void zm_bench_keep(zm_bench *b, const char *name, const char *dtype, double seconds, double flops, const char *shape)
{
    if (b->n == ZM_BENCH_ROWS_MAX)
        return;
    zm_bench_row *r = &b->row[b->n++];
    *r = (zm_bench_row){.name = name,
                        .dtype = strcmp(dtype, "f32") ? dtype : zm_backend_arithmetic(),
                        .ms = 1e3 * seconds,
                        .gflop = 1e-9 * flops,
                        .rss_mb = 1e-6 * (double)zm_rss_bytes()};
    snprintf(r->shape, sizeof r->shape, "%s", shape);
}

bool zm_bench_wants(const zm_bench *b, zm_precision p)
{
    if (b->only == ZM_PRECISION_F32)
        return zm_precision_runs(p) && !zm_precision_caution(p);
    return zm_precision_runs(p) && (b->only == p || (b->beside && p == ZM_PRECISION_F32));
}

static zm_status run_exec(void *user, zm_error *err)
{
    return zm_exec_run(user, err);
}

/* Every input number is small and not all alike, so that no kernel meets special values. */
static void fill_inputs(zm_graph *g)
{
    zm_rng r = zm_rng_init(5, 5);
    for (int i = 0; i < zm_graph_size(g); i++) {
        zm_tensor *t = zm_graph_at(g, i);
        if (t->op || t->leaf != ZM_INPUT || !t->data)
            continue;
        int64_t n = zm_shape_elems(t->shape);
        if (t->dtype == ZM_F32)
            zm_rng_normals(&r, t->data, (size_t)n);
        else
            for (int64_t k = 0; k < n; k++)
                ((int32_t *)t->data)[k] = 1;
    }
}

static uint64_t hash_outputs(zm_exec *x, zm_graph *g)
{
    uint64_t hash = 0;
    for (int i = 0; i < zm_graph_size(g); i++) {
        const zm_tensor *t = zm_graph_at(g, i);
        void *v = t->is_output ? malloc(zm_tensor_bytes(t)) : NULL;
        if (v) {
            zm_exec_read(x, t, v);
            hash = zm_hash64(v, zm_tensor_bytes(t), hash);
        }
        free(v);
    }
    return hash;
}

/* Weights that pass through a card must give the bits of those that stay. */
static zm_status same_numbers(zm_graph *g, const zm_exec_options *limited, const char *name, zm_error *err)
{
    zm_exec_options all = *limited;
    uint64_t hash[2] = {0};
    zm_status s = ZM_OK;
    all.resident_bytes = 0;
    for (int k = 0; !s && k < 2; k++) {
        zm_exec *x = NULL;
        s = zm_exec_new(&x, g, k ? limited : &all, err);
        if (!s)
            fill_inputs(g);
        for (int run = 0; !s && run < 2; run++)
            s = zm_exec_run(x, err);
        if (!s)
            hash[k] = hash_outputs(x, g);
        zm_exec_free(x);
    }
    if (!s && hash[0] != hash[1])
        s = zm_fail(err, ZM_E_IO,
                    "%s: with %.0f MB of weights on the card at a time the numbers are others than with all", name,
                    1e-6 * (double)limited->resident_bytes);
    return s;
}

/* Finishes g.  dtype: of its weights, or the precision's name. */
static zm_status time_graph(zm_bench *b, zm_graph *g, zm_precision p, const char *name, const char *dtype,
                            const char *what, zm_error *err)
{
    zm_exec_options opt = {.resident_bytes = b->resident, .precision = p};
    zm_exec *x = NULL;
    double seconds;
    char shape[192];
    snprintf(shape, sizeof shape, "%s", what);
    if (b->resident)
        snprintf(shape, sizeof shape, "%s, %.0f MB of weights at a time", what, 1e-6 * (double)b->resident);
    zm_status s = zm_graph_finish(g, err);
    if (!s && b->resident)
        s = same_numbers(g, &opt, name, err);
    if (!s)
        s = zm_exec_new(&x, g, &opt, err);
    if (!s) {
        fill_inputs(g);
        s = median_of(b, run_exec, x, &seconds, err);
    }
    if (!s)
        zm_bench_keep(b, name, dtype, seconds, zm_graph_flops(g), shape);
    if (!s && b->nodes)
        s = zm_bench_profile(x, g, name, err);
    zm_exec_free(x);
    return s;
}

static zm_status peak(zm_bench *b, zm_error *err)
{
    (void)err;
    zm_bench_keep(b, "peak", "f32", 1, 1e9 * b->peak, "sgemm, best of several sizes");
    return ZM_OK;
}

static zm_status gemm_one(zm_bench *b, zm_dtype t, zm_precision p, int64_t m, int64_t n, int64_t k, zm_error *err)
{
    size_t bytes;
    char shape[64];
    snprintf(shape, sizeof shape, "[%lld,%lld] x [%lld,%lld]^T%s", (long long)m, (long long)k, (long long)n,
             (long long)k, p == ZM_PRECISION_BF16 ? ", both bf16" : "");
    float *w = calloc((size_t)(n * k), sizeof *w);
    void *data = zm_dtype_bytes(&bytes, t, (size_t)(n * k)) ? zm_aligned_alloc(bytes) : NULL;
    zm_graph *g = zm_graph_new();
    zm_status s = w && data && g ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for a product");
    if (!s) {
        zm_rng r = zm_rng_init(3, 3);
        zm_rng_normals(&r, w, (size_t)(n * k));
        zm_dtype_from_f32(data, w, t, (size_t)(n * k));
        zm_tensor *x = zm_input(g, ZM_F32, ZM_SHAPE(m, k), "x"), *leaf = zm_external(g, t, ZM_SHAPE(n, k), data, "w");
        zm_output(g, zm_linear(g, x, leaf, NULL, ZM_IDENTITY));
        s = time_graph(b, g, p, "gemm", p == ZM_PRECISION_F32 ? zm_dtype_name(t) : zm_precision_name(p), shape, err);
    }
    zm_graph_free(g);
    free(data);
    free(w);
    return s;
}

static zm_status gemm(zm_bench *b, zm_error *err)
{
    static const zm_dtype types[] = {ZM_F32, ZM_F16, ZM_BF16, ZM_F8_E4M3, ZM_Q8_0, ZM_Q4_K};
    zm_status s = ZM_OK;
    for (size_t i = 0; !s && zm_bench_wants(b, ZM_PRECISION_F32) && i < sizeof types / sizeof *types; i++)
        s = gemm_one(b, types[i], ZM_PRECISION_F32, 1024, 1024, 1024, err);
    for (int p = ZM_PRECISION_F32 + 1; !s && p < ZM_PRECISION_COUNT; p++)
        if (zm_bench_wants(b, (zm_precision)p))
            s = gemm_one(b, ZM_F32, (zm_precision)p, 1024, 1024, 1024, err);
    for (int p = ZM_PRECISION_F32; !s && p < ZM_PRECISION_COUNT; p++)
        if (zm_bench_wants(b, (zm_precision)p))
            s = gemm_one(b, ZM_F32, (zm_precision)p, 480, b->dit.ffn_dim, b->dit.dim, err);
    return s;
}

static zm_status attention_one(zm_bench *b, int64_t batch, int64_t n, int64_t heads, int64_t d, zm_error *err)
{
    char shape[64];
    snprintf(shape, sizeof shape, "[%lld,%lld,%lld,%lld]", (long long)batch, (long long)n, (long long)heads,
             (long long)d);
    zm_graph *g = zm_graph_new();
    if (!g)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a graph");
    zm_tensor *x[3];
    for (int i = 0; i < 3; i++)
        x[i] = zm_input(g, ZM_F32, ZM_SHAPE(batch, n, heads, d), "qkv");
    zm_output(g, zm_attention(g, x[0], x[1], x[2], NULL, NULL, 0));
    zm_status s = time_graph(b, g, ZM_PRECISION_F32, "attention", "f32", shape, err);
    zm_graph_free(g);
    return s;
}

static int64_t token_count(const zm_bench *b)
{
    const int *p = b->dit.patch_size;
    return (int64_t)(b->latent_frames / p[0]) * (b->latent_height / p[1]) * (b->latent_width / p[2]);
}

static zm_status attention(zm_bench *b, zm_error *err)
{
    int64_t tokens = token_count(b);
    zm_status s =
        attention_one(b, tokens < BATCHED_TOKENS ? 2 : 1, tokens, b->dit.num_heads, b->dit.dim / b->dit.num_heads, err);
    return s ? s : attention_one(b, 1, 2048, 8, 64, err);
}

/* A network with random weights and the graph it is run in. */
typedef struct network {
    zm_params *p;
    zm_graph *g;
    zm_dit *dit;
    zm_text_encoder *text;
    zm_vae *vae;
} network;

static zm_status network_start(network *n, zm_error *err)
{
    *n = (network){.p = zm_params_new(), .g = zm_graph_new()};
    return n->p && n->g ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for a network");
}

static void network_end(network *n)
{
    zm_graph_free(n->g);
    zm_dit_free(n->dit);
    zm_text_encoder_free(n->text);
    zm_vae_free(n->vae);
    zm_params_free(n->p);
}

static zm_dit_sizes dit_sizes(const zm_bench *b, int64_t batch)
{
    return (zm_dit_sizes){.batch = batch,
                          .frames = b->latent_frames,
                          .height = b->latent_height,
                          .width = b->latent_width,
                          .text_len = b->dit.text_len};
}

static zm_status dit_block_in(zm_bench *b, zm_precision p, zm_error *err)
{
    network n;
    zm_dit_config c = b->dit;
    c.num_layers = 1;
    zm_status s = network_start(&n, err);
    if (!s)
        s = zm_dit_declare(&n.dit, &c, n.p, NULL, err);
    if (!s)
        s = zm_params_fill(n.p, 1, err);
    if (!s) {
        char shape[112];
        zm_build build = zm_build_begin(n.g, n.p, false, false);
        int64_t tokens = token_count(b), batch = tokens < BATCHED_TOKENS ? 2 : 1;
        zm_dit_sizes z = dit_sizes(b, batch);
        zm_dit_inputs in = zm_dit_input_leaves(&build, n.dit, &z);
        zm_output(n.g, zm_dit_build(&build, n.dit, &in));
        snprintf(shape, sizeof shape, "[%lld,%d,%d,%d,%d], %lld tokens, width %d, one block, embeddings, head",
                 (long long)batch, b->latent_frames, b->latent_height, b->latent_width, c.in_dim, (long long)tokens,
                 c.dim);
        s = time_graph(b, n.g, p, "dit-block", zm_precision_name(p), shape, err);
    }
    network_end(&n);
    return s;
}

static zm_status dit_block(zm_bench *b, zm_error *err)
{
    zm_status s = ZM_OK;
    for (int p = ZM_PRECISION_F32; !s && p < ZM_PRECISION_COUNT; p++)
        if (zm_bench_wants(b, (zm_precision)p))
            s = dit_block_in(b, (zm_precision)p, err);
    return s;
}

static zm_status text_encode(zm_bench *b, zm_error *err)
{
    network n;
    zm_status s = network_start(&n, err);
    if (!s)
        s = zm_text_encoder_declare(&n.text, &b->text, n.p, NULL, err);
    if (!s)
        s = zm_params_fill(n.p, 1, err);
    if (!s) {
        char shape[112];
        zm_build build = zm_build_begin(n.g, n.p, false, false);
        zm_text_inputs in = zm_text_input_leaves(&build, n.text, 2, b->dit.text_len);
        zm_output(n.g, zm_text_encoder_build(&build, n.text, &in));
        snprintf(shape, sizeof shape, "[2,%d], width %d, %d layers", b->dit.text_len, b->text.dim, b->text.num_layers);
        s = time_graph(b, n.g, ZM_PRECISION_F32, "text-encode", "f32", shape, err);
    }
    network_end(&n);
    return s;
}

/* ---- a training step of transformer and text encoder, optimiser included ---- */

typedef struct lesson {
    zm_exec *x;
    zm_opt *opt;
    zm_tensor **grad;
    int64_t step;
} lesson;

static zm_status run_step(void *user, zm_error *err)
{
    lesson *l = user;
    double norm;
    zm_status s = zm_exec_run(l->x, err);
    return s ? s : zm_opt_step_there(l->opt, l->x, l->grad, ++l->step, 1e-6, &norm, err);
}

static zm_status build_lesson(zm_bench *b, zm_precision p, network *n, lesson *l, zm_error *err)
{
    zm_build build = zm_build_begin(n->g, n->p, true, false);
    zm_dit_sizes z = dit_sizes(b, b->batch);
    zm_text_inputs text = zm_text_input_leaves(&build, n->text, b->batch, b->dit.text_len);
    zm_dit_inputs in = zm_dit_input_leaves(&build, n->dit, &z);
    in.context = zm_text_encoder_build(&build, n->text, &text);
    zm_tensor *target =
        zm_input(n->g, ZM_F32, ZM_SHAPE(b->batch, z.frames, z.height, z.width, b->dit.out_dim), "target");
    zm_tensor *loss = zm_output(n->g, zm_flow_loss(n->g, zm_dit_build(&build, n->dit, &in), target, NULL));
    zm_build_grads got = zm_build_gradients(&build, loss);
    zm_status s = zm_graph_finish(n->g, err);
    if (!s)
        s = zm_exec_new(&l->x, n->g, &(zm_exec_options){.outputs_stay = zm_opt_outputs_stay(), .precision = p}, err);
    for (int i = 0; !s && i < got.n; i++)
        l->grad[got.param[i]->index] = got.grad[i];
    return s;
}

static zm_status train_step_in(zm_bench *b, zm_precision p, zm_error *err)
{
    network n;
    lesson l = {0};
    double seconds;
    zm_opt_options o = {.kind = ZM_OPT_MUON,
                        .lr = 1e-3,
                        .adam_lr = 1e-3,
                        .beta1 = 0.9,
                        .beta2 = 0.99,
                        .eps = 1e-8,
                        .momentum = 0.95,
                        .clip = 1,
                        .ema = 0.99,
                        .bf16 = p == ZM_PRECISION_BF16};
    zm_status s = network_start(&n, err);
    if (!s)
        s = zm_dit_declare(&n.dit, &b->dit, n.p, NULL, err);
    if (!s)
        s = zm_text_encoder_declare(&n.text, &b->text, n.p, "text.", err);
    if (!s)
        s = zm_params_fill(n.p, 1, err);
    if (!s && !(l.grad = calloc((size_t)zm_params_count(n.p) + 1, sizeof *l.grad)))
        s = zm_fail(err, ZM_E_NOMEM, "out of memory for gradients");
    if (!s)
        s = zm_opt_new(&l.opt, n.p, &o, err);
    if (!s)
        s = build_lesson(b, p, &n, &l, err);
    if (!s) {
        fill_inputs(n.g);
        s = median_of(b, run_step, &l, &seconds, err);
    }
    if (!s) {
        char shape[112];
        snprintf(shape, sizeof shape, "batch %lld, %.1f M parameters, %.0f clips/s, optimiser included",
                 (long long)b->batch, 1e-6 * (double)zm_params_elems(n.p), (double)b->batch / seconds);
        zm_bench_keep(b, "train-step", zm_precision_name(p), seconds, zm_graph_flops(n.g), shape);
    }
    if (!s && b->nodes)
        s = zm_bench_profile(l.x, n.g, "train-step", err);
    zm_opt_free(l.opt);
    zm_exec_free(l.x);
    free(l.grad);
    network_end(&n);
    return s;
}

/* Of those in which training runs. */
static zm_status train_step(zm_bench *b, zm_error *err)
{
    static const zm_precision in[] = {ZM_PRECISION_F32, ZM_PRECISION_BF16};
    zm_status s = ZM_OK;
    for (size_t i = 0; !s && i < sizeof in / sizeof *in; i++)
        if (zm_bench_wants(b, in[i]))
            s = train_step_in(b, in[i], err);
    return s;
}

/* ---- a clip ---- */

typedef struct clip {
    zm_generator *g;
    zm_request r;
} clip;

static zm_status drop_frame(void *user, const zm_frame *f, zm_error *err)
{
    (void)user;
    (void)f;
    (void)err;
    return ZM_OK;
}

static zm_status run_clip(void *user, zm_error *err)
{
    clip *c = user;
    return zm_generate(c->g, &c->r, &(zm_watch){.frame = drop_frame}, err);
}

static zm_status generate_in(zm_bench *b, zm_precision p, zm_error *err)
{
    zm_model *m;
    clip c = {.r = {.prompt = "a red ball bounces on the grass", .precision = p}};
    double seconds;
    if (!b->model)
        return zm_fail(err, ZM_E_MISSING, "the bundled model is not beside the program");
    zm_status s = zm_model_open(&m, b->model, err);
    if (s)
        return s;
    s = zm_request_resolve(&c.r, m, err);
    if (!s)
        s = zm_generator_new(&c.g, m, &c.r, NULL, err);
    if (!s)
        s = median_of(b, run_clip, &c, &seconds, err);
    if (!s) {
        char shape[112];
        snprintf(shape, sizeof shape, "%d frames of %dx%d, %d steps, guidance %g", c.r.frames, c.r.width, c.r.height,
                 c.r.steps, c.r.guidance);
        zm_bench_keep(b, "generate", zm_precision_name(p), seconds, 0, shape);
    }
    zm_generator_free(c.g);
    zm_model_close(m);
    return s;
}

static zm_status generate(zm_bench *b, zm_error *err)
{
    zm_status s = b->beside ? generate_in(b, ZM_PRECISION_F32, err) : ZM_OK;
    return s ? s : generate_in(b, b->only, err);
}

const zm_bench_case zm_bench_cases[] = {
    {"peak", NULL, "sgemm of this machine, measured in this run", peak},
    {"gemm", NULL, "products with weights of every dtype", gemm},
    {"attention", NULL, "attention of the bundled model, and a longer one", attention},
    {"dit-block", NULL, "one block of the transformer", dit_block},
    {"vae-decode", NULL, "latent to clip", zm_bench_vae_decode},
    {"text-encode", NULL, "two prompts", text_encode},
    {"train-step", "train", "a training step of the bundled model's sizes", train_step},
    {"generate", NULL, "prompt to clip with the bundled model", generate},
    {"quant", NULL, "what every stored type loses, beside the published rules, and its speed", zm_bench_quant},
    {"quality", NULL, "tiers of --quality, and int8, at 50 steps: time, evaluations, PSNR against best",
     zm_bench_quality},
    {"scaling", NULL, "a block at 1k to 32k tokens on 1 to all threads; only when named", zm_bench_scaling},
    {NULL, NULL, NULL, NULL},
};
