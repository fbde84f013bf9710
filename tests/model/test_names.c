/* Weights under other programs' names: written so by rules of the test's own, read back as the official tensors.
 * SPDX-License-Identifier: MIT */
#include "net.h"

#include <stdio.h>
#include <string.h>

#include "format/safetensors_write.h"
#include "model/clip.h"
#include "model/dit.h"
#include "model/models.h"
#include "model/text_encoder.h"
#include "model/vae.h"

enum { MOST = 2048 };

/* What another program calls an official tensor: out[band] for each of `bands` bands of rows. */
typedef int (*foreign)(char out[3][256], const char *name);

static bool swap(char *at, const char *from, const char *to)
{
    char *p = strstr(at, from), rest[256];
    if (!p)
        return false;
    snprintf(rest, sizeof rest, "%s", p + strlen(from));
    snprintf(p, 256 - (size_t)(p - at), "%s%s", to, rest);
    return true;
}

typedef struct pair {
    const char *official, *other;
} pair;

static void swap_first(char *at, const pair *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (swap(at, p[i].official, p[i].other))
            return;
}

static int dit_diffusers(char out[3][256], const char *name)
{
    static const pair table[] = {
        {"time_embedding.0.", "condition_embedder.time_embedder.linear_1."},
        {"time_embedding.2.", "condition_embedder.time_embedder.linear_2."},
        {"text_embedding.0.", "condition_embedder.text_embedder.linear_1."},
        {"text_embedding.2.", "condition_embedder.text_embedder.linear_2."},
        {"time_projection.1.", "condition_embedder.time_proj."},
        {"img_emb.proj.0.", "condition_embedder.image_embedder.norm1."},
        {"img_emb.proj.1.", "condition_embedder.image_embedder.ff.net.0.proj."},
        {"img_emb.proj.3.", "condition_embedder.image_embedder.ff.net.2."},
        {"img_emb.proj.4.", "condition_embedder.image_embedder.norm2."},
        {"head.modulation", "scale_shift_table"},
        {"head.head.", "proj_out."},
        {".modulation", ".scale_shift_table"},
        {".norm3.", ".norm2."},
        {"self_attn.norm_", "attn1.norm_"},
        {"self_attn.o.", "attn1.to_out.0."},
        {"self_attn.", "attn1.to_"},
        {"cross_attn.norm_k_img", "attn2.norm_added_k"},
        {"cross_attn.k_img", "attn2.add_k_proj"},
        {"cross_attn.v_img", "attn2.add_v_proj"},
        {"cross_attn.norm_", "attn2.norm_"},
        {"cross_attn.o.", "attn2.to_out.0."},
        {"cross_attn.", "attn2.to_"},
        {"ffn.0.", "ffn.net.0.proj."},
        {"ffn.2.", "ffn.net.2."},
    };
    snprintf(out[0], 256, "%s", name);
    swap_first(out[0], table, sizeof table / sizeof *table);
    return 1;
}

static int dit_prefixed(char out[3][256], const char *name)
{
    snprintf(out[0], 256, "model.diffusion_model.%s", name);
    return 1;
}

static int text_transformers(char out[3][256], const char *name)
{
    int i, at = 0;
    if (!strncmp(name, "token_embedding.", 16)) {
        snprintf(out[0], 256, "shared.weight");
    } else if (!strncmp(name, "norm.", 5)) {
        snprintf(out[0], 256, "encoder.final_layer_norm.weight");
    } else if (sscanf(name, "blocks.%d.%n", &i, &at) == 1 && at) {
        static const pair table[] = {
            {"norm1.", "layer.0.layer_norm."},
            {"norm2.", "layer.1.layer_norm."},
            {"attn.", "layer.0.SelfAttention."},
            {"pos_embedding.embedding.", "layer.0.SelfAttention.relative_attention_bias."},
            {"ffn.gate.0.", "layer.1.DenseReluDense.wi_0."},
            {"ffn.fc1.", "layer.1.DenseReluDense.wi_1."},
            {"ffn.fc2.", "layer.1.DenseReluDense.wo."},
        };
        char rest[200];
        snprintf(rest, sizeof rest, "%s", name + at);
        swap_first(rest, table, sizeof table / sizeof *table);
        snprintf(out[0], 256, "encoder.block.%d.%s", i, rest);
    }
    return 1;
}

