/* Loading a model directory.
 * SPDX-License-Identifier: MIT */
#include "pipeline/model.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mapfile.h"

static const int64_t EXPAND_BYTES = (int64_t)1 << 30;

char *zm_model_bundled(void)
{
    const char *told = getenv("ZOUMA_MODEL");
    if (told && *told)
        return strdup(told);
    char exe[4096];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    exe[n > 0 ? n : 0] = 0;
    for (int up = 0; up < 3 && exe[0]; up++) {
        char *slash = strrchr(exe, '/');
        if (!slash)
            break;
        *slash = 0;
        static const char *const place[] = {"models/toybox", "share/zouma/toybox"};
        for (int i = 0; i < 2; i++) {
            char *dir = zm_path_join(exe, "%s", place[i]);
            if (dir && zm_path_is_dir(dir))
                return dir;
            free(dir);
        }
    }
    return zm_path_is_dir("models/toybox") ? strdup("models/toybox") : NULL;
}

static zm_status fill_part(zm_part *part, const char *path, const char *what, const uint64_t *seed, zm_error *err)
{
    if (seed)
        return zm_params_fill(part->params, *seed, err);
    if (!path)
        return zm_fail(err, ZM_E_MISSING, "this model has no %s", what);
    zm_status s = zm_weights_open(&part->file, path, err);
    return s ? s : zm_params_load(part->params, part->file, "", zm_params_elems(part->params) * 4 <= EXPAND_BYTES, err);
}

static zm_status open_networks(zm_model *m, const uint64_t *seed, zm_error *err)
{
    zm_model_config *c = &m->config;
    zm_vae_config vae;
    zm_part *part[] = {&m->dit_part, &m->text_part, &m->vae_part};
    for (int i = 0; i < 3; i++)
        if (!(part[i]->params = zm_params_new()))
            return zm_fail(err, ZM_E_NOMEM, "out of memory for parameters");
    if (!c->has_text || !c->has_vae || !c->tokenizer_path)
        return zm_fail(err, ZM_E_MISSING, "%s: no %s in its config.json", c->name,
                       !c->has_text  ? "text_encoder"
                       : !c->has_vae ? "vae"
                                     : "tokenizer");
    zm_status s = zm_dit_declare(&m->dit, &c->dit, m->dit_part.params, NULL, err);
    if (!s)
        s = zm_text_encoder_declare(&m->text, &c->text, m->text_part.params, NULL, err);
    if (!s)
        s = zm_vae_config_read(&vae, &c->json, "vae", err);
    if (!s)
        s = zm_vae_declare(&m->vae, &vae, m->vae_part.params, "", err);
    if (!s)
        s = zm_tokenizer_load(&m->tokenizer, c->tokenizer_path, err);
    if (!s)
        s = fill_part(&m->dit_part, c->dit_path, "diffusion transformer", seed, err);
    if (!s)
        s = fill_part(&m->text_part, c->text_path, "text encoder", seed, err);
    if (!s)
        s = fill_part(&m->vae_part, c->vae_path, "video autoencoder", NULL, err);
    if (!s && (int64_t)zm_tokenizer_count(m->tokenizer) > c->text.vocab)
        s = zm_fail(err, ZM_E_SHAPE, "%s: %zu pieces, the text encoder has %d", c->tokenizer_path,
                    zm_tokenizer_count(m->tokenizer), c->text.vocab);
    if (!s && zm_vae_z_dim(m->vae) != c->dit.out_dim)
        s = zm_fail(err, ZM_E_SHAPE, "%s: the autoencoder has %d latent channels, the transformer %d", c->name,
                    zm_vae_z_dim(m->vae), c->dit.out_dim);
    return s;
}

static zm_status open_model(zm_model **out, const char *path, const uint64_t *seed, zm_error *err)
{
    *out = NULL;
    zm_model *m = calloc(1, sizeof *m);
    if (!m)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    zm_status s = zm_model_config_open(&m->config, path, err);
    if (!s)
        s = open_networks(m, seed, err);
    if (s)
        zm_model_close(m);
    else
        *out = m;
    return s;
}

zm_status zm_model_open(zm_model **out, const char *path, zm_error *err)
{
    return open_model(out, path, NULL, err);
}

zm_status zm_model_open_untrained(zm_model **out, const char *path, uint64_t seed, zm_error *err)
{
    return open_model(out, path, &seed, err);
}

static void close_part(zm_part *p)
{
    zm_params_free(p->params);
    zm_weights_free(p->file);
}

void zm_model_close(zm_model *m)
{
    if (!m)
        return;
    zm_dit_free(m->dit);
    zm_text_encoder_free(m->text);
    zm_vae_free(m->vae);
    zm_tokenizer_free(m->tokenizer);
    close_part(&m->dit_part);
    close_part(&m->text_part);
    close_part(&m->vae_part);
    zm_model_config_close(&m->config);
    free(m);
}
