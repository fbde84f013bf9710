/* A progress line: step of steps, time gone, time left, peak memory.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MEDIA_PROGRESS_H
#define ZM_MEDIA_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

typedef struct zm_progress {
    FILE *out;             /* NULL = silent */
    const char *what;      /* borrowed, e.g. "denoise" */
    long total;            /* steps */
    bool terminal;         /* one line drawn over itself; else a line per report */
    double started, shown; /* zm_now() at the start and at the last report */
} zm_progress;

/* `always` reports also when `out` is no terminal: whole lines then, at most one in five seconds and the last. */
void zm_progress_start(zm_progress *p, FILE *out, const char *what, long total, bool always);
/* `done` steps are finished, 0..total; cheap: on a terminal it draws at most ten times a second. */
void zm_progress_step(zm_progress *p, long done);
/* Draw the last state if it was skipped and end the line.  Fine to call twice. */
void zm_progress_end(zm_progress *p, long done);

/* The text alone: "denoise 7/30, 12 s, 40 s left, 310 MB"; time left is by the mean step so far, absent before the
 * first.  Always NUL-terminated. */
void zm_progress_text(char *out, size_t cap, const char *what, long done, long total, double seconds,
                      size_t peak_bytes);

#endif
