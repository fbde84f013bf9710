/* A film's place on disk: what is done, and the frames that the next window needs.
 *
 * One safetensors file.  Tensors: "carry", "held" u8 [n,height,width,3], those that are there; of a film made block by
 * block in the middle of a take also what the next block goes on from (kept.h).  Metadata: the
 * number of windows done, where the growing file is, and the film's identity in words.
 * SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"
#include "base/rng.h"
#include "format/safetensors_write.h"
#include "pipeline/film_parts.h"
#include "pipeline/saving.h"

static const char version[] = "2";

static zm_status hash_file(uint64_t *h, const char *path, zm_error *err)
{
    zm_map map;
    if (!path)
        return ZM_OK;
    zm_status s = zm_map_open(&map, path, err);
    if (s)
        return s;
    *h = zm_hash64(map.at, map.size, *h + 1);
    zm_map_close(&map);
    return ZM_OK;
}

static uint64_t hash_shots(const zm_film *f)
{
    uint64_t h = 0;
    for (int i = 0; i < f->reel.n_shots; i++) {
        const zm_reel_shot *s = &f->shot[i];
        int row[4] = {s->frames, s->transition, s->dissolve, s->picture};
        h = zm_hash64(row, sizeof row, h);
        if (f->r.shot) {
            h = zm_hash64(f->r.shot[i].prompt, strlen(f->r.shot[i].prompt), h);
            h = zm_identity_hash_image(f->r.shot[i].picture, h);
        }
    }
    return h;
}

static zm_status know(zm_film *f, zm_error *err)
{
    uint64_t videos = 0, mask = 0;
    if (f->id.n)
        return ZM_OK;
    zm_status s = zm_identity_of(&f->id, &f->about.clip, f->m, err);
    if (!s)
        s = hash_file(&videos, f->r.before, err);
    if (!s)
        s = hash_file(&videos, f->r.after, err);
    if (!s)
        s = hash_file(&videos, f->r.change, err);
    if (s)
        return s;
    const zm_frame *p = f->r.mask.picture;
    if (p)
        mask = zm_hash64(p->rgb, (size_t)p->width * (size_t)p->height * 3, 1);
    zm_identity_add(&f->id, "mode", "%s", f->about.mode->name);
    zm_identity_add(&f->id, "windows", "%d of %d frames", f->about.windows, f->reel.length);
    zm_identity_add(&f->id, "shots", "%016" PRIx64, hash_shots(f));
    zm_identity_add(&f->id, "videos", "%016" PRIx64, videos);
    zm_identity_add(&f->id, "change", "%.9g %" PRId64 "-%" PRId64 " %016" PRIx64, f->r.strength, f->r.mask.from,
                    f->r.mask.to, mask);
    return zm_identity_check(&f->id, err);
}

/* All frames of a stock, oldest first; malloc'd. */
static uint8_t *gather(const zm_stock *s, zm_weight *row, const char *name)
{
    size_t bytes = s->n ? (size_t)s->at[0].width * (size_t)s->at[0].height * 3 : 0;
    uint8_t *all = malloc(bytes * (size_t)s->n + 1);
    for (int i = 0; all && i < s->n; i++)
        memcpy(all + (size_t)i * bytes, zm_stock_at(s, i)->rgb, bytes);
    *row = (zm_weight){.name = name, .dtype = ZM_U8, .rank = 4, .data = all, .bytes = bytes * (size_t)s->n};
    row->dim[0] = s->n;
    row->dim[1] = s->n ? s->at[0].height : 0;
    row->dim[2] = s->n ? s->at[0].width : 0;
    row->dim[3] = 3;
    return all;
}

static void note(zm_meta *meta, size_t *n, const char *key, const char *text)
{
    meta[*n] = (zm_meta){.key = key, .type = ZM_META_STR, .n = strlen(text), .str = text};
    *n += 1;
}

/* Whether the window after those that are done goes on after latent frames. */
static bool goes_on(const zm_film *f)
{
    zm_window next;
    return f->reel.block && zm_reel_window(&next, &f->reel, f->done) && next.at;
}

zm_status zm_film_save(zm_film *f, const zm_film_mark *mark, zm_error *err)
{
    const zm_stock *stock[2] = {&f->carry, &f->held};
    static const char *const name[2] = {"carry", "held"};
    static const char *const key[4] = {"done", "frames", "bytes", "segments"};
    const int64_t value[4] = {f->done, mark->frames, mark->bytes, mark->segments};
    zm_weight *row = NULL;
    uint8_t *data[2] = {NULL, NULL};
    const zm_weight *past = NULL;
    size_t n_past = 0;
    zm_meta meta[ZM_IDENTITY_MAX + 5];
    char text[4][24];
    size_t n = 0;
    int rows = 0;
    zm_status s = know(f, err);
    if (!s && goes_on(f))
        s = zm_generator_past(f->g, &past, &n_past, err);
    if (s)
        return s;
    if (!(row = malloc((2 + n_past) * sizeof *row)))
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", f->watch->path);
    for (int i = 0; !s && i < 2; i++) {
        if (!stock[i]->n)
            continue;
        if (!(data[i] = gather(stock[i], &row[rows++], name[i])))
            s = zm_fail(err, ZM_E_NOMEM, "%s: out of memory", f->watch->path);
    }
    for (size_t i = 0; i < n_past; i++)
        row[rows++] = past[i];
    note(meta, &n, "zouma.film", version);
    for (int i = 0; i < 4; i++) {
        snprintf(text[i], sizeof text[i], "%" PRId64, value[i]);
        note(meta, &n, key[i], text[i]);
    }
    for (int i = 0; i < f->id.n; i++)
        note(meta, &n, f->id.row[i].key, f->id.row[i].value);
    if (!s)
        s = zm_safetensors_write(f->watch->path, row, (size_t)rows, meta, n, err);
    for (int i = 0; i < 2; i++)
        free(data[i]);
    free(row);
    return s;
}

