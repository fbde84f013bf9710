/* The table of model families.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "model/models.h"

static bool is_ti2v(const zm_dit_config *c, bool experts)
{
    return !experts && !strcmp(c->model_type, "ti2v");
}

static bool is_wan21_i2v(const zm_dit_config *c, bool experts)
{
    return !experts && !strcmp(c->model_type, "i2v") && c->img_dim > 0;
}

static bool is_wan22_i2v(const zm_dit_config *c, bool experts)
{
    (void)experts; /* Wan 2.1 has no such network, so that one expert alone is known too */
    return !strcmp(c->model_type, "i2v") && c->img_dim == 0;
}

static bool is_wan21_t2v(const zm_dit_config *c, bool experts)
{
    return !experts && !strcmp(c->model_type, "t2v");
}

static bool is_wan22_t2v(const zm_dit_config *c, bool experts)
{
    return experts && !strcmp(c->model_type, "t2v");
}

static bool is_wan21_flf2v(const zm_dit_config *c, bool experts)
{
    return !experts && !strcmp(c->model_type, "flf2v") && c->img_dim > 0;
}

/* The official defaults: picture models are also steered away from a shaking camera, or from cuts. */
#define WAN_NEGATIVE                                                                                                                                                            \
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，" \
    "丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，"                 \
    "静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走"

static const char wan21_paper[] = "Wan team 2025, arXiv:2503.20314";

/* Defaults are those of the official configs and of their command line. */
const zm_model_family zm_model_families[] = {
    {.name = "wan22-ti2v",
     .summary = "text and image to video, a timestep per latent frame",
     .detect = is_ti2v,
     .sampling = {.steps = 50, .guidance = 5, .shift = 5, .solver = "unipc"},
     .video = {1280, 704, 121, 24, 1, true},
     .frame_timesteps = true,
     .negative = WAN_NEGATIVE,
     .paper = wan21_paper},
    {.name = "wan21-t2v",
     .summary = "text to video",
     .detect = is_wan21_t2v,
     .sampling = {.steps = 50, .guidance = 5, .shift = 5, .solver = "unipc"},
     .video = {832, 480, 81, 16, 0, true},
     .negative = WAN_NEGATIVE,
     .paper = wan21_paper},
    {.name = "wan21-i2v",
     .summary = "image to video with CLIP picture features",
     .detect = is_wan21_i2v,
     .sampling = {.steps = 40, .guidance = 5, .shift = 3, .solver = "unipc"},
     .video = {832, 480, 81, 16, 1, true},
     .negative = "镜头晃动，" WAN_NEGATIVE,
     .paper = wan21_paper},
    {.name = "wan21-flf2v",
     .summary = "from a first picture to a last one, with CLIP picture features",
     .detect = is_wan21_flf2v,
     .sampling = {.steps = 50, .guidance = 5, .shift = 16, .solver = "unipc"},
     .video = {1280, 720, 81, 16, 1, true},
     .negative = "镜头切换，镜头晃动，" WAN_NEGATIVE,
     .paper = wan21_paper},
    {.name = "wan22-t2v",
     .summary = "text to video, one of two experts by noise level",
     .detect = is_wan22_t2v,
     .sampling = {.steps = 40, .guidance = 4, .guidance_low = 3, .shift = 12, .solver = "unipc"},
     .video = {832, 480, 81, 16, 0, true},
     .boundary = 0.875,
     .negative = WAN_NEGATIVE,
     .paper = wan21_paper},
    {.name = "wan22-i2v",
     .summary = "image to video, one of two experts by noise level",
     .detect = is_wan22_i2v,
     .sampling = {.steps = 40, .guidance = 3.5, .guidance_low = 3.5, .shift = 5, .solver = "unipc"},
     .video = {832, 480, 81, 16, 1, true},
     .boundary = 0.9,
     .negative = WAN_NEGATIVE,
     .paper = wan21_paper},
};
const size_t zm_model_family_count = sizeof zm_model_families / sizeof *zm_model_families;

const zm_model_family *zm_model_family_find(const char *name)
{
    for (size_t i = 0; i < zm_model_family_count; i++)
        if (!strcmp(zm_model_families[i].name, name))
            return &zm_model_families[i];
    return NULL;
}

const zm_model_family *zm_model_family_detect(const zm_dit_config *c, bool experts)
{
    for (size_t i = 0; i < zm_model_family_count; i++)
        if (zm_model_families[i].detect(c, experts))
            return &zm_model_families[i];
    return NULL;
}
