/* The ways of making video, and which of them a model can do: told before anything is opened.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_MODES_H
#define ZM_PIPELINE_MODES_H

#include "pipeline/request.h"

typedef enum {
    ZM_MODE_TEXT,
    ZM_MODE_PICTURE,
    ZM_MODE_IMAGE,
    ZM_MODE_IMAGES,
    ZM_MODE_EXTEND,
    ZM_MODE_BACKWARD,
    ZM_MODE_JOIN,
    ZM_MODE_LOOP,
    ZM_MODE_EDIT,
    ZM_MODE_INPAINT,
    ZM_MODE_LONG,
    ZM_MODE_STORYBOARD,
    ZM_MODE_COUNT
} zm_mode_kind;

typedef struct zm_mode {
    zm_mode_kind kind;
    const char *name;    /* "extend" */
    const char *summary; /* for people: "go on from a video" */
    const char *needs;   /* what a model that cannot do it lacks */
    bool (*able)(const zm_model *m);
} zm_mode;

extern const zm_mode zm_modes[ZM_MODE_COUNT]; /* by kind */

/* ZM_E_USAGE: the model cannot; the sentence says why and what it can do. */
ZM_MUST zm_status zm_mode_check(zm_mode_kind kind, const zm_model *m, zm_error *err);
/* Names of all modes the model can do, "text, picture, ..."; into a caller's buffer, returned. */
const char *zm_modes_text(const zm_model *m, char *buf, size_t cap);

#endif
