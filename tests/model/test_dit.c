/* The transformer against its own symmetries: groups, batches, rotary offsets, masks, gradients, recomputation.
 * SPDX-License-Identifier: MIT */
#include "net.h"

#include "model/dit.h"
#include "ops/ops.h"

typedef struct net {
    zm_params *p;
    zm_dit *m;
    zm_dit_config c;
    int looking_back; /* clips under the mask, of a network trained both ways */
} net;

static const zm_dit_config tiny = {.model_type = "ti2v",
                                   .dim = 24,
                                   .ffn_dim = 40,
                                   .num_heads = 2,
                                   .num_layers = 2,
                                   .in_dim = 4,
                                   .out_dim = 4,
                                   .patch_size = {1, 2, 2},
                                   .freq_dim = 16,
                                   .text_dim = 12,
                                   .text_len = 6,
                                   .qk_norm = true,
                                   .cross_attn_norm = true,
                                   .eps = 1e-6};

static net net_open(const zm_dit_config *c, zm_rng *rng, float noise)
{
    net n = {.p = zm_params_new(), .c = *c};
    zm_error err = {0};
    if (zm_dit_declare(&n.m, c, n.p, "", &err) || zm_params_fill(n.p, zm_rng_u64(rng), &err))
        printf("# %s\n", err.text);
    net_randomise(n.p, rng, noise);
    return n;
}

static void net_close(net *n)
{
    zm_dit_free(n->m);
    zm_params_free(n->p);
}

/* One forward pass; x [B,F,H,W,C], t [B*G], text [B,L,D], mask [B,L] or NULL.  malloc'd output. */
static float *forward(const net *n, const zm_dit_sizes *s, const float *x, const double *t, const float *text,
                      const float *mask)
{
    zm_graph *g = zm_graph_new();
    zm_build b = zm_build_begin(g, n->p, false, false);
    zm_dit_inputs in = zm_dit_input_leaves(&b, n->m, s);
    in.looking_back = n->looking_back;
    if (mask)
        in.context_mask = zm_input(g, ZM_F32, ZM_SHAPE(s->batch, n->c.text_len, 1), "mask");
    zm_tensor *y = zm_output(g, zm_dit_build(&b, n->m, &in));
    zm_exec *e = net_finish(g);
    float *time = malloc(zm_tensor_bytes(in.time)), *out = NULL;
    zm_time_sinusoid(time, t, zm_dim(in.time, 0), n->c.freq_dim);
    if (e) {
        zm_exec_write(e, in.x, x);
        zm_exec_write(e, in.time, time);
        zm_exec_write(e, in.context, text);
        if (mask)
            zm_exec_write(e, in.context_mask, mask);
        if (net_run(e))
            out = net_read(e, y);
    }
    free(time);
    zm_exec_free(e);
    zm_graph_free(g);
    return out;
}

enum { F = 3, H = 4, W = 6, N = F * H * W / 4, ELEMS = F * H * W * 4, TEXT = 6 * 12 };

static void test_groups(zm_rng *rng)
{
    net n = net_open(&tiny, rng, 0.2f);
    float *x = net_normals(rng, ELEMS), *text = net_normals(rng, TEXT);
    double one = 1000 * (double)zm_rng_uniform(rng), same[F] = {one, one, one}, frames[F] = {0, 400.5, 871}, tokens[N];
    for (int i = 0; i < N; i++)
        tokens[i] = frames[i / (N / F)];
    zm_dit_sizes s = {.batch = 1, .frames = F, .height = H, .width = W, .groups = 1},
                 sf = {.batch = 1, .frames = F, .height = H, .width = W},
                 sn = {.batch = 1, .frames = F, .height = H, .width = W, .groups = N};
    float *a = forward(&n, &s, x, &one, text, NULL), *b = forward(&n, &sf, x, same, text, NULL);
    float *c = forward(&n, &sf, x, frames, text, NULL), *d = forward(&n, &sn, x, tokens, text, NULL);
    tap_close_f32(b, a, ELEMS, 1e-5, "one timestep for every frame is one timestep");
    tap_close_f32(d, c, ELEMS, 1e-5, "a timestep per token is a timestep per frame");
    double differs = 0;
    for (int i = 0; i < ELEMS; i++)
        differs = fmax(differs, fabs((double)c[i] - (double)a[i]));
    tap_ok(differs > 1e-3, "timesteps matter: %.3g", differs);
    sf.frame_offset = 17;
    float *e = forward(&n, &sf, x, frames, text, NULL);
    tap_close_f32(e, c, ELEMS, 2e-5, "rotary positions are relative: a window may start anywhere");
    sf.frame_scale = 2;
    float *f = forward(&n, &sf, x, frames, text, NULL);
    differs = 0;
    for (int i = 0; i < ELEMS; i++)
        differs = fmax(differs, fabs((double)f[i] - (double)c[i]));
    tap_ok(differs > 1e-4, "the distance between frames matters: %.3g", differs);
    float *all[] = {a, b, c, d, e, f, x, text};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    net_close(&n);
}

