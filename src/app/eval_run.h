/* What scoring needs at run time: the detector ready to look, a model ready to make clips, the runs of one evaluation.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_EVAL_RUN_H
#define ZM_APP_EVAL_RUN_H

#include <stdio.h>

#include "app/eval_score.h"
#include "media/picture.h"
#include "pipeline/generate.h"

/* The detector with its graph for one clip of the size it was trained on. */
typedef struct zm_eval_eye zm_eval_eye;
/* Errors as zm_detector_open; ZM_E_UNSUPPORTED: a detector of another world.  On failure *out is NULL. */
ZM_MUST zm_status zm_eval_eye_open(zm_eval_eye **out, const char *path, zm_error *err);
void zm_eval_eye_close(zm_eval_eye *e);
const zm_detector_config *zm_eval_eye_config(const zm_eval_eye *e);
/* rgb [F,H,W,3] of the detector's sizes.  Release out->tracks. */
ZM_MUST zm_status zm_eval_look(zm_eval_eye *e, const uint8_t *rgb, double fps, zm_eval_sight *out, zm_error *err);

/* A model that makes clips of the detector's size into memory. */
typedef struct zm_eval_maker {
    zm_model *model; /* owned */
    zm_generator *generator;
    zm_request request; /* resolved; prompt and seed change */
} zm_eval_maker;
/* How it makes them; zeros and NULL mean the model's own defaults. */
typedef struct zm_eval_how {
    int steps;
    double guidance;
    const char *quality, *solver;
    zm_precision precision;
    bool untrained; /* random weights in its networks */
} zm_eval_how;
/* A request for pictures of the detector's size made so. */
zm_request zm_eval_request(const zm_eval_how *how, const zm_detector_config *c);
ZM_MUST zm_status zm_eval_maker_open(zm_eval_maker *m, const char *path, const zm_detector_config *c,
                                     const zm_eval_how *how, zm_error *err);
void zm_eval_maker_close(zm_eval_maker *m);
/* ZM_E_INTERRUPTED when stopped. */
ZM_MUST zm_status zm_eval_make(zm_eval_maker *m, const char *prompt, uint64_t seed, uint8_t *rgb, zm_error *err);

/* Clips for a contact sheet. */
enum { ZM_EVAL_SHEET_CLIPS = 12, ZM_EVAL_SHEET_FRAMES = 6 };
typedef struct zm_eval_sheet {
    size_t n;
    zm_frame frame[ZM_EVAL_SHEET_CLIPS][ZM_EVAL_SHEET_FRAMES];
    char caption[ZM_EVAL_SHEET_CLIPS][ZM_CAPTION_BYTES];
} zm_eval_sheet;
/* Keeps a clip while there is room; does nothing for a NULL sheet. */
ZM_MUST zm_status zm_eval_sheet_add(zm_eval_sheet *s, const uint8_t *rgb, const zm_detector_config *c,
                                    const char *caption, zm_error *err);
ZM_MUST zm_status zm_eval_sheet_write(const zm_eval_sheet *s, const char *path, zm_error *err);
void zm_eval_sheet_release(zm_eval_sheet *s);

/* One column of the report: the same prompts shown by a model or by the world itself. */
typedef struct zm_eval_run {
    const char *name;
    bool renders, held_out;
    bool coded; /* renders that pass through the model's autoencoder */
    int clips;
    zm_eval_tally tally;
    zm_eval_physics physics;
} zm_eval_run;
enum { ZM_RUN_MODEL, ZM_RUN_CEILING, ZM_RUN_UNTRAINED, ZM_RUN_HELD_OUT, ZM_RUN_HELD_CEILING, ZM_EVAL_RUNS };

typedef struct zm_eval_report {
    const char *model; /* NULL: renders only */
    zm_eval_run run[ZM_EVAL_RUNS];
    int width, steps;
    double guidance;
    char quality[16], solver[32];
    uint64_t seed;
    double seconds;
} zm_eval_report;
void zm_eval_print(FILE *out, zm_eval_report *r);
/* One line of JSON.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_eval_print_json(FILE *out, zm_eval_report *r, zm_error *err);

/* Make a clip of every line of `path` and print what is seen in it; lines of JSON are scored on the keys they give. ZM_E_FORMAT names file and line. */
ZM_MUST zm_status zm_eval_prompts(zm_eval_maker *m, zm_eval_eye *e, const char *path, uint64_t seed, bool json,
                                  zm_eval_sheet *sheet, zm_error *err);

#endif
