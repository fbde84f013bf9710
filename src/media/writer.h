/* Encode frames into a video or picture file: one writer, one stream, one thread.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MEDIA_WRITER_H
#define ZM_MEDIA_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "media/frame.h"

typedef struct zm_writer zm_writer;

/* The extension of the path chooses what is written:
 *
 *   .mp4    H.264 high profile, yuv420p, BT.709, index first (plays in browsers while loading)
 *   .webm   VP9, yuv420p, BT.709
 *   .gif    256 colours chosen for the whole clip, ordered dither, plays forever, at most 50 frames a second
 *   .apng   exact colours, plays forever
 *   .png    exact colours; one picture, or with one %d, %3d or %03d in the file name a picture per frame from 1 on
 *
 * The two video codecs need even sizes: an odd one gets its last row or column twice.  The same frames and options
 * give the same bytes with the same FFmpeg. */
typedef struct {
    const char *codec;    /* FFmpeg encoder name for .mp4 and .webm; NULL = libx264, libvpx-vp9 */
    int width, height;    /* pixels of the frames that will be put */
    int fps_num, fps_den; /* frames per second, as a ratio; both 0 = 25, and irrelevant for .png */
    int crf;              /* 1 (best) .. 51 for .mp4, .. 63 for .webm; 0 = 18, 24 */
    bool
        growing; /* the file is under its own name from the first mark on, and can be played then: see zm_writer_grows */
    int scale;   /* enlarge by this factor (Catmull-Rom); 0 and 1 = as they are; see zm_writer_watchable */
} zm_writer_options; /* {0} plus a size is valid */

/* The smallest factor that makes the shorter side at least 320 pixels; 1 for a size that is large enough. */
int zm_writer_watchable(int width, int height);
/* ZM_OK when the extension and the options are ones this build can write; the sentence otherwise.  Touches no file:
 * callers ask this before hours of work. */
ZM_MUST zm_status zm_writer_check(const char *path, const zm_writer_options *opt, zm_error *err);

/* Start writing beside `path` (PATH.part-PID).  ZM_E_IO: cannot create; ZM_E_UNSUPPORTED: extension, codec or size;
 * ZM_E_USAGE: options that make no sense.  On failure *out is NULL and no file is left behind. */
ZM_MUST zm_status zm_writer_open(zm_writer **out, const char *path, const zm_writer_options *opt, zm_error *err);
/* Append one frame of the size given at open; borrowed until return.  After a failure (ZM_E_IO: disk full, say) the
 * writer can only be closed or abandoned. */
ZM_MUST zm_status zm_writer_put(zm_writer *w, const zm_frame *f, zm_error *err);
/* A writer opened with `growing` keeps no temporary: what was put before a mark is safe on disk, under the file's own
 * name, and can be gone on from later with the same bytes as a result. */
typedef struct zm_writer_mark {
    int64_t frames, bytes; /* put; of the file (0 for a sequence of pictures) */
    int stretches;
} zm_writer_mark;
/* Whether this kind of file can grow: .mp4, and pictures per frame. */
bool zm_writer_grows(const char *path);
/* Make everything safe and say where that is.  ZM_E_IO. */
ZM_MUST zm_status zm_writer_mark_here(zm_writer *w, zm_writer_mark *at, zm_error *err);
/* Before the first frame: go on at a mark that an earlier writer made.  ZM_E_IO: the file is not there, or shorter. */
ZM_MUST zm_status zm_writer_go_on(zm_writer *w, const zm_writer_mark *at, zm_error *err);
/* Flush, write the trailer and move the file to its name.  Always frees; sets *w to NULL.  On failure - also when a
 * put failed or no frame came (ZM_E_USAGE) - nothing is left and a file that was there before is untouched. */
ZM_MUST zm_status zm_writer_close(zm_writer **w, zm_error *err);
/* Free and leave nothing behind but what grew up to the last mark; NULL is fine; sets *w to NULL. */
void zm_writer_abandon(zm_writer **w);

/* One picture as .png (the other extensions also work: a clip of one frame). */
ZM_MUST zm_status zm_picture_write(const char *path, const zm_frame *f, zm_error *err);

#endif
