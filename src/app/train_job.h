/* What the stages of `zouma train` share: configuration, model sizes, data, output.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_TRAIN_JOB_H
#define ZM_APP_TRAIN_JOB_H

#include <stdio.h>

#include "app/world_source.h"
#include "format/json.h"
#include "model/vae.h"
#include "train/config.h"
#include "train/trainer.h"

typedef struct zm_job {
    zm_train_config c;
    zm_arena *arena;
    bool resume;
    FILE *report;
    zm_json model; /* config.json of the sizes */
    char *dir;     /* OUT/train-STAGE */
    char fingerprint[256];
    int width, height, frames, fps;
    int data_frames; /* of the data's clips (data.frames): as the model's, more, or fewer */
    zm_world_source world, world_held;
    void *folder; /* owned, when data.kind is folder or jsonl */
    zm_clip_source train, held;
} zm_job;

/* After c, arena, resume and report are set. */
ZM_MUST zm_status zm_job_open(zm_job *job, zm_error *err);
void zm_job_close(zm_job *job);

/* train and held from data.path; used by zm_job_open and zm_job_close. */
ZM_MUST zm_status zm_job_open_folder(zm_job *job, zm_error *err);
void zm_job_close_folder(zm_job *job);

zm_trainer_options zm_job_trainer(const zm_job *job);
/* Write parameters as OUT/name (GGUF): linear maps in `dtype`, other tensors f16, vectors f32. */
ZM_MUST zm_status zm_job_write_part(const zm_job *job, const zm_params *p, const char *name, zm_dtype dtype,
                                    zm_error *err);
/* Only those whose name begins with `with` (cut off in the file) and not with `without` (NULL: none). */
ZM_MUST zm_status zm_job_write_part_of(const zm_job *job, const zm_params *p, const char *name, const char *with,
                                       const char *without, zm_dtype dtype, zm_error *err);
/* OUT/config.json: the sizes, with the autoencoder's object replaced by v's (with its measured statistics). */
ZM_MUST zm_status zm_job_write_config(const zm_job *job, const zm_vae *v, zm_error *err);
/* One JSON value as a file, beside and renamed. */
ZM_MUST zm_status zm_job_write_json(const char *path, const json_t *json, zm_error *err);
/* Declare the autoencoder from the sizes; `vae` NULL on failure. */
ZM_MUST zm_status zm_job_vae_new(zm_job *job, zm_vae **vae, zm_params **p, zm_error *err);

ZM_MUST zm_status zm_job_vae(zm_job *job, zm_error *err);
ZM_MUST zm_status zm_job_dit(zm_job *job, zm_error *err);
ZM_MUST zm_status zm_job_distill(zm_job *job, zm_error *err);

#endif
