/* The YAML file of `zouma train`: one table, one struct.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TRAIN_CONFIG_H
#define ZM_TRAIN_CONFIG_H

#include "backend/backend.h"
#include "format/config.h"
#include "train/optimizer.h"

typedef enum { ZM_STAGE_VAE, ZM_STAGE_DIT, ZM_STAGE_DETECTOR, ZM_STAGE_DISTILL } zm_stage_kind;
typedef enum { ZM_DATA_WORLD, ZM_DATA_FOLDER, ZM_DATA_JSONL } zm_data_kind;

typedef enum { ZM_TEACH_STEPS, ZM_TEACH_GUIDANCE } zm_distill_teach;

typedef struct zm_train_config {
    int stage;         /* zm_stage_kind */
    const char *model; /* sizes: a model's config.json */
    const char *out;   /* model directory that receives the trained part; state in OUT/train-STAGE */
    const char *start; /* directory of a trained model to start from, or NULL */
    int stored;        /* dtype of the written weights, as in zm_train_stored */
    int64_t seed;
    int data_kind;         /* zm_data_kind */
    const char *data_path; /* folder or JSON lines file */
    int64_t data_seed, data_clips, data_held_out, data_level, data_frames;
    double data_sustained, data_things;
    int64_t steps, warmup, cooldown, batch, log_every, validate_every;
    double checkpoint_seconds;
    bool checkpointing;
    int precision; /* of products, as in zm_train_precision */
    int optimizer; /* zm_opt_kind */
    double lr, adam_lr, weight_decay, clip, ema, momentum;
    int64_t vae_frames;
    double vae_inside, vae_kl;
    int64_t dit_captions;
    double dit_inside, dit_prompt_dropout, dit_shift, dit_common, dit_given;
    int dit_density;   /* zm_flow_density */
    int distill_teach; /* zm_distill_teach */
    int64_t distill_steps, distill_fine, distill_paths, distill_rank;
    double distill_guidance, distill_given, distill_own, distill_back;
    const char *distill_solver, *distill_adapter;
    int64_t dit_level_frames, dit_causal_block, dit_causal_window, dit_causal_sink;
    double dit_causal_share, dit_causal_common, dit_causal_given;
} zm_train_config;

extern const zm_config_table zm_train_table;

zm_dtype zm_train_stored(const zm_train_config *c);
/* Of the training graph; on a card F32, since its device has its own arithmetic. */
zm_precision zm_train_precision(const zm_train_config *c);
zm_opt_options zm_train_optimizer(const zm_train_config *c);

#endif
