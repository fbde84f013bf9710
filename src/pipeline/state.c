/* Saving and restoring runs.
 * SPDX-License-Identifier: MIT */
#include "pipeline/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/safetensors_write.h"

static const char version[] = "3";
static const char *const slot_name[ZM_SLOT_COUNT] = {"latent", NULL, "last", "x0.a", "x0.b", "x0.c"};
static const char *const seen_name[ZM_SEEN_COUNT] = {"seen.v1", "seen.v2", "seen.x1", "seen.before"};

/* ---- writing ---- */

typedef struct table {
    zm_weight row[ZM_SLOT_COUNT + ZM_SEEN_COUNT + 7];
    int n;
} table;

static void put(table *t, const char *name, void *data, int rank, const int64_t *dim)
{
    zm_weight *w = &t->row[t->n++];
    *w = (zm_weight){.name = name, .dtype = ZM_F32, .rank = rank, .data = data};
    size_t elems = 1;
    for (int i = 0; i < rank; i++) {
        w->dim[i] = dim[i];
        elems *= (size_t)dim[i];
    }
    w->bytes = elems * sizeof(float);
}

static int64_t rows_used(const zm_contexts *c)
{
    int64_t rows = 1, all = (int64_t)c->n * c->len;
    for (int64_t i = 0; i < all; i++)
        for (int64_t k = 0; i % c->len >= rows && k < c->dim; k++)
            if (c->at[i * c->dim + k] != 0)
                rows = i % c->len + 1;
    return rows;
}

static void list(table *t, const zm_denoise *d, const zm_latent_plan *p, bool finished)
{
    const zm_latent_size *z = &d->size;
    const int64_t latent[] = {z->frames, z->height, z->width, z->z};
    const int64_t extra[] = {z->frames, z->height, z->width, p->channels}, frames[] = {z->frames};
    for (int i = 0; i < ZM_SLOT_COUNT; i++)
        if (slot_name[i] && d->slot[i] && (i == ZM_SLOT_X || !finished))
            put(t, slot_name[i], d->slot[i], 4, latent);
    if (finished)
        return;
    for (int i = 0; i < ZM_SEEN_COUNT && d->seen[i]; i++)
        put(t, seen_name[i], d->seen[i], 4, latent);
    put(t, "plan.level", p->level, 1, frames);
    if (p->latent)
        put(t, "plan.latent", p->latent, 4, latent);
    if (p->extra)
        put(t, "plan.extra", p->extra, 4, extra);
    if (p->keep) {
        put(t, "plan.noise", p->noise, 4, latent);
        put(t, "plan.keep", p->keep, 3, latent);
    }
}

static void note(zm_meta *meta, size_t *n, const char *key, const char *text)
{
    meta[*n] = (zm_meta){.key = key, .type = ZM_META_STR, .n = strlen(text), .str = text};
    *n += 1;
}

/* What is known of the velocity's changes, exactly. */
static void print_skip(char *out, size_t cap, const zm_skip *k)
{
    snprintf(out, cap, "%d %d %a %a %a %a", k->seen, k->left_out, k->rate, k->drift, k->timestep[0], k->timestep[1]);
}

static zm_status read_skip(zm_skip *k, const zm_weights *w, zm_error *err)
{
    const char *text = zm_weights_meta_str(w, "skip");
    zm_skip got = {.quality = k->quality};
    if (!text ||
        sscanf(text, "%d %d %la %la %la %la", &got.seen, &got.left_out, &got.rate, &got.drift, &got.timestep[0],
               &got.timestep[1]) != 6 ||
        got.seen < 0 || got.seen > 2 || got.left_out < 0)
        return zm_fail(err, ZM_E_FORMAT, "%s: skip is \"%.80s\", six numbers were expected", zm_weights_path(w),
                       text ? text : "");
    *k = got;
    return ZM_OK;
}

