/* Sample clips of a training run: a contact sheet and the clips themselves.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_SAMPLES_H
#define ZM_APP_SAMPLES_H

#include <stdint.h>

#include "base/error.h"

typedef struct zm_sample_clip {
    const uint8_t *rgb; /* [F,H,W,3] */
    const char *caption;
} zm_sample_clip;

/* DIR/samples-STEP.png with all clips, and DIR/sample-STEP-K.mp4 for each.  ZM_E_IO, ZM_E_NOMEM. */
ZM_MUST zm_status zm_samples_write(const char *dir, int64_t step, const zm_sample_clip *clip, int n, int width,
                                   int height, int frames, int fps, zm_error *err);
/* The same with clips that the model in `model` makes of the prompts. */
ZM_MUST zm_status zm_samples_generate(const char *model, const char *dir, int64_t step, const char *const *prompt,
                                      int n, zm_error *err);

#endif
