/* Walking paths with a teacher's networks; used by train/paths.c alone.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TRAIN_PATHS_MAKE_H
#define ZM_TRAIN_PATHS_MAKE_H

#include "train/paths.h"

enum { ZM_PATHS_FRAMES_MAX = 64 };

/* Paths in memory, as zm_paths_part has them. */
typedef struct zm_paths_made {
    int64_t n;
    uint16_t *start, *velocity, *context;
    int32_t *given;
} zm_paths_made;
void zm_paths_made_release(zm_paths_made *m);

/* Of each batch the first so many paths look back only. */
int zm_paths_back(const zm_teacher *t, const zm_paths_options *o);

typedef struct zm_paths_maker zm_paths_maker;
/* Everything is borrowed.  ZM_E_SHAPE: the schedules of student and teacher do not meet; ZM_E_NOMEM. */
ZM_MUST zm_status zm_paths_maker_new(zm_paths_maker **out, const zm_teacher *t, const zm_schedule *student,
                                     const zm_paths_options *o, zm_error *err);
void zm_paths_maker_free(zm_paths_maker *m);
/* Walk paths first .. first+n-1; the same numbers give the same paths.  ZM_E_INTERRUPTED. */
ZM_MUST zm_status zm_paths_make(zm_paths_maker *m, zm_paths_made *out, const zm_clip_source *source, int64_t first,
                                int64_t n, zm_error *err);

#endif
