/* Opening models, and their networks when they are needed.
 * SPDX-License-Identifier: MIT */
#include "pipeline/model.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "model/lora.h"
#include "pipeline/tokenizer_inside.h"

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

static void part_close(zm_part *p)
{
    zm_dit_free(p->dit);
    zm_text_encoder_free(p->text);
    zm_vae_free(p->vae);
    zm_clip_free(p->clip);
    zm_adapter_free(p->adapter);
    zm_params_free(p->params);
    zm_weights_free(p->file);
    *p = (zm_part){0};
}

/* The picture encoder's sizes are told by its tensors alone. */
static zm_status declare_clip(zm_part *p, zm_error *err)
{
    zm_clip_config c;
    const char *prefix = zm_weights_has(p->file, "visual.cls_embedding") ? "visual." : "";
    zm_status s = zm_clip_config_detect(&c, p->file, prefix, err);
    return s ? s : zm_clip_declare(&p->clip, &c, p->params, prefix, err);
}

static zm_status part_declare(zm_part *p, const zm_model_config *c, zm_model_part_kind kind, zm_error *err)
{
    if (!(p->params = zm_params_new()))
        return zm_fail(err, ZM_E_NOMEM, "out of memory for parameters");
    switch (kind) {
    case ZM_PART_TEXT:
        return zm_text_encoder_declare(&p->text, &c->text, p->params, NULL, err);
    case ZM_PART_VAE:
        zm_params_only_read(p->params); /* one half of it is used at a time; the other need not be in memory */
        return zm_vae_declare(&p->vae, &c->vae, p->params, "", err);
    case ZM_PART_CLIP:
        return declare_clip(p, err);
    default:
        return zm_dit_declare(&p->dit, &c->dit, p->params, NULL, err);
    }
}

static zm_status add_lora(zm_part *p, const char *path, float strength, zm_error *err)
{
    zm_weights *w = NULL;
    int skipped;
    zm_status s = zm_weights_open(&w, path, err);
    if (!s)
        s = zm_adapter_add(p->adapter, w, strength, &skipped, err);
    zm_weights_free(w);
    return s;
}

static zm_status apply_loras(zm_model *m, zm_part *p, zm_error *err)
{
    if (!m->n_lora && !m->fast)
        return ZM_OK;
    zm_status s = zm_adapter_new(&p->adapter, p->params, err);
    if (!s && m->fast)
        s = add_lora(p, m->config.fast.adapter, 1, err);
    for (int i = 0; !s && i < m->n_lora; i++)
        s = add_lora(p, m->lora[i].path, m->lora[i].strength, err);
    return s ? s : zm_adapter_apply(p->adapter, &p->attached, err);
}

zm_status zm_model_need(zm_model *m, zm_model_part_kind kind, zm_error *err)
{
    zm_part *p = &m->part[kind];
    bool random = m->untrained && (kind == ZM_PART_DIT || kind == ZM_PART_DIT_LOW || kind == ZM_PART_TEXT);
    bool transformer = kind == ZM_PART_DIT || kind == ZM_PART_DIT_LOW;
    if (p->open)
        return ZM_OK;
    zm_status s = random ? ZM_OK : zm_model_part_open(&p->file, &m->config, kind, err);
    if (!s)
        s = part_declare(p, &m->config, kind, err);
    if (!s && random)
        s = zm_params_fill(p->params, m->seed, err);
    else if (!s)
        s = zm_params_load(p->params, p->file, "", zm_params_elems(p->params) * 4 <= EXPAND_BYTES, err);
    if (!s && transformer)
        s = apply_loras(m, p, err);
    p->open = !s;
    if (s)
        part_close(p);
    return s;
}

void zm_model_drop(zm_model *m, zm_model_part_kind kind)
{
    if (!m->keep)
        part_close(&m->part[kind]);
}

/* What can be known before any weight is read: sizes that must fit together, and whether all of it is small. */
static zm_status survey(zm_model *m, zm_error *err)
{
    const zm_model_config *c = &m->config;
    int64_t elems = 0;
    if (!c->dit_path || !c->has_vae || !c->vae_path)
        return zm_fail(err, ZM_E_MISSING, "%s: no %s is there", c->name,
                       zm_model_part_name(c->dit_path ? ZM_PART_VAE : ZM_PART_DIT));
    for (int k = 0; k < ZM_PART_COUNT; k++) {
        zm_part p = {0};
        if (k == ZM_PART_CLIP || !zm_model_part_path(c, k) || (k == ZM_PART_TEXT && !c->has_text))
            continue;
        zm_status s = part_declare(&p, c, k, err);
        if (!s)
            elems += zm_params_elems(p.params);
        if (!s && k == ZM_PART_VAE) {
            m->stride = zm_vae_spatial_stride(p.vae);
            m->time_stride = zm_vae_temporal_stride(p.vae);
            m->z_dim = zm_vae_z_dim(p.vae);
        }
        part_close(&p);
        if (s)
            return s;
    }
    m->keep = !c->clip_path && elems * 4 <= EXPAND_BYTES;
    if (m->z_dim != c->dit.out_dim)
        return zm_fail(err, ZM_E_SHAPE, "%s: the autoencoder has %d latent channels, the transformer %d", c->name,
                       m->z_dim, c->dit.out_dim);
    if (c->has_text && c->text.dim != c->dit.text_dim)
        return zm_fail(err, ZM_E_SHAPE, "%s: the text encoder is %d wide, the transformer takes %d", c->name,
                       c->text.dim, c->dit.text_dim);
    return ZM_OK;
}

