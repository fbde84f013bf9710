/* The table of model families, and reading model directories.
 * SPDX-License-Identifier: MIT */
#include "model/models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"

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
     .video = {1280, 704, 121, 24},
     .frame_timesteps = true,
     .negative = WAN_NEGATIVE,
     .paper = wan21_paper},
    {.name = "wan21-t2v",
     .summary = "text to video",
     .detect = is_wan21_t2v,
     .sampling = {.steps = 50, .guidance = 5, .shift = 5, .solver = "unipc"},
     .video = {832, 480, 81, 16},
     .negative = WAN_NEGATIVE,
     .paper = wan21_paper},
    {.name = "wan21-i2v",
     .summary = "image to video with CLIP picture features",
     .detect = is_wan21_i2v,
     .sampling = {.steps = 40, .guidance = 5, .shift = 3, .solver = "unipc"},
     .video = {832, 480, 81, 16},
     .negative = "镜头晃动，" WAN_NEGATIVE,
     .paper = wan21_paper},
    {.name = "wan21-flf2v",
     .summary = "from a first picture to a last one, with CLIP picture features",
     .detect = is_wan21_flf2v,
     .sampling = {.steps = 50, .guidance = 5, .shift = 16, .solver = "unipc"},
     .video = {1280, 720, 81, 16},
     .negative = "镜头切换，镜头晃动，" WAN_NEGATIVE,
     .paper = wan21_paper},
    {.name = "wan22-t2v",
     .summary = "text to video, one of two experts by noise level",
     .detect = is_wan22_t2v,
     .sampling = {.steps = 40, .guidance = 4, .guidance_low = 3, .shift = 12, .solver = "unipc"},
     .video = {832, 480, 81, 16},
     .boundary = 0.875,
     .negative = WAN_NEGATIVE,
     .paper = wan21_paper},
    {.name = "wan22-i2v",
     .summary = "image to video, one of two experts by noise level",
     .detect = is_wan22_i2v,
     .sampling = {.steps = 40, .guidance = 3.5, .guidance_low = 3.5, .shift = 5, .solver = "unipc"},
     .video = {832, 480, 81, 16},
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

void zm_model_config_close(zm_model_config *c)
{
    zm_json_close(&c->json);
    free(c->dit_path);
    free(c->dit_low_path);
    free(c->text_path);
    free(c->vae_path);
    free(c->clip_path);
    free(c->tokenizer_path);
    free(c->sampling.negative);
    *c = (zm_model_config){0};
}

/* A plain name of a file of the directory: no separators, no leading dot. */
static bool is_plain(const char *name)
{
    return *name && *name != '.' && !strchr(name, '/') && strlen(name) < 256;
}

/* files.KEY, or the first of two usual names that exists; NULL stays when there is none. */
static zm_status part_path(char **out, const zm_model_config *c, const char *dir, const char *key,
                           const char *const *usual, zm_error *err)
{
    const char *name = NULL;
    char dotted[64];
    snprintf(dotted, sizeof dotted, "files.%s", key);
    zm_status s = zm_json_str(&name, &c->json, dotted, false, err);
    if (s)
        return s;
    if (name && !is_plain(name))
        return zm_fail(err, ZM_E_FORMAT, "%s: %s is \"%s\", a plain file name is needed", c->json.file, dotted, name);
    for (; name || *usual; name = NULL, usual++) {
        char *full = zm_path_join(dir, "%s", name ? name : *usual);
        if (!full)
            return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", dir);
        if (zm_path_is_file(full)) {
            *out = full;
            return ZM_OK;
        }
        zm_status missing = name ? zm_fail(err, ZM_E_MISSING, "%s: no such file, named by %s", full, dotted) : ZM_OK;
        free(full);
        if (missing)
            return missing;
    }
    return ZM_OK;
}

static zm_status read_sampling(zm_model_config *c, zm_error *err)
{
    const zm_json *j = &c->json;
    int64_t steps = c->sampling.steps, width = c->video.width, height = c->video.height, frames = c->video.frames;
    const char *solver = NULL, *negative = NULL;
    zm_status s = zm_json_int(&steps, j, "sampling.steps", false, 1, 1000, err);
    if (!s)
        s = zm_json_f64(&c->sampling.guidance, j, "sampling.guidance", false, 0, 100, err);
    if (!s)
        s = zm_json_f64(&c->sampling.guidance_low, j, "sampling.guidance_low", false, 0, 100, err);
    if (!s)
        s = zm_json_f64(&c->sampling.shift, j, "sampling.shift", false, 1e-3, 1000, err);
    if (!s)
        s = zm_json_str(&solver, j, "sampling.solver", false, err);
    if (!s)
        s = zm_json_str(&negative, j, "sampling.negative", false, err);
    if (!s)
        s = zm_json_int(&width, j, "video.width", false, 1, 1 << 14, err);
    if (!s)
        s = zm_json_int(&height, j, "video.height", false, 1, 1 << 14, err);
    if (!s)
        s = zm_json_int(&frames, j, "video.frames", false, 1, 1 << 20, err);
    if (!s)
        s = zm_json_f64(&c->video.fps, j, "video.fps", false, 0.01, 1000, err);
    if (s)
        return s;
    if (!c->sampling.guidance_low)
        c->sampling.guidance_low = c->sampling.guidance;
    c->sampling.steps = (int)steps;
    c->video.width = (int)width;
    c->video.height = (int)height;
    c->video.frames = (int)frames;
    if (solver)
        snprintf(c->sampling.solver, sizeof c->sampling.solver, "%s", solver);
    if (negative)
        free(c->sampling.negative);
    if (negative && !(c->sampling.negative = strdup(negative)))
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", j->file);
    return ZM_OK;
}

static zm_status read_paths(zm_model_config *c, const char *dir, zm_error *err)
{
    static const char *const dit[] = {"dit.gguf", "dit.safetensors", "diffusion_pytorch_model.safetensors", NULL};
    static const char *const text[] = {"text.gguf", "text.safetensors", "models_t5_umt5-xxl-enc-bf16.pth",
                                       "models_t5_umt5-xxl-enc-bf16.safetensors", NULL};
    static const char *const vae[] = {"vae.gguf",
                                      "vae.safetensors",
                                      "Wan2.2_VAE.pth",
                                      "Wan2.1_VAE.pth",
                                      "Wan2.2_VAE.safetensors",
                                      "Wan2.1_VAE.safetensors",
                                      NULL};
    static const char *const clip[] = {"clip.gguf", "clip.safetensors",
                                       "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth",
                                       "models_clip_open-clip-xlm-roberta-large-vit-huge-14.safetensors", NULL};
    static const char *const tokenizer[] = {"tokenizer.json", "spiece.model", NULL};
    zm_status s = part_path(&c->dit_path, c, dir, "dit", dit, err);
    if (!s)
        s = part_path(&c->text_path, c, dir, "text_encoder", text, err);
    if (!s)
        s = part_path(&c->vae_path, c, dir, "vae", vae, err);
    if (!s)
        s = part_path(&c->clip_path, c, dir, "image_encoder", clip, err);
    if (!s)
        s = part_path(&c->tokenizer_path, c, dir, "tokenizer", tokenizer, err);
    static const char *const inner[] = {"google/umt5-xxl/tokenizer.json", "google/umt5-xxl/spiece.model"};
    for (size_t i = 0; !s && !c->tokenizer_path && i < sizeof inner / sizeof *inner; i++) {
        char *full = zm_path_join(dir, "%s", inner[i]); /* where the official directories keep it */
        if (full && zm_path_is_file(full))
            c->tokenizer_path = full;
        else
            free(full);
    }
    return s;
}

/* The directory's own shards, or two experts; dit_path may be set already by files.dit. */
static zm_status find_experts(zm_model_config *c, const char *dir, bool experts, zm_error *err)
{
    if (experts) {
        free(c->dit_path);
        c->dit_path = zm_path_join(dir, "high_noise_model");
        c->dit_low_path = zm_path_join(dir, "low_noise_model");
        if (!c->dit_path || !c->dit_low_path)
            return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", dir);
        if (!zm_path_is_dir(c->dit_low_path))
            return zm_fail(err, ZM_E_MISSING, "%s: no such directory beside high_noise_model", c->dit_low_path);
    } else if (!c->dit_path && !(c->dit_path = strdup(dir))) { /* the directory itself opens as weights */
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", dir);
    }
    return ZM_OK;
}

/* official: a published checkpoint, whose default negative prompt is the family's; our own configs have theirs. */
static zm_status set_family(zm_model_config *c, const char *name, bool official, const char *where, zm_error *err)
{
    bool experts = c->dit_low_path != NULL;
    c->family = name ? zm_model_family_find(name) : zm_model_family_detect(&c->dit, experts);
    if (!c->family)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: %s is not a model family this build knows", where,
                       name ? name : c->dit.model_type);
    c->sampling = c->family->sampling;
    c->video = c->family->video;
    c->boundary = experts ? c->family->boundary : 0;
    if (official && c->family->negative && !(c->sampling.negative = strdup(c->family->negative)))
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", where);
    return ZM_OK;
}

