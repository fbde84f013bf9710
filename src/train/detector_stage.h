/* Training the detector on clips whose truth is known, softened the way generated clips are soft.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TRAIN_DETECTOR_STAGE_H
#define ZM_TRAIN_DETECTOR_STAGE_H

#include "model/detector.h"
#include "train/trainer.h"

enum { ZM_DETECTOR_BODIES = 8 }; /* rows a frame */

/* One body in one frame; px. */
typedef struct zm_detector_body {
    int cls, colour;           /* colour -1: not asked */
    float x, y, width, height; /* centre and size */
    float visible;             /* share that is to be seen; 0: not there */
} zm_detector_body;

/* Clips by number, with their truth; calls come from several threads at once. */
typedef struct zm_detector_source {
    void *user;
    int width, height, frames;
    /* rgb [F,H,W,3]; answer [ZM_HEADS]; bodies [F, ZM_DETECTOR_BODIES]. */
    zm_status (*clip)(void *user, int64_t index, uint8_t *rgb, int *answer, zm_detector_body *bodies, zm_error *err);
    /* Clips first .. first+n-1 at once, [n] of the above, by who is better at many; NULL: `clip` one by one. */
    zm_status (*clips)(void *user, int64_t first, int64_t n, uint8_t *rgb, int *answer, zm_detector_body *bodies,
                       zm_error *err);
    /* The answers of the clip seen in a mirror (left is right). */
    void (*mirror)(void *user, int *answer);
} zm_detector_source;

typedef struct zm_detector_stage_options {
    int batch;
    int64_t pool, held_out; /* clips kept in memory, and of `held` to validate with */
    uint64_t seed;
} zm_detector_stage_options;

typedef struct zm_detector_stage zm_detector_stage;

/* d and p are borrowed; train and held during the call only. */
ZM_MUST zm_status zm_detector_stage_new(zm_detector_stage **out, const zm_detector *d, const zm_params *p,
                                        const zm_detector_source *train, const zm_detector_source *held,
                                        const zm_detector_stage_options *o, zm_error *err);
void zm_detector_stage_free(zm_detector_stage *s);
zm_stage zm_detector_stage_interface(zm_detector_stage *s);

#endif
