/* The few-steps stage of `zouma train`: paths of the model itself, then an adapter that takes them in few steps.
 * SPDX-License-Identifier: MIT */
#include "app/train_job.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "app/common.h"
#include "base/mapfile.h"
#include "model/models.h"
#include "train/distill_stage.h"

/* Every linear map of the transformer. */
static const char *const targets[] = {"q",
                                      "k",
                                      "v",
                                      "o",
                                      "ffn.0",
                                      "ffn.2",
                                      "time_embedding.0",
                                      "time_embedding.2",
                                      "time_projection.1",
                                      "text_embedding.0",
                                      "text_embedding.2",
                                      "head.head",
                                      NULL};

/* Everything of the stage, released in one place. */
typedef struct distill_job {
    zm_model_config model; /* the teacher's */
    zm_params *dit_params, *text_params;
    zm_weights *dit_file, *text_file, *adapter_file;
    zm_tokenizer *tokenizer;
    zm_dit *dit;
    zm_text_encoder *text;
    zm_lora *adapter;
    zm_paths *train, *held;
    zm_distill_stage *stage;
} distill_job;

static void distill_job_close(distill_job *d)
{
    zm_distill_stage_free(d->stage);
    zm_paths_close(d->train);
    zm_paths_close(d->held);
    zm_lora_free(d->adapter);
    zm_dit_free(d->dit);
    zm_text_encoder_free(d->text);
    zm_params_free(d->dit_params);
    zm_params_free(d->text_params);
    zm_weights_free(d->dit_file);
    zm_weights_free(d->text_file);
    zm_weights_free(d->adapter_file);
    zm_tokenizer_free(d->tokenizer);
    zm_model_config_close(&d->model);
}

static zm_status open_teacher(zm_job *job, distill_job *d, zm_error *err)
{
    const char *dir = job->c.start;
    if (!dir)
        return zm_fail(err, ZM_E_USAGE, "start is needed: the directory of the model that is to learn few steps");
    zm_status s = zm_model_config_open(&d->model, dir, err);
    if (s)
        return s;
    if (!d->model.has_text || !d->model.tokenizer_path)
        return zm_fail(err, ZM_E_MISSING, "%s: a text encoder and a tokenizer are needed", dir);
    d->dit_params = zm_params_new();
    d->text_params = zm_params_new();
    if (!d->dit_params || !d->text_params)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for parameters");
    s = zm_tokenizer_load(&d->tokenizer, d->model.tokenizer_path, err);
    if (!s)
        s = zm_dit_declare(&d->dit, &d->model.dit, d->dit_params, NULL, err);
    if (!s)
        s = zm_text_encoder_declare(&d->text, &d->model.text, d->text_params, NULL, err);
    if (!s)
        s = zm_model_part_open(&d->dit_file, &d->model, ZM_PART_DIT, err);
    if (!s)
        s = zm_params_load(d->dit_params, d->dit_file, "", true, err);
    if (!s)
        s = zm_model_part_open(&d->text_file, &d->model, ZM_PART_TEXT, err);
    if (!s)
        s = zm_params_load(d->text_params, d->text_file, "", true, err);
    return s;
}

static zm_status open_student(zm_job *job, distill_job *d, zm_error *err)
{
    int rank = (int)job->c.distill_rank;
    zm_lora_freeze(d->dit_params, true);
    if (job->c.distill_adapter) {
        zm_status s = zm_weights_open(&d->adapter_file, job->c.distill_adapter, err);
        return s ? s : zm_lora_open(&d->adapter, d->adapter_file, d->dit_params, err);
    }
    zm_lora_config c = {.rank = rank, .alpha = (float)rank, .targets = targets};
    zm_status s = zm_lora_declare(&d->adapter, &c, d->dit_params, err);
    return s ? s : zm_params_fill(d->adapter->params, (uint64_t)job->c.seed, err);
}

static uint64_t hash_params(const zm_params *p, uint64_t hash)
{
    for (int i = 0; i < zm_params_count(p); i++)
        hash = zm_hash64(zm_params_at(p, i)->data, (size_t)zm_shape_elems(zm_params_at(p, i)->shape) * 4, hash);
    return hash;
}

static zm_status latent_size(zm_job *job, zm_paths_options *o, zm_error *err)
{
    zm_vae *v = NULL;
    zm_params *p = NULL;
    zm_status s = zm_job_vae_new(job, &v, &p, err);
    if (!s) {
        o->frames = (job->frames - 1) / zm_vae_temporal_stride(v) + 1;
        o->height = job->height / zm_vae_spatial_stride(v);
        o->width = job->width / zm_vae_spatial_stride(v);
    }
    zm_vae_free(v);
    zm_params_free(p);
    return s;
}

