/* The settings of `zouma train`.
 * SPDX-License-Identifier: MIT */
#include "train/config.h"

#define AT(field) offsetof(zm_train_config, field)

static const zm_config_row rows[] = {
    {"stage", ZM_CONFIG_ENUM, AT(stage), NULL, 0, 0, 0, "vae|dit|detector|distill", NULL, "what is trained"},
    {"model", ZM_CONFIG_STR, AT(model), NULL, 0, 0, 0, NULL, NULL, "config.json with the sizes of all parts"},
    {"out", ZM_CONFIG_STR, AT(out), NULL, 0, 0, 0, NULL, NULL, "model directory that receives the trained part"},
    {"start", ZM_CONFIG_STR, AT(start), "", 0, 0, 0, NULL, NULL,
     "model directory whose part is trained on, which may lack blocks and pieces of text; empty: random start"},
    {"weights", ZM_CONFIG_ENUM, AT(stored), "f16", 0, 0, 0, "f32|f16|q8_0", NULL,
     "how the trained linear maps are stored"},
    {"seed", ZM_CONFIG_INT, AT(seed), "1", 0, 9e15, 0, NULL, NULL, "of initial values and batches"},
    {"data.kind", ZM_CONFIG_ENUM, AT(data_kind), "world", 0, 0, 0, "world|folder|jsonl", NULL,
     "the toy-box world, name.mp4 + name.txt, or JSON lines"},
    {"data.path", ZM_CONFIG_STR, AT(data_path), "", 0, 0, 0, NULL, NULL, "folder or JSON lines file"},
    {"data.seed", ZM_CONFIG_INT, AT(data_seed), "1000000", 0, 9e15, 0, NULL, NULL, "first scene of the world"},
    {"data.clips", ZM_CONFIG_INT, AT(data_clips), "2000", 1, 1e9, 0, NULL, NULL, "training clips"},
    {"data.held_out", ZM_CONFIG_INT, AT(data_held_out), "64", 1, 1e6, 0, NULL, NULL, "clips kept for validation"},
    {"data.level", ZM_CONFIG_INT, AT(data_level), "0", 0, 1, 0, NULL, NULL, "world: 0 core grammar, 1 everything"},
    {"data.frames", ZM_CONFIG_INT, AT(data_frames), "0", 0, 1025, 0, NULL, NULL,
     "dit: frames of the clips; 0: as the model's; more: what a model made in blocks learns films from; fewer: stretches "
     "of the world's clips, more looks for the same time"},
    {"data.sustained", ZM_CONFIG_FLOAT, AT(data_sustained), "0", 0, 1, 0, NULL, NULL,
     "world: share of scenes that never come to rest"},
    {"data.things", ZM_CONFIG_FLOAT, AT(data_things), "0", 0, 1, 0, NULL, NULL,
     "world: share of subjects that are things where shapes can do the same; 0: 0.55"},
    {"train.steps", ZM_CONFIG_INT, AT(steps), NULL, 1, 1e12, 0, NULL, NULL, "optimiser steps in all"},
    {"train.warmup", ZM_CONFIG_INT, AT(warmup), "50", 0, 1e9, 0, NULL, NULL, "steps of rising learning rate"},
    {"train.cooldown", ZM_CONFIG_INT, AT(cooldown), "200", 0, 1e12, 0, NULL, NULL,
     "last steps of falling learning rate"},
    {"train.batch", ZM_CONFIG_INT, AT(batch), "16", 1, 65536, 0, NULL, NULL, "clips a step"},
    {"train.log_every", ZM_CONFIG_INT, AT(log_every), "50", 0, 1e9, 0, NULL, NULL, "steps between lines; 0 never"},
    {"train.validate_every", ZM_CONFIG_INT, AT(validate_every), "500", 0, 1e9, 0, NULL, NULL,
     "steps between validations; 0 never"},
    {"train.checkpoint_seconds", ZM_CONFIG_FLOAT, AT(checkpoint_seconds), "60", 0, 1e6, 0, NULL, NULL,
     "between saved states"},
    {"train.checkpointing", ZM_CONFIG_BOOL, AT(checkpointing), "false", 0, 0, 0, NULL, NULL,
     "recompute blocks backwards: less memory, a third more work"},
    {"train.precision", ZM_CONFIG_ENUM, AT(precision), "f32", 0, 0, 0, "f32|bf16", NULL,
     "of products on the CPU; bf16 rounds their operands, all that is kept stays f32 (of a card: --device)"},
    {"optimizer.kind", ZM_CONFIG_ENUM, AT(optimizer), "muon", 0, 0, 0, "adamw|muon", NULL,
     "muon: orthogonalised momentum for matrices, AdamW for the rest"},
    {"optimizer.lr", ZM_CONFIG_FLOAT, AT(lr), "5e-3", 1e-9, 10, 0, NULL, NULL,
     "of matrices (muon) or of everything (adamw)"},
    {"optimizer.adam_lr", ZM_CONFIG_FLOAT, AT(adam_lr), "2e-3", 1e-9, 10, 0, NULL, NULL,
     "of what muon leaves to AdamW"},
    {"optimizer.weight_decay", ZM_CONFIG_FLOAT, AT(weight_decay), "0.01", 0, 1, 0, NULL, NULL,
     "decoupled, on matrices"},
    {"optimizer.clip", ZM_CONFIG_FLOAT, AT(clip), "1", 0, 1e9, 0, NULL, NULL, "largest gradient norm; 0 none"},
    {"optimizer.ema", ZM_CONFIG_FLOAT, AT(ema), "0.998", 0, 0.999999, 0, NULL, NULL,
     "decay of the averaged weights; 0 none"},
    {"optimizer.momentum", ZM_CONFIG_FLOAT, AT(momentum), "0.95", 0, 0.9999, 0, NULL, NULL, "of muon"},
    {"vae.frames", ZM_CONFIG_INT, AT(vae_frames), "9", 1, 1025, 0, NULL, NULL, "frames of a training window, 4n+1"},
    {"vae.inside", ZM_CONFIG_FLOAT, AT(vae_inside), "4", 0.01, 1000, 0, NULL, NULL, "weight of pixels inside bodies"},
    {"vae.kl", ZM_CONFIG_FLOAT, AT(vae_kl), "2e-5", 0, 10, 0, NULL, NULL, "weight of the divergence from N(0,1)"},
    {"dit.captions", ZM_CONFIG_INT, AT(dit_captions), "8", 1, 64, 0, NULL, NULL, "captions kept of each clip"},
    {"dit.inside", ZM_CONFIG_FLOAT, AT(dit_inside), "3", 0.01, 1000, 0, NULL, NULL,
     "weight of latent cells inside bodies"},
    {"dit.prompt_dropout", ZM_CONFIG_FLOAT, AT(dit_prompt_dropout), "0.1", 0, 1, 0, NULL, NULL,
     "share of clips without prompt, for guidance"},
    {"dit.density", ZM_CONFIG_ENUM, AT(dit_density), "uniform", 0, 0, 0, "uniform|logit-normal", NULL,
     "of noise levels"},
    {"dit.shift", ZM_CONFIG_FLOAT, AT(dit_shift), "1", 0.01, 100, 0, NULL, NULL, "of noise levels, as in sampling"},
    {"dit.common", ZM_CONFIG_FLOAT, AT(dit_common), "0.6", 0, 1, 0, NULL, NULL,
     "share of clips with one noise level for all frames"},
    {"dit.given", ZM_CONFIG_FLOAT, AT(dit_given), "0.2", 0, 1, 0, NULL, NULL,
     "share of clips with clean first frames (one or two) or blocks (any number); the rest has a level for each"},
    {"dit.level_frames", ZM_CONFIG_INT, AT(dit_level_frames), "0", 0, 64, 0, NULL, NULL,
     "latent frames of a block, given together or sharing a level; 0: the model's causal block, or no blocks"},
    {"dit.causal_block", ZM_CONFIG_INT, AT(dit_causal_block), "0", 0, 1 << 14, 0, NULL, NULL,
     "latent frames of a block that sees itself and those before it; 0: as the model's sizes say"},
    {"dit.causal_window", ZM_CONFIG_INT, AT(dit_causal_window), "0", 0, 1 << 14, 0, NULL, NULL,
     "with causal_block: blocks that are seen, the own one the last of them; 0: all before it"},
    {"dit.causal_sink", ZM_CONFIG_INT, AT(dit_causal_sink), "0", 0, 1 << 14, 0, NULL, NULL,
     "with causal_block: first blocks that stay seen"},
    {"dit.causal_share", ZM_CONFIG_FLOAT, AT(dit_causal_share), "0", 0, 0.99, 0, NULL, NULL,
     "of clips that look back only, in a model trained both ways; 0: all of a model with causal_block"},
    {"dit.causal_common", ZM_CONFIG_FLOAT, AT(dit_causal_common), "0.1", 0, 1, 0, NULL, NULL,
     "with causal_share: dit.common of the clips that look back only"},
    {"dit.causal_given", ZM_CONFIG_FLOAT, AT(dit_causal_given), "0.4", 0, 1, 0, NULL, NULL,
     "with causal_share: dit.given of the clips that look back only"},
    {"distill.teach", ZM_CONFIG_ENUM, AT(distill_teach), "steps", 0, 0, 0, "steps|guidance", NULL,
     "few steps of Euler's, each as far as many of the teacher's; or only to answer as guidance does, for a solver to use"},
    {"distill.steps", ZM_CONFIG_INT, AT(distill_steps), "4", 1, 64, 0, NULL, NULL, "steps the student takes"},
    {"distill.fine", ZM_CONFIG_INT, AT(distill_fine), "5", 1, 1000, 0, NULL, NULL,
     "steps of the teacher in each of the student's; of guidance: points of a path that are learnt for each"},
    {"distill.guidance", ZM_CONFIG_FLOAT, AT(distill_guidance), "0", 0, 100, 0, NULL, NULL,
     "of the teacher, learnt by the student; 0: the model's"},
    {"distill.solver", ZM_CONFIG_STR, AT(distill_solver), "unipc", 0, 0, 0, NULL, NULL,
     "the teacher's; of guidance: the one that the student is used with"},
    {"distill.paths", ZM_CONFIG_INT, AT(distill_paths), "2000", 1, 131072, 0, NULL, NULL,
     "paths that the teacher walks once, from noise and a caption each"},
    {"distill.given", ZM_CONFIG_FLOAT, AT(distill_given), "0.2", 0, 1, 0, NULL, NULL,
     "share of paths with one or two given first frames"},
    {"distill.own", ZM_CONFIG_FLOAT, AT(distill_own), "0", 0, 1, 0, NULL, NULL,
     "share of paths that the student walks and the teacher corrects"},
    {"distill.back", ZM_CONFIG_FLOAT, AT(distill_back), "0.5", 0, 1, 0, NULL, NULL,
     "share of paths that look back only, as films are made, of a model trained both ways"},
    {"distill.rank", ZM_CONFIG_INT, AT(distill_rank), "32", 1, 1024, 0, NULL, NULL, "of the adapter"},
    {"distill.adapter", ZM_CONFIG_STR, AT(distill_adapter), "", 0, 0, 0, NULL, NULL,
     "adapter file the student starts with; empty: it starts as the teacher"},
};

const zm_config_table zm_train_table = {.rows = rows, .n = sizeof rows / sizeof *rows, .size = sizeof(zm_train_config)};

zm_dtype zm_train_stored(const zm_train_config *c)
{
    static const zm_dtype dtype[] = {ZM_F32, ZM_F16, ZM_Q8_0};
    return dtype[c->stored];
}

zm_precision zm_train_precision(const zm_train_config *c)
{
    static const zm_precision precision[] = {ZM_PRECISION_F32, ZM_PRECISION_BF16};
    return zm_backend_device() == ZM_DEVICE_CPU ? precision[c->precision] : ZM_PRECISION_F32;
}

zm_opt_options zm_train_optimizer(const zm_train_config *c)
{
    return (zm_opt_options){.kind = (zm_opt_kind)c->optimizer,
                            .lr = c->lr,
                            .adam_lr = c->adam_lr,
                            .beta1 = 0.9,
                            .beta2 = 0.99,
                            .eps = 1e-8,
                            .momentum = c->momentum,
                            .weight_decay = c->weight_decay,
                            .clip = c->clip,
                            .ema = c->ema,
                            .bf16 = zm_train_precision(c) == ZM_PRECISION_BF16};
}
