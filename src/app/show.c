/* Progress, preview and frames of a run.
 * SPDX-License-Identifier: MIT */
#include "app/show.h"

#include <stdio.h>

#include "app/common.h"
#include "base/clock.h"

/* The line of the phase before ends, whole; a run that takes its parts one after the other is worth a log's lines. */
static void on_phase(void *user, const char *what, int total)
{
    show *s = user;
    zm_progress_end(&s->progress, s->progress.total);
    if (s->windows > 1)
        snprintf(s->what, sizeof s->what, "window %d/%d %.20s", s->window + 1, s->windows, what);
    else
        snprintf(s->what, sizeof s->what, "%.40s", what);
    zm_progress_start(&s->progress, s->quiet ? NULL : stderr, s->what, total, s->always);
    s->done = 0;
}

static void on_step(void *user, int done, int total)
{
    show *s = user;
    (void)total;
    s->done = done;
    if (s->first_step <= 0)
        s->first_step = zm_process_age();
    zm_progress_step(&s->progress, done);
}

static void on_preview(void *user, const zm_frame *picture)
{
    show *s = user;
    zm_error ignored = {0};
    if (zm_preview_draw(&s->preview, picture, &ignored))
        s->preview.out = NULL;
}

static zm_status on_frame(void *user, const zm_frame *frame, zm_error *err)
{
    show *s = user;
    zm_status st = s->writer ? ZM_OK : zm_writer_open(&s->writer, s->out, s->as, err);
    if (!st)
        st = zm_writer_put(s->writer, frame, err);
    s->frames += !st;
    s->done += s->done < s->progress.total;
    if (!st)
        zm_progress_step(&s->progress, s->done);
    return st;
}

static zm_status on_finish(void *user, zm_error *err)
{
    show *s = user;
    zm_progress_end(&s->progress, s->progress.total);
    return zm_writer_close(&s->writer, err);
}

static void on_note(void *user, const char *sentence)
{
    const show *s = user;
    if (!s->quiet)
        fprintf(stderr, "note: %s\n", sentence);
}

static void on_window(void *user, int k, int n)
{
    show *s = user;
    s->window = k;
    s->windows = n;
}

static zm_status on_mark(void *user, zm_film_mark *at, zm_error *err)
{
    show *s = user;
    zm_writer_mark mark;
    zm_status st = s->writer ? ZM_OK : zm_writer_open(&s->writer, s->out, s->as, err);
    if (!st)
        st = zm_writer_mark_here(s->writer, &mark, err);
    if (!st)
        *at = (zm_film_mark){.frames = mark.frames, .bytes = mark.bytes, .segments = mark.stretches};
    return st;
}

static zm_status on_back(void *user, const zm_film_mark *at, zm_error *err)
{
    show *s = user;
    zm_writer_mark mark = {.frames = at->frames, .bytes = at->bytes, .stretches = at->segments};
    zm_status st = zm_writer_open(&s->writer, s->out, s->as, err);
    s->frames = at->frames;
    return st ? st : zm_writer_go_on(s->writer, &mark, err);
}

zm_film_watch zm_show_watch(show *s, bool preview)
{
    bool grows = s->as->growing;
    return (zm_film_watch){.watch = {.user = s,
                                     .phase = on_phase,
                                     .step = on_step,
                                     .preview = preview ? on_preview : NULL,
                                     .frame = on_frame,
                                     .finish = on_finish,
                                     .note = on_note,
                                     .stop = &zm_app_stop},
                           .window = on_window,
                           .mark = grows ? on_mark : NULL,
                           .back = grows ? on_back : NULL};
}

void zm_show_end(show *s, bool failed)
{
    zm_progress_end(&s->progress, s->done);
    if (failed && s->writer)
        zm_writer_abandon(&s->writer);
}