/* The first dim of a tensor, or the second; 0 when it is not there. */
static int dim_of(const zm_weights *w, const char *name, int i)
{
    const zm_weight *t;
    bool there = zm_weights_has(w, name) && !zm_weights_find(&t, w, name, NULL);
    return there && t->rank > i && t->dim[i] > 0 && t->dim[i] <= 1 << 16 ? (int)t->dim[i] : 0;
}

/* Official configs leave out the width of the text and whether an image network takes picture features. */
static zm_status read_untold(zm_model_config *c, const char *key, zm_error *err)
{
    char dotted[32];
    snprintf(dotted, sizeof dotted, "%s%stext_dim", key, *key ? "." : "");
    bool pictures = !strcmp(c->dit.model_type, "i2v") || !strcmp(c->dit.model_type, "flf2v");
    bool i2v = pictures && !c->dit.img_dim, text = !zm_json_at(&c->json, dotted);
    zm_weights *w;
    if (!i2v && !text)
        return ZM_OK;
    zm_status s = zm_model_part_open(&w, c, ZM_PART_DIT, err);
    if (s)
        return s;
    if (i2v)
        c->dit.img_dim = dim_of(w, "img_emb.proj.0.weight", 0);
    if (text && dim_of(w, "text_embedding.0.weight", 1))
        c->dit.text_dim = dim_of(w, "text_embedding.0.weight", 1);
    zm_weights_free(w);
    return ZM_OK;
}