static void test_batch_and_mask(zm_rng *rng)
{
    net n = net_open(&tiny, rng, 0.2f);
    float *x = net_normals(rng, 2 * ELEMS), *text = net_normals(rng, 2 * TEXT),
          *zeroed = malloc(2 * TEXT * sizeof *text);
    double t[2 * F];
    float mask[2 * 6];
    int len[2] = {2, 5};
    for (int i = 0; i < 2 * F; i++)
        t[i] = 1000 * (double)zm_rng_uniform(rng);
    for (int i = 0; i < 12; i++)
        mask[i] = i % 6 < len[i / 6] ? 1 : 0;
    for (int i = 0; i < 2 * TEXT; i++)
        zeroed[i] = text[i] * mask[i / 12];
    zm_dit_sizes s = {.batch = 2, .frames = F, .height = H, .width = W},
                 alone = {.batch = 1, .frames = F, .height = H, .width = W};
    float *both = forward(&n, &s, x, t, zeroed, NULL), *masked = forward(&n, &s, x, t, text, mask);
    float *first = forward(&n, &alone, x, t, zeroed, NULL);
    float *second = forward(&n, &alone, x + ELEMS, t + F, zeroed + TEXT, NULL);
    tap_close_f32(both, first, ELEMS, 1e-5, "first of a batch is itself alone");
    tap_close_f32(both + ELEMS, second, ELEMS, 1e-5, "second of a batch is itself alone");
    tap_close_f32(masked, both, 2 * ELEMS, 1e-6, "a mask zeroes rows of the context");
    float *all[] = {both, masked, first, second, x, text, zeroed};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    net_close(&n);
}

/* What a block answers depends on no later one, and on the earlier ones of its window and of the sink alone. */
static void test_causal(zm_rng *rng)
{
    enum { FRAMES = 7, FRAME = H * W * 4, BLOCK = 2 };
    zm_dit_config c = tiny;
    c.num_layers = 1; /* of more, what the block before saw comes along */
    c.causal = (zm_dit_causal){.block = BLOCK, .window = 2, .sink = 1};
    net n = net_open(&c, rng, 0.3f);
    zm_dit_sizes s = {.batch = 1, .frames = FRAMES, .height = H, .width = W};
    float *x = net_normals(rng, FRAMES * FRAME), *text = net_normals(rng, TEXT);
    double t[FRAMES];
    for (int f = 0; f < FRAMES; f++)
        t[f] = 1000 * (double)zm_rng_uniform(rng);
    float *plain = forward(&n, &s, x, t, text, NULL);
    for (int of = 0; of < (FRAMES + 1) / BLOCK; of++) {
        x[of * BLOCK * FRAME + (int)zm_rng_below(rng, FRAME)] += 3;
        float *other = forward(&n, &s, x, t, text, NULL);
        for (int i = 0; i < (FRAMES + 1) / BLOCK; i++) {
            int from = i * BLOCK * FRAME, to = (i + 1) * BLOCK < FRAMES ? from + BLOCK * FRAME : FRAMES * FRAME;
            double most = 0;
            for (int k = from; k < to; k++)
                most = fmax(most, fabs((double)other[k] - (double)plain[k]));
            bool sees = of <= i && (of > i - 2 || of < 1);
            tap_ok(sees ? most > 1e-6 : most == 0, "block %d %s block %d: %.3g", i, sees ? "sees" : "does not see", of,
                   most);
        }
        free(plain);
        plain = other;
    }
    char *json = zm_dit_config_json(&c), says[128];
    zm_json doc;
    zm_error err = {0};
    zm_dit_config back;
    tap_ok(json && !zm_json_parse(&doc, json, strlen(json), "test", &err) && !zm_dit_config_read(&back, &doc, "", &err),
           "its sizes are read back %s", err.text);
    tap_ok(back.causal.block == BLOCK && back.causal.window == 2 && back.causal.sink == 1, "blocks among them");
    tap_ok(!strcmp(zm_dit_causal_text(&back.causal, says, sizeof says),
                   "looks back only: blocks of 2 latent frames, a window of 2 blocks, a sink of 1"),
           "%s", says);
    zm_json_close(&doc);
    tap_ok(!*zm_dit_causal_text(&tiny.causal, says, sizeof says), "nothing is said of networks that look both ways");
    static const char *const wrong[] = {"\"block\": 3", "\"window\": 2", "\"block\": -2", "\"both\": true"};
    for (int i = 0; i < 4; i++) {
        char bad[400];
        snprintf(bad, sizeof bad,
                 "{\"dim\": 24, \"ffn_dim\": 8, \"num_heads\": 2, \"num_layers\": 1, \"in_dim\": 4, \"out_dim\": 4, "
                 "\"patch_size\": [2, 2, 2], \"causal\": {%s}}",
                 wrong[i]);
        err = (zm_error){0};
        tap_ok(!zm_json_parse(&doc, bad, strlen(bad), "test", &err) && zm_dit_config_read(&back, &doc, "", &err) &&
                   err.text[0],
               "%s is refused: %s", wrong[i], err.text);
        zm_json_close(&doc);
    }
    free(json), free(x), free(text), free(plain);
    net_close(&n);
}