/* Parts of a residual block. */
static void block_part(char *at)
{
    static const pair table[] = {{"residual.0.", "norm1."},
                                 {"residual.2.", "conv1."},
                                 {"residual.3.", "norm2."},
                                 {"residual.6.", "conv2."},
                                 {"shortcut.", "conv_shortcut."}};
    swap_first(at, table, sizeof table / sizeof *table);
}

static bool vae_common(char *to, const char *name)
{
    static const pair table[] = {
        {"encoder.conv1.", "encoder.conv_in."},   {"decoder.conv1.", "decoder.conv_in."},
        {"encoder.head.0.", "encoder.norm_out."}, {"decoder.head.0.", "decoder.norm_out."},
        {"encoder.head.2.", "encoder.conv_out."}, {"decoder.head.2.", "decoder.conv_out."},
        {"middle.0.", "mid_block.resnets.0."},    {"middle.1.", "mid_block.attentions.0."},
        {"middle.2.", "mid_block.resnets.1."},
    };
    snprintf(to, 256, "%s", name);
    if (!strncmp(name, "conv1.", 6) || !strncmp(name, "conv2.", 6)) {
        snprintf(to, 256, "%s%s", name[4] == '1' ? "quant_conv." : "post_quant_conv.", name + 6);
        return true;
    }
    swap_first(to, table, sizeof table / sizeof *table);
    return strcmp(to, name) != 0;
}

enum { RES = 2 }; /* residual blocks of a stage */

static int vae21_diffusers(char out[3][256], const char *name)
{
    int i, at = 0;
    if (!vae_common(out[0], name)) {
        if (sscanf(name, "encoder.downsamples.%d.%n", &i, &at) == 1 && at)
            snprintf(out[0], 256, "encoder.down_blocks.%d.%s", i, name + at);
        else if (sscanf(name, "decoder.upsamples.%d.%n", &i, &at) == 1 && at && i % (RES + 2) == RES + 1)
            snprintf(out[0], 256, "decoder.up_blocks.%d.upsamplers.0.%s", i / (RES + 2), name + at);
        else if (at)
            snprintf(out[0], 256, "decoder.up_blocks.%d.resnets.%d.%s", i / (RES + 2), i % (RES + 2), name + at);
    }
    block_part(out[0]);
    return 1;
}

static int vae22_diffusers(char out[3][256], const char *name)
{
    int i, k, at = 0;
    bool down = sscanf(name, "encoder.downsamples.%d.downsamples.%d.%n", &i, &k, &at) == 2 && at;
    bool up = !down && sscanf(name, "decoder.upsamples.%d.upsamples.%d.%n", &i, &k, &at) == 2 && at;
    const char *side = down ? "encoder.down" : "decoder.up", *resampler = down ? "downsampler" : "upsampler";
    if (!down && !up)
        vae_common(out[0], name);
    else if (k < RES + up)
        snprintf(out[0], 256, "%s_blocks.%d.resnets.%d.%s", side, i, k, name + at);
    else
        snprintf(out[0], 256, "%s_blocks.%d.%s.%s", side, i, resampler, name + at);
    block_part(out[0]);
    return 1;
}

