/* The text encoder: padding never shows, batches do not mix, buckets, gradients.
 * SPDX-License-Identifier: MIT */
#include "net.h"

#include "model/text_encoder.h"
#include "ops/ops.h"

static const zm_text_config tiny = {.vocab = 40,
                                    .dim = 16,
                                    .dim_attn = 24,
                                    .dim_ffn = 20,
                                    .num_heads = 3,
                                    .num_layers = 2,
                                    .num_buckets = 16,
                                    .max_distance = 32,
                                    .eps = 1e-6};

typedef struct net {
    zm_params *p;
    zm_text_encoder *m;
} net;

static net net_open(const zm_text_config *c, zm_rng *rng)
{
    net n = {.p = zm_params_new()};
    zm_error err = {0};
    if (zm_text_encoder_declare(&n.m, c, n.p, "text.", &err) || zm_params_fill(n.p, zm_rng_u64(rng), &err))
        printf("# %s\n", err.text);
    /* UMT5 does not scale its scores: larger noise makes the softmax so steep that rounding alone is seen. */
    net_randomise(n.p, rng, 0.1f);
    return n;
}

static void net_close(net *n)
{
    zm_text_encoder_free(n->m);
    zm_params_free(n->p);
}

static float *forward(const net *n, int64_t batch, int64_t len, const int32_t *ids, const int32_t *lens)
{
    zm_graph *g = zm_graph_new();
    zm_build b = zm_build_begin(g, n->p, false, false);
    zm_text_inputs in = zm_text_input_leaves(&b, n->m, batch, len);
    zm_tensor *y = zm_output(g, zm_text_encoder_build(&b, n->m, &in));
    zm_exec *e = net_finish(g);
    float *out = NULL;
    if (e) {
        zm_exec_write(e, in.ids, ids);
        zm_exec_write(e, in.len, lens);
        if (net_run(e))
            out = net_read(e, y);
    }
    zm_exec_free(e);
    zm_graph_free(g);
    return out;
}

static void test_padding(zm_rng *rng, bool shared)
{
    zm_text_config c = tiny;
    c.shared_pos = shared;
    net n = net_open(&c, rng);
    enum { L = 12, SHORT = 7, D = 16 };
    int32_t ids[2 * L], junk[2 * L], lens[2] = {L, SHORT}, seven = SHORT, twelve = L;
    for (int i = 0; i < 2 * L; i++)
        ids[i] = junk[i] = (int32_t)zm_rng_below(rng, 40);
    for (int i = L + SHORT; i < 2 * L; i++)
        junk[i] = (int32_t)zm_rng_below(rng, 40);
    float *a = forward(&n, 2, L, ids, lens), *b = forward(&n, 2, L, junk, lens);
    float *first = forward(&n, 1, L, ids, &twelve), *cut = forward(&n, 1, SHORT, ids + L, &seven);
    tap_close_f32(a, first, L * D, 1e-5, "a row of a batch is itself alone");
    tap_close_f32(a + L * D, b + L * D, SHORT * D, 0, "what stands behind a text never shows");
    tap_close_f32(a + L * D, cut, SHORT * D, 1e-5, "a padded text is the text alone");
    free(a);
    free(b);
    free(first);
    free(cut);
    net_close(&n);
}

static void test_buckets(void)
{
    int32_t table[9 * 9];
    zm_relative_buckets(table, 9, 32, 128);
    int ok = 1;
    for (int q = 0; q < 9; q++)
        for (int k = 0; k < 9; k++)
            ok &= table[q * 9 + k] == zm_relative_bucket(k - q, 32, 128);
    tap_ok(ok, "the table holds the bucket of key minus query");
    tap_ok(zm_relative_bucket(0, 32, 128) == 0 && zm_relative_bucket(-7, 32, 128) == 7 &&
               zm_relative_bucket(7, 32, 128) == 23 && zm_relative_bucket(-100000, 32, 128) == 15 &&
               zm_relative_bucket(100000, 32, 128) == 31,
           "near distances have their own bucket, far ones share the last");
    int monotone = 1;
    for (int d = 1; d < 400; d++)
        monotone &= zm_relative_bucket(d, 32, 128) >= zm_relative_bucket(d - 1, 32, 128) &&
                    zm_relative_bucket(d, 32, 128) == zm_relative_bucket(-d, 32, 128) + 16;
    tap_ok(monotone, "buckets grow with distance, and both directions alike");
}