zm_status zm_state_save(const char *path, const zm_identity *id, const zm_denoise *d, const zm_latent_plan *plan,
                        const zm_contexts *contexts, zm_error *err)
{
    bool finished = d->next >= d->schedule.steps;
    char step[16], skip[160];
    table t = {.n = 0};
    zm_meta meta[ZM_IDENTITY_MAX + 3];
    size_t n = 0;
    snprintf(step, sizeof step, "%d", d->next);
    print_skip(skip, sizeof skip, &d->skip);
    note(meta, &n, "zouma.state", version);
    note(meta, &n, "step", step);
    note(meta, &n, "skip", skip);
    for (int i = 0; i < id->n; i++)
        note(meta, &n, id->row[i].key, id->row[i].value);
    list(&t, d, plan, finished);
    float *text = NULL;
    if (!finished) {
        int64_t rows = rows_used(contexts), each = rows * contexts->dim;
        const int64_t dim[] = {contexts->n, rows, contexts->dim};
        if (!(text = malloc((size_t)(contexts->n * each) * sizeof *text)))
            return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
        for (int b = 0; b < contexts->n; b++)
            memcpy(text + b * each, contexts->at + (int64_t)b * contexts->len * contexts->dim,
                   (size_t)each * sizeof *text);
        put(&t, "context", text, 3, dim);
        if (plan->image)
            put(&t, "image", plan->image, 2, (const int64_t[]){plan->image_tokens, plan->image_dim});
    }
    zm_status s = zm_safetensors_write(path, t.row, (size_t)t.n, meta, n, err);
    free(text);
    return s;
}

/* ---- reading ---- */

static zm_status check(const zm_weights *w, const zm_identity *id, zm_error *err)
{
    const char *is = zm_weights_meta_str(w, "zouma.state");
    if (!is || strcmp(is, version) != 0)
        return zm_fail(err, ZM_E_FORMAT, "%s: not the state of a run", zm_weights_path(w));
    for (int i = 0; i < id->n; i++) {
        const char *has = zm_weights_meta_str(w, id->row[i].key);
        if (!has || strcmp(has, id->row[i].value) != 0)
            return zm_fail(
                err, ZM_E_USAGE,
                "%s belongs to another run and cannot be resumed here: its %s is \"%.80s\", this one's \"%.80s\"",
                zm_weights_path(w), id->row[i].key, has ? has : "", id->row[i].value);
    }
    return ZM_OK;
}

/* Tensor `want` of the file, whose dims (-1: any) must be the table's; NULL data: nothing is copied. */
static zm_status take(const zm_weight **out, const zm_weights *w, const zm_weight *want, zm_error *err)
{
    zm_status s = zm_weights_find(out, w, want->name, err);
    if (s)
        return s;
    bool fits = (*out)->dtype == ZM_F32 && (*out)->rank == want->rank;
    for (int i = 0; fits && i < want->rank; i++)
        fits = want->dim[i] < 0 || (*out)->dim[i] == want->dim[i];
    return fits ? ZM_OK
                : zm_fail(err, ZM_E_FORMAT, "%s: tensor %s has another shape than this run's", zm_weights_path(w),
                          want->name);
}

static zm_status copy(float *to, const zm_weights *w, const zm_weight *want, zm_error *err)
{
    const zm_weight *t;
    zm_status s = take(&t, w, want, err);
    if (!s)
        memcpy(to, t->data, t->bytes);
    return s;
}

static zm_status grow(float **to, const zm_weights *w, const zm_weight *want, const zm_weight **found, zm_error *err)
{
    zm_status s = take(found, w, want, err);
    if (s)
        return s;
    free(*to);
    if (!(*to = malloc((*found)->bytes + sizeof **to)))
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory for %s", zm_weights_path(w), want->name);
    memcpy(*to, (*found)->data, (*found)->bytes);
    return ZM_OK;
}

static zm_status load_plan(const zm_weights *w, zm_latent_plan *p, zm_error *err)
{
    const zm_latent_size *z = &p->size;
    const zm_weight *t;
    zm_status s = copy(p->level, w, &(zm_weight){.name = "plan.level", .rank = 1, .dim = {z->frames}}, err);
    if (!s && zm_weights_has(w, "plan.latent"))
        s = grow(&p->latent, w,
                 &(zm_weight){.name = "plan.latent", .rank = 4, .dim = {z->frames, z->height, z->width, z->z}}, &t,
                 err);
    if (!s && zm_weights_has(w, "plan.keep"))
        s = grow(&p->keep, w, &(zm_weight){.name = "plan.keep", .rank = 3, .dim = {z->frames, z->height, z->width}}, &t,
                 err);
    if (!s && p->keep)
        s = grow(&p->noise, w,
                 &(zm_weight){.name = "plan.noise", .rank = 4, .dim = {z->frames, z->height, z->width, z->z}}, &t, err);
    if (!s && p->keep && !p->latent)
        s = zm_fail(err, ZM_E_MISSING, "%s: no tensor plan.latent", zm_weights_path(w));
    for (int f = 0; !s && f < z->frames; f++)
        if (!(p->level[f] >= 0 && p->level[f] <= 1) || (p->level[f] < 1 && !p->latent))
            s = zm_fail(err, ZM_E_FORMAT, "%s: latent frame %d is given at level %g, but not there", zm_weights_path(w),
                        f, (double)p->level[f]);
    if (!s && zm_weights_has(w, "plan.extra")) {
        s = grow(&p->extra, w,
                 &(zm_weight){.name = "plan.extra", .rank = 4, .dim = {z->frames, z->height, z->width, p->channels}},
                 &t, err);
    } else if (!s && p->channels) {
        s = zm_fail(err, ZM_E_MISSING, "%s: no tensor plan.extra", zm_weights_path(w));
    }
    if (!s && p->image_dim) {
        s = grow(&p->image, w, &(zm_weight){.name = "image", .rank = 2, .dim = {-1, p->image_dim}}, &t, err);
        if (!s && (t->dim[0] < 1 || t->dim[0] > 1 << 14))
            s = zm_fail(err, ZM_E_FORMAT, "%s: %lld rows of picture features", zm_weights_path(w),
                        (long long)t->dim[0]);
        p->image_tokens = s ? 0 : (int)t->dim[0];
    }
    return s;
}

