/* What the FFmpeg side of reading and writing shares: silence, limits, and its errors as our sentences.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MEDIA_FFMPEG_H
#define ZM_MEDIA_FFMPEG_H

#include "base/error.h"

/* Once per process: FFmpeg's log goes to no terminal any more, and no single allocation of FFmpeg's may exceed what
 * the largest allowed picture needs.  Cheap to call again. */
void zm_ffmpeg_setup(void);
/* Forget what FFmpeg complained about on this thread. */
void zm_ffmpeg_forget(void);
/* zm_fail with FFmpeg's own words appended: its last complaint on this thread since zm_ffmpeg_forget, or else the text
 * of `code` (a negative AVERROR).  Out of memory and system errors override `status`. */
zm_status zm_ffmpeg_fail(zm_error *err, zm_status status, int code, const char *fmt, ...) ZM_PRINTF(4, 5);

#endif
