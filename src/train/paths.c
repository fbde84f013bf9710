/* Paths on disk: opening parts, and making those that are missing.
 * SPDX-License-Identifier: MIT */
#include "train/paths.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mapfile.h"
#include "format/safetensors_write.h"
#include "train/paths_make.h"

zm_status zm_paths_schedule(zm_schedule *out, int steps, double shift, zm_error *err)
{
    return zm_schedule_build(out, zm_schedule_find(zm_solver_find("euler")->schedule), steps, shift, err);
}

static zm_status find(const zm_weight **t, const zm_weights *w, const char *name, zm_dtype dtype, int rank,
                      zm_error *err)
{
    zm_status s = zm_weights_find(t, w, name, err);
    if (!s && ((*t)->dtype != dtype || (*t)->rank != rank))
        s = zm_fail(err, ZM_E_FORMAT, "%s: %s is not what a file of paths has", zm_weights_path(w), name);
    return s;
}

/* Map a part.  ZM_E_FORMAT: of other paths. */
static zm_status open_part(zm_paths *p, zm_paths_part *part, const char *path, const char *key, int64_t n,
                           zm_error *err)
{
    const zm_weight *start, *velocity, *context, *given;
    zm_status s = zm_weights_open(&part->file, path, err);
    if (s)
        return s;
    const char *made_by = zm_weights_meta_str(part->file, "key");
    if (!made_by || strcmp(made_by, key) != 0)
        s = zm_fail(err, ZM_E_FORMAT, "%s: paths of another teacher or other settings", path);
    if (!s)
        s = find(&start, part->file, "start", ZM_F16, 6, err);
    if (!s)
        s = find(&velocity, part->file, "velocity", ZM_F16, 6, err);
    if (!s)
        s = find(&context, part->file, "context", ZM_F16, 3, err);
    if (!s)
        s = find(&given, part->file, "given", ZM_I32, 1, err);
    int64_t want[] = {n, p->schedule.steps, p->frames, p->height, p->width, p->z};
    if (!s && (memcmp(start->dim, want, sizeof want) != 0 || memcmp(velocity->dim, want, sizeof want) != 0 ||
               context->dim[0] != n || context->dim[1] != p->text_len || context->dim[2] != p->text_dim ||
               given->dim[0] != n || (uintptr_t)given->data % 4 || (uintptr_t)start->data % 2))
        s = zm_fail(err, ZM_E_FORMAT, "%s: tensors of paths do not fit together", path);
    if (s) {
        zm_weights_free(part->file);
        part->file = NULL;
        return s;
    }
    part->n = n;
    part->start = start->data;
    part->velocity = velocity->data;
    part->context = context->data;
    part->given = given->data;
    return ZM_OK;
}

static zm_status save_part(const char *path, const zm_paths *p, const zm_paths_made *m, const char *key, zm_error *err)
{
    size_t states = (size_t)(m->n * p->schedule.steps * p->frames * p->height) * (size_t)(p->width * p->z) * 2;
    zm_weight w[] = {
        /* widest elements first: each tensor stays aligned */
        {.name = "given", .dtype = ZM_I32, .rank = 1, .dim = {m->n}, .data = m->given, .bytes = (size_t)m->n * 4},
        {.name = "start",
         .dtype = ZM_F16,
         .rank = 6,
         .dim = {m->n, p->schedule.steps, p->frames, p->height, p->width, p->z},
         .data = m->start,
         .bytes = states},
        {.name = "velocity", .dtype = ZM_F16, .rank = 6, .data = m->velocity, .bytes = states},
        {.name = "context",
         .dtype = ZM_F16,
         .rank = 3,
         .dim = {m->n, p->text_len, p->text_dim},
         .data = m->context,
         .bytes = (size_t)(m->n * p->text_len * p->text_dim) * 2},
    };
    memcpy(w[2].dim, w[1].dim, sizeof w[1].dim);
    zm_meta meta[] = {{.key = "key", .type = ZM_META_STR, .str = key, .n = strlen(key)}};
    return zm_safetensors_write(path, w, sizeof w / sizeof *w, meta, 1, err);
}

static zm_status check(const zm_teacher *t, const zm_paths_options *o, zm_error *err)
{
    const zm_dit_config *c = zm_dit_config_of(t->dit);
    if (o->n < 1 || o->n > (int64_t)ZM_PATHS_PART * ZM_PATHS_PARTS_MAX)
        return zm_fail(err, ZM_E_USAGE, "%" PRId64 " paths; 1 to %d are possible", o->n,
                       ZM_PATHS_PART * ZM_PATHS_PARTS_MAX);
    if (o->steps < 1 || o->fine < 1 || o->steps * o->fine > ZM_SCHEDULE_MAX_STEPS)
        return zm_fail(err, ZM_E_USAGE, "%d steps of %d fine ones; at most %d in all are possible", o->steps, o->fine,
                       ZM_SCHEDULE_MAX_STEPS);
    if (c->in_dim != c->out_dim || c->patch_size[0] != 1 || c->img_dim || o->frames > ZM_PATHS_FRAMES_MAX)
        return zm_fail(err, ZM_E_UNSUPPORTED,
                       "only transformers that make video from text, one latent frame a patch and at most %d of them, "
                       "can be taught few steps",
                       ZM_PATHS_FRAMES_MAX);
    if (zm_text_encoder_config(t->text)->dim != c->text_dim)
        return zm_fail(err, ZM_E_SHAPE, "the text encoder is %d wide, the transformer takes %d",
                       zm_text_encoder_config(t->text)->dim, c->text_dim);
    return ZM_OK;
}

