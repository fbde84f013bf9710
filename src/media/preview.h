/* Draw a picture in a terminal: two pixels a character, 24-bit colours, each drawing over the one before.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MEDIA_PREVIEW_H
#define ZM_MEDIA_PREVIEW_H

#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"
#include "media/frame.h"

typedef struct zm_preview {
    FILE *out;         /* NULL = draw nothing */
    int columns, rows; /* characters that may be used */
    int drawn;         /* lines the last drawing took; the next one moves up by as many */
} zm_preview;

/* A preview on `out`, as large as the terminal allows but at most 80 columns by 24 rows.  When `out` is no terminal it
 * draws nothing, unless `always`, which assumes 80 by 24. */
void zm_preview_init(zm_preview *p, FILE *out, bool always);
/* Draw over the last drawing: the picture scaled down to fit (never up), its shape kept.  The cursor ends on the line
 * below, where a zm_progress on the same stream may write.  ZM_E_NOMEM; ZM_E_IO: the stream refused. */
ZM_MUST zm_status zm_preview_draw(zm_preview *p, const zm_frame *f, zm_error *err);

#endif