static zm_status load_contexts(const zm_weights *w, zm_contexts *c, zm_error *err)
{
    const zm_weight *t;
    zm_status s = take(&t, w, &(zm_weight){.name = "context", .rank = 3, .dim = {c->n, -1, c->dim}}, err);
    if (!s && t->dim[1] > c->len)
        s = zm_fail(err, ZM_E_FORMAT, "%s: tensor context has %lld rows, more than %d", zm_weights_path(w),
                    (long long)t->dim[1], c->len);
    if (s)
        return s;
    size_t each = (size_t)t->dim[1] * (size_t)c->dim, whole = (size_t)c->len * (size_t)c->dim;
    memset(c->at, 0, (size_t)c->n * whole * sizeof *c->at);
    for (int b = 0; b < c->n; b++)
        memcpy(c->at + (size_t)b * whole, (const char *)t->data + (size_t)b * each * sizeof *c->at,
               each * sizeof *c->at);
    return ZM_OK;
}

static zm_status load_run(const zm_weights *w, int step, zm_denoise *d, zm_latent_plan *p, zm_contexts *c,
                          zm_error *err)
{
    const zm_latent_size *z = &d->size;
    bool finished = step == d->schedule.steps;
    zm_status s = ZM_OK;
    for (int i = 0; !s && i < ZM_SLOT_COUNT; i++)
        if (slot_name[i] && d->slot[i] && (i == ZM_SLOT_X || !finished))
            s = copy(d->slot[i], w,
                     &(zm_weight){.name = slot_name[i], .rank = 4, .dim = {z->frames, z->height, z->width, z->z}}, err);
    for (int i = 0; !s && !finished && i < ZM_SEEN_COUNT && d->seen[i]; i++)
        s = copy(d->seen[i], w,
                 &(zm_weight){.name = seen_name[i], .rank = 4, .dim = {z->frames, z->height, z->width, z->z}}, err);
    if (!s && !finished)
        s = read_skip(&d->skip, w, err);
    if (!s && !finished)
        s = load_plan(w, p, err);
    if (!s && !finished)
        s = load_contexts(w, c, err);
    return s;
}

zm_status zm_state_load(const char *path, const zm_identity *id, zm_denoise *d, zm_latent_plan *plan,
                        zm_contexts *contexts, zm_error *err)
{
    zm_weights *w;
    uint64_t step = 0;
    zm_status s = zm_weights_open(&w, path, err);
    if (s)
        return s;
    s = check(w, id, err);
    if (!s && (!zm_weights_meta_u64(w, "step", &step) || step < 1 || step > (uint64_t)d->schedule.steps))
        s = zm_fail(err, ZM_E_FORMAT, "%s: step is not one of 1 to %d", path, d->schedule.steps);
    if (!s)
        s = load_run(w, (int)step, d, plan, contexts, err);
    if (!s) {
        d->first = zm_denoise_first(d, plan);
        d->next = (int)step;
        if (d->next < d->first)
            s = zm_fail(err, ZM_E_FORMAT, "%s: step %d comes before the run's first, %d", path, d->next, d->first);
    }
    zm_weights_free(w);
    return s;
}

bool zm_state_seed(const char *path, uint64_t *seed)
{
    zm_weights *w;
    if (zm_weights_open(&w, path, NULL))
        return false;
    const char *is = zm_weights_meta_str(w, "zouma.state");
    bool ours =
        ((is && !strcmp(is, version)) || zm_weights_meta_str(w, "zouma.film")) && zm_weights_meta_u64(w, "seed", seed);
    zm_weights_free(w);
    return ours;
}
