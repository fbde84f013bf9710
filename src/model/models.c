/* Reading model directories and files.
 * SPDX-License-Identifier: MIT */
#include "model/models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mapfile.h"
#include "model/diffusers.h"
#include "model/files.h"

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
    free(c->fast.adapter);
    *c = (zm_model_config){0};
}

/* A plain name of a file of the directory: no separators, no leading dot. */
static bool is_plain(const char *name)
{
    return *name && *name != '.' && !strchr(name, '/') && strlen(name) < 256;
}

/* What the user named, files.KEY, or the first of the usual names that exists; NULL stays when there is none. */
static zm_status part_path(char **out, const zm_model_config *c, const char *dir, const char *key,
                           const char *const *usual, zm_error *err)
{
    const char *name = NULL;
    char dotted[64];
    if (*out)
        return ZM_OK;
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
    int64_t steps = c->sampling.steps, width = c->video.width, height = c->video.height, frames = c->video.frames,
            given = c->video.given;
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
    if (!s)
        s = zm_json_int(&given, j, "video.given", false, 0, 64, err);
    if (!s)
        s = zm_json_bool(&c->video.stills, j, "video.stills", false, err);
    if (s)
        return s;
    c->video.given = (int)given;
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

static zm_status read_fast(zm_model_config *c, const char *dir, zm_error *err)
{
    const zm_json *j = &c->json;
    const char *name = NULL, *solver = NULL;
    int64_t steps = 4;
    c->fast = (zm_model_fast){.guidance = 1, .shift = c->sampling.shift};
    zm_status s = zm_json_str(&name, j, "fast.adapter", zm_json_at(j, "fast") != NULL, err);
    if (s || !name)
        return s;
    if (!is_plain(name))
        return zm_fail(err, ZM_E_FORMAT, "%s: fast.adapter is \"%s\", a plain file name is needed", j->file, name);
    s = zm_json_int(&steps, j, "fast.steps", false, 1, 1000, err);
    if (!s)
        s = zm_json_f64(&c->fast.guidance, j, "fast.guidance", false, 0.1, 100, err);
    if (!s)
        s = zm_json_f64(&c->fast.shift, j, "fast.shift", false, 1e-3, 1000, err);
    if (!s)
        s = zm_json_str(&solver, j, "fast.solver", false, err);
    if (s)
        return s;
    c->fast.steps = (int)steps;
    snprintf(c->fast.solver, sizeof c->fast.solver, "%s", solver ? solver : "euler");
    c->fast.adapter = zm_path_join(dir, "%s", name);
    return c->fast.adapter ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", j->file);
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
    return s;
}

/* The directory's own shards, or two experts; dit_path may be set already by files.dit.  A model of ours whose other parts
 * are there has no transformer yet where none is named so. */
static zm_status find_experts(zm_model_config *c, const char *dir, bool experts, bool ours, zm_error *err)
{
    if (experts) {
        free(c->dit_path);
        c->dit_path = zm_path_join(dir, "high_noise_model");
        if (!c->dit_low_path)
            c->dit_low_path = zm_path_join(dir, "low_noise_model");
        if (!c->dit_path || !c->dit_low_path)
            return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", dir);
        if (!zm_path_is_dir(c->dit_low_path))
            return zm_fail(err, ZM_E_MISSING, "%s: no such directory beside high_noise_model", c->dit_low_path);
    } else if (!c->dit_path && !(ours && (c->vae_path || c->text_path))) { /* the directory itself opens as weights */
        c->dit_path = strdup(dir);
        if (!c->dit_path)
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
    if (!official) /* zouma train: clips of one length, some with one or two clean first latent frames */
        c->video.stills = false, c->video.given = c->family->frame_timesteps ? 2 : c->family->video.given;
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

/* Sizes of the other parts: from a config of ours or a published one where it has them, else from their tensors. */
static zm_status read_parts(zm_model_config *c, bool ours, zm_error *err)
{
    zm_status s = ZM_OK;
    zm_weights *w;
    bool vae = ours && zm_json_at(&c->json, "vae"), text = ours && zm_json_at(&c->json, "text_encoder");
    c->has_vae |= vae;
    c->has_text |= text;
    c->has_clip = c->clip_path != NULL;
    if (text)
        s = zm_text_config_read(&c->text, &c->json, "text_encoder", err);
    if (!s && vae)
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

/* The last component of a path. */
static void name_after(zm_model_config *c, const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    size_t from = n;
    while (from && path[from - 1] != '/')
        from--;
    snprintf(c->name, sizeof c->name, "%.*s", (int)(n - from), path + from);
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
    const char *key = zm_json_at(&c->json, "dit") ? "dit" : "", *family = NULL, *name = NULL;
    s = zm_dit_config_read(&c->dit, &c->json, key, err);
    if (!s)
        s = read_paths(c, dir, err);
    if (!s)
        s = find_experts(c, dir, experts, *key != 0, err);
    if (!s)
        s = read_untold(c, key, err);
    if (!s)
        s = zm_json_str(&family, &c->json, "family", false, err);
    if (!s)
        s = set_family(c, family, !*key, c->json.file, err);
    if (!s)
        s = zm_json_str(&name, &c->json, "name", false, err);
    if (!s)
        name_after(c, name ? name : dir);
    if (!s)
        s = read_sampling(c, err);
    if (!s)
        s = read_fast(c, dir, err);
    if (!s)
        s = zm_model_files_scan(c, dir, err);
    return s ? s : read_parts(c, true, err);
}

static zm_status read_diffusers(zm_model_config *c, const char *dir, zm_error *err)
{
    double shift = 0;
    zm_status s = zm_diffusers_read(c, dir, &shift, err);
    double boundary = c->boundary;
    if (!s)
        s = set_family(c, NULL, true, dir, err);
    if (s)
        return s;
    if (boundary > 0 && c->dit_low_path)
        c->boundary = boundary;
    if (shift > 0)
        c->sampling.shift = shift;
    if (c->sampling.guidance_low <= 0)
        c->sampling.guidance_low = c->sampling.guidance;
    name_after(c, dir);
    return read_parts(c, false, err);
}

/* Sizes from the tensors of c->dit_path, and the other parts from the files around it. */
static zm_status read_loose(zm_model_config *c, const char *dir, const char *path, zm_error *err)
{
    zm_weights *w;
    zm_status s = zm_model_files_expert(c, err);
    if (!s)
        s = zm_model_part_open(&w, c, ZM_PART_DIT, err);
    if (s)
        return s;
    s = zm_dit_config_detect(&c->dit, w, "", err);
    zm_weights_free(w);
    if (!s)
        s = zm_model_files_scan(c, dir, err);
    if (!s)
        s = set_family(c, NULL, true, path, err);
    if (s)
        return s;
    name_after(c, path);
    if (c->sampling.guidance_low <= 0)
        c->sampling.guidance_low = c->sampling.guidance;
    return read_parts(c, false, err);
}

/* A folder without a config: its files say themselves what they are. */
static zm_status read_folder(zm_model_config *c, const char *dir, zm_error *err)
{
    zm_status s = zm_model_files_scan(c, dir, err);
    if (!s && !c->dit_path)
        s = zm_fail(err, ZM_E_MISSING,
                    "%s: no config.json, no model_index.json and no file with a transformer is in it", dir);
    return s ? s : read_loose(c, dir, dir, err);
}

static zm_status read_file(zm_model_config *c, const char *path, zm_error *err)
{
    const char *last = strrchr(path, '/');
    char *dir = last ? strndup(path, last > path ? (size_t)(last - path) : 1) : strdup(".");
    c->dit_path = strdup(path);
    zm_status s =
        dir && c->dit_path ? read_loose(c, dir, path, err) : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    free(dir);
    return s;
}

static bool has_file(const char *dir, const char *name)
{
    char *path = zm_path_join(dir, "%s", name);
    bool there = path && zm_path_is_file(path);
    free(path);
    return there;
}

/* The folder of a transformer's file, when its config says that this file is its transformer; NULL otherwise. */
static char *home_of(const char *path)
{
    const char *last = strrchr(path, '/');
    char *dir = last ? strndup(path, last > path ? (size_t)(last - path) : 1) : strdup(".");
    zm_model_config c = {0};
    struct stat file, named;
    bool home = dir && !zm_path_is_dir(path) && has_file(dir, "config.json") && !read_dir(&c, dir, NULL) &&
                c.dit_path && !stat(path, &file) && !stat(c.dit_path, &named) && file.st_ino == named.st_ino &&
                file.st_dev == named.st_dev;
    zm_model_config_close(&c);
    if (home)
        return dir;
    free(dir);
    return NULL;
}

zm_status zm_model_config_open_with(zm_model_config *out, const char *path, const zm_model_files *told, zm_error *err)
{
    *out = (zm_model_config){0};
    zm_status s = told ? zm_model_files_take(out, told, err) : ZM_OK;
    char *home = s ? NULL : home_of(path);
    const char *at = home ? home : path;
    if (!s && !zm_path_is_dir(at))
        s = read_file(out, at, err);
    else if (!s && (has_file(at, "config.json") || has_file(at, "high_noise_model/config.json")))
        s = read_dir(out, at, err);
    else if (!s)
        s = zm_diffusers_is(at) ? read_diffusers(out, at, err) : read_folder(out, at, err);
    free(home);
    if (s)
        zm_model_config_close(out);
    return s;
}

zm_status zm_model_config_open(zm_model_config *out, const char *path, zm_error *err)
{
    return zm_model_config_open_with(out, path, NULL, err);
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
