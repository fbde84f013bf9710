/* A film as windows: which frames each run of the denoising loop makes, what it is given, and whose prompt it follows.
 *
 * Terms.  A *film* is the frames that are to be made, numbered from 0.  A *shot* is a stretch of them under one prompt.
 * A *window* is one run of the loop: `length` frames that are made together, of which the first `head` or the last
 * `tail` may be there already.
 *
 * Models that look back only make a film block by block (`block`): a window is one block and what is given before it.  A
 * *take* is the shots that continue each other: its first latent frame stands for one frame, every other one for T, and
 * later windows of it go on after the latent frames there are (`at`), with nothing given.
 *
 * Invariants
 *  R1  Every window has the same length: one graph serves all.  Of blocks: every window makes one.
 *  R2  Windows show every frame of the film once, in order; frames of a dissolve twice, once for either shot.
 *  R3  head is 0 or 1 + T k and at most what stands before the window; tail is T k.
 *  R5  Shots of a take end where one of its blocks does, all but the last: a block has one prompt.
 *  R4  A reel's size does not depend on the length of the film but for its windows, which are told one by one.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_REEL_H
#define ZM_PIPELINE_REEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* How a shot follows the one before it. */
typedef enum { ZM_CONTINUE, ZM_CUT, ZM_DISSOLVE } zm_transition;
#define ZM_TRANSITIONS "continue|cut|dissolve"

typedef struct zm_reel_shot {
    int frames;
    zm_transition transition;
    int dissolve; /* frames from the beginning of the shot in which the one before fades; 0 unless ZM_DISSOLVE */
    bool picture; /* its first frame is given */
} zm_reel_shot;

typedef struct zm_reel {
    zm_reel_shot *shot; /* borrowed; at least one */
    int n_shots;
    int stride; /* T: frames of a latent frame */
    int length; /* of every window, 1 + T k; the reel may make it shorter when one window is all there is.  Of blocks: at most */
    int block;     /* latent frames of a block; 0: windows overlap instead */
    int head;      /* most frames that a window may be given at its beginning; 0: none can */
    int tail;      /* frames that the film leads to, T k, already there; 0: it ends freely */
    int before;    /* frames that stand before the film, which its first shot continues; 0: none */
    bool backward; /* windows are made from the film's end to its beginning, each given what it leads to */
} zm_reel;

typedef struct zm_window {
    int shot;
    int head, tail; /* given frames */
    bool picture;   /* the frame of `head` is the shot's picture, and shown */
    int skip, show; /* of the window's frames these are shown: skip .. skip + show - 1 */
    int64_t first;  /* the film's frame that the first of them is */
    int64_t at;     /* of blocks: latent frames of the take before this window */
    bool onward;    /* of blocks: another window of the take follows */
} zm_window;

enum { ZM_REEL_FRAMES_MAX = 216000 }; /* an hour at 60 frames a second */

/* Check and settle a reel: its length when one window is enough, and the last shot's frames, which become more where a
 * film that leads to a tail must have a multiple of T.  Of blocks, frames move between shots that
 * continue each other, so that R5 holds.  ZM_E_USAGE: no frames, too many, a
 * dissolve longer than its shot, a shot that continues with a model that cannot, or that is too short for a block. */
ZM_MUST zm_status zm_reel_settle(zm_reel *r, zm_error *err);
/* Frames of the film; of the windows' walk. */
int64_t zm_reel_frames(const zm_reel *r);
int zm_reel_windows(const zm_reel *r);
/* The window after the `done`th; false: there is none.  Windows are pure arithmetic on the reel: any can be asked for. */
bool zm_reel_window(zm_window *out, const zm_reel *r, int done);

#endif