static zm_status check(const zm_film *f, const zm_weights *w, zm_error *err)
{
    const char *is = zm_weights_meta_str(w, "zouma.film");
    if (!is || strcmp(is, version) != 0)
        return zm_fail(err, ZM_E_FORMAT, "%s: not the place of a film", zm_weights_path(w));
    for (int i = 0; i < f->id.n; i++) {
        const char *has = zm_weights_meta_str(w, f->id.row[i].key);
        if (!has || strcmp(has, f->id.row[i].value) != 0)
            return zm_fail(
                err, ZM_E_USAGE,
                "%s belongs to another film and cannot be resumed here: its %s is \"%.80s\", this one's \"%.80s\"",
                zm_weights_path(w), f->id.row[i].key, has ? has : "", f->id.row[i].value);
    }
    return ZM_OK;
}

static zm_status load_stock(zm_stock *s, const zm_weights *w, const char *name, zm_error *err)
{
    const zm_weight *t;
    if (!zm_weights_has(w, name))
        return ZM_OK;
    zm_status st = zm_weights_find(&t, w, name, err);
    if (st)
        return st;
    bool fits = t->dtype == ZM_U8 && t->rank == 4 && s->cap && t->dim[0] >= 1 && t->dim[0] <= s->cap &&
                t->dim[1] == s->at[0].height && t->dim[2] == s->at[0].width && t->dim[3] == 3;
    if (!fits)
        return zm_fail(err, ZM_E_FORMAT, "%s: tensor %s has another shape than this film's", zm_weights_path(w), name);
    size_t bytes = (size_t)t->dim[1] * (size_t)t->dim[2] * 3;
    for (int i = 0; i < (int)t->dim[0]; i++)
        memcpy(s->at[i].rgb, (const uint8_t *)t->data + (size_t)i * bytes, bytes);
    s->n = (int)t->dim[0];
    s->next = s->n % s->cap;
    return ZM_OK;
}

zm_status zm_film_load(zm_film *f, zm_film_mark *mark, bool *found, zm_error *err)
{
    zm_weights *w;
    uint64_t value[4] = {0};
    static const char *const key[4] = {"done", "frames", "bytes", "segments"};
    char text[96];
    *found = false;
    zm_sweep_parts(f->watch->path);
    if (!zm_path_is_file(f->watch->path))
        return ZM_OK;
    zm_status s = know(f, err);
    if (!s)
        s = zm_weights_open(&w, f->watch->path, err);
    if (s)
        return s;
    s = check(f, w, err);
    for (int i = 0; !s && i < 4; i++)
        if (!zm_weights_meta_u64(w, key[i], &value[i]) || value[i] > (uint64_t)1 << 50)
            s = zm_fail(err, ZM_E_FORMAT, "%s: %s is not a number", f->watch->path, key[i]);
    if (!s && (value[0] < 1 || value[0] >= (uint64_t)f->about.windows || value[3] > INT32_MAX))
        s = zm_fail(err, ZM_E_FORMAT, "%s: %llu of %d windows are done", f->watch->path, (unsigned long long)value[0],
                    f->about.windows);
    if (!s)
        s = load_stock(&f->carry, w, "carry", err);
    if (!s)
        s = load_stock(&f->held, w, "held", err);
    f->done = s ? 0 : (int)value[0];
    if (!s && goes_on(f))
        s = zm_generator_restore(f->g, w, err);
    zm_weights_free(w);
    if (s) {
        f->done = 0;
        return s;
    }
    zm_window next;
    if (!zm_reel_window(&next, &f->reel, f->done) || (!next.picture && next.head > f->carry.n) ||
        (next.shot && f->shot[next.shot].dissolve > f->held.n && next.first < zm_reel_frames(&f->reel)))
        return zm_fail(err, ZM_E_FORMAT, "%s: frames that the next window needs are not there", f->watch->path);
    *mark = (zm_film_mark){.frames = (int64_t)value[1], .bytes = (int64_t)value[2], .segments = (int)value[3]};
    *found = true;
    snprintf(text, sizeof text, "going on after window %d of %d", f->done, f->about.windows);
    if (f->watch->watch.note)
        f->watch->watch.note(f->watch->watch.user, text);
    return ZM_OK;
}
