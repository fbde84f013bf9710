/* From a prompt to frames: text encoding, the one denoising loop, decoding frame by frame.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_GENERATE_H
#define ZM_PIPELINE_GENERATE_H

#include <signal.h>
#include <stdbool.h>

#include "media/frame.h"
#include "pipeline/model.h"

/* What is asked for.  Zeros and NULLs mean the model's own defaults. */
typedef struct zm_request {
    const char *prompt;   /* UTF-8, not empty */
    const char *negative; /* what to steer away from; NULL: the model's */
    int width, height;    /* pixels; multiples of the model's grid */
    int frames;           /* 4n+1; others are rounded up and the surplus is cut off */
    double fps;
    int steps;
    double guidance; /* classifier-free guidance scale (Ho & Salimans 2022, eq. 6); 1: none; 0: the model's */
    double shift;
    const char *solver;
    uint64_t seed;
} zm_request;

typedef struct zm_watch {
    void *user;
    /* `done` of `total` denoising steps; total + 1 .. : frames decoded. */
    void (*step)(void *user, int done, int total);
    /* Optional: how the middle of the clip looks now, after each step. */
    void (*preview)(void *user, const zm_frame *picture);
    /* One finished frame, in order. */
    zm_status (*frame)(void *user, const zm_frame *frame, zm_error *err);
    const volatile sig_atomic_t *stop; /* may be NULL */
} zm_watch;

/* Fill in what the request left to the model and check it.  ZM_E_USAGE names the value and what would do. */
ZM_MUST zm_status zm_request_resolve(zm_request *r, const zm_model *m, zm_error *err);

/* The words of the prompt that the model never learnt, "word, word"; *out NULL when it knows them all; malloc'd. */
ZM_MUST zm_status zm_request_unknown(const zm_request *r, const zm_model *m, char **out, zm_error *err);

/* Prepared graphs of one model and size: several clips can be made with it. */
typedef struct zm_generator zm_generator;
/* r: resolved; only its sizes and whether guidance is 1 matter here.  m is borrowed. */
ZM_MUST zm_status zm_generator_new(zm_generator **out, const zm_model *m, const zm_request *r, zm_error *err);
void zm_generator_free(zm_generator *g);
/* Make a clip of the prepared size.  ZM_E_INTERRUPTED when stopped; else whatever `frame` returns. */
ZM_MUST zm_status zm_generate(zm_generator *g, const zm_request *r, const zm_watch *watch, zm_error *err);
/* Latent of the last clip, normalised, [F,H,W,z]; borrowed. */
const float *zm_generator_latent(const zm_generator *g, int *frames, int *height, int *width, int *z);
/* Bytes of planned memory. */
size_t zm_generator_bytes(const zm_generator *g);

#endif
