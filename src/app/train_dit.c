/* The text-to-video stage of `zouma train`: tokenizer, latents, then diffusion transformer and text encoder.
 * SPDX-License-Identifier: MIT */
#include "app/samples.h"
#include "app/train_job.h"
#include "app/train_start.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"
#include "text/unigram_train.h"
#include "train/dit_stage.h"
#include "train/folder.h"

zm_status zm_job_open_folder(zm_job *job, zm_error *err)
{
    const zm_train_config *c = &job->c;
    zm_folder *f;
    if (!c->data_path)
        return zm_fail(err, ZM_E_USAGE, "data.path is needed for data.kind folder and jsonl");
    zm_folder_options o = {.width = job->width,
                           .height = job->height,
                           .frames = job->data_frames,
                           .fps = job->fps,
                           .held_out = c->data_held_out};
    zm_status s = zm_folder_open(&f, c->data_path, &o, err);
    if (s)
        return s;
    job->folder = f;
    job->train = zm_folder_train(f);
    job->held = zm_folder_held(f);
    return ZM_OK;
}

void zm_job_close_folder(zm_job *job)
{
    zm_folder_close(job->folder);
}

/* Everything of the stage, released in one place. */
typedef struct dit_job {
    zm_vae *v;
    zm_params *vae_params, *all;
    zm_weights *vae_file;
    zm_latents train, held;
    zm_tokenizer *tokenizer;
    zm_dit *dit;
    zm_text_encoder *text;
    zm_dit_stage *stage;
} dit_job;

static zm_status open_weights(zm_weights **out, const char *dir, const char *name, zm_error *err)
{
    char *path = zm_path_join(dir, "%s", name);
    zm_status s = path ? zm_weights_open(out, path, err) : zm_fail(err, ZM_E_NOMEM, "out of memory for a path");
    free(path);
    return s;
}

static zm_status make_latents(zm_job *job, dit_job *d, zm_latents *out, const zm_clip_source *source, const char *name,
                              int64_t n, const char *key, bool stats, zm_error *err)
{
    char *path = zm_path_join(job->c.out, "%s", name);
    zm_latents_options o = {.n = source->count && source->count < n ? source->count : n,
                            .captions = (int)job->c.dit_captions,
                            .key = key,
                            .report = job->report};
    if (!path)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a path");
    zm_error ignored = {0};
    zm_status s = ZM_OK;
    if (zm_latents_open(out, path, key, &ignored)) {
        s = zm_latents_make(path, source, d->v, d->vae_params, &o, stats, err);
        if (!s && stats)
            s = zm_job_write_config(job, d->v, err);
        if (!s)
            s = zm_latents_open(out, path, key, err);
    }
    free(path);
    return s;
}

static bool same_bytes(const char *a, const char *b)
{
    zm_map x, y;
    zm_error ignored = {0};
    if (zm_map_open(&x, a, &ignored))
        return false;
    bool same = !zm_map_open(&y, b, &ignored);
    if (same) {
        same = x.size == y.size && !memcmp(x.at, y.at, x.size);
        zm_map_close(&y);
    }
    zm_map_close(&x);
    return same;
}

/* Whether means of latents are more than what an autoencoder has that no network was trained on: zeros. */
static bool measured(const json_t *mean)
{
    for (size_t i = 0; i < json_array_size(mean); i++)
        if (json_number_value(json_array_get(mean, i)) != 0)
            return true;
    return false;
}

/* A network that starts from another keeps what its latents were divided by, if the autoencoder is the same: into
 * job->model, and *kept; else these are measured. */
