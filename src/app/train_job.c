/* What the stages of `zouma train` share, and the autoencoder's stage.
 * SPDX-License-Identifier: MIT */
#include "app/train_job.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "app/common.h"
#include "app/samples.h"
#include "app/train_start.h"
#include "base/mapfile.h"
#include "format/gguf_write.h"
#include "train/vae_stage.h"

static const char *const stage_name[] = {"vae", "dit", "detector", "distill"};

static zm_status open_data(zm_job *job, zm_error *err)
{
    const zm_train_config *c = &job->c;
    if (c->data_kind != ZM_DATA_WORLD)
        return zm_job_open_folder(job, err);
    job->world = (zm_world_source){.world = {.width = job->width,
                                             .height = job->height,
                                             .frames = job->data_frames > job->frames ? job->data_frames : job->frames,
                                             .fps = (float)job->fps,
                                             .split = ZM_SPLIT_TRAIN,
                                             .level = (int)c->data_level,
                                             .sustained = (float)c->data_sustained,
                                             .things = (float)c->data_things},
                                   .seed = (uint64_t)c->data_seed,
                                   .frames = job->data_frames};
    zm_status s = zm_world_card_new(&job->world.card, &job->world.world, 0, err);
    if (s)
        return s;
    job->world_held = job->world;
    job->world_held.seed = 77; /* scenes that no training seed reaches */
    job->train = zm_world_source_interface(&job->world);
    job->held = zm_world_source_interface(&job->world_held);
    return ZM_OK;
}

zm_status zm_job_open(zm_job *job, zm_error *err)
{
    const zm_train_config *c = &job->c;
    int64_t width = 96, height = 64, frames = 17, fps = 8;
    zm_status s = zm_json_load(&job->model, c->model, 1 << 20, err);
    if (!s)
        s = zm_json_int(&width, &job->model, "video.width", false, 16, 4096, err);
    if (!s)
        s = zm_json_int(&height, &job->model, "video.height", false, 16, 4096, err);
    if (!s)
        s = zm_json_int(&frames, &job->model, "video.frames", false, 1, 1025, err);
    if (!s)
        s = zm_json_int(&fps, &job->model, "video.fps", false, 1, 120, err);
    if (s)
        return s;
    job->width = (int)width;
    job->height = (int)height;
    job->frames = (int)frames;
    job->fps = (int)fps;
    job->data_frames = c->data_frames ? (int)c->data_frames : job->frames;
    if (c->data_frames && c->stage != ZM_STAGE_DIT)
        return zm_fail(err, ZM_E_USAGE,
                       "data.frames is %d; only stage dit takes clips of other lengths than the model's",
                       job->data_frames);
    job->dir = zm_path_join(c->out, "train-%s", stage_name[c->stage]);
    if (!job->dir)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a path");
    snprintf(job->fingerprint, sizeof job->fingerprint,
             "%s %dx%dx%d seed %" PRId64 " batch %" PRId64 " data %d/%" PRId64 "/%" PRId64 " opt %d",
             stage_name[c->stage], job->width, job->height, job->frames, c->seed, c->batch, c->data_kind, c->data_seed,
             c->data_clips, c->optimizer);
    s = zm_mkdirs(job->dir, err);
    return s ? s : open_data(job, err);
}

void zm_job_close(zm_job *job)
{
    zm_job_close_folder(job);
    zm_world_card_free(job->world.card);
    zm_json_close(&job->model);
    free(job->dir);
    zm_arena_free(job->arena);
}

zm_trainer_options zm_job_trainer(const zm_job *job)
{
    const zm_train_config *c = &job->c;
    return (zm_trainer_options){.dir = job->dir,
                                .steps = c->steps,
                                .warmup = c->warmup,
                                .cooldown = c->cooldown,
                                .opt = zm_train_optimizer(c),
                                .checkpoint_seconds = c->checkpoint_seconds,
                                .log_every = c->log_every,
                                .validate_every = c->validate_every,
                                .checkpointing = c->checkpointing,
                                .precision = zm_train_precision(c),
                                .resume = job->resume,
                                .fingerprint = job->fingerprint,
                                .report = job->report,
                                .stop = &zm_app_stop};
}

/* Linear maps take the narrow type; other tensors of two dims and more, and rows that are no whole blocks, take f16;
 * vectors stay f32. */
static zm_dtype stored_dtype(const zm_param *p, zm_dtype wanted)
{
    if (wanted == ZM_F32 || p->shape.rank < 2)
        return ZM_F32;
    bool whole = p->shape.dim[p->shape.rank - 1] % (int64_t)zm_dtype_block_elems(wanted) == 0;
    return p->matrix && whole ? wanted : ZM_F16;
}

/* Replace an f32 weight's data by a copy in another dtype. */
static zm_status store_as(zm_weight *w, zm_arena *arena, zm_dtype dtype, zm_error *err)
{
    size_t elems = zm_weight_elems(w), bytes;
    if (dtype == w->dtype)
        return ZM_OK;
    void *data = zm_dtype_bytes(&bytes, dtype, elems) ? zm_arena_alloc(arena, bytes) : NULL;
    if (!data)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", w->name);
    zm_dtype_from_f32(data, w->data, dtype, elems);
    w->data = data;
    w->dtype = dtype;
    w->bytes = bytes;
    return ZM_OK;
}