static void test_gradients(zm_rng *rng)
{
    net n = net_open(&tiny, rng);
    enum { L = 6 };
    int32_t ids[2 * L], lens[2] = {L, 4};
    for (int i = 0; i < 2 * L; i++)
        ids[i] = (int32_t)zm_rng_below(rng, 40);
    zm_graph *g = zm_graph_new();
    zm_build b = zm_build_begin(g, n.p, true, true);
    zm_text_inputs in = zm_text_input_leaves(&b, n.m, 2, L);
    zm_tensor *mask = zm_input(g, ZM_F32, ZM_SHAPE(2, L, 16), "mask");
    zm_tensor *loss = zm_output(g, zm_mean(g, zm_mul(g, zm_text_encoder_build(&b, n.m, &in), mask)));
    zm_build_grads grads = zm_build_gradients(&b, loss);
    zm_exec *e = net_finish(g);
    float *w = net_normals(rng, 2 * L * 16), value;
    for (int i = (L + 4) * 16; i < 2 * L * 16; i++)
        w[i] = 0;
    double worst = 0;
    const char *where = "";
    if (e) {
        zm_exec_write(e, in.ids, ids);
        zm_exec_write(e, in.len, lens);
        zm_exec_write(e, mask, w);
        net_run(e);
    }
    tap_equal_i64(grads.n, zm_params_count(n.p), "every parameter has a gradient");
    float **all = calloc((size_t)grads.n, sizeof *all);
    for (int i = 0; e && i < grads.n; i++)
        all[i] = net_read(e, grads.grad[i]);
    for (int i = 0; e && i < grads.n; i++) {
        float *data = grads.param[i]->data;
        size_t count = (size_t)zm_shape_elems(grads.param[i]->shape);
        double norm = net_norm(all[i], count), step = 0.005, side[2];
        float *keep = malloc(count * sizeof *keep);
        memcpy(keep, data, count * sizeof *keep);
        for (int k = 0; k < 2; k++) {
            for (size_t q = 0; q < count; q++)
                data[q] = keep[q] + (float)((k ? -step : step) * (double)all[i][q] / (norm > 0 ? norm : 1));
            net_run(e);
            zm_exec_read(e, loss, &value);
            side[k] = (double)value;
        }
        memcpy(data, keep, count * sizeof *keep);
        double off = fabs((side[0] - side[1]) / (2 * step) - norm) / (norm + 1e-3);
        if (!(off <= worst)) {
            worst = off;
            where = grads.param[i]->name;
        }
        free(keep);
        free(all[i]);
    }
    tap_ok(worst < 0.05, "gradients against central differences: %.3g at %s", worst, where);
    free(all);
    free(w);
    zm_exec_free(e);
    zm_graph_free(g);
    net_close(&n);
}

static void test_config(void)
{
    zm_text_config c = tiny, back = {0};
    zm_error err = {0};
    zm_json j = {0};
    c.shared_pos = true;
    char *text = zm_text_config_json(&c);
    zm_status s = zm_json_parse(&j, text, strlen(text), "t.json", &err);
    if (!s)
        s = zm_text_config_read(&back, &j, "", &err);
    tap_ok(!s && back.vocab == 40 && back.dim_attn == 24 && back.max_distance == 32 && back.shared_pos,
           "a config survives JSON: %s", err.text);
    free(text);
    zm_json_close(&j);
    zm_params *p = zm_params_new();
    zm_text_encoder *m = NULL;
    c.num_heads = 5;
    tap_ok(zm_text_encoder_declare(&m, &c, p, NULL, &err) == ZM_E_UNSUPPORTED && !m, "refused: %s", err.text);
    zm_params_free(p);
}

int main(void)
{
    zm_rng rng = net_seed();
    test_config();
    test_buckets();
    test_padding(&rng, false);
    test_padding(&rng, true);
    test_gradients(&rng);
    return tap_done();
}
