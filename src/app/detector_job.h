/* zouma train with stage: detector.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_DETECTOR_JOB_H
#define ZM_APP_DETECTOR_JOB_H

#include "app/train_job.h"
#include "model/detector.h"

/* The numbers of classes and answers of the toy-box world: level 0, its core grammar; 1, everything. */
zm_detector_config zm_detector_world_config(int level, int width, int height, int frames);
/* The level whose classes and answers a detector has; -1: those of another world. */
int zm_detector_world_level(const zm_detector_config *c);

/* Train the detector on the toy-box world and write OUT/detector.gguf. */
ZM_MUST zm_status zm_job_detector(zm_job *job, zm_error *err);

#endif