/* A network trained both ways is two in one: the first clips of a batch answer as in one that looks back only, the
 * others as in one without a mask. */
static void test_both_ways(zm_rng *rng)
{
    enum { BATCH = 3 };
    zm_dit_config c[3] = {tiny, tiny, tiny}; /* both ways, back only, no mask */
    c[0].causal = c[1].causal = (zm_dit_causal){.block = 1, .window = 2, .sink = (int)zm_rng_below(rng, 2)};
    c[0].causal.both = true;
    net n[3];
    for (int i = 0; i < 3; i++)
        n[i] = net_open(&c[i], rng, 0.3f);
    for (int i = 0; i < zm_params_count(n[0].p); i++)
        for (int k = 1; k < 3; k++) {
            const zm_param *from = zm_params_at(n[0].p, i);
            memcpy(zm_params_at(n[k].p, i)->data, from->data, (size_t)zm_shape_elems(from->shape) * sizeof(float));
        }
    zm_dit_sizes s = {.batch = BATCH, .frames = F, .height = H, .width = W};
    float *x = net_normals(rng, BATCH * ELEMS), *text = net_normals(rng, BATCH * TEXT);
    double t[BATCH * F];
    for (int i = 0; i < BATCH * F; i++)
        t[i] = 1000 * (double)zm_rng_uniform(rng);
    float *back = forward(&n[1], &s, x, t, text, NULL), *free_ = forward(&n[2], &s, x, t, text, NULL);
    for (int k = 0; k <= BATCH; k++) {
        n[0].looking_back = k;
        float *y = forward(&n[0], &s, x, t, text, NULL);
        double worst = 0, other = 0;
        for (int i = 0; i < BATCH * ELEMS; i++) {
            worst = fmax(worst, fabs((double)y[i] - (double)(i < k * ELEMS ? back : free_)[i]));
            other = fmax(other, fabs((double)back[i] - (double)free_[i]));
        }
        tap_ok(worst <= 1e-5 && other > 1e-3, "%d of %d clips look back only: off by %.3g (the mask changes %.3g)", k,
               BATCH, worst, other);
        free(y);
    }
    float *all[] = {x, text, back, free_};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    for (int i = 0; i < 3; i++)
        net_close(&n[i]);
}

typedef struct lesson {
    zm_graph *g;
    zm_exec *e;
    zm_tensor *loss;
    zm_build_grads grads;
} lesson;

