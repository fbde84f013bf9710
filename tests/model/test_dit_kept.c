/* Keys and values of the prompt kept over a clip, padding folded into one row: the same velocity as the whole way.
 * SPDX-License-Identifier: MIT */
#include "net.h"

#include <string.h>

#include "model/dit.h"

enum { B = 3, F = 2, H = 4, W = 4, ELEMS = B * F * H * W * 4, IMAGE = 5 };

static zm_dit_config config_of(bool image)
{
    zm_dit_config c = {.dim = 24,
                       .ffn_dim = 40,
                       .num_heads = 2,
                       .num_layers = 3,
                       .in_dim = 4,
                       .out_dim = 4,
                       .patch_size = {1, 2, 2},
                       .freq_dim = 16,
                       .text_dim = 12,
                       .text_len = 40,
                       .img_dim = image ? 10 : 0,
                       .qk_norm = true,
                       .cross_attn_norm = true,
                       .eps = 1e-6};
    strcpy(c.model_type, image ? "i2v" : "t2v");
    return c;
}

typedef struct sample {
    float *x, *context, *image;
    double t[B];
    int len[B];
} sample;

static void write_common(zm_exec *e, const zm_dit_inputs *in, const sample *s, int freq_dim)
{
    float *time = malloc(zm_tensor_bytes(in->time));
    zm_time_sinusoid(time, s->t, B, freq_dim);
    zm_exec_write(e, in->x, s->x);
    zm_exec_write(e, in->time, time);
    free(time);
}

static float *whole_way(zm_params *p, const zm_dit *m, const zm_dit_config *c, const zm_dit_sizes *z, const sample *s)
{
    zm_graph *g = zm_graph_new();
    zm_build b = zm_build_begin(g, p, false, false);
    zm_dit_inputs in = zm_dit_input_leaves(&b, m, z);
    zm_tensor *y = zm_output(g, zm_dit_build(&b, m, &in));
    zm_exec *e = net_finish(g);
    float *out = NULL;
    if (e) {
        write_common(e, &in, s, c->freq_dim);
        zm_exec_write(e, in.context, s->context);
        if (in.image)
            zm_exec_write(e, in.image, s->image);
        if (net_run(e))
            out = net_read(e, y);
    }
    zm_exec_free(e);
    zm_graph_free(g);
    return out;
}

/* The folded context: the first `rows` rows of every sample. */
static float *fold(const sample *s, const zm_dit_config *c, int rows)
{
    float *out = malloc((size_t)(B * rows * c->text_dim) * sizeof *out);
    for (int b = 0; b < B; b++)
        memcpy(out + b * rows * c->text_dim, s->context + b * c->text_len * c->text_dim,
               (size_t)(rows * c->text_dim) * sizeof *out);
    return out;
}

static float *kept_way(zm_params *p, const zm_dit *m, const zm_dit_config *c, const zm_dit_sizes *z, const sample *s)
{
    int rows = 0;
    for (int b = 0; b < B; b++)
        rows = zm_dit_folded_rows(s->len[b], c->text_len) > rows ? zm_dit_folded_rows(s->len[b], c->text_len) : rows;
    zm_graph *first = zm_graph_new(), *second = zm_graph_new();
    zm_build b1 = zm_build_begin(first, p, false, false), b2 = zm_build_begin(second, p, false, false);
    zm_tensor *context = zm_input(first, ZM_F32, ZM_SHAPE(B, rows, c->text_dim), "context");
    zm_tensor *image = c->img_dim ? zm_input(first, ZM_F32, ZM_SHAPE(B, IMAGE, c->img_dim), "image") : NULL;
    zm_dit_kept made = zm_dit_build_kept(&b1, m, context, image);
    zm_dit_inputs in = zm_dit_input_leaves(&b2, m, z);
    zm_dit_kept kept = zm_dit_kept_leaves(&b2, &made);
    in.kept = &kept;
    in.key_bias = zm_input(second, ZM_F32, ZM_SHAPE(B, rows), "key bias");
    in.key_len = zm_input(second, ZM_I32, ZM_SHAPE(B), "keys");
    zm_tensor *y = zm_output(second, zm_dit_build(&b2, m, &in));
    zm_exec *e1 = net_finish(first), *e2 = net_finish(second);
    float *folded = fold(s, c, rows), *out = NULL, bias[B * 40];
    int32_t len[B];
    if (e1 && e2) {
        zm_exec_write(e1, context, folded);
        if (image)
            zm_exec_write(e1, image, s->image);
        write_common(e2, &in, s, c->freq_dim);
        for (int b = 0; b < B; b++)
            zm_dit_fold_padding(bias + b * rows, &len[b], rows, s->len[b], c->text_len);
        zm_exec_write(e2, in.key_bias, bias);
        zm_exec_write(e2, in.key_len, len);
        bool ran = net_run(e1);
        for (int i = 0; ran && i < made.n; i++) {
            float *v = net_read(e1, made.at[i]);
            zm_exec_write(e2, kept.at[i], v);
            free(v);
        }
        if (ran && net_run(e2) && net_run(e2)) /* the leaves stay as they were written */
            out = net_read(e2, y);
    }
    free(folded);
    zm_exec_free(e1);
    zm_exec_free(e2);
    zm_graph_free(first);
    zm_graph_free(second);
    return out;
}

static void test(zm_rng *rng, bool image, const int *len)
{
    zm_dit_config c = config_of(image);
    zm_params *p = zm_params_new();
    zm_dit *m = NULL;
    zm_error err = {0};
    if (zm_dit_declare(&m, &c, p, "", &err) || zm_params_fill(p, zm_rng_u64(rng), &err))
        printf("# %s\n", err.text);
    net_randomise(p, rng, 0.2f);
    sample s = {.x = net_normals(rng, ELEMS),
                .context = net_normals(rng, B * c.text_len * c.text_dim),
                .image = net_normals(rng, B * IMAGE * 10)};
    for (int b = 0; b < B; b++) {
        s.t[b] = 1000 * (double)zm_rng_uniform(rng);
        s.len[b] = len[b];
        memset(s.context + (b * c.text_len + len[b]) * c.text_dim, 0,
               (size_t)((c.text_len - len[b]) * c.text_dim) * sizeof(float));
    }
    zm_dit_sizes z = {.batch = B, .frames = F, .height = H, .width = W, .groups = 1, .image_tokens = image ? IMAGE : 0};
    float *want = whole_way(p, m, &c, &z, &s), *got = kept_way(p, m, &c, &z, &s);
    if (want && got) {
        printf("# %s, texts of %d, %d and %d of 40\n", image ? "with a picture" : "text", len[0], len[1], len[2]);
        tap_close_f32(got, want, ELEMS, 1e-5, "kept keys and values give the same velocity");
    } else
        tap_ok(false, "both ways run");
    free(want);
    free(got);
    free(s.x);
    free(s.context);
    free(s.image);
    zm_dit_free(m);
    zm_params_free(p);
}

int main(void)
{
    zm_rng rng = net_seed();
    for (int image = 0; image < 2; image++) {
        test(&rng, image, (const int[]){3, 11, 7});
        test(&rng, image, (const int[]){40, 1, 39});
        test(&rng, image, (const int[]){0, 40, 40});
        test(&rng, image, (const int[]){1 + (int)zm_rng_below(&rng, 40), 1 + (int)zm_rng_below(&rng, 40), 5});
    }
    return tap_done();
}
