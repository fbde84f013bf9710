/* What the files of the film share: the film itself, its stock of frames, its place on disk.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_FILM_PARTS_H
#define ZM_PIPELINE_FILM_PARTS_H

#include <stdio.h>

#include "pipeline/film.h"
#include "pipeline/identity.h"
#include "pipeline/source.h"

/* Frames in order, at most `cap`; a ring that forgets the oldest. */
typedef struct zm_stock {
    zm_frame *at;
    int cap, n, next; /* next: the place of the next one */
} zm_stock;

ZM_MUST zm_status zm_stock_init(zm_stock *s, int cap, int width, int height, zm_error *err);
void zm_stock_release(zm_stock *s);
/* Of any size: brought to the stock's.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_stock_put(zm_stock *s, const zm_frame *f, zm_error *err);
/* The i-th of the frames that are there, 0 the oldest. */
zm_frame *zm_stock_at(const zm_stock *s, int i);

struct zm_film {
    zm_model *m;
    zm_film_request r;
    zm_film_about about;
    zm_reel reel;
    zm_reel_shot *shot;
    int64_t main_frames, after_frames; /* of the given videos, as far as they were counted */
    /* While it runs. */
    const zm_film_watch *watch;
    zm_generator *g;
    zm_window now;
    int done;        /* windows */
    int seen;        /* frames of the window that came */
    int64_t put;     /* frames that went out */
    zm_stock carry;  /* the last frames, at the window's size: what the next window is given */
    zm_stock tail;   /* what the film leads to, at the window's size */
    zm_stock source; /* frames of a changed video for this window, at the film's size */
    zm_stock held;   /* of a shot that fades, at the film's size */
    zm_source changing;
    zm_frame sized;  /* a frame at the film's size */
    zm_frame alpha;  /* the mask's picture at the film's size; {0}: none */
    FILE *spool;     /* of windows that are made from the end: the film at the window's size */
    float *known[3]; /* head, tail, all */
    uint8_t *repaint;
    zm_known given; /* of this window */
    zm_identity id;
};

void zm_film_run_release(zm_film *f);

/* The film's place: windows done, where the file is, and the frames that the next window needs.  ZM_E_IO, ZM_E_NOMEM. */
ZM_MUST zm_status zm_film_save(zm_film *f, const zm_film_mark *mark, zm_error *err);
/* Back to it.  *found false: there is none.  ZM_E_USAGE: another film's; ZM_E_FORMAT. */
ZM_MUST zm_status zm_film_load(zm_film *f, zm_film_mark *mark, bool *found, zm_error *err);

#endif
