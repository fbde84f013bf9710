/* Adapters: they start as nothing, attached equals merged, files in several spellings, only they train.
 * SPDX-License-Identifier: MIT */
#include "net.h"

#include "format/safetensors_write.h"
#include "model/dit.h"
#include "model/lora.h"

static const zm_dit_config tiny = {.model_type = "t2v",
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
enum { ELEMS = 2 * 4 * 4 * 4, TEXT = 6 * 12 };

static char path[256];

static float *forward(const zm_params *p, const zm_dit *m, const zm_lora *lora, const float *x, const float *text)
{
    zm_graph *g = zm_graph_new();
    zm_build b = zm_build_begin(g, p, false, false);
    if (lora)
        zm_lora_attach(&b, lora);
    zm_dit_inputs in =
        zm_dit_input_leaves(&b, m, &(zm_dit_sizes){.batch = 1, .frames = 2, .height = 4, .width = 4, .groups = 1});
    zm_tensor *y = zm_output(g, zm_dit_build(&b, m, &in));
    zm_exec *e = net_finish(g);
    float time[16], *out = NULL;
    zm_time_sinusoid(time, (const double[]){321}, 1, 16);
    if (e) {
        zm_exec_write(e, in.x, x);
        zm_exec_write(e, in.time, time);
        zm_exec_write(e, in.context, text);
        if (net_run(e))
            out = net_read(e, y);
    }
    zm_exec_free(e);
    zm_graph_free(g);
    return out;
}

/* Write the adapter under another spelling of its names. */
static void save(const zm_lora *l, const char *prefix, const char *down, const char *up, bool alpha)
{
    zm_weight w[128];
    char name[128][128];
    int n = zm_params_count(l->params);
    for (int i = 0; i < n; i++) {
        const zm_param *p = zm_params_at(l->params, i);
        const char *stem = p->name + strlen("diffusion_model."), *end = strstr(stem, ".lora_");
        w[i] = zm_param_weight(p);
        snprintf(name[i], sizeof name[i], "%s%.*s.%s.weight", prefix, (int)(end - stem), stem,
                 strstr(end, "lora_A") ? down : up);
        w[i].name = name[i];
    }
    zm_meta meta = {.key = "alpha", .type = ZM_META_STR, .n = 1, .str = "8"};
    zm_error err = {0};
    if (zm_safetensors_write(path, w, (size_t)n, &meta, alpha ? 1 : 0, &err))
        printf("# %s\n", err.text);
}

static void test_open(const zm_lora *l, const zm_params *base)
{
    static const char *const spelling[][3] = {{"diffusion_model.", "lora_A", "lora_B"},
                                              {"", "lora_A", "lora_B"},
                                              {"diffusion_model.", "lora_down", "lora_up"}};
    for (size_t i = 0; i < sizeof spelling / sizeof *spelling; i++) {
        zm_weights *w = NULL;
        zm_lora *back = NULL;
        zm_error err = {0};
        save(l, spelling[i][0], spelling[i][1], spelling[i][2], i != 1);
        zm_status s = zm_weights_open(&w, path, &err);
        if (!s)
            s = zm_lora_open(&back, w, base, &err);
        int same = !s && back->adapted == l->adapted && back->config.rank == l->config.rank &&
                   back->config.alpha == (i == 1 ? 4 : 8);
        for (int k = 0; same && k < zm_params_count(l->params); k++) {
            const zm_param *a = zm_params_at(l->params, k), *b = zm_params_at(back->params, k);
            same &= zm_shape_equal(a->shape, b->shape) &&
                    !memcmp(a->data, b->data, (size_t)zm_shape_elems(a->shape) * sizeof(float));
        }
        tap_ok(same, "a file with \"%s..%s\" is read: %s", spelling[i][0], spelling[i][1], err.text);
        zm_lora_free(back);
        zm_weights_free(w);
    }
    zm_weights *w = NULL;
    zm_lora *back = NULL;
    zm_error err = {0};
    save(l, "diffusion_model.nosuch.", "lora_A", "lora_B", true);
    zm_status s = zm_weights_open(&w, path, &err);
    if (!s)
        s = zm_lora_open(&back, w, base, &err);
    tap_ok(s == ZM_E_FORMAT && !back, "refused: %s", err.text);
    zm_weights_free(w);
    remove(path);
}

int main(void)
{
    zm_rng rng = net_seed();
    const char *dir = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/zouma-lora-%ld.safetensors", dir ? dir : "/tmp", (long)getpid());
    zm_params *p = zm_params_new();
    zm_dit *m = NULL;
    zm_lora *l = NULL, *none = NULL;
    zm_error err = {0};
    zm_status s = zm_dit_declare(&m, &tiny, p, "", &err);
    if (!s)
        s = zm_params_fill(p, zm_rng_u64(&rng), &err);
    net_randomise(p, &rng, 0.2f);
    if (!s)
        s = zm_lora_declare(&l, &(zm_lora_config){.rank = 4, .alpha = 8}, p, &err);
    if (!s)
        s = zm_params_fill(l->params, 3, &err);
    if (!tap_ok(!s, "declared %s", err.text))
        return tap_done();
    tap_equal_i64(l->adapted, 16, "q, k, v, o of two attentions in two blocks");
    float *x = net_normals(&rng, ELEMS), *text = net_normals(&rng, TEXT);
    float *base = forward(p, m, NULL, x, text), *start = forward(p, m, l, x, text);
    tap_close_f32(start, base, ELEMS, 0, "a fresh adapter changes nothing");
    net_randomise(l->params, &rng, 0.2f);
    float *attached = forward(p, m, l, x, text);
    double moved = 0;
    for (int i = 0; i < ELEMS; i++)
        moved = fmax(moved, fabs((double)attached[i] - (double)base[i]));
    tap_ok(moved > 1e-3, "a trained one does: %.3g", moved);
    test_open(l, p);
    tap_ok(!zm_lora_merge(p, l, 1, &err), "merged %s", err.text);
    float *merged = forward(p, m, NULL, x, text);
    tap_close_f32(merged, attached, ELEMS, 2e-5, "merged is attached");
    tap_ok(!zm_lora_merge(p, l, -1, &err), "taken out again");
    float *back = forward(p, m, NULL, x, text);
    tap_close_f32(back, base, ELEMS, 2e-5, "and the base is back");

    zm_lora_config c = {.rank = 0, .alpha = 1};
    tap_ok(zm_lora_declare(&none, &c, p, &err) == ZM_E_USAGE && !none, "refused: %s", err.text);
    zm_error_clear(&err);
    c = (zm_lora_config){.rank = 2, .alpha = 2, .targets = (const char *const[]){"ffn.1", "n.q", NULL}};
    tap_ok(zm_lora_declare(&none, &c, p, &err) == ZM_E_MISSING && !none, "refused: %s", err.text);
    c.targets = (const char *const[]){"ffn.0", "head.head", NULL};
    zm_error_clear(&err);
    tap_ok(!zm_lora_declare(&none, &c, p, &err) && none->adapted == 3, "other linears by name %s", err.text);
    zm_lora_free(none);

    zm_lora_freeze(p, true);
    zm_graph *g = zm_graph_new();
    zm_build b = zm_build_begin(g, p, true, true);
    zm_lora_attach(&b, l);
    zm_dit_inputs in = zm_dit_input_leaves(&b, m, &(zm_dit_sizes){.batch = 1, .frames = 2, .height = 4, .width = 4});
    zm_tensor *target = zm_input(g, ZM_F32, in.x->shape, "target");
    zm_build_grads grads =
        zm_build_gradients(&b, zm_output(g, zm_flow_loss(g, zm_dit_build(&b, m, &in), target, NULL)));
    int ours = grads.n == zm_params_count(l->params);
    for (int i = 0; i < grads.n; i++)
        ours &= strstr(grads.param[i]->name, ".lora_") != NULL;
    tap_ok(ours && !zm_graph_finish(g, &err), "with a frozen base only the adapter's %d parameters train", grads.n);
    zm_graph_free(g);
    float *all[] = {x, text, base, start, attached, merged, back};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    zm_lora_free(l);
    zm_dit_free(m);
    zm_params_free(p);
    return tap_done();
}
