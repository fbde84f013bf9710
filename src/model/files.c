/* Finding the parts of a model among weight files of any name.
 * SPDX-License-Identifier: MIT */
#include "model/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/mapfile.h"

enum { FILES_MAX = 512 };

static char **slot_of(zm_model_config *c, zm_model_part_kind kind)
{
    char **const slot[] = {&c->dit_path, &c->dit_low_path, &c->text_path, &c->vae_path, &c->clip_path};
    return slot[kind];
}

static zm_status put(char **slot, const char *path, zm_error *err)
{
    free(*slot);
    *slot = strdup(path);
    return *slot ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
}

zm_status zm_model_files_take(zm_model_config *c, const zm_model_files *told, zm_error *err)
{
    const struct row {
        const char *what, *path;
        char **slot;
    } rows[] = {
        {"low-noise transformer", told->low_noise, &c->dit_low_path},
        {"text encoder", told->text_encoder, &c->text_path},
        {"video autoencoder", told->vae, &c->vae_path},
        {"image encoder", told->image_encoder, &c->clip_path},
        {"tokenizer", told->tokenizer, &c->tokenizer_path},
    };
    zm_status s = ZM_OK;
    for (size_t i = 0; !s && i < sizeof rows / sizeof *rows; i++) {
        if (!rows[i].path)
            continue;
        if (!zm_path_is_file(rows[i].path) && !zm_path_is_dir(rows[i].path))
            return zm_fail(err, ZM_E_MISSING, "%s: no such file for the %s", rows[i].path, rows[i].what);
        s = put(rows[i].slot, rows[i].path, err);
    }
    return s;
}

/* ---- two experts by their names ---- */

/* Where "high" or "low" stands before "noise" in a file name, at most one character between them; NULL: nowhere. */
static char *noise_word(char *name, bool *high)
{
    for (char *at = name; *at; at++) {
        bool h = !strncasecmp(at, "high", 4), l = !strncasecmp(at, "low", 3);
        char *rest = at + (h ? 4 : 3);
        if ((h || l) && (!strncasecmp(rest, "noise", 5) || (*rest && !strncasecmp(rest + 1, "noise", 5)))) {
            *high = h;
            return at;
        }
    }
    return NULL;
}

/* `path` with every such word turned round, in the spelling it had; NULL: there is none, or no memory. */
static char *opposite(const char *path, bool *high)
{
    char *in = strdup(path), *out = calloc(2, strlen(path) + 1), *at = in, *word;
    bool any = false;
    while (in && out && (word = noise_word(at, high))) {
        strncat(out, at, (size_t)(word - at));
        const char *to = *high ? "low" : "high";
        size_t end = strlen(out);
        strcat(out, to);
        bool upper = word[0] < 'a';
        for (size_t i = 0; to[i]; i++)
            if (upper && (i == 0 || word[1] < 'a'))
                out[end + i] = (char)(out[end + i] - 'a' + 'A');
        at = word + (*high ? 4 : 3);
        any = true;
    }
    if (out && at)
        strcat(out, at);
    free(in);
    if (any)
        return out;
    free(out);
    return NULL;
}

zm_status zm_model_files_expert(zm_model_config *c, zm_error *err)
{
    bool high = true;
    if (c->dit_low_path || !c->dit_path)
        return ZM_OK;
    char *other = opposite(c->dit_path, &high);
    if (!other)
        return ZM_OK;
    if (!zm_path_is_file(other)) {
        zm_status s = zm_fail(err, ZM_E_MISSING, "%s: this is one of two experts, and the other, %s, is not there",
                              c->dit_path, other);
        free(other);
        return s;
    }
    c->dit_low_path = high ? other : c->dit_path;
    c->dit_path = high ? c->dit_path : other;
    return ZM_OK;
}

/* ---- looking through folders ---- */

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n > m && !strcasecmp(name + n - m, end);
}

/* "-00001-of-00003." in a name: its index file stands for all of them. */
static bool is_shard(const char *name)
{
    const char *of = strstr(name, "-of-");
    return of && of - name >= 6 && of[-6] == '-' && strspn(of - 5, "0123456789") == 5;
}

