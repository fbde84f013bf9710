/* A folder of name.mp4 + name.txt, or JSON lines, as a source of training clips.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TRAIN_FOLDER_H
#define ZM_TRAIN_FOLDER_H

#include "train/data.h"

typedef struct zm_folder zm_folder;

typedef struct zm_folder_options {
    int width, height, frames, fps; /* what clips are cropped, resized and resampled to */
    int64_t held_out;               /* every so-many clips are kept for validation until there are that many */
} zm_folder_options;

/* Read the list of clips: `path` is a folder of videos (.mp4 .webm .mkv .mov .avi .gif) each with NAME.txt beside it
 * (one caption a line), or a file of JSON lines {"video_path": ..., "caption": ... or [..]} with paths relative to
 * it.  Videos are opened when they are asked for; a clip too short repeats its last frame.  Clips are sorted by name.
 * ZM_E_MISSING: no clips, or a clip without caption; ZM_E_FORMAT names the line; ZM_E_IO. */
ZM_MUST zm_status zm_folder_open(zm_folder **out, const char *path, const zm_folder_options *o, zm_error *err);
void zm_folder_close(zm_folder *f);
zm_clip_source zm_folder_train(zm_folder *f);
zm_clip_source zm_folder_held(zm_folder *f); /* the training clips when there are too few to keep any back */

#endif
