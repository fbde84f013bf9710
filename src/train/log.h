/* The written record of a training run: one CSV row a step, and the loss curve as a picture.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TRAIN_LOG_H
#define ZM_TRAIN_LOG_H

#include <stdint.h>

#include "base/mapfile.h"

typedef struct zm_train_row {
    int64_t step; /* finished steps, from 1 */
    double loss, norm, rate, gflops;
} zm_train_row;

typedef struct zm_train_log {
    char *csv, *png, *notes, *name;
    FILE *file;
    zm_train_row *row;
    int64_t n, cap;
} zm_train_log;

/* Open DIR/log.csv; rows beyond `first` finished steps (written after the checkpoint that is resumed) are dropped. */
ZM_MUST zm_status zm_train_log_open(zm_train_log *l, const char *dir, const char *name, int64_t first, zm_error *err);
ZM_MUST zm_status zm_train_log_add(zm_train_log *l, const zm_train_row *row, zm_error *err);
/* A line of text for people into DIR/validation.txt. */
ZM_MUST zm_status zm_train_log_note(zm_train_log *l, int64_t step, const char *text, zm_error *err);
/* Rows to disk and DIR/loss.png redrawn. */
ZM_MUST zm_status zm_train_log_flush(zm_train_log *l, zm_error *err);
void zm_train_log_close(zm_train_log *l);

#endif