static lesson lesson_open(const net *n, bool checkpoint, const float *x, const float *target, const float *text,
                          const double *t)
{
    lesson l = {.g = zm_graph_new()};
    zm_build b = zm_build_begin(l.g, n->p, true, checkpoint);
    zm_dit_inputs in = zm_dit_input_leaves(&b, n->m, &(zm_dit_sizes){.batch = 2, .frames = F, .height = H, .width = W});
    in.looking_back = n->looking_back;
    zm_tensor *want = zm_input(l.g, ZM_F32, in.x->shape, "target");
    zm_tensor *weight = zm_input(l.g, ZM_F32, ZM_SHAPE(2, F, 1, 1, 1), "weight");
    l.loss = zm_output(l.g, zm_flow_loss(l.g, zm_dit_build(&b, n->m, &in), want, weight));
    l.grads = zm_build_gradients(&b, l.loss);
    l.e = net_finish(l.g);
    float *time = malloc(zm_tensor_bytes(in.time)), w[2 * F] = {0, 1, 1, 1, 1, 2};
    zm_time_sinusoid(time, t, 2 * F, n->c.freq_dim);
    if (l.e) {
        zm_exec_write(l.e, in.x, x);
        zm_exec_write(l.e, want, target);
        zm_exec_write(l.e, weight, w);
        zm_exec_write(l.e, in.context, text);
        zm_exec_write(l.e, in.time, time);
    }
    free(time);
    return l;
}

static void lesson_close(lesson *l)
{
    zm_exec_free(l->e);
    zm_graph_free(l->g);
}

static double loss_of(const lesson *l)
{
    float v = NAN;
    if (net_run(l->e))
        zm_exec_read(l->e, l->loss, &v);
    return (double)v;
}

/* Move one parameter along its own gradient g: the loss must change by |g| per unit. */
static void test_gradients(zm_rng *rng, const zm_dit_config *c)
{
    net n = net_open(c, rng, 0.2f);
    n.looking_back = c->causal.both;
    float *x = net_normals(rng, 2 * ELEMS), *target = net_normals(rng, 2 * ELEMS), *text = net_normals(rng, 2 * TEXT);
    double t[2 * F] = {0, 100, 950, 3.5, 500, 500};
    lesson l = lesson_open(&n, false, x, target, text, t), r = lesson_open(&n, true, x, target, text, t);
    loss_of(&l);
    double again = loss_of(&r), worst = 0, apart = 0;
    const char *where = "";
    tap_equal_i64(l.grads.n, zm_params_count(n.p), "every parameter has a gradient");
    tap_ok(zm_exec_bytes(r.e) <= zm_exec_bytes(l.e), "recomputation does not need more memory: %zu of %zu bytes",
           zm_exec_bytes(r.e), zm_exec_bytes(l.e));
    float **g = calloc((size_t)l.grads.n, sizeof *g);
    for (int i = 0; i < l.grads.n; i++) {
        size_t count = (size_t)zm_shape_elems(l.grads.param[i]->shape);
        g[i] = net_read(l.e, l.grads.grad[i]);
        float *other = net_read(r.e, r.grads.grad[i]);
        for (size_t k = 0; k < count; k++)
            apart = fmax(apart, fabs((double)other[k] - (double)g[i][k]));
        free(other);
    }
    tap_ok(apart < 1e-6, "recomputed blocks give the same gradients: %.3g (loss %.4g)", apart, again);
    for (int i = 0; i < l.grads.n; i++) {
        float *data = l.grads.param[i]->data;
        size_t count = (size_t)zm_shape_elems(l.grads.param[i]->shape);
        double norm = net_norm(g[i], count), step = 0.02, side[2];
        float *keep = malloc(count * sizeof *keep);
        memcpy(keep, data, count * sizeof *keep);
        for (int k = 0; k < 2; k++) {
            for (size_t e = 0; e < count; e++)
                data[e] = keep[e] + (float)((k ? -step : step) * (double)g[i][e] / (norm > 0 ? norm : 1));
            side[k] = loss_of(&l);
        }
        memcpy(data, keep, count * sizeof *keep);
        double off = fabs((side[0] - side[1]) / (2 * step) - norm) / (norm + 2e-3);
        if (!(off <= worst)) {
            worst = off;
            where = l.grads.param[i]->name;
        }
        free(keep);
        free(g[i]);
    }
    tap_ok(worst < 0.05, "gradients against central differences: %.3g at %s", worst, where);
    free(g);
    lesson_close(&l);
    lesson_close(&r);
    free(x);
    free(target);
    free(text);
    net_close(&n);
}

