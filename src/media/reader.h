/* Decode frames from a video or picture file that may be hostile: one reader, one stream, one thread.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MEDIA_READER_H
#define ZM_MEDIA_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "media/frame.h"

typedef struct zm_reader zm_reader;

typedef struct {
    int width, height;    /* crop about the centre and resize to this; both 0 = as they are */
    int fps_num, fps_den; /* resample in time: at time k/fps the frame shown then; both 0 = every frame once */
} zm_reader_options;      /* {0} is valid */

typedef struct {
    const char *container; /* "mp4", "matroska", "gif", "png", "apng", "jpeg", "webp", "bmp", "avi" */
    const char *codec;     /* FFmpeg decoder name */
    int width, height;     /* pixels in the file, after turning it upright */
    int fps_num, fps_den;  /* average frames per second; 1/1 for a still picture */
    int64_t frames;        /* number of frames in the file; -1 when the file does not say */
    double seconds;        /* length; 0 when the file does not say */
    bool still;            /* one picture, no time */
} zm_reader_info;

/* Open a local regular file.  Only the containers above and well-known codecs are tried, nothing else is ever opened
 * (no network, no playlists, no external tracks), and the structure is walked first: a truncated file fails here.
 * Memory: a few frames; frames over ZM_FRAME_MAX_SIDE or ZM_FRAME_MAX_PIXELS are refused.
 * ZM_E_MISSING, ZM_E_IO: cannot open; ZM_E_FORMAT: damaged or truncated; ZM_E_UNSUPPORTED: not one of ours, or too
 * large; ZM_E_USAGE: options.  `opt` may be NULL.  On failure *out is NULL. */
ZM_MUST zm_status zm_reader_open(zm_reader **out, const char *path, const zm_reader_options *opt, zm_error *err);
/* Borrowed until close. */
const zm_reader_info *zm_reader_about(const zm_reader *r);
/* *frame = the next frame, borrowed until the next call; NULL after the last.  ZM_E_FORMAT: a damaged frame, or a
 * file that ends before its own index says.  After a failure every call fails the same way. */
ZM_MUST zm_status zm_reader_next(zm_reader *r, const zm_frame **frame, zm_error *err);
/* NULL is fine; sets *r to NULL. */
void zm_reader_close(zm_reader **r);

/* The first frame of any file the reader opens; `out` is initialised here and the caller releases it. */
ZM_MUST zm_status zm_picture_read(zm_frame *out, const char *path, zm_error *err);
/* Up to `frames` frames from the start (after `opt`, which must give a size), into u8 [frames, height, width, 3];
 * *got says how many there were. */
ZM_MUST zm_status zm_clip_read(uint8_t *out, int frames, int *got, const char *path, const zm_reader_options *opt,
                               zm_error *err);

#endif
