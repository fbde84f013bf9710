/* The training loop: one graph, one optimiser, checkpoints, a log and a loss curve.  Stages say what is trained.
 *
 * A step is a pure function of (parameters, optimiser state, step number): batches are drawn by step number, so a
 * resumed run walks the same trajectory as one that was never stopped.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TRAIN_TRAINER_H
#define ZM_TRAIN_TRAINER_H

#include <signal.h>
#include <stdio.h>

#include "backend/backend.h"
#include "train/optimizer.h"

/* What a stage brings.  `user` is passed to each call. */
typedef struct zm_stage {
    const char *name;
    void *user;
    double tokens_per_step; /* what the throughput line counts, and what it calls them */
    const char *tokens_name;
    /* NULL, or the frozen network whose adapter is trained: graphs are built on it, and `build` attaches the adapter. */
    const zm_params *base;
    /* Build the loss [1] of one batch. */
    zm_tensor *(*build)(void *user, zm_build *b);
    /* Write batch number `step` into the graph's inputs. */
    zm_status (*fill)(void *user, int64_t step, zm_error *err);
    /* Optional: measure on data that training never sees, averaged parameters in place; a short text for people. */
    zm_status (*validate)(void *user, int64_t step, char *text, size_t cap, zm_error *err);
} zm_stage;

typedef struct zm_trainer_options {
    /* Optional: called after each validation with the averaged parameters in place, to write samples. */
    zm_status (*sample)(void *user, int64_t step, zm_error *err);
    void *sample_user;
    const char *dir;                 /* log.csv, loss.png and checkpoint.safetensors go here; exists */
    int64_t steps, warmup, cooldown; /* cooldown: last steps, learning rate falls linearly to a twentieth */
    zm_opt_options opt;
    double checkpoint_seconds;
    int64_t log_every, validate_every; /* steps; 0: never */
    bool checkpointing;                /* recompute blocks in the backward pass */
    zm_precision precision;            /* of the training graph's products */
    bool resume;
    const char *fingerprint;           /* what must be equal for a resume: sizes, seed, batch */
    FILE *report;                      /* lines for people; NULL: silent */
    const volatile sig_atomic_t *stop; /* becomes non-zero: save and return ZM_E_INTERRUPTED; may be NULL */
} zm_trainer_options;

typedef struct zm_trainer_result {
    int64_t step;
    double loss;         /* smoothed, last */
    double gflops, peak; /* of the steps in this run, and the machine's measured sgemm */
} zm_trainer_result;

/* Train `p` (filled) in place; on success it holds the averaged values.  ZM_E_INTERRUPTED: stopped, state saved.
 * ZM_E_IO: disk; the last checkpoint stays.  ZM_E_FORMAT: loss or gradient not finite, or a checkpoint of another
 * configuration. */
ZM_MUST zm_status zm_train(zm_params *p, const zm_stage *stage, const zm_trainer_options *o, zm_trainer_result *result,
                           zm_error *err);

#endif
