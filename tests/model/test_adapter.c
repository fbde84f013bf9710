/* Adapter files under every spelling: the same change of weights, merged or attached.
 * SPDX-License-Identifier: MIT */
#include "net.h"

#include <stdio.h>
#include <string.h>

#include "format/safetensors_write.h"
#include "model/adapter.h"
#include "model/dit.h"

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

enum { RANK = 3, DIM = 24, FFN = 40 };
static const float ALPHA = 1.5F, STRENGTH = 0.7F;

/* Linears that are adapted: official stem, diffusers' stem, sizes. */
static const struct {
    const char *stem, *flat, *diffusers;
    int64_t out, in;
} linears[] = {
    {"blocks.0.self_attn.q", "blocks_0_self_attn_q", "blocks.0.attn1.to_q", DIM, DIM},
    {"blocks.1.cross_attn.o", "blocks_1_cross_attn_o", "blocks.1.attn2.to_out.0", DIM, DIM},
    {"blocks.1.ffn.0", "blocks_1_ffn_0", "blocks.1.ffn.net.0.proj", FFN, DIM},
};
enum { LINEARS = sizeof linears / sizeof *linears };

typedef struct values {
    float *a[LINEARS], *b[LINEARS], *bias;
} values;

typedef enum { OFFICIAL, KOHYA, DIFFUSERS, PEFT, SPELLINGS } spelling;
static const char *const spelling_name[] = {"official", "kohya", "diffusers", "peft"};

static bool write_adapter(const char *path, spelling how, const values *v, bool bias)
{
    static char name[3 * LINEARS + 2][128];
    zm_weight row[3 * LINEARS + 2];
    zm_error err = {0};
    size_t n = 0;
    for (int i = 0; i < LINEARS; i++) {
        const char *stem = how == KOHYA                      ? linears[i].flat
                           : how == DIFFUSERS || how == PEFT ? linears[i].diffusers
                                                             : linears[i].stem;
        static const char *const front[] = {"diffusion_model.", "lora_unet_", "transformer.", "base_model.model."};
        static const char *const down[] = {"lora_A", "lora_down", "lora_A", "lora_A.default"}, *const up[] = {
                                                                                                   "lora_B", "lora_up",
                                                                                                   "lora_B",
                                                                                                   "lora_B.default"};
        for (int k = 0; k < 3; k++) {
            int64_t rows = k == 1 ? linears[i].out : RANK, columns = k == 1 ? RANK : linears[i].in;
            if (k == 2)
                snprintf(name[n], sizeof name[n], "%s%s.alpha", front[how], stem);
            else
                snprintf(name[n], sizeof name[n], "%s%s.%s.weight", front[how], stem, k ? up[how] : down[how]);
            row[n] = (zm_weight){.name = name[n], .dtype = ZM_F32, .rank = k == 2 ? 0 : 2, .dim = {rows, columns}};
            row[n].data = k == 2 ? (const void *)&ALPHA : k ? v->b[i] : v->a[i];
            row[n].bytes = k == 2 ? 4 : (size_t)(rows * columns) * 4;
            n++;
        }
    }
    row[n] = (zm_weight){.name = "lora_te_text_model_encoder.lora_down.weight",
                         .dtype = ZM_F32,
                         .rank = 1,
                         .dim = {1},
                         .data = &ALPHA,
                         .bytes = 4};
    n++;
    if (bias) {
        row[n] = (zm_weight){.name = "diffusion_model.blocks.0.ffn.0.diff_b",
                             .dtype = ZM_F32,
                             .rank = 1,
                             .dim = {FFN},
                             .data = v->bias,
                             .bytes = FFN * 4};
        n++;
    }
    zm_status s = zm_safetensors_write(path, row, n, NULL, 0, &err);
    if (s)
        printf("# %s\n", err.text);
    return !s;
}

