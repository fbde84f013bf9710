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

static void add(zm_identity *id, const char *key, const char *fmt, ...) ZM_PRINTF(3, 4);
static void add(zm_identity *id, const char *key, const char *fmt, ...)
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

static uint64_t hash_image(const zm_image *i, uint64_t h)
{
    if (!i)
        return h;
    h = zm_hash64(&i->width, sizeof i->width, h);
    h = zm_hash64(&i->height, sizeof i->height, h);
    return zm_hash64(i->rgb, (size_t)i->width * (size_t)i->height * 3 * sizeof *i->rgb, h);
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

/* Adapters by their bytes: a file of the same name may be another one tomorrow. */
static zm_status hash_loras(uint64_t *out, const zm_model *m, zm_error *err)
{
    uint64_t h = 0;
    for (int i = 0; i < m->n_lora; i++) {
        zm_map map;
        zm_status s = zm_map_open(&map, m->lora[i].path, err);
        if (s)
            return s;
        h = zm_hash64(map.at, map.size, h);
        h = zm_hash64(&m->lora[i].strength, sizeof m->lora[i].strength, h);
        zm_map_close(&map);
    }
    *out = h;
    return ZM_OK;
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
    add(out, "weights", "%016" PRIx64, weights);
    add(out, "adapters", "%016" PRIx64, loras);
    add(out, "prompt", "%s", r->prompt ? r->prompt : "");
    add(out, "negative prompt", "%s", r->negative);
    add(out, "size", "%dx%d", r->width, r->height);
    add(out, "latent frames", "%d", zm_latent_size_of(r, m).frames);
    add(out, "steps", "%d", r->steps);
    add(out, "guidance", "%.9g", r->guidance);
    add(out, "guidance at low noise", "%.9g", r->guidance_low);
    add(out, "shift", "%.9g", r->shift);
    add(out, "solver", "%s", r->solver);
    add(out, "quality", "%s", r->quality);
    add(out, "seed", "%" PRIu64, r->seed);
    add(out, "pictures", "%016" PRIx64, hash_image(r->last, hash_image(r->first, 0)));
    add(out, "supplied", "%016" PRIx64, hash_supplied(r, m));
    for (int i = 0; i < out->n; i++)
        if (!out->row[i].value) {
            zm_identity_release(out);
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