static int clip_transformers(char out[3][256], const char *name)
{
    static const pair table[] = {
        {"visual.cls_embedding", "vision_model.embeddings.class_embedding"},
        {"visual.patch_embedding.", "vision_model.embeddings.patch_embedding."},
        {"visual.pos_embedding", "vision_model.embeddings.position_embedding.weight"},
        {"visual.pre_norm.", "vision_model.pre_layrnorm."},
        {"visual.post_norm.", "vision_model.post_layernorm."},
    };
    static const pair layer[] = {
        {"norm1.", "layer_norm1."}, {"norm2.", "layer_norm2."}, {"attn.proj.", "self_attn.out_proj."},
        {"mlp.0.", "mlp.fc1."},     {"mlp.2.", "mlp.fc2."},
    };
    int i, at = 0;
    if (sscanf(name, "visual.transformer.%d.%n", &i, &at) != 1 || !at) {
        snprintf(out[0], 256, "%s", name);
        swap_first(out[0], table, sizeof table / sizeof *table);
        return 1;
    }
    if (!strncmp(name + at, "attn.to_qkv.", 12)) {
        for (int k = 0; k < 3; k++)
            snprintf(out[k], 256, "vision_model.encoder.layers.%d.self_attn.%c_proj.%s", i, "qkv"[k], name + at + 12);
        return 3;
    }
    char rest[200];
    snprintf(rest, sizeof rest, "%s", name + at);
    swap_first(rest, layer, sizeof layer / sizeof *layer);
    snprintf(out[0], 256, "vision_model.encoder.layers.%d.%s", i, rest);
    return 1;
}

/* Write p's values under other names; shapes as they are but for bands of rows. */
static bool write_as(const char *path, const zm_params *p, foreign names)
{
    static char name[MOST][256];
    static zm_weight row[MOST];
    size_t n = 0;
    zm_error err = {0};
    for (int i = 0; i < zm_params_count(p); i++) {
        char other[3][256] = {"", "", ""};
        const zm_param *q = zm_params_at(p, i);
        zm_weight whole = zm_param_weight(q);
        int bands = names(other, q->name);
        for (int k = 0; k < bands; k++) {
            row[n] = whole;
            snprintf(name[n], sizeof name[n], "%s", other[k]);
            row[n].name = name[n];
            row[n].dim[0] = whole.dim[0] / bands;
            row[n].bytes = whole.bytes / (size_t)bands;
            row[n].data = (const char *)whole.data + (size_t)k * row[n].bytes;
            n++;
        }
    }
    zm_status s = zm_safetensors_write(path, row, n, NULL, 0, &err);
    if (s)
        printf("# %s\n", err.text);
    return !s;
}

static bool same(const zm_params *a, const zm_params *b)
{
    for (int i = 0; i < zm_params_count(a); i++) {
        const zm_param *x = zm_params_at(a, i), *y = zm_params_find(b, x->name);
        if (!y || memcmp(x->data, y->data, (size_t)zm_shape_elems(x->shape) * sizeof(float)) != 0) {
            printf("# %s differs\n", x->name);
            return false;
        }
    }
    return zm_params_count(a) == zm_params_count(b);
}

typedef zm_status (*declarer)(zm_params *p, zm_error *err);

static void check(zm_rng *rng, const char *what, declarer declare, zm_model_part_kind part, foreign names,
                  const char *prefix)
{
    char path[64];
    zm_params *a = zm_params_new(), *b = zm_params_new();
    zm_weights *w = NULL;
    zm_error err = {0};
    snprintf(path, sizeof path, "/tmp/zouma-names-%d.safetensors", (int)getpid());
    zm_status s = declare(a, &err);
    if (!s)
        s = declare(b, &err);
    if (!s)
        s = zm_params_fill(a, zm_rng_u64(rng), &err);
    if (!s)
        net_randomise(a, rng, 0.5f);
    bool written = !s && write_as(path, a, names);
    if (!s)
        s = zm_weights_open(&w, path, &err);
    zm_names found = {0};
    bool known = !s && zm_names_find(&found, w, part);
    if (!s)
        s = zm_names_apply(w, part, &err);
    if (!s)
        s = zm_params_load(b, w, prefix, true, &err);
    tap_ok(written && known && !s && same(a, b), "%s (%s): every tensor under its official name %s", what,
           found.scheme ? found.scheme->name : "unknown", err.text);
    zm_weights_free(w);
    remove(path);
    zm_params_free(a);
    zm_params_free(b);
}

