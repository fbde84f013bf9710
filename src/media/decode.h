/* Between the reader and what decodes: one implementation with FFmpeg, and one that says there is none.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MEDIA_DECODE_H
#define ZM_MEDIA_DECODE_H

#include <stdbool.h>

#include "base/error.h"
#include "media/frame.h"
#include "media/reader.h"

typedef struct zm_decoder zm_decoder;

/* Fills in `about`; its size is that of the first frame, which has been decoded then.  The errors are
 * zm_reader_open's. */
ZM_MUST zm_status zm_decoder_open(zm_decoder **out, zm_reader_info *about, const char *path, zm_error *err);
/* The next frame, upright, into `f` (replaced; {0} or an earlier frame), the time it is first shown and how long, in
 * seconds (0 when unknown).  *got = false after the last. */
ZM_MUST zm_status zm_decoder_next(zm_decoder *d, zm_frame *f, double *start, double *length, bool *got, zm_error *err);
void zm_decoder_free(zm_decoder *d);

#endif