zm_status zm_job_write_part_of(const zm_job *job, const zm_params *p, const char *name, const char *with,
                               const char *without, zm_dtype dtype, zm_error *err)
{
    int n = zm_params_count(p), used = 0;
    zm_weight *w = calloc((size_t)n + 1, sizeof *w);
    zm_arena *a = zm_arena_new();
    char *path = zm_path_join(job->c.out, "%s", name);
    zm_status s = w && a && path ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", name);
    for (int i = 0; !s && i < n; i++) {
        const zm_param *from = zm_params_at(p, i);
        if (strncmp(from->name, with, strlen(with)) != 0 || (without && !strncmp(from->name, without, strlen(without))))
            continue;
        zm_weight *to = &w[used++];
        *to = zm_param_weight(from);
        to->name += strlen(with);
        s = store_as(to, a, stored_dtype(from, dtype), err);
    }
    zm_meta meta[] = {{.key = "general.architecture", .type = ZM_META_STR, .str = "zouma", .n = 5}};
    if (!s)
        s = zm_gguf_write(path, w, (size_t)used, meta, 1, err);
    free(w);
    free(path);
    zm_arena_free(a);
    return s;
}

zm_status zm_job_write_part(const zm_job *job, const zm_params *p, const char *name, zm_dtype dtype, zm_error *err)
{
    return zm_job_write_part_of(job, p, name, "", NULL, dtype, err);
}

zm_status zm_job_write_json(const char *path, const json_t *json, zm_error *err)
{
    char *text = json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(7));
    zm_save save;
    zm_status s = text ? zm_save_open(&save, path, err) : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    if (!s) {
        s = zm_save_write(&save, text, strlen(text), err);
        if (!s)
            s = zm_save_write(&save, "\n", 1, err);
        if (s)
            zm_save_abandon(&save);
        else
            s = zm_save_commit(&save, err);
    }
    free(text);
    return s;
}

zm_status zm_job_write_config(const zm_job *job, const zm_vae *v, zm_error *err)
{
    char *part = zm_vae_config_json(zm_vae_config_of(v)), *path = zm_path_join(job->c.out, "config.json");
    json_t *whole = json_deep_copy(job->model.root), *vae = part ? json_loads(part, 0, NULL) : NULL;
    zm_status s = !path || !whole || !vae || json_object_set(whole, "vae", vae)
                      ? zm_fail(err, ZM_E_NOMEM, "out of memory for config.json")
                      : zm_job_write_json(path, whole, err);
    json_decref(whole);
    json_decref(vae);
    free(part);
    free(path);
    return s;
}

zm_status zm_job_vae_new(zm_job *job, zm_vae **vae, zm_params **p, zm_error *err)
{
    zm_vae_config c;
    *vae = NULL;
    *p = zm_params_new();
    if (!*p)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for parameters");
    zm_status s = zm_vae_config_read(&c, &job->model, "vae", err);
    return s ? s : zm_vae_declare(vae, &c, *p, "", err);
}

typedef struct vae_samples {
    const zm_job *job;
    zm_vae_stage *stage;
} vae_samples;

/* Three held-out clips, each above its reconstruction. */
static zm_status write_pairs(void *user, int64_t step, zm_error *err)
{
    enum { PAIRS = 3 };
    const vae_samples *v = user;
    const zm_job *job = v->job;
    size_t bytes = (size_t)job->width * (size_t)job->height * (size_t)job->frames * 3;
    uint8_t *rgb = malloc(2 * PAIRS * bytes);
    zm_sample_clip clip[2 * PAIRS];
    zm_status s = rgb ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for sample clips");
    int n = job->c.data_held_out < PAIRS ? (int)job->c.data_held_out : PAIRS;
    for (int i = 0; !s && i < n; i++) {
        uint8_t *at = rgb + (size_t)(2 * i) * bytes;
        s = zm_vae_stage_pair(v->stage, i, at, at + bytes, err);
        clip[2 * i] = (zm_sample_clip){.rgb = at, .caption = "original"};
        clip[2 * i + 1] = (zm_sample_clip){.rgb = at + bytes, .caption = "through the autoencoder"};
    }
    if (!s)
        s = zm_samples_write(job->dir, step, clip, 2 * n, job->width, job->height, job->frames, job->fps, err);
    free(rgb);
    return s;
}

zm_status zm_job_vae(zm_job *job, zm_error *err)
{
    const zm_train_config *c = &job->c;
    zm_vae *v = NULL;
    zm_params *p = NULL;
    zm_vae_stage *stage = NULL;
    zm_status s = zm_job_vae_new(job, &v, &p, err);
    if (!s)
        s = zm_params_fill(p, (uint64_t)c->seed, err);
    if (!s && c->start)
        s = zm_job_start_from(job, p, "vae.gguf", "", NULL, err);
    if (!s && job->report)
        fprintf(job->report, "vae: preparing %" PRId64 " clips of %dx%d, %d frames\n", c->data_clips, job->width,
                job->height, job->frames);
    zm_vae_stage_options o = {.batch = (int)c->batch,
                              .frames = (int)c->vae_frames,
                              .pool = c->data_clips,
                              .held_out = c->data_held_out,
                              .inside = c->vae_inside,
                              .kl = c->vae_kl,
                              .seed = (uint64_t)c->seed};
    if (!s)
        s = zm_vae_stage_new(&stage, v, p, &job->train, &job->held, &o, err);
    zm_trainer_result result;
    zm_trainer_options trainer = zm_job_trainer(job);
    zm_stage interface = stage ? zm_vae_stage_interface(stage) : (zm_stage){0};
    vae_samples samples = {.job = job, .stage = stage};
    trainer.sample = write_pairs;
    trainer.sample_user = &samples;
    if (!s)
        s = zm_train(p, &interface, &trainer, &result, err);
    if (!s)
        s = zm_job_write_part(job, p, "vae.gguf", zm_train_stored(c), err);
    if (!s)
        s = zm_job_write_config(job, v, err);
    zm_vae_stage_free(stage);
    zm_vae_free(v);
    zm_params_free(p);
    return s;
}
