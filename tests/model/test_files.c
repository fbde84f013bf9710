/* Models as people have them: loose files of any name, ComfyUI's folders, diffusers' folders, two experts, and folders
 * that cannot be understood.
 * SPDX-License-Identifier: MIT */
#include "net.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "format/safetensors_write.h"
#include "model/models.h"

static char root[256];

static char *in_root(const char *name)
{
    return zm_path_join(root, "%s", name);
}

static void put_text(const char *name, const char *text)
{
    char *path = in_root(name);
    FILE *f = fopen(path, "wb");
    if (f) {
        fputs(text, f);
        fclose(f);
    }
    free(path);
}

static void make_dir(const char *name)
{
    zm_error err = {0};
    char *path = in_root(name);
    if (zm_mkdirs(path, &err))
        tap_ok(0, "%s", err.text);
    free(path);
}

static void put_params(zm_params *p, const char *name)
{
    zm_error err = {0};
    int n = zm_params_count(p);
    zm_weight *row = calloc((size_t)n, sizeof *row);
    char *path = in_root(name);
    zm_status s = zm_params_fill(p, 3, &err);
    for (int i = 0; i < n; i++)
        row[i] = zm_param_weight(zm_params_at(p, i));
    s = s ? s : zm_safetensors_write(path, row, (size_t)n, NULL, 0, &err);
    if (s)
        tap_ok(0, "%s: %s", name, err.text);
    free(path);
    free(row);
    zm_params_free(p);
}

enum { HEADS = 2, TEXT = 24, Z = 4 };

static void put_dit(const char *name, int head, int in)
{
    zm_dit_config c = {.model_type = "t2v",
                       .dim = HEADS * head,
                       .ffn_dim = 32,
                       .num_heads = HEADS,
                       .num_layers = 2,
                       .in_dim = in,
                       .out_dim = Z,
                       .patch_size = {1, 2, 2},
                       .freq_dim = 32,
                       .text_dim = TEXT,
                       .text_len = 16,
                       .qk_norm = true,
                       .cross_attn_norm = true,
                       .eps = 1e-6};
    zm_error err = {0};
    zm_params *p = zm_params_new();
    zm_dit *d = NULL;
    if (zm_dit_declare(&d, &c, p, NULL, &err))
        tap_ok(0, "%s", err.text);
    zm_dit_free(d);
    put_params(p, name);
}

static void put_encoder(const char *name, int width)
{
    zm_text_config c = {.vocab = 50,
                        .dim = width,
                        .dim_attn = 16,
                        .dim_ffn = 20,
                        .num_heads = 2,
                        .num_layers = 1,
                        .num_buckets = 16,
                        .max_distance = 32,
                        .eps = 1e-6};
    zm_error err = {0};
    zm_params *p = zm_params_new();
    zm_text_encoder *m = NULL;
    if (zm_text_encoder_declare(&m, &c, p, NULL, &err))
        tap_ok(0, "%s", err.text);
    zm_text_encoder_free(m);
    put_params(p, name);
}

static void put_vae(const char *name)
{
    zm_json j;
    zm_error err = {0};
    zm_vae_config c;
    static const char text[] =
        "{\"kind\": \"wan21\", \"z_dim\": 4, \"dim\": 8, \"dim_mult\": [1, 1], \"num_res_blocks\": 1, "
        "\"temperal_downsample\": [false]}";
    zm_params *p = zm_params_new();
    zm_vae *v = NULL;
    zm_status s = zm_json_parse(&j, text, sizeof text - 1, "vae", &err);
    s = s ? s : zm_vae_config_read(&c, &j, "", &err);
    s = s ? s : zm_vae_declare(&v, &c, p, "", &err);
    if (s)
        tap_ok(0, "%s", err.text);
    zm_json_close(&j);
    zm_vae_free(v);
    put_params(p, name);
}

static bool ends(const char *path, const char *end)
{
    size_t n = path ? strlen(path) : 0, m = strlen(end);
    return n >= m && !strcmp(path + n - m, end);
}

/* Open root/NAME; *c is for the caller to close when it is true. */
static bool opens(zm_model_config *c, const char *name, const zm_model_files *told)
{
    zm_error err = {0};
    char *path = in_root(name);
    zm_status s = zm_model_config_open_with(c, path, told, &err);
    tap_ok(!s, "%s opens %s", name, err.text);
    free(path);
    return !s;
}

static void refused(const char *name, const char *word)
{
    zm_model_config c;
    zm_error err = {0};
    char *path = in_root(name);
    zm_status s = zm_model_config_open(&c, path, &err);
    tap_ok(s && strstr(err.text, word), "%s is refused: %s", name, err.text);
    if (!s)
        zm_model_config_close(&c);
    free(path);
}

static void test_loose(void)
{
    zm_model_config c;
    make_dir("loose");
    put_dit("loose/some-network.safetensors", 128, Z);
    put_encoder("loose/an encoder.safetensors", TEXT);
    put_encoder("loose/other-width.safetensors", TEXT + 8);
    put_vae("loose/pictures.safetensors");
    put_text("loose/broken.safetensors", "not weights at all");
    put_text("loose/spiece.model", "");
    for (int k = 0; k < 2; k++) {
        if (!opens(&c, k ? "loose/some-network.safetensors" : "loose", NULL))
            continue;
        tap_equal_str(c.family->name, "wan21-t2v", "the family");
        tap_equal_i64(c.dit.num_heads, HEADS, "heads of 128");
        tap_ok(ends(c.dit_path, "some-network.safetensors") && ends(c.text_path, "an encoder.safetensors") &&
                   ends(c.vae_path, "pictures.safetensors") && ends(c.tokenizer_path, "spiece.model"),
               "every part is the file that fits");
        tap_ok(c.has_text && c.text.dim == TEXT && c.has_vae && c.vae.z_dim == Z, "and its sizes are known");
        zm_model_config_close(&c);
    }
    put_vae("loose/pictures2.safetensors");
    refused("loose", "could both be the video autoencoder");
    char *vae = in_root("loose/pictures2.safetensors");
    zm_model_files told = {.vae = vae};
    if (opens(&c, "loose", &told)) {
        tap_ok(ends(c.vae_path, "pictures2.safetensors"), "the file that was named is taken");
        zm_model_config_close(&c);
    }
    free(vae);
    make_dir("empty");
    refused("empty", "no config.json, no model_index.json");
}

