/* A film: shots, given videos and edits as windows of one denoising loop, frame after frame, in memory that does not
 * grow with its length.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_FILM_H
#define ZM_PIPELINE_FILM_H

#include "pipeline/generate.h"
#include "pipeline/modes.h"
#include "pipeline/reel.h"

/* A stretch of the film under one prompt. */
typedef struct zm_shot {
    const char *prompt;
    int frames;
    zm_transition transition; /* from the shot before; the first shot has none */
    int dissolve;             /* frames of ZM_DISSOLVE */
    const zm_image *picture;  /* that it begins with; NULL: free */
} zm_shot;

/* Where a changed video is made anew; everything else is its own, bit for bit.  Zeros: everywhere. */
typedef struct zm_mask {
    const zm_frame *picture; /* of any size, brought to the video's: white is made anew, black stays; NULL: all of it */
    int64_t from, to;        /* frames from..to, counted from 1; 0: all of them */
} zm_mask;

/* What is asked for.  All borrowed until the film is closed. */
typedef struct zm_film_request {
    zm_request clip;     /* as for one clip; `frames`: to be made in all, `span`: of a window; 0: the model's own */
    const zm_shot *shot; /* a storyboard; NULL: the clip's prompt alone, and clip.frames */
    int n_shots;
    const char *before; /* video that the film goes on from: its frames come first */
    const char *after;  /* video that the film leads to: its frames come last */
    const char *change; /* video that is changed */
    double strength;    /* how far: 0 .. 1; 0: 0.6, or 1 with a mask */
    zm_mask mask;
} zm_film_request;

/* Where a growing file is: all before it is safe on disk. */
typedef struct zm_film_mark {
    int64_t frames, bytes;
    int segments;
} zm_film_mark;

/* Beside zm_watch (whose `frame` gets every frame of the film, given ones included, and whose `saving` keeps both the
 * window that is being made and the film's place). */
typedef struct zm_film_watch {
    zm_watch watch;
    /* Optional: window `k` of `n` begins. */
    void (*window)(void *user, int k, int n);
    /* Optional: make what was put so far safe and say where that is; without it a film is resumed from its beginning. */
    zm_status (*mark)(void *user, zm_film_mark *at, zm_error *err);
    /* Optional: the film goes on at a mark of an earlier run: frames before it are there and will not come again. */
    zm_status (*back)(void *user, const zm_film_mark *at, zm_error *err);
    const char *path; /* of the film's place on disk (a run of several windows only); NULL: none */
} zm_film_watch;

/* What the film is, everything filled in. */
typedef struct zm_film_about {
    const zm_mode *mode;
    zm_request clip;   /* one window's, resolved */
    int width, height; /* pixels of its frames */
    double fps;
    int64_t made; /* frames that are made */
    int windows;
    int stretch; /* windows between two marks: blocks are short, and each mark begins the file's encoder anew */
    bool exact;  /* frames of a given video pass through: they may not be enlarged */
} zm_film_about;

typedef struct zm_film zm_film;

/* Look at everything that is asked for: read the given videos' headers, plan the windows, check what the model can do.
 * ZM_E_USAGE and the readers' errors, each a sentence, before any work.  m is borrowed. */
ZM_MUST zm_status zm_film_open(zm_film **out, zm_model *m, const zm_film_request *r, zm_error *err);
void zm_film_close(zm_film *f); /* NULL is fine */
const zm_film_about *zm_film_about_of(const zm_film *f);
double zm_film_strength(const zm_film *f);
/* Make it.  Errors as of zm_generate; ZM_E_FORMAT: a given video that breaks off. */
ZM_MUST zm_status zm_film_run(zm_film *f, const zm_generator_options *how, const zm_film_watch *w, zm_error *err);

#endif
