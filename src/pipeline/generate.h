/* From a request to frames: prompts, pictures, the denoising loop, decoding; each part of the model open only while it
 * is at work, and a run on disk while it lasts.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_GENERATE_H
#define ZM_PIPELINE_GENERATE_H

#include <signal.h>
#include <stdbool.h>

#include "format/weights.h"
#include "media/frame.h"
#include "pipeline/denoise.h"

/* How a run is kept safe.  A run younger than `seconds` is not worth a file: it is made again as quickly. */
typedef struct zm_saving {
    const char *path;   /* of the state (pipeline/state.h); removed when the clip is finished */
    double seconds;     /* between two writings at least; 0: after every step */
    bool resume;        /* go on from `path` where it is there */
    bool keep;          /* leave the finished latent there */
    bool stale_is_none; /* another run's state is no error: a window of a film that is finished may have left it */
} zm_saving;

typedef struct zm_watch {
    void *user;
    /* Optional: a phase begins, of `total` units: "denoise" (steps), "decode" (frames), and for models that open their
     * parts for it "prompt" and "picture". */
    void (*phase)(void *user, const char *what, int total);
    /* Optional: `done` of `total` denoising steps. */
    void (*step)(void *user, int done, int total);
    /* Optional: how the middle of the clip looks now, after each step.  Only models that keep their parts do this. */
    void (*preview)(void *user, const zm_frame *picture);
    /* One finished frame, in order. */
    zm_status (*frame)(void *user, const zm_frame *frame, zm_error *err);
    /* Optional: after the last frame.  The run's file goes only when this has succeeded. */
    zm_status (*finish)(void *user, zm_error *err);
    /* Optional: a sentence for people, not an error ("... could not be saved"; "going on at step 7"). */
    void (*note)(void *user, const char *sentence);
    const volatile sig_atomic_t *stop; /* may be NULL */
    const zm_saving *saving;           /* NULL: nothing is written */
    const zm_probe *probe;             /* NULL: nobody looks */
} zm_watch;

/* How to run within the machine.  {0}: guidance in one batch, all weights of a phase resident. */
typedef struct zm_generator_options {
    bool one_by_one; /* branches of guidance one after the other */
    int bands;       /* that decoding is cut into; 0: 1 */
    zm_exec_options text, picture, encode, denoise, denoise_low, decode;
    const zm_network_look *look; /* into the transformer (zouma explain); NULL: nobody looks; borrowed */
} zm_generator_options;

/* Options under which a clip of this request stays within `limit` bytes (0: what the system can spare): weights that do
 * not fit are streamed, both branches of guidance run at once where that fits or spares a second reading of the weights,
 * and a model that keeps its parts no longer does where they do not fit beside each other.  Nothing is measured for a
 * model that keeps its parts when there is no limit.  ZM_E_NOMEM: even the least is too much (with the size needed). */
ZM_MUST zm_status zm_generator_fit(zm_generator_options *out, zm_model *m, const zm_request *r, size_t limit,
                                   zm_error *err);

/* Prepared graphs of one model and size: several clips can be made with it. */
typedef struct zm_generator zm_generator;
/* r: resolved; only its sizes, its precision, whether it is made block by block, whether guidance is 1 and whether its quality is
 * one of few steps matter here.
 * No other generator of m may want that otherwise.  m is borrowed, and opens its parts when they are
 * needed.  opt NULL: {0}, but branches one by one where the model does not keep its parts. */
ZM_MUST zm_status zm_generator_new(zm_generator **out, zm_model *m, const zm_request *r,
                                   const zm_generator_options *opt, zm_error *err);
void zm_generator_free(zm_generator *g);
/* Make a clip of the prepared size.  ZM_E_INTERRUPTED when stopped; ZM_E_USAGE: the state to resume is another run's;
 * else whatever `frame` returns.
 *
 * Models that look back only make it block by block, of any length: each block is one run of the loop, which sees the
 * keys and values of those before it (past.h), and its frames leave before the next one begins.  A clip that begins
 * (r->at 0) forgets all others; one with r->at goes on where the last clip with `onward` ended, under its own prompt:
 * r->frames, its first latent frame among them, come after it.  Given frames go through the network as blocks that are
 * finished.  Steps are saved only where one block of the clip is to be made.  ZM_E_USAGE: the clip goes on after frames
 * that this generator has not made. */
ZM_MUST zm_status zm_generate(zm_generator *g, const zm_request *r, const zm_watch *watch, zm_error *err);
/* Steps of the last clip whose velocity was told instead of computed. */
int zm_generator_left_out(const zm_generator *g);
/* Of clips made block by block: what the next clip goes on from, as tensors for a file and back.  Rows and their names
 * are borrowed until the next clip; *n of them.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_generator_past(zm_generator *g, const zm_weight **row, size_t *n, zm_error *err);
/* ZM_E_MISSING, ZM_E_FORMAT: they are not of this generator's network or size. */
ZM_MUST zm_status zm_generator_restore(zm_generator *g, const zm_weights *w, zm_error *err);
/* Latent of the last clip, normalised, [F,H,W,z], or of its last block; borrowed; NULL before the first. */
const float *zm_generator_latent(const zm_generator *g, zm_latent_size *size);

#endif