static zm_status keep_stats(zm_job *job, bool *kept, zm_error *err)
{
    const zm_train_config *c = &job->c;
    *kept = false;
    if (!c->start)
        return ZM_OK;
    if (!zm_path_is_dir(c->start)) /* said before clips are encoded for nothing */
        return zm_fail(err, ZM_E_MISSING, "start: %s is no directory of a model", c->start);
    char *config = zm_path_join(c->start, "config.json"), *was = zm_path_join(c->start, "vae.gguf"),
         *is = zm_path_join(c->out, "vae.gguf");
    zm_status s = config && was && is ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for a path");
    if (!s && zm_path_is_file(config) && same_bytes(was, is)) {
        static const char *const name[] = {"latents_mean", "latents_std"};
        zm_json from = {0};
        s = zm_json_load(&from, config, 1 << 20, err);
        json_t *old = s ? NULL : json_object_get(from.root, "vae"), *vae = json_object_get(job->model.root, "vae");
        *kept = measured(json_object_get(old, name[0])) && json_object_get(old, name[1]) && json_is_object(vae);
        for (int i = 0; *kept && i < 2; i++)
            if (json_object_set(vae, name[i], json_object_get(old, name[i])))
                s = zm_fail(err, ZM_E_NOMEM, "out of memory for the model's sizes");
        zm_json_close(&from);
    }
    free(config);
    free(was);
    free(is);
    return s;
}

static zm_status prepare_latents(zm_job *job, dit_job *d, zm_error *err)
{
    const zm_train_config *c = &job->c;
    /* the statistics measured by an earlier run stand in OUT/config.json */
    char *known = zm_path_join(c->out, "config.json");
    zm_status s = known ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for a path");
    zm_json sizes = {0};
    if (!s)
        s = zm_json_load(&sizes, known, 1 << 20, err);
    free(known);
    bool kept = false;
    if (!s) {
        zm_json_close(&job->model);
        job->model = sizes;
        s = keep_stats(job, &kept, err);
    }
    if (!s)
        s = zm_job_vae_new(job, &d->v, &d->vae_params, err);
    int stride = s ? 1 : zm_vae_temporal_stride(d->v);
    if (!s && (job->data_frames - 1) % stride)
        s = zm_fail(err, ZM_E_USAGE, "the clips have %d frames; the autoencoder takes %dn+1", job->data_frames, stride);
    if (!s && kept)
        s = zm_job_write_config(job, d->v, err);
    if (!s)
        s = open_weights(&d->vae_file, c->out, "vae.gguf", err);
    if (!s)
        s = zm_params_load(d->vae_params, d->vae_file, "", true, err);
    if (s)
        return s;
    uint64_t hash = 0;
    for (int i = 0; i < zm_params_count(d->vae_params); i++) {
        const zm_param *p = zm_params_at(d->vae_params, i);
        hash = zm_hash64(p->data, (size_t)zm_shape_elems(p->shape) * 4, hash);
    }
    if (kept) {
        const zm_vae_config *v = zm_vae_config_of(d->v);
        hash = zm_hash64(v->mean, sizeof v->mean, hash);
        hash = zm_hash64(v->std, sizeof v->std, hash);
    }
    char key[192];
    snprintf(key, sizeof key,
             "vae %016" PRIx64 " data %d %s seed %" PRId64 " level %" PRId64 "/%g/%g clips %" PRId64
             " captions %" PRId64 " %dx%dx%d",
             hash, c->data_kind, c->data_path ? c->data_path : "", c->data_seed, c->data_level, c->data_sustained,
             c->data_things, c->data_clips, c->dit_captions, job->width, job->height, job->data_frames);
    s = make_latents(job, d, &d->train, &job->train, "latents.safetensors", c->data_clips, key, !kept, err);
    return s ? s
             : make_latents(job, d, &d->held, &job->held, "latents-held-out.safetensors", c->data_held_out, key, false,
                            err);
}