static zm_status apply(zm_adapter **a, zm_params *base, const char *const *paths, int n, const zm_lora **attached,
                       int *skipped, zm_error *err)
{
    zm_status s = zm_adapter_new(a, base, err);
    for (int i = 0; !s && i < n; i++) {
        zm_weights *w = NULL;
        s = zm_weights_open(&w, paths[i], err);
        if (!s)
            s = zm_adapter_add(*a, w, STRENGTH, skipped, err);
        zm_weights_free(w);
    }
    return s ? s : zm_adapter_apply(*a, attached, err);
}

/* Worst difference from W + times * strength alpha / rank B A over the adapted linears. */
static double worst(const zm_params *changed, const zm_params *plain, const values *v, int times)
{
    double most = 0;
    for (int i = 0; i < LINEARS; i++) {
        char name[96];
        snprintf(name, sizeof name, "%s.weight", linears[i].stem);
        const float *got = zm_params_find(changed, name)->data, *was = zm_params_find(plain, name)->data;
        for (int64_t o = 0; o < linears[i].out; o++)
            for (int64_t k = 0; k < linears[i].in; k++) {
                double sum = 0;
                for (int r = 0; r < RANK; r++)
                    sum += (double)v->b[i][o * RANK + r] * (double)v->a[i][r * linears[i].in + k];
                double want =
                    (double)was[o * linears[i].in + k] + times * (double)STRENGTH * (double)ALPHA / RANK * sum;
                most = fmax(most, fabs((double)got[o * linears[i].in + k] - want));
            }
    }
    return most;
}

static zm_params *declared(zm_dit **m)
{
    zm_error err = {0};
    zm_params *p = zm_params_new();
    if (zm_dit_declare(m, &tiny, p, "", &err))
        printf("# %s\n", err.text);
    return p;
}

