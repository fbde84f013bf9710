/* Sizes of public models.
 * SPDX-License-Identifier: MIT */
#include "model/likes.h"

#include <stdio.h>
#include <string.h>

#include "model/vae_parts.h"

#define DIT(type, width, ffn, heads, layers, in, out, img)                                                             \
    {                                                                                                                  \
        .model_type = type, .dim = width, .ffn_dim = ffn, .num_heads = heads, .num_layers = layers, .in_dim = in,      \
        .out_dim = out, .patch_size = {1, 2, 2}, .freq_dim = 256, .text_dim = 4096, .text_len = 512, .img_dim = img,   \
        .qk_norm = true, .cross_attn_norm = true, .eps = 1e-6                                                          \
    }

/* Wan team 2025, arXiv:2503.20314, and the configurations published with Wan 2.1 and 2.2. */
const zm_like zm_likes[] = {
    {"wan2.1-t2v-1.3b", "text to video", DIT("t2v", 1536, 8960, 12, 30, 16, 16, 0), ZM_VAE_WAN21, false, false},
    {"wan2.1-t2v-14b", "text to video", DIT("t2v", 5120, 13824, 40, 40, 16, 16, 0), ZM_VAE_WAN21, false, false},
    {"wan2.1-i2v-14b", "picture to video", DIT("i2v", 5120, 13824, 40, 40, 36, 16, 1280), ZM_VAE_WAN21, false, true},
    {"wan2.2-ti2v-5b", "text and picture to video", DIT("ti2v", 3072, 14336, 24, 30, 48, 48, 0), ZM_VAE_WAN22, false,
     false},
    {"wan2.2-t2v-a14b", "text to video, two experts", DIT("t2v", 5120, 13824, 40, 40, 16, 16, 0), ZM_VAE_WAN21, true,
     false},
    {"wan2.2-i2v-a14b", "picture to video, two experts", DIT("i2v", 5120, 13824, 40, 40, 36, 16, 0), ZM_VAE_WAN21, true,
     false},
};
const size_t zm_like_count = sizeof zm_likes / sizeof *zm_likes;

const zm_like *zm_like_find(const char *name)
{
    for (size_t i = 0; i < zm_like_count; i++)
        if (!strcmp(zm_likes[i].name, name))
            return &zm_likes[i];
    return NULL;
}

zm_text_config zm_like_text(void)
{
    return (zm_text_config){.vocab = 256384,
                            .dim = 4096,
                            .dim_attn = 4096,
                            .dim_ffn = 10240,
                            .num_heads = 64,
                            .num_layers = 24,
                            .num_buckets = 32,
                            .max_distance = 128,
                            .eps = 1e-6};
}

zm_vae_config zm_like_vae(zm_vae_kind kind)
{
    bool newer = kind == ZM_VAE_WAN22;
    zm_vae_config c = {.kind = kind,
                       .z_dim = newer ? 48 : 16,
                       .dim = newer ? 160 : 96,
                       .dec_dim = newer ? 256 : 96,
                       .n_stages = 4,
                       .dim_mult = {1, 2, 4, 4},
                       .num_res_blocks = 2,
                       .temporal_down = {false, true, true},
                       .patch = newer ? 2 : 1};
    zm_vae_config_official_stats(&c);
    return c;
}

zm_clip_config zm_like_clip(void)
{
    return (zm_clip_config){.image_size = 224,
                            .patch_size = 14,
                            .dim = 1280,
                            .num_heads = 16,
                            .num_layers = 32,
                            .mlp_ratio = 4,
                            .class_token = true,
                            .pre_norm = true,
                            .activation = ZM_CLIP_GELU,
                            .norm_eps = 1e-5};
}

zm_status zm_like_config(zm_model_config *out, const zm_like *like, zm_error *err)
{
    *out = (zm_model_config){.dit = like->dit,
                             .text = zm_like_text(),
                             .vae = zm_like_vae(like->vae),
                             .has_text = true,
                             .has_vae = true,
                             .has_clip = like->clip};
    out->family = zm_model_family_detect(&like->dit, like->experts);
    if (!out->family)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s is not a model family this build knows", like->name);
    if (like->clip)
        out->clip = zm_like_clip();
    out->sampling = out->family->sampling;
    out->video = out->family->video;
    out->boundary = like->experts ? out->family->boundary : 0;
    snprintf(out->name, sizeof out->name, "%s", like->name);
    return ZM_OK;
}