/* Attention that looks back only, where the settings ask for it: into the sizes, and so into OUT/config.json. */
static zm_status make_causal(zm_job *job, const dit_job *d, zm_error *err)
{
    const zm_train_config *c = &job->c;
    json_t *dit = json_object_get(job->model.root, "dit");
    bool both = json_is_true(json_object_get(json_object_get(dit, "causal"), "both"));
    if (!c->dit_causal_block && (c->dit_causal_window || c->dit_causal_sink))
        return zm_fail(err, ZM_E_USAGE, "dit.causal_window and dit.causal_sink need dit.causal_block");
    if (!c->dit_causal_block && both != (c->dit_causal_share > 0))
        return zm_fail(err, ZM_E_USAGE,
                       both ? "%s is trained both ways: dit.causal_share says how much of it looks back only"
                            : "%s always looks both ways: dit.causal_share needs dit.causal_block",
                       c->model);
    if (!c->dit_causal_block || !dit)
        return ZM_OK;
    json_t *causal = json_pack("{s:I, s:I, s:I, s:b}", "block", (json_int_t)c->dit_causal_block, "window",
                               (json_int_t)c->dit_causal_window, "sink", (json_int_t)c->dit_causal_sink, "both",
                               c->dit_causal_share > 0);
    if (!causal || json_object_set_new(dit, "causal", causal))
        return zm_fail(err, ZM_E_NOMEM, "out of memory for the model's sizes");
    return zm_job_write_config(job, d->v, err);
}

/* Learn the tokenizer from the captions, unless OUT has one already. */
static zm_status prepare_tokenizer(zm_job *job, dit_job *d, int vocab, zm_error *err)
{
    char *path = zm_path_join(job->c.out, "tokenizer.json");
    zm_status s = path ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for a path");
    if (!s && zm_path_is_file(path)) {
        s = zm_tokenizer_load(&d->tokenizer, path, err);
        free(path);
        return s;
    }
    int64_t n = d->train.n * d->train.captions, used = n < 60000 ? n : 60000;
    char(*line)[ZM_CAPTION_MAX] = calloc((size_t)used, sizeof *line);
    const char **lines = calloc((size_t)used, sizeof *lines);
    if (!s && (!line || !lines))
        s = zm_fail(err, ZM_E_NOMEM, "out of memory for %" PRId64 " captions", used);
    for (int64_t i = 0; !s && i < used; i++) {
        zm_latents_caption(&d->train, i / d->train.captions, (int)(i % d->train.captions), line[i]);
        lines[i] = line[i];
    }
    zm_unigram_options o = {
        .vocab_size = (size_t)vocab, .max_piece_chars = 12, .rules = {.casefold = true, .punctuation = true}};
    if (!s)
        s = zm_unigram_train(&d->tokenizer, lines, (size_t)used, &o, err);
    if (!s)
        s = zm_tokenizer_save(d->tokenizer, path, err);
    if (!s && job->report)
        fprintf(job->report, "tokenizer: %zu pieces from %" PRId64 " captions\n", zm_tokenizer_count(d->tokenizer),
                used);
    free(line);
    free(lines);
    free(path);
    return s;
}

static zm_status prepare_networks(zm_job *job, dit_job *d, zm_error *err)
{
    zm_dit_config dc;
    zm_text_config tc = {0};
    d->all = zm_params_new();
    if (!d->all)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for parameters");
    zm_status s = zm_dit_config_read(&dc, &job->model, "dit", err);
    if (!s)
        s = zm_text_config_read(&tc, &job->model, "text_encoder", err);
    if (!s)
        s = prepare_tokenizer(job, d, tc.vocab, err);
    if (!s && (int)zm_tokenizer_count(d->tokenizer) > tc.vocab)
        s = zm_fail(err, ZM_E_SHAPE, "the tokenizer has %zu pieces, text_encoder.vocab is %d",
                    zm_tokenizer_count(d->tokenizer), tc.vocab);
    if (!s)
        s = zm_dit_declare(&d->dit, &dc, d->all, NULL, err);
    if (!s)
        s = zm_text_encoder_declare(&d->text, &tc, d->all, "text.", err);
    return s;
}

/* The two networks as files of their own, under the official names. */
static zm_status write_networks(const zm_job *job, const dit_job *d, zm_error *err)
{
    zm_status s = zm_job_write_part_of(job, d->all, "dit.gguf", "", "text.", zm_train_stored(&job->c), err);
    return s ? s : zm_job_write_part_of(job, d->all, "text.gguf", "text.", NULL, zm_train_stored(&job->c), err);
}

