/* A transformer from files of every weight type: as its expansion to f32 computes, and near what it was before.
 * SPDX-License-Identifier: MIT */
#include "net.h"

#include "format/gguf_write.h"
#include "format/safetensors_write.h"
#include "model/dit.h"
#include "model/names.h"
#include "ops/ops.h"

static const zm_dit_config sizes = {.model_type = "t2v",
                                    .dim = 256,
                                    .ffn_dim = 512,
                                    .num_heads = 2,
                                    .num_layers = 2,
                                    .in_dim = 4,
                                    .out_dim = 4,
                                    .patch_size = {1, 2, 2},
                                    .freq_dim = 256,
                                    .text_dim = 256,
                                    .text_len = 6,
                                    .qk_norm = true,
                                    .cross_attn_norm = true,
                                    .eps = 1e-6};
enum { F = 2, H = 4, W = 6, ELEMS = F * H * W * 4, TEXT = 6 * 256, SCALES_MAX = 256 };

static char path[256];
static float *x, *text;
static bool named; /* tensors are given their official names, which they have, and their scales */

static float *forward(const zm_params *p, const zm_dit *m)
{
    zm_graph *g = zm_graph_new();
    zm_build b = zm_build_begin(g, p, false, false);
    zm_dit_sizes s = {.batch = 1, .frames = F, .height = H, .width = W, .groups = 1};
    zm_dit_inputs in = zm_dit_input_leaves(&b, m, &s);
    zm_tensor *y = zm_output(g, zm_dit_build(&b, m, &in));
    zm_exec *e = net_finish(g);
    float time[256], *out = NULL;
    double t = 700;
    zm_time_sinusoid(time, &t, 1, sizes.freq_dim);
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

/* The network in `path`. */
static float *run_file(bool all_f32, zm_dtype want)
{
    zm_error err = {0};
    zm_weights *w = NULL;
    zm_params *p = zm_params_new();
    zm_dit *m = NULL;
    float *out = NULL;
    if (zm_dit_declare(&m, &sizes, p, "", &err) || zm_weights_open(&w, path, &err) ||
        (named && zm_names_apply(w, ZM_PART_DIT, &err)) || zm_params_load(p, w, "", all_f32, &err))
        printf("# %s\n", err.text);
    else
        out = forward(p, m);
    const zm_param *q = zm_params_find(p, "blocks.1.self_attn.q.weight");
    tap_ok(out && q->dtype == (all_f32 ? ZM_F32 : want), "%s: read %s", zm_dtype_name(want),
           all_f32 ? "and expanded" : "and left as it is");
    zm_dit_free(m);
    zm_params_free(p);
    zm_weights_free(w);
    return out;
}

static bool is_stored(const zm_param *q, zm_dtype t)
{
    return q->matrix && q->shape.rank == 2 && q->shape.dim[1] % (int64_t)zm_dtype_block_elems(t) == 0;
}

static zm_weight stored(const zm_param *q, zm_dtype t, zm_arena *a)
{
    zm_weight w = zm_param_weight(q);
    size_t n = zm_weight_elems(&w);
    if (!is_stored(q, t))
        return w;
    w.dtype = t;
    if (!zm_dtype_bytes(&w.bytes, t, n))
        abort();
    void *data = zm_arena_alloc(a, w.bytes);
    zm_dtype_from_f32(data, q->data, t, n);
    w.data = data;
    return w;
}

static double distance(const float *a, const float *b)
{
    double sum = 0;
    for (int i = 0; i < ELEMS; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sqrt(sum) / net_norm(b, ELEMS);
}

/* Kernels widen to the same values, so only the order of sums differs; from the original, about the type's own error. */
static void compare(const float *before, zm_dtype t, double bound, const char *what)
{
    float *mapped = run_file(false, t), *expanded = run_file(true, t);
    if (mapped && expanded) {
        double same = distance(mapped, expanded), off = distance(mapped, before);
        tap_ok(same < 1e-5, "%s%s: kernels compute what the expanded network does: %.2g", zm_dtype_name(t), what, same);
        tap_ok(off < bound, "%s%s: %.3g from f32, below %.3g", zm_dtype_name(t), what, off, bound);
    }
    free(mapped);
    free(expanded);
}

static void test_gguf(const zm_params *p, const float *before, zm_dtype t, double bound)
{
    int n = zm_params_count(p);
    zm_weight *w = calloc((size_t)n, sizeof *w);
    zm_arena *a = zm_arena_new();
    zm_error err = {0};
    for (int i = 0; i < n; i++)
        w[i] = stored(zm_params_at(p, i), t, a);
    tap_ok(!zm_gguf_write(path, w, (size_t)n, NULL, 0, &err), "written %s", err.text);
    compare(before, t, bound, "");
    zm_arena_free(a);
    free(w);
}

/* How files say what 8-bit floats are times. */
typedef struct scaling {
    const char *what, *name;
    int rank; /* of the scale; -1: there is none */
    bool rows;
    zm_dtype dtype;
} scaling;

static void scale_values(float *v, float *scale, const zm_param *q, const scaling *s)
{
    int64_t n = zm_shape_elems(q->shape), rows = q->shape.dim[0], each = s->rows ? n / rows : n;
    memcpy(v, q->data, (size_t)n * sizeof *v);
    for (int64_t r = 0; r * each < n; r++) {
        float top = 0;
        for (int64_t i = r * each; i < (r + 1) * each; i++)
            top = fmaxf(top, fabsf(v[i]));
        scale[r] = zm_bf16_to_f32(zm_f32_to_bf16(top / 448)); /* exact in every dtype of a scale */
        for (int64_t i = r * each; i < (r + 1) * each; i++)
            v[i] /= scale[r];
    }
}

static void test_fp8(const zm_params *p, const float *before, zm_dtype t, const scaling *s, double bound)
{
    int n = zm_params_count(p), used = 0;
    zm_weight *w = calloc(3 * (size_t)n + 1, sizeof *w);
    zm_arena *a = zm_arena_new();
    zm_error err = {0};
    for (int i = 0; i < n; i++) {
        zm_param q = *zm_params_at(p, i);
        if (!is_stored(&q, t) || s->rank < 0) {
            w[used++] = stored(&q, t, a);
            continue;
        }
        float *v = zm_arena_array(a, (size_t)zm_shape_elems(q.shape), sizeof *v);
        float *scale = zm_arena_array(a, (size_t)q.shape.dim[0], sizeof *scale);
        void *as = zm_arena_array(a, (size_t)q.shape.dim[0], sizeof *scale);
        scale_values(v, scale, &q, s);
        q.data = v;
        w[used++] = stored(&q, t, a);
        size_t count = s->rows ? (size_t)q.shape.dim[0] : 1;
        zm_dtype_from_f32(as, scale, s->dtype, count);
        int stem = (int)(strlen(q.name) - strlen("weight"));
        w[used++] = (zm_weight){.name = zm_arena_printf(a, "%.*s%s", stem, q.name, s->name),
                                .dtype = s->dtype,
                                .rank = s->rank,
                                .dim = {(int64_t)count, 1},
                                .data = as,
                                .bytes = count * zm_dtype_block_bytes(s->dtype)};
        w[used] = w[used - 1]; /* of activations: not for us */
        w[used++].name = zm_arena_printf(a, "%.*sscale_input", stem, q.name);
    }
    w[used++] = (zm_weight){.name = "scaled_fp8", .dtype = t, .rank = 1, .dim = {2}, .data = "\0", .bytes = 2};
    tap_ok(!zm_safetensors_write(path, w, (size_t)used, NULL, 0, &err), "written %s", err.text);
    compare(before, t, bound, s->what);
    zm_arena_free(a);
    free(w);
}

/* A scale that does not fit its tensor, and one that is met where no factor is applied. */
static void test_misfits(void)
{
    static const float three[3] = {1, 2, 3}, v[4] = {1, 1, 1, 1};
    static const unsigned char eight[4] = {0x38, 0x38, 0x38, 0x38};
    const zm_weight scale = {.name = "s", .dtype = ZM_F32, .rank = 1, .dim = {3}, .data = three, .bytes = 12};
    zm_weight rows[] = {
        {.name = "a.weight", .dtype = ZM_F8_E4M3, .rank = 2, .dim = {2, 2}, .data = eight, .bytes = 4},
        {.name = "a.weight_scale", .dtype = ZM_F32, .rank = 1, .dim = {2}, .data = v, .bytes = 8},
    };
    for (int i = 0; i < 2; i++) {
        zm_error err = {0};
        zm_params *p = zm_params_new();
        const zm_param *q = zm_params_add(p, ZM_SHAPE(2, 2), ZM_INIT_ZEROS, true, "a.weight");
        zm_weights *w = NULL;
        if (i == 0) {
            rows[1].dim[0] = scale.dim[0];
            rows[1].data = scale.data;
            rows[1].bytes = scale.bytes;
        } else {
            rows[1].dim[0] = 2;
            rows[1].bytes = 8;
        }
        if (zm_safetensors_write(path, rows, 2, NULL, 0, &err) || zm_weights_open(&w, path, &err))
            printf("# %s\n", err.text);
        zm_status s = w ? zm_params_load(p, w, "", false, &err) : ZM_E_IO;
        if (i == 0) {
            tap_ok(s == ZM_E_SHAPE && strstr(err.text, "scale of a.weight"), "refused: %s", err.text);
        } else {
            zm_graph *g = zm_graph_new();
            zm_build b = zm_build_begin(g, p, false, false);
            zm_output(g, zm_reshape(g, zm_use(&b, q), ZM_SHAPE(4)));
            tap_ok(!s && zm_graph_finish(g, &err) == ZM_E_UNSUPPORTED, "refused: %s", err.text);
            zm_graph_free(g);
        }
        zm_params_free(p);
        zm_weights_free(w);
    }
}

/* Rows of a table of 8-bit floats with factors. */
static void test_rows(zm_rng *rng)
{
    enum { V = 5, D = 3 };
    unsigned char bits[V * D];
    float scale[V], want[4 * D], *got;
    const int32_t id[4] = {3, 0, 4, 3};
    for (int k = 0; k < 2; k++) {
        zm_params *p = zm_params_new();
        zm_param *q = zm_params_add(p, ZM_SHAPE(V, D), ZM_INIT_ZEROS, true, "table");
        for (int i = 0; i < V * D; i++)
            bits[i] = (unsigned char)zm_rng_below(rng, 0x7f);
        for (int i = 0; i < V; i++)
            scale[i] = 0.5F + zm_rng_uniform(rng);
        for (int i = 0; i < 4 * D; i++)
            want[i] = zm_f8_e4m3_to_f32(bits[id[i / D] * D + i % D]) * scale[k ? id[i / D] : 0];
        q->dtype = ZM_F8_E4M3, q->data = bits;
        q->factor = malloc(V * sizeof *scale);
        q->factors = k ? V : 1;
        memcpy(q->factor, scale, sizeof scale);
        zm_graph *g = zm_graph_new();
        zm_build b = zm_build_begin(g, p, false, false);
        zm_tensor *in = zm_input(g, ZM_I32, ZM_SHAPE(4), "ids"), *y = zm_output(g, zm_use_rows(&b, q, in));
        zm_exec *e = net_finish(g);
        zm_exec_write(e, in, id);
        net_run(e);
        got = net_read(e, y);
        tap_close_f32(got, want, 4 * D, 1e-4, k ? "rows times a factor each" : "rows times one factor");
        free(got);
        zm_exec_free(e);
        zm_graph_free(g);
        zm_params_free(p);
    }
}

int main(void)
{
    zm_rng rng = net_seed();
    const char *dir = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/zouma-stored-%ld.weights", dir ? dir : "/tmp", (long)getpid());
    zm_error err = {0};
    zm_params *p = zm_params_new();
    zm_dit *m = NULL;
    if (zm_dit_declare(&m, &sizes, p, "", &err) || zm_params_fill(p, zm_rng_u64(&rng), &err))
        printf("# %s\n", err.text);
    net_randomise(p, &rng, 0.02F);
    x = net_normals(&rng, ELEMS), text = net_normals(&rng, TEXT);
    float *before = forward(p, m);
    static const struct {
        zm_dtype t;
        double bound;
    } types[] = {{ZM_F16, 0.002}, {ZM_BF16, 0.015}, {ZM_Q8_0, 0.02}, {ZM_Q4_0, 0.25},
                 {ZM_Q4_1, 0.22}, {ZM_Q5_0, 0.13},  {ZM_Q5_1, 0.11}, {ZM_Q2_K, 0.8},
                 {ZM_Q3_K, 0.45}, {ZM_Q4_K, 0.22},  {ZM_Q5_K, 0.11}, {ZM_Q6_K, 0.055}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        test_gguf(p, before, types[i].t, types[i].bound);
    static const scaling ways[] = {{" without scales", "", -1, false, ZM_F32},
                                   {" with scale_weight []", "scale_weight", 0, false, ZM_F32},
                                   {" with weight_scale [1]", "weight_scale", 1, false, ZM_BF16},
                                   {" with scale_weight [rows]", "scale_weight", 1, true, ZM_F32},
                                   {" with weight_scale [rows,1]", "weight_scale", 2, true, ZM_BF16}};
    for (size_t i = 0; i < 2 * (sizeof ways / sizeof *ways); i++) {
        named = i & 1;
        test_fp8(p, before, ZM_F8_E4M3, &ways[i / 2], 0.1);
        test_fp8(p, before, ZM_F8_E5M2, &ways[i / 2], 0.2);
    }
    test_misfits();
    test_rows(&rng);
    remove(path);
    free(before);
    free(x);
    free(text);
    zm_dit_free(m);
    zm_params_free(p);
    return tap_done();
}