static void test_rooms(void)
{
    zm_model_config c;
    make_dir("comfy/diffusion_models");
    make_dir("comfy/text_encoders");
    make_dir("comfy/vae");
    put_dit("comfy/diffusion_models/wan2.2_t2v_high_noise_14B.safetensors", 128, Z);
    refused("comfy/diffusion_models/wan2.2_t2v_high_noise_14B.safetensors", "wan2.2_t2v_low_noise_14B");
    put_dit("comfy/diffusion_models/wan2.2_t2v_low_noise_14B.safetensors", 128, Z);
    put_encoder("comfy/text_encoders/umt5.safetensors", TEXT);
    put_vae("comfy/vae/vae.safetensors");
    static const char *const either[] = {"comfy/diffusion_models/wan2.2_t2v_high_noise_14B.safetensors",
                                         "comfy/diffusion_models/wan2.2_t2v_low_noise_14B.safetensors",
                                         "comfy/diffusion_models"};
    for (int k = 0; k < 3; k++) {
        if (!opens(&c, either[k], NULL))
            continue;
        tap_equal_str(c.family->name, "wan22-t2v", "two experts");
        tap_ok(ends(c.dit_path, "high_noise_14B.safetensors") && ends(c.dit_low_path, "low_noise_14B.safetensors"),
               "the high-noise one is first");
        tap_ok(c.boundary > 0 && ends(c.text_path, "umt5.safetensors") && ends(c.vae_path, "vae.safetensors"),
               "parts are found in the folders beside");
        zm_model_config_close(&c);
    }
}

static void test_diffusers(void)
{
    zm_model_config c;
    static const char *const folders[] = {"transformer", "transformer_2", "text_encoder",
                                          "vae",         "tokenizer",     "scheduler"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char name[64];
        snprintf(name, sizeof name, "hub/%s", folders[i]);
        make_dir(name);
    }
    put_dit("hub/transformer/diffusion_pytorch_model.safetensors", 12, Z);
    put_dit("hub/transformer_2/diffusion_pytorch_model.safetensors", 12, Z);
    put_encoder("hub/text_encoder/model.safetensors", TEXT);
    put_vae("hub/vae/diffusion_pytorch_model.safetensors");
    put_text("hub/tokenizer/spiece.model", "");
    put_text("hub/model_index.json", "{\"_class_name\": \"WanPipeline\", \"boundary_ratio\": 0.75}");
    put_text("hub/scheduler/scheduler_config.json", "{\"flow_shift\": 3.5}");
    put_text(
        "hub/transformer/config.json",
        "{\"num_attention_heads\": 2, \"attention_head_dim\": 12, \"ffn_dim\": 32, \"num_layers\": 2, \"in_channels\": 4, "
        "\"out_channels\": 4, \"freq_dim\": 32, \"text_dim\": 24, \"patch_size\": [1, 2, 2], \"image_dim\": null, "
        "\"qk_norm\": \"rms_norm_across_heads\", \"cross_attn_norm\": true, \"eps\": 1e-05}");
    put_text(
        "hub/text_encoder/config.json",
        "{\"model_type\": \"umt5\", \"vocab_size\": 50, \"d_model\": 24, \"d_kv\": 8, \"d_ff\": 20, \"num_heads\": 2, "
        "\"num_layers\": 1, \"relative_attention_num_buckets\": 16, \"relative_attention_max_distance\": 33, "
        "\"layer_norm_epsilon\": 1e-05}");
    put_text("hub/vae/config.json", "{\"latents_mean\": [1, 2, 3, 4], \"latents_std\": [5, 6, 7, 8]}");
    if (opens(&c, "hub", NULL)) {
        tap_equal_str(c.family->name, "wan22-t2v", "two transformers");
        tap_ok(c.dit.dim == 24 && c.dit.num_heads == 2 && c.dit.eps == 1e-5, "sizes of the transformer");
        tap_ok(c.text.max_distance == 33 && c.text.eps == 1e-5 && c.text.dim_attn == 16, "sizes of the text encoder");
        tap_ok(c.vae.mean[3] == 4 && c.vae.std[0] == 5, "means and deviations of the latent");
        tap_ok(c.boundary == 0.75 && c.sampling.shift == 3.5, "boundary and shift");
        tap_ok(ends(c.dit_low_path, "transformer_2") && ends(c.tokenizer_path, "spiece.model"), "paths");
        zm_model_config_close(&c);
    }
    put_text("hub/transformer/config.json", "{\"num_attention_heads\": 2}");
    refused("hub", "attention_head_dim");
    put_text("hub/transformer/config.json",
             "{\"num_attention_heads\": 1024, \"attention_head_dim\": 4096, \"ffn_dim\": 1, "
             "\"num_layers\": 1, \"in_channels\": 4, \"out_channels\": 4}");
    refused("hub", "1024 heads of 4096");
}

int main(void)
{
    char template[] = "/tmp/zouma-files-XXXXXX";
    if (!mkdtemp(template))
        return 1;
    snprintf(root, sizeof root, "%s", template);
    test_loose();
    test_rooms();
    test_diffusers();
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command) ? 1 : tap_done();
}