static zm_status walk_paths(zm_job *job, distill_job *d, zm_error *err)
{
    const zm_train_config *c = &job->c;
    char key[320];
    zm_teacher teacher = {.dit = d->dit,
                          .dit_params = d->dit_params,
                          .text = d->text,
                          .text_params = d->text_params,
                          .tokenizer = d->tokenizer,
                          .student = d->adapter};
    zm_paths_options o = {.n = c->distill_paths,
                          .steps = (int)c->distill_steps,
                          .fine = (int)c->distill_fine,
                          .shift = d->model.sampling.shift,
                          .guidance = c->distill_guidance > 0 ? c->distill_guidance : d->model.sampling.guidance,
                          .solver = zm_solver_find(c->distill_solver ? c->distill_solver : ""),
                          .given = c->distill_given,
                          .own = c->distill_own,
                          .back = c->distill_back,
                          .seed = (uint64_t)c->seed,
                          .key = key,
                          .report = job->report,
                          .precision = zm_train_precision(c),
                          .stop = &zm_app_stop};
    if (!o.solver)
        return zm_fail(err, ZM_E_USAGE, "distill.solver: there is no solver \"%s\"",
                       c->distill_solver ? c->distill_solver : "");
    zm_status s = latent_size(job, &o, err);
    if (s)
        return s;
    if (c->distill_teach == ZM_TEACH_GUIDANCE) {
        /* A single step of Euler's is the guided velocity itself. */
        o.steps *= o.fine;
        o.fine = 1;
        o.solver = zm_solver_find("euler");
    }
    uint64_t hash = hash_params(d->text_params, hash_params(d->dit_params, 0));
    if (o.own > 0)
        hash = hash_params(d->adapter->params, hash);
    snprintf(key, sizeof key,
             "teacher %016" PRIx64 " steps %dx%d %s shift %g guidance %g given %g own %g back %g seed %" PRIu64
             " data %d %.64s seed %" PRId64 " level %" PRId64 " %s",
             hash, o.steps, o.fine, o.solver->name, o.shift, o.guidance, o.given, o.own, o.back, o.seed, c->data_kind,
             c->data_path ? c->data_path : "", c->data_seed, c->data_level, zm_precision_name(o.precision));
    s = zm_paths_open(&d->train, job->dir, "paths", &job->train, &teacher, &o, err);
    o.n = c->data_held_out;
    o.seed++;
    o.own = 0;
    return s ? s : zm_paths_open(&d->held, job->dir, "paths-held-out", &job->held, &teacher, &o, err);
}

static const char *adapter_name(const zm_job *job)
{
    return zm_train_stored(&job->c) == ZM_Q8_0 ? "fast.gguf" : "fast.safetensors";
}

/* The adapter as OUT/fast.*. */
static zm_status write_adapter(const zm_job *job, const distill_job *d, zm_error *err)
{
    zm_params *p = d->adapter->params;
    for (int i = 0; i < zm_params_count(p); i++)
        zm_params_at(p, i)->matrix = true; /* linear maps, all of them: stored as such */
    return zm_job_write_part(job, p, adapter_name(job), zm_train_stored(&job->c), err);
}

/* A model in OUT learns of its adapter. */
static zm_status tell_model(const zm_job *job, zm_error *err)
{
    char *path = zm_path_join(job->c.out, "config.json");
    zm_json j = {0};
    if (!path)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a path");
    zm_status s = zm_path_is_file(path) ? zm_json_load(&j, path, 1 << 20, err) : ZM_OK;
    if (!s && j.root) {
        json_t *fast = json_pack("{s:s, s:I, s:f, s:s}", "adapter", adapter_name(job), "steps",
                                 (json_int_t)job->c.distill_steps, "guidance", 1.0, "solver",
                                 job->c.distill_teach == ZM_TEACH_GUIDANCE ? job->c.distill_solver : "euler");
        s = !fast || json_object_set_new(j.root, "fast", fast)
                ? zm_fail(err, ZM_E_NOMEM, "out of memory for config.json")
                : zm_job_write_json(path, j.root, err);
    }
    zm_json_close(&j);
    free(path);
    return s;
}

static void complete_fingerprint(zm_job *job)
{
    const zm_train_config *c = &job->c;
    size_t n = strlen(job->fingerprint);
    snprintf(job->fingerprint + n, sizeof job->fingerprint - n,
             " distill %s %" PRId64 "x%" PRId64 " rank %" PRId64 " paths %" PRId64
             " guidance %g given %g own %g back %g",
             c->distill_teach == ZM_TEACH_GUIDANCE ? "guidance" : "steps", c->distill_steps, c->distill_fine,
             c->distill_rank, c->distill_paths, c->distill_guidance, c->distill_given, c->distill_own, c->distill_back);
}

/* The adapter as it is now goes to OUT, where it can be used while training goes on. */
typedef struct distill_samples {
    const zm_job *job;
    const distill_job *d;
} distill_samples;

static zm_status write_sample(void *user, int64_t step, zm_error *err)
{
    (void)step;
    const distill_samples *u = user;
    return write_adapter(u->job, u->d, err);
}

zm_status zm_job_distill(zm_job *job, zm_error *err)
{
    const zm_train_config *c = &job->c;
    distill_job d = {0};
    complete_fingerprint(job);
    zm_status s = open_teacher(job, &d, err);
    if (!s)
        s = open_student(job, &d, err);
    if (!s)
        s = walk_paths(job, &d, err);
    zm_distill_options o = {.batch = (int)c->batch, .seed = (uint64_t)c->seed};
    if (!s)
        s = zm_distill_stage_new(&d.stage, d.dit, d.dit_params, d.adapter, d.train, d.held, &o, err);
    double distance = 0;
    if (!s && job->report && !job->resume && !(s = zm_distill_measure(d.stage, &distance, NULL, err)))
        fprintf(job->report, "before any step the student ends off the teacher's end by %.4f\n", distance);
    zm_trainer_result result;
    zm_trainer_options trainer = zm_job_trainer(job);
    distill_samples samples = {.job = job, .d = &d};
    trainer.sample = write_sample;
    trainer.sample_user = &samples;
    zm_stage interface = d.stage ? zm_distill_stage_interface(d.stage) : (zm_stage){0};
    if (!s)
        s = zm_train(d.adapter->params, &interface, &trainer, &result, err);
    if (!s)
        s = write_adapter(job, &d, err);
    if (!s)
        s = tell_model(job, err);
    distill_job_close(&d);
    return s;
}