/* Make part i and put it on disk. */
static zm_status make_part(zm_paths *p, zm_paths_maker **maker, const char *path, int i, int64_t n,
                           const zm_clip_source *source, const zm_teacher *t, const zm_paths_options *o, zm_error *err)
{
    zm_paths_made made = {0};
    zm_status s = *maker ? ZM_OK : zm_paths_maker_new(maker, t, &p->schedule, o, err);
    if (!s)
        s = zm_paths_make(*maker, &made, source, (int64_t)i * ZM_PATHS_PART, n, err);
    if (!s)
        s = save_part(path, p, &made, o->key, err);
    zm_paths_made_release(&made);
    return s;
}

static zm_status all_parts(zm_paths *p, const char *dir, const char *prefix, const zm_clip_source *source,
                           const zm_teacher *t, const zm_paths_options *o, zm_error *err)
{
    zm_paths_maker *maker = NULL;
    zm_status s = ZM_OK;
    double started = zm_now();
    int made = 0, parts = (int)((o->n + ZM_PATHS_PART - 1) / ZM_PATHS_PART);
    for (int i = 0; !s && i < parts; i++) {
        int64_t left = o->n - (int64_t)i * ZM_PATHS_PART, n = left < ZM_PATHS_PART ? left : ZM_PATHS_PART;
        char name[64];
        snprintf(name, sizeof name, "%s-%d.safetensors", prefix, i);
        char *path = zm_path_join(dir, "%s", name);
        zm_error ignored = {0};
        if (!path)
            s = zm_fail(err, ZM_E_NOMEM, "out of memory for a path");
        else if (open_part(p, &p->part[i], path, o->key, n, &ignored)) {
            s = make_part(p, &maker, path, i, n, source, t, o, err);
            if (!s)
                s = open_part(p, &p->part[i], path, o->key, n, err);
            made++;
            if (!s && o->report) {
                double each = (zm_now() - started) / made;
                fprintf(o->report, "paths %" PRId64 "/%" PRId64 "  %.2f a second  %.0f s left\n",
                        (int64_t)i * ZM_PATHS_PART + n, o->n, ZM_PATHS_PART / each, each * (parts - i - 1));
                fflush(o->report);
            }
        }
        free(path);
        p->n_parts = i + 1;
        p->n += s ? 0 : n;
    }
    zm_paths_maker_free(maker);
    return s;
}

zm_status zm_paths_open(zm_paths **out, const char *dir, const char *prefix, const zm_clip_source *source,
                        const zm_teacher *t, const zm_paths_options *o, zm_error *err)
{
    *out = NULL;
    zm_status s = check(t, o, err);
    if (s)
        return s;
    const zm_dit_config *c = zm_dit_config_of(t->dit);
    zm_paths *p = calloc(1, sizeof *p);
    if (!p)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for paths");
    *p = (zm_paths){.back = zm_paths_back(t, o),
                    .frames = o->frames,
                    .height = o->height,
                    .width = o->width,
                    .z = c->in_dim,
                    .text_len = c->text_len,
                    .text_dim = c->text_dim};
    s = zm_paths_schedule(&p->schedule, o->steps, o->shift, err);
    if (!s)
        s = all_parts(p, dir, prefix, source, t, o, err);
    if (s)
        zm_paths_close(p);
    else
        *out = p;
    return s;
}

void zm_paths_close(zm_paths *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->n_parts; i++)
        zm_weights_free(p->part[i].file);
    zm_schedule_release(&p->schedule);
    free(p);
}

int64_t zm_paths_back_count(const zm_paths *p)
{
    int64_t rest = p->n % ZM_PATHS_BATCH;
    return p->n / ZM_PATHS_BATCH * p->back + (rest < p->back ? rest : p->back);
}

int64_t zm_paths_pick(const zm_paths *p, bool back, int64_t k)
{
    int each = back ? p->back : ZM_PATHS_BATCH - p->back;
    return k / each * ZM_PATHS_BATCH + k % each + (back ? 0 : p->back);
}

int zm_paths_get(const zm_paths *p, int64_t i, int step, float *start, float *velocity, float *context)
{
    ZM_ASSERT(i >= 0 && i < p->n && step >= 0 && step < p->schedule.steps);
    const zm_paths_part *part = &p->part[i / ZM_PATHS_PART];
    int64_t k = i % ZM_PATHS_PART;
    size_t each = (size_t)p->frames * (size_t)(p->height * p->width) * (size_t)p->z,
           words = (size_t)p->text_len * (size_t)p->text_dim,
           at = ((size_t)k * (size_t)p->schedule.steps + (size_t)step) * each;
    zm_dtype_to_f32(start, part->start + at, ZM_F16, each);
    zm_dtype_to_f32(velocity, part->velocity + at, ZM_F16, each);
    zm_dtype_to_f32(context, part->context + (size_t)k * words, ZM_F16, words);
    return part->given[k];
}