static void test_start(zm_rng *rng)
{
    net n = net_open(&tiny, rng, 0);
    float *x = net_normals(rng, ELEMS), *text = net_normals(rng, TEXT), zero[ELEMS] = {0};
    double t[F] = {1, 2, 3};
    zm_dit_sizes s = {.batch = 1, .frames = F, .height = H, .width = W};
    float *y = forward(&n, &s, x, t, text, NULL);
    tap_close_f32(y, zero, ELEMS, 0, "an untrained network answers zero");
    float *mod = zm_params_find(n.p, "blocks.1.modulation")->data;
    double std = net_norm(mod, 6 * 24) / sqrt(6 * 24);
    tap_ok(std > 0.14 && std < 0.28, "modulation starts at std 1/sqrt(dim) = 0.204: %.3g", std);
    free(x);
    free(text);
    free(y);
    net_close(&n);
}

static void test_config(void)
{
    zm_dit_config c = tiny, back = {0}, bad = tiny;
    zm_error err = {0};
    zm_json j = {0};
    c.eps = 3e-6;
    c.img_dim = 8;
    char *text = zm_dit_config_json(&c);
    zm_status s = zm_json_parse(&j, text, strlen(text), "c.json", &err);
    if (!s)
        s = zm_dit_config_read(&back, &j, "", &err);
    tap_ok(!s && back.dim == 24 && back.num_heads == 2 && back.patch_size[1] == 2 && back.img_dim == 8 &&
               fabs(back.eps - 3e-6) < 1e-12 && !strcmp(back.model_type, "ti2v"),
           "a config survives JSON: %s", err.text);
    free(text);
    zm_json_close(&j);
    static const char uneven[] = "{\"dim\": 10, \"ffn_dim\": 4, \"num_heads\": 3, \"num_layers\": 1, "
                                 "\"in_dim\": 1, \"out_dim\": 1}";
    static const char *const wrong[] = {"{}", uneven, "{\"dim\": -4}", "{\"dim\": \"x\"}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        zm_error_clear(&err);
        s = zm_json_parse(&j, wrong[i], strlen(wrong[i]), "w.json", &err);
        if (!s)
            s = zm_dit_config_read(&back, &j, "", &err);
        tap_ok(s != ZM_OK && strstr(err.text, "w.json"), "refused: %s", err.text);
        zm_json_close(&j);
    }
    zm_params *p = zm_params_new();
    zm_dit *m = NULL;
    zm_error_clear(&err);
    bad.num_heads = 7;
    tap_ok(zm_dit_declare(&m, &bad, p, "", &err) == ZM_E_UNSUPPORTED && !m, "refused: %s", err.text);
    zm_params_free(p);
}

static void test_shapes(zm_rng *rng)
{
    net n = net_open(&tiny, rng, 0);
    const zm_dit_sizes odd = {.batch = 1, .frames = 1, .height = 5, .width = 6},
                       uneven = {.batch = 1, .frames = 3, .height = 4, .width = 6, .groups = 5};
    const zm_dit_sizes *all[] = {&odd, &uneven};
    for (int i = 0; i < 2; i++) {
        zm_graph *g = zm_graph_new();
        zm_error err = {0};
        zm_build b = zm_build_begin(g, n.p, false, false);
        zm_dit_inputs in = zm_dit_input_leaves(&b, n.m, all[i]);
        zm_output(g, zm_dit_build(&b, n.m, &in));
        tap_ok(zm_graph_finish(g, &err) == ZM_E_SHAPE, "refused: %s", err.text);
        zm_graph_free(g);
    }
    net_close(&n);
}

int main(void)
{
    zm_rng rng = net_seed();
    test_config();
    test_start(&rng);
    test_groups(&rng);
    test_batch_and_mask(&rng);
    test_causal(&rng);
    test_both_ways(&rng);
    zm_dit_config both = tiny;
    both.causal = (zm_dit_causal){.block = 1, .window = 2, .both = true};
    test_gradients(&rng, &tiny);
    test_gradients(&rng, &both);
    test_shapes(&rng);
    return tap_done();
}