static bool is_weights(const char *name)
{
    static const char *const ends[] = {".safetensors", ".safetensors.index.json", ".gguf", ".pth", ".pt"};
    for (size_t i = 0; *name != '.' && i < sizeof ends / sizeof *ends; i++)
        if (ends_with(name, ends[i]))
            return !is_shard(name);
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of the weight files of a folder, sorted, malloc'd; a folder that is not there has none. */
static zm_status list(char ***out, size_t *n, const char *dir, zm_error *err)
{
    *n = 0;
    *out = calloc(FILES_MAX, sizeof **out);
    if (!*out)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", dir);
    DIR *d = opendir(dir);
    if (!d)
        return errno == ENOENT || errno == ENOTDIR ? ZM_OK : zm_fail(err, ZM_E_IO, "%s: %s", dir, strerror(errno));
    for (const struct dirent *e; *n < FILES_MAX && (e = readdir(d));) {
        if (!is_weights(e->d_name))
            continue;
        char *path = zm_path_join(dir, "%s", e->d_name);
        if (path && zm_path_is_file(path))
            (*out)[(*n)++] = path;
        else
            free(path);
    }
    closedir(d);
    qsort(*out, *n, sizeof **out, by_name);
    return ZM_OK;
}

/* Whether the network `kind` of a file belongs to the transformer that is known. */
static bool fits(const zm_model_config *c, const zm_weights *w, zm_model_part_kind kind)
{
    zm_text_config text;
    zm_vae_config vae;
    if (!c->dit.dim)
        return true;
    if (kind == ZM_PART_TEXT)
        return !zm_text_config_detect(&text, w, "", NULL) && text.dim == c->dit.text_dim;
    if (kind == ZM_PART_VAE)
        return !zm_vae_config_detect(&vae, w, "", NULL) && vae.z_dim == c->dit.out_dim;
    return true;
}

/* Which of the parts that are `wanted` the file holds. */
static void classify(bool has[ZM_PART_COUNT], const zm_model_config *c, const char *path, const bool *wanted)
{
    for (int k = 0; k < ZM_PART_COUNT; k++)
        has[k] = false;
    for (int k = 0; k < ZM_PART_COUNT; k++) {
        zm_error why = {0};
        zm_weights *w;
        zm_names names;
        if (!wanted[k])
            continue;
        if (zm_weights_open(&w, path, &why)) {
            zm_log(ZM_LOG_WARN, "left aside: %s", why.text);
            return;
        }
        has[k] = zm_names_find(&names, w, (zm_model_part_kind)k) && !zm_names_apply(w, (zm_model_part_kind)k, &why) &&
                 fits(c, w, (zm_model_part_kind)k);
        zm_weights_free(w);
    }
}

/* Two transformers whose names say high and low noise are one model. */
static bool are_experts(const char *a, const char *b)
{
    bool high;
    char *other = opposite(a, &high);
    bool pair = other && !strcmp(other, b);
    free(other);
    return pair;
}

static zm_status scan_one(zm_model_config *c, const char *dir, const bool *wanted, zm_error *err)
{
    static const char *const option[] = {"-m", "", "--text-encoder", "--vae", "--image-encoder"};
    char **file;
    size_t n;
    zm_status s = list(&file, &n, dir, err);
    for (size_t i = 0; !s && i < n; i++) {
        bool has[ZM_PART_COUNT];
        classify(has, c, file[i], wanted);
        for (int k = 0; !s && k < ZM_PART_COUNT; k++) {
            char **slot = slot_of(c, (zm_model_part_kind)k);
            if (!has[k])
                continue;
            if (!*slot)
                s = put(slot, file[i], err);
            else if (k != ZM_PART_DIT || !are_experts(*slot, file[i]))
                s = zm_fail(err, ZM_E_FORMAT, "%s and %s could both be the %s; say which with %s FILE", *slot, file[i],
                            zm_model_part_name((zm_model_part_kind)k), option[k]);
        }
    }
    for (size_t i = 0; i < n; i++)
        free(file[i]);
    free(file);
    return s;
}

static zm_status find_tokenizer(zm_model_config *c, const char *dir, zm_error *err)
{
    static const char *const usual[] = {"tokenizer.json", "spiece.model", "google/umt5-xxl/tokenizer.json",
                                        "google/umt5-xxl/spiece.model"};
    for (size_t i = 0; !c->tokenizer_path && i < sizeof usual / sizeof *usual; i++) {
        char *path = zm_path_join(dir, "%s", usual[i]);
        if (!path)
            return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", dir);
        if (zm_path_is_file(path))
            c->tokenizer_path = path;
        else
            free(path);
    }
    return ZM_OK;
}

zm_status zm_model_files_scan(zm_model_config *c, const char *dir, zm_error *err)
{
    static const char *const rooms[] = {"diffusion_models", "unet", "text_encoders", "clip", "vae", "clip_vision"};
    enum { ROOMS = sizeof rooms / sizeof *rooms };
    bool wanted[ZM_PART_COUNT], inside = false;
    bool transformer = !c->dit_path;
    for (int k = 0; k < ZM_PART_COUNT; k++) /* the second expert is known by its name */
        wanted[k] = transformer ? k == ZM_PART_DIT : k != ZM_PART_DIT_LOW && !*slot_of(c, (zm_model_part_kind)k);
    wanted[ZM_PART_CLIP] &= c->dit.img_dim > 0;
    zm_status s = scan_one(c, dir, wanted, err);
    if (!s && !transformer)
        s = find_tokenizer(c, dir, err);
    const char *last = strrchr(dir, '/');
    for (int i = 0; i < ROOMS; i++)
        inside |= !strcmp(last ? last + 1 : dir, rooms[i]);
    for (int i = 0; !s && !transformer && i < ROOMS && inside; i++) {
        char *beside = zm_path_join(dir, "../%s", rooms[i]);
        if (!beside)
            return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", dir);
        for (int k = 0; k < ZM_PART_COUNT; k++)
            wanted[k] = wanted[k] && !*slot_of(c, (zm_model_part_kind)k);
        if (strcmp(last ? last + 1 : dir, rooms[i]) != 0)
            s = scan_one(c, beside, wanted, err);
        if (!s)
            s = find_tokenizer(c, beside, err);
        free(beside);
    }
    return s;
}