static zm_status read_tokenizer(zm_model *m, zm_error *err)
{
    const zm_model_config *c = &m->config;
    zm_status s = c->tokenizer_path ? zm_tokenizer_load(&m->tokenizer, c->tokenizer_path, err)
                  : c->text_path    ? zm_tokenizer_inside(&m->tokenizer, c->text_path, err)
                                    : ZM_OK;
    if (s || !m->tokenizer)
        return s;
    if (c->has_text && (int64_t)zm_tokenizer_count(m->tokenizer) > c->text.vocab)
        s = zm_fail(err, ZM_E_SHAPE, "%s: %zu pieces, the text encoder has %d",
                    c->tokenizer_path ? c->tokenizer_path : c->text_path, zm_tokenizer_count(m->tokenizer),
                    c->text.vocab);
    return s;
}

zm_status zm_model_open_config(zm_model **out, zm_model_config *c, zm_error *err)
{
    *out = NULL;
    zm_model *m = calloc(1, sizeof *m);
    if (!m) {
        zm_model_config_close(c);
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a model");
    }
    m->config = *c;
    *c = (zm_model_config){0};
    zm_status s = survey(m, err);
    if (!s)
        s = read_tokenizer(m, err);
    if (s)
        zm_model_close(m);
    else
        *out = m;
    return s;
}

zm_status zm_model_open_with(zm_model **out, const char *path, const zm_model_files *told, zm_error *err)
{
    zm_model_config c;
    *out = NULL;
    zm_status s = zm_model_config_open_with(&c, path, told, err);
    return s ? s : zm_model_open_config(out, &c, err);
}

zm_status zm_model_open(zm_model **out, const char *path, zm_error *err)
{
    return zm_model_open_with(out, path, NULL, err);
}

zm_status zm_model_open_untrained(zm_model **out, const char *path, uint64_t seed, zm_error *err)
{
    zm_status s = zm_model_open(out, path, err);
    if (!s) {
        (*out)->untrained = true;
        (*out)->seed = seed;
    }
    return s;
}

zm_status zm_model_add_lora(zm_model *m, const char *path, float strength, zm_error *err)
{
    if (m->n_lora == ZM_MODEL_LORAS_MAX)
        return zm_fail(err, ZM_E_USAGE, "%s is one adapter too many; %d can be applied", path, ZM_MODEL_LORAS_MAX);
    zm_model_lora *l = &m->lora[m->n_lora];
    *l = (zm_model_lora){.path = strdup(path), .strength = strength};
    if (!l->path)
        return zm_fail(err, ZM_E_NOMEM, "out of memory");
    m->n_lora++;
    return ZM_OK;
}

void zm_model_use_fast(zm_model *m, bool fast)
{
    ZM_ASSERT(!fast || m->config.fast.adapter);
    if (m->fast != fast) {
        part_close(&m->part[ZM_PART_DIT]);
        part_close(&m->part[ZM_PART_DIT_LOW]);
    }
    m->fast = fast;
}

void zm_model_close(zm_model *m)
{
    if (!m)
        return;
    for (int k = 0; k < ZM_PART_COUNT; k++)
        part_close(&m->part[k]);
    for (int i = 0; i < m->n_lora; i++)
        free(m->lora[i].path);
    zm_tokenizer_free(m->tokenizer);
    zm_model_config_close(&m->config);
    free(m);
}

zm_status zm_model_part_key(uint64_t *out, const zm_model *m, zm_model_part_kind part, zm_error *err)
{
    enum { TENSORS = 64, BYTES = 256 };
    zm_weights *w;
    *out = 0;
    if (!zm_model_part_path(&m->config, part))
        return ZM_OK;
    zm_status s = zm_model_part_open(&w, &m->config, part, err);
    if (s)
        return s;
    size_t n = zm_weights_count(w), stride = n / TENSORS + 1;
    uint64_t h = zm_hash64(&n, sizeof n, 0);
    for (size_t i = 0; i < n; i++) {
        const zm_weight *t = zm_weights_at(w, i);
        h = zm_hash64(t->name, strlen(t->name), h);
        h = zm_hash64(t->dim, (size_t)t->rank * sizeof *t->dim, h);
        h = zm_hash64(&t->bytes, sizeof t->bytes, h);
        if (i % stride)
            continue;
        size_t bytes = t->bytes < BYTES ? t->bytes : BYTES;
        h = zm_hash64((const char *)t->data + (t->bytes - bytes) / 2, bytes, h); /* from the middle */
    }
    zm_weights_free(w);
    *out = m->untrained ? zm_hash64(&m->seed, sizeof m->seed, h) : h;
    return ZM_OK;
}