static zm_status load_start(zm_job *job, dit_job *d, zm_error *err)
{
    zm_status s = zm_params_fill(d->all, (uint64_t)job->c.seed, err);
    if (s || !job->c.start)
        return s;
    s = zm_job_start_from(job, d->all, "dit.gguf", "", "text.", err);
    if (!s)
        s = zm_job_start_from(job, d->all, "text.gguf", "text.", NULL, err);
    return s ? s : zm_job_start_tokens(job, zm_params_find(d->all, "text.token_embedding.weight"), d->tokenizer, err);
}

static void close_dit_job(dit_job *d)
{
    zm_dit_stage_free(d->stage);
    zm_dit_free(d->dit);
    zm_text_encoder_free(d->text);
    zm_vae_free(d->v);
    zm_params_free(d->vae_params);
    zm_params_free(d->all);
    zm_latents_close(&d->train);
    zm_latents_close(&d->held);
    zm_tokenizer_free(d->tokenizer);
    zm_weights_free(d->vae_file);
}

typedef struct dit_samples {
    zm_job *job;
    const dit_job *d;
} dit_samples;

/* The model as it is now goes to OUT, where `zouma generate -m OUT` can use it while training goes on, and makes a
 * few clips of held-out captions. */
static zm_status write_samples(void *user, int64_t step, zm_error *err)
{
    enum { CLIPS = 4 };
    const dit_samples *u = user;
    const zm_latents *held = &u->d->held;
    char caption[CLIPS][ZM_CAPTION_MAX];
    const char *prompt[CLIPS];
    int n = held->n < CLIPS ? (int)held->n : CLIPS;
    for (int i = 0; i < n; i++) {
        zm_latents_caption(held, i, i % held->captions, caption[i]);
        prompt[i] = caption[i];
    }
    zm_status s = write_networks(u->job, u->d, err);
    return s ? s : zm_samples_generate(u->job->c.out, u->job->dir, step, prompt, n, err);
}

zm_status zm_job_dit(zm_job *job, zm_error *err)
{
    const zm_train_config *c = &job->c;
    int seen = job->data_frames < job->frames ? job->data_frames : job->frames; /* of a clip at a time */
    dit_job d = {0};
    zm_status s = prepare_latents(job, &d, err);
    if (!s)
        s = make_causal(job, &d, err);
    if (!s)
        s = prepare_networks(job, &d, err);
    if (!s)
        s = load_start(job, &d, err);
    zm_dit_stage_options o = {.batch = (int)c->batch,
                              .inside = c->dit_inside,
                              .prompt_dropout = c->dit_prompt_dropout,
                              .common = c->dit_common,
                              .given = c->dit_given,
                              .frames = 1 + (seen - 1) / (d.v ? zm_vae_temporal_stride(d.v) : 1),
                              .level_frames = (int)c->dit_level_frames,
                              .back = c->dit_causal_share,
                              .back_common = c->dit_causal_common,
                              .back_given = c->dit_causal_given,
                              .times = {.density = (zm_flow_density)c->dit_density, .shift = c->dit_shift},
                              .seed = (uint64_t)c->seed};
    if (!s)
        s = zm_dit_stage_new(&d.stage, d.dit, d.text, d.all, d.tokenizer, &d.train, &d.held, &o, err);
    zm_trainer_result result;
    zm_trainer_options trainer = zm_job_trainer(job);
    dit_samples samples = {.job = job, .d = &d};
    trainer.sample = write_samples;
    trainer.sample_user = &samples;
    zm_stage interface = d.stage ? zm_dit_stage_interface(d.stage) : (zm_stage){0};
    if (!s)
        s = zm_train(d.all, &interface, &trainer, &result, err);
    if (!s)
        s = write_networks(job, &d, err);
    close_dit_job(&d);
    return s;
}