static zm_status declare_dit(zm_params *p, zm_error *err)
{
    zm_dit *m;
    zm_dit_config c = {.model_type = "i2v",
                       .dim = 24,
                       .ffn_dim = 40,
                       .num_heads = 2,
                       .num_layers = 3,
                       .in_dim = 36,
                       .out_dim = 16,
                       .patch_size = {1, 2, 2},
                       .freq_dim = 16,
                       .text_dim = 12,
                       .text_len = 512,
                       .img_dim = 20,
                       .qk_norm = true,
                       .cross_attn_norm = true,
                       .eps = 1e-6};
    zm_status s = zm_dit_declare(&m, &c, p, "", err);
    if (!s)
        zm_dit_free(m);
    return s;
}

static zm_status declare_text(zm_params *p, zm_error *err)
{
    zm_text_encoder *m;
    zm_text_config c = {.vocab = 50,
                        .dim = 24,
                        .dim_attn = 16,
                        .dim_ffn = 32,
                        .num_heads = 2,
                        .num_layers = 2,
                        .num_buckets = 32,
                        .max_distance = 128,
                        .eps = 1e-6};
    zm_status s = zm_text_encoder_declare(&m, &c, p, NULL, err);
    if (!s)
        zm_text_encoder_free(m);
    return s;
}

static zm_status declare_vae(zm_params *p, zm_vae_kind kind, zm_error *err)
{
    zm_vae *m;
    zm_vae_config c = {.kind = kind,
                       .z_dim = 4,
                       .dim = 8,
                       .dec_dim = 8,
                       .n_stages = 4,
                       .dim_mult = {1, 2, 4, 4},
                       .num_res_blocks = RES,
                       .temporal_down = {false, true, true},
                       .patch = kind == ZM_VAE_WAN22 ? 2 : 1};
    for (int i = 0; i < 4; i++)
        c.std[i] = 1;
    zm_status s = zm_vae_declare(&m, &c, p, "", err);
    if (!s)
        zm_vae_free(m);
    return s;
}

static zm_status declare_vae21(zm_params *p, zm_error *err)
{
    return declare_vae(p, ZM_VAE_WAN21, err);
}

static zm_status declare_vae22(zm_params *p, zm_error *err)
{
    return declare_vae(p, ZM_VAE_WAN22, err);
}

static zm_status declare_clip(zm_params *p, zm_error *err)
{
    zm_clip *m;
    zm_clip_config c = {.image_size = 28, .patch_size = 14, .dim = 24, .mlp_ratio = 4, .num_heads = 2, .num_layers = 3};
    zm_status s = zm_clip_declare(&m, &c, p, "visual.", err);
    if (!s)
        zm_clip_free(m);
    return s;
}

int main(void)
{
    zm_rng rng = net_seed();
    check(&rng, "transformer", declare_dit, ZM_PART_DIT, dit_diffusers, "");
    check(&rng, "transformer behind a prefix", declare_dit, ZM_PART_DIT, dit_prefixed, "");
    check(&rng, "low-noise transformer", declare_dit, ZM_PART_DIT_LOW, dit_diffusers, "");
    check(&rng, "text encoder", declare_text, ZM_PART_TEXT, text_transformers, "");
    check(&rng, "autoencoder 2.1", declare_vae21, ZM_PART_VAE, vae21_diffusers, "");
    check(&rng, "autoencoder 2.2", declare_vae22, ZM_PART_VAE, vae22_diffusers, "");
    check(&rng, "picture encoder", declare_clip, ZM_PART_CLIP, clip_transformers, "");
    return tap_done();
}
