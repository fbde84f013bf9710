/* A run of generate as people see it: progress on stderr, the picture forming, frames into a file.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_SHOW_H
#define ZM_APP_SHOW_H

#include "media/preview.h"
#include "media/progress.h"
#include "media/writer.h"
#include "pipeline/film.h"

/* What the callbacks of a run need. */
typedef struct show {
    zm_progress progress;
    zm_preview preview;
    const char *out;
    const zm_writer_options *as;
    zm_writer *writer; /* opened with the first frame: an encoder takes memory that the steps before may need */
    bool quiet, always;
    int64_t frames;
    int done;          /* of the phase */
    double first_step; /* seconds from the process's start until the first denoising step was done; 0: none was */
    int window, windows;
    char what[64]; /* the phase, and the window where there are several */
} show;

/* The watch of a run: its user is the show. */
zm_film_watch zm_show_watch(show *s, bool preview);
/* After the run: the progress line ends; a file that was not finished goes. */
void zm_show_end(show *s, bool failed);

#endif