static float *velocity(const zm_params *p, const zm_dit *m, const zm_lora *attached, const float *x, const float *text)
{
    zm_graph *g = zm_graph_new();
    zm_build b = zm_build_begin(g, p, false, false);
    if (attached)
        zm_lora_attach(&b, attached);
    zm_dit_inputs in =
        zm_dit_input_leaves(&b, m, &(zm_dit_sizes){.batch = 1, .frames = 2, .height = 4, .width = 4, .groups = 1});
    zm_tensor *y = zm_output(g, zm_dit_build(&b, m, &in));
    zm_exec *e = net_finish(g);
    float *out = NULL, time[16];
    zm_time_sinusoid(time, &(double){500}, 1, 16);
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

/* Base weights in a file as bf16: mapped and attached against expanded and merged. */
static void test_attached(zm_rng *rng, const char *base_path, const char *path)
{
    zm_dit *m1, *m2;
    zm_params *p1 = declared(&m1), *p2 = declared(&m2);
    zm_weights *w1 = NULL, *w2 = NULL;
    zm_adapter *a1 = NULL, *a2 = NULL;
    const zm_lora *l1 = NULL, *l2 = NULL;
    int skipped;
    zm_error err = {0};
    zm_status s = zm_weights_open(&w1, base_path, &err);
    if (!s)
        s = zm_weights_open(&w2, base_path, &err);
    if (!s)
        s = zm_params_load(p1, w1, "", false, &err);
    if (!s)
        s = zm_params_load(p2, w2, "", true, &err);
    if (!s)
        s = apply(&a1, p1, &path, 1, &l1, &skipped, &err);
    if (!s)
        s = apply(&a2, p2, &path, 1, &l2, &skipped, &err);
    tap_ok(!s && l1 && !l2, "stored weights get an attached adapter, f32 copies are changed %s", err.text);
    float *x = net_normals(rng, 2 * 4 * 4 * 4), *text = net_normals(rng, 6 * 12);
    float *y1 = s ? NULL : velocity(p1, m1, l1, x, text), *y2 = s ? NULL : velocity(p2, m2, l2, x, text);
    if (y1 && y2)
        tap_close_f32(y1, y2, 2 * 4 * 4 * 4, 2e-5, "attached and merged give the same velocity");
    else
        tap_ok(false, "both run");
    float *all[] = {x, text, y1, y2};
    for (size_t i = 0; i < 4; i++)
        free(all[i]);
    zm_adapter_free(a1);
    zm_adapter_free(a2);
    zm_dit_free(m1);
    zm_dit_free(m2);
    zm_params_free(p1);
    zm_params_free(p2);
    zm_weights_free(w1);
    zm_weights_free(w2);
}

static bool write_base(const char *path, const zm_params *p)
{
    static zm_weight row[128];
    static uint16_t room[128][FFN * DIM * 8];
    int n = zm_params_count(p);
    zm_error err = {0};
    for (int i = 0; i < n; i++) {
        row[i] = zm_param_weight(zm_params_at(p, i));
        size_t elems = zm_weight_elems(&row[i]);
        if (!zm_params_at(p, i)->matrix || elems > FFN * DIM * 8)
            continue;
        zm_dtype_from_f32(room[i], row[i].data, ZM_BF16, elems);
        row[i].dtype = ZM_BF16;
        row[i].data = room[i];
        row[i].bytes = elems * 2;
    }
    zm_status s = zm_safetensors_write(path, row, (size_t)n, NULL, 0, &err);
    if (s)
        printf("# %s\n", err.text);
    return !s;
}

int main(void)
{
    zm_rng rng = net_seed();
    values v;
    char path[2][64], base_path[64];
    const char *paths[2] = {path[0], path[1]};
    zm_dit *m;
    zm_error err = {0};
    uint64_t seed = zm_rng_u64(&rng);
    for (int i = 0; i < LINEARS; i++) {
        v.a[i] = net_normals(&rng, RANK * linears[i].in);
        v.b[i] = net_normals(&rng, RANK * linears[i].out);
    }
    v.bias = net_normals(&rng, FFN);
    for (int i = 0; i < 2; i++)
        snprintf(path[i], sizeof path[i], "/tmp/zouma-adapter-%d-%d.safetensors", i, (int)getpid());
    snprintf(base_path, sizeof base_path, "/tmp/zouma-base-%d.safetensors", (int)getpid());
    zm_params *plain = declared(&m);
    if (zm_params_fill(plain, seed, &err))
        printf("# %s\n", err.text);
    for (int how = 0; how < SPELLINGS; how++) {
        zm_dit *other;
        zm_params *p = declared(&other);
        zm_adapter *a = NULL;
        const zm_lora *attached = NULL;
        int skipped = 0;
        zm_status s = zm_params_fill(p, seed, &err);
        bool two = how == OFFICIAL;
        if (!s && write_adapter(path[0], (spelling)how, &v, how == OFFICIAL) &&
            write_adapter(path[1], KOHYA, &v, false))
            s = apply(&a, p, paths, two ? 2 : 1, &attached, &skipped, &err);
        double d = s ? 1 : worst(p, plain, &v, two ? 2 : 1);
        tap_ok(!s && !attached && d < 2e-5, "%s%s: W + scale B A, worst difference %.2g %s", spelling_name[how],
               two ? " and kohya" : "", d, err.text);
        tap_ok(skipped == 1, "%s: the text encoder's tensor is left out, %d", spelling_name[how], skipped);
        if (two) {
            const float *b = zm_params_find(p, "blocks.0.ffn.0.bias")->data;
            double off = 0;
            for (int i = 0; i < FFN; i++)
                off = fmax(off, fabs((double)b[i] - (double)STRENGTH * (double)v.bias[i]));
            tap_ok(off < 1e-6, "a whole difference of a bias is added");
        }
        zm_adapter_free(a);
        zm_dit_free(other);
        zm_params_free(p);
    }
    net_randomise(plain, &rng, 0.2f);
    if (write_base(base_path, plain) && write_adapter(path[0], DIFFUSERS, &v, false))
        test_attached(&rng, base_path, path[0]);
    remove(path[0]);
    remove(path[1]);
    remove(base_path);
    for (int i = 0; i < LINEARS; i++) {
        free(v.a[i]);
        free(v.b[i]);
    }
    free(v.bias);
    zm_dit_free(m);
    zm_params_free(plain);
    return tap_done();
}
