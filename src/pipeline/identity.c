/* The identity of a run.
 * SPDX-License-Identifier: MIT */
#include "pipeline/identity.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"
#include "base/rng.h"

void zm_identity_add(zm_identity *id, const char *key, const char *fmt, ...)
{
    ZM_ASSERT(id->n < ZM_IDENTITY_MAX);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *text = malloc((size_t)n + 1);
    if (text) {
        va_start(ap, fmt);
        vsnprintf(text, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    id->row[id->n].key = key;
    id->row[id->n++].value = text;
}

uint64_t zm_identity_hash_image(const zm_image *i, uint64_t h)
{
    if (!i)
        return h;
    h = zm_hash64(&i->width, sizeof i->width, h);
    h = zm_hash64(&i->height, sizeof i->height, h);
    return zm_hash64(i->rgb, (size_t)i->width * (size_t)i->height * 3 * sizeof *i->rgb, h);
}

static uint64_t hash_known(const zm_request *r, const zm_model *m)
{
    const zm_known *k = r->known;
    size_t frame = (size_t)r->width * (size_t)r->height * 3 * sizeof(float);
    zm_latent_size z = zm_latent_size_of(r, m);
    uint64_t h = 0;
    if (!k)
        return 0;
    if (k->head)
        h = zm_hash64(k->head, (size_t)k->n_head * frame, h + 1);
    if (k->tail)
        h = zm_hash64(k->tail, (size_t)k->n_tail * frame, h + 2);
    if (k->all)
        h = zm_hash64(k->all, (size_t)(1 + (z.frames - 1) * m->time_stride) * frame, h + 3);
    if (k->repaint)
        h = zm_hash64(k->repaint, (size_t)(z.each / z.z), h + 4);
    h = zm_hash64(&k->n_head, sizeof k->n_head, h);
    return zm_hash64(&k->strength, sizeof k->strength, h);
}

static uint64_t hash_supplied(const zm_request *r, const zm_model *m)
{
    const zm_supplied *s = r->supplied;
    uint64_t h = 0;
    if (!s)
        return 0;
    for (int i = 0; i < 2; i++)
        if (s->context[i])
            h = zm_hash64(s->context[i], (size_t)s->rows[i] * (size_t)m->config.dit.text_dim * sizeof(float), h + 1);
    if (s->noise)
        h = zm_hash64(s->noise, (size_t)zm_latent_size_of(r, m).each * sizeof(float), h + 1);
    if (s->features)
        h = zm_hash64(s->features, (size_t)s->feature_rows * (size_t)m->config.dit.img_dim * sizeof(float), h + 1);
    return h;
}

static zm_status hash_file(uint64_t *h, const char *path, zm_error *err)
{
    zm_map map;
    zm_status s = zm_map_open(&map, path, err);
    if (s)
        return s;
    *h = zm_hash64(map.at, map.size, *h);
    zm_map_close(&map);
    return ZM_OK;
}

/* Adapters by their bytes: a file of the same name may be another one tomorrow. */
static zm_status hash_loras(uint64_t *out, const zm_model *m, zm_error *err)
{
    uint64_t h = 0;
    zm_status s = m->fast ? hash_file(&h, m->config.fast.adapter, err) : ZM_OK;
    for (int i = 0; !s && i < m->n_lora; i++) {
        s = hash_file(&h, m->lora[i].path, err);
        h = zm_hash64(&m->lora[i].strength, sizeof m->lora[i].strength, h);
    }
    *out = h;
    return s;
}

zm_status zm_identity_of(zm_identity *out, const zm_request *r, const zm_model *m, zm_error *err)
{
    uint64_t weights = 0, key, loras = 0;
    *out = (zm_identity){0};
    for (int k = 0; k < ZM_PART_COUNT; k++) {
        zm_status s = zm_model_part_key(&key, m, k, err);
        if (s)
            return s;
        weights = zm_hash64(&key, sizeof key, weights);
    }
    zm_status s = hash_loras(&loras, m, err);
    if (s)
        return s;
    zm_identity_add(out, "weights", "%016" PRIx64, weights);
    zm_identity_add(out, "adapters", "%016" PRIx64, loras);
    zm_identity_add(out, "prompt", "%s", r->prompt ? r->prompt : "");
    zm_identity_add(out, "negative prompt", "%s", r->negative);
    zm_identity_add(out, "size", "%dx%d", r->width, r->height);
    zm_identity_add(out, "latent frames", "%d", zm_latent_size_of(r, m).frames);
    zm_identity_add(out, "steps", "%d", r->steps);
    zm_identity_add(out, "guidance", "%.9g", r->guidance);
    zm_identity_add(out, "guidance at low noise", "%.9g", r->guidance_low);
    zm_identity_add(out, "noise levels of guidance", "%.9g-%.9g", r->guidance_from, r->guidance_to);
    zm_identity_add(out, "shift", "%.9g", r->shift);
    zm_identity_add(out, "solver", "%s", r->solver);
    zm_identity_add(out, "quality", "%s", r->quality);
    zm_identity_add(out, "precision", "%s", zm_precision_name(r->precision));
    zm_identity_add(out, "seed", "%" PRIu64, r->seed);
    zm_identity_add(out, "pictures", "%016" PRIx64,
                    zm_identity_hash_image(r->last, zm_identity_hash_image(r->first, 0)));
    zm_identity_add(out, "given frames", "%016" PRIx64, hash_known(r, m));
    zm_identity_add(out, "loop", "%d", r->loop);
    zm_identity_add(out, "whole", "%d", r->whole);
    zm_identity_add(out, "frames before", "%" PRId64 " %016" PRIx64, r->at, r->before);
    zm_identity_add(out, "supplied", "%016" PRIx64, hash_supplied(r, m));
    return zm_identity_check(out, err);
}

zm_status zm_identity_check(zm_identity *id, zm_error *err)
{
    for (int i = 0; i < id->n; i++)
        if (!id->row[i].value) {
            zm_identity_release(id);
            return zm_fail(err, ZM_E_NOMEM, "out of memory");
        }
    return ZM_OK;
}

void zm_identity_release(zm_identity *id)
{
    for (int i = 0; i < id->n; i++)
        free(id->row[i].value);
    *id = (zm_identity){0};
}