/* Sizes of the other parts: from the config where it has them, else from their tensors. */
static zm_status read_parts(zm_model_config *c, zm_error *err)
{
    zm_status s = ZM_OK;
    zm_weights *w;
    c->has_vae = zm_json_at(&c->json, "vae") != NULL;
    c->has_text = zm_json_at(&c->json, "text_encoder") != NULL;
    c->has_clip = c->clip_path != NULL;
    if (c->has_text)
        s = zm_text_config_read(&c->text, &c->json, "text_encoder", err);
    if (!s && c->has_vae)
        s = zm_vae_config_read(&c->vae, &c->json, "vae", err);
    if (!s && !c->has_text && c->text_path) {
        s = zm_model_part_open(&w, c, ZM_PART_TEXT, err);
        if (!s) {
            s = zm_text_config_detect(&c->text, w, "", err);
            zm_weights_free(w);
        }
        c->has_text = !s;
    }
    if (!s && !c->has_vae && c->vae_path) {
        s = zm_model_part_open(&w, c, ZM_PART_VAE, err);
        if (!s) {
            s = zm_vae_config_detect(&c->vae, w, "", err);
            zm_weights_free(w);
        }
        c->has_vae = !s;
    }
    return s;
}

static zm_status read_dir(zm_model_config *c, const char *dir, zm_error *err)
{
    char *own = zm_path_join(dir, "config.json"), *high = zm_path_join(dir, "high_noise_model/config.json");
    if (!own || !high) {
        free(own);
        free(high);
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", dir);
    }
    bool experts = zm_path_is_file(high);
    zm_status s = zm_json_load(&c->json, experts ? high : own, 1 << 20, err);
    free(own);
    free(high);
    if (s)
        return s;
    const char *key = zm_json_at(&c->json, "dit") ? "dit" : "", *family = NULL, *name = NULL, *last = strrchr(dir, '/');
    s = zm_dit_config_read(&c->dit, &c->json, key, err);
    if (!s)
        s = read_paths(c, dir, err);
    if (!s)
        s = find_experts(c, dir, experts, err);
    if (!s)
        s = read_untold(c, key, err);
    if (!s)
        s = zm_json_str(&family, &c->json, "family", false, err);
    if (!s)
        s = set_family(c, family, !*key, c->json.file, err);
    if (!s)
        s = zm_json_str(&name, &c->json, "name", false, err);
    if (!s)
        snprintf(c->name, sizeof c->name, "%s", name ? name : last && last[1] ? last + 1 : dir);
    if (!s)
        s = read_sampling(c, err);
    return s ? s : read_parts(c, err);
}

static zm_status read_file(zm_model_config *c, const char *path, zm_error *err)
{
    zm_weights *w;
    zm_status s = zm_weights_open(&w, path, err);
    if (s)
        return s;
    s = zm_dit_config_detect(&c->dit, w, "", err);
    if (!s)
        s = set_family(c, NULL, true, path, err);
    if (!s && !(c->dit_path = strdup(path)))
        s = zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    const char *last = strrchr(path, '/');
    snprintf(c->name, sizeof c->name, "%s", last ? last + 1 : path);
    if (!s && !c->sampling.guidance_low)
        c->sampling.guidance_low = c->sampling.guidance;
    zm_weights_free(w);
    return s;
}

zm_status zm_model_config_open(zm_model_config *out, const char *path, zm_error *err)
{
    *out = (zm_model_config){0};
    zm_status s = zm_path_is_dir(path) ? read_dir(out, path, err) : read_file(out, path, err);
    if (s)
        zm_model_config_close(out);
    return s;
}

const char *zm_model_part_name(zm_model_part_kind part)
{
    static const char *const names[] = {"diffusion transformer", "low-noise transformer", "text encoder",
                                        "video autoencoder", "image encoder"};
    ZM_ASSERT(part < ZM_PART_COUNT);
    return names[part];
}

const char *zm_model_part_path(const zm_model_config *c, zm_model_part_kind part)
{
    const char *const paths[] = {c->dit_path, c->dit_low_path, c->text_path, c->vae_path, c->clip_path};
    ZM_ASSERT(part < ZM_PART_COUNT);
    return paths[part];
}

zm_status zm_model_part_open(zm_weights **out, const zm_model_config *c, zm_model_part_kind part, zm_error *err)
{
    const char *path = zm_model_part_path(c, part);
    *out = NULL;
    if (!path)
        return zm_fail(err, ZM_E_MISSING, "%s: this model has no %s", c->name, zm_model_part_name(part));
    zm_status s = zm_weights_open(out, path, err);
    if (!s)
        s = zm_names_apply(*out, part, err);
    if (s) {
        zm_weights_free(*out);
        *out = NULL;
    }
    return s;
}
