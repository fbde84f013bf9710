/* Latents into pictures, in order, in memory that does not grow with the clip.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_DECODE_H
#define ZM_PIPELINE_DECODE_H

#include <signal.h>

#include "media/frame.h"
#include "pipeline/denoise.h"
#include "pipeline/vae_stream.h"

typedef struct zm_latent_decoder zm_latent_decoder;

typedef struct zm_decode_hooks {
    void *user;
    zm_status (*frame)(void *user, const zm_frame *frame, zm_error *err); /* one finished picture; not NULL */
    const zm_probe *probe;             /* may be NULL: its `video` gets them before they are rounded */
    const volatile sig_atomic_t *stop; /* may be NULL */
    const char *spool; /* decoding in bands: unfinished pictures wait in a file without a name beside this path; may be
                          NULL (base/spool.h) */
    /* May be NULL.  Decoding in bands: each one is a phase "decode band 1/4" of `total` frames; what is done of those whose
     * pictures wait, `frame` tells of the last one's. */
    void (*phase)(void *user, const char *what, int total);
    void (*step)(void *user, int done, int total);
} zm_decode_hooks;

/* Opens the autoencoder.  m borrowed; pixels are the request's.  bands > 1: the picture is decoded in so many bands,
 * one after the other, which takes less memory and more arithmetic; pictures come with the last band.
 * ZM_E_NOMEM; otherwise as opening the part. */
ZM_MUST zm_status zm_latent_decoder_new(zm_latent_decoder **out, zm_model *m, int width, int height, int bands,
                                        const zm_exec_options *opt, zm_error *err);
void zm_latent_decoder_free(zm_latent_decoder *d); /* NULL is fine; drops the autoencoder */
/* latent [latent_frames,H,W,z] normalised -> the first `frames` pictures.  circle: of its frames all but
 * frame 0 follow each other (P4); they are gone through once before, unseen.  ZM_E_INTERRUPTED; what `frame` returns; ZM_E_IO: pictures cannot
 * wait on disk. */
ZM_MUST zm_status zm_latent_decode(zm_latent_decoder *d, const float *latent, int latent_frames, bool circle,
                                   int frames, const zm_decode_hooks *hooks, zm_error *err);

/* What the latent frames to come need of those before them: the autoencoder's states, for each band its own.  {0}: none
 * came before.  Owned by whoever makes the film, so that a decoder may be closed between two calls. */
enum { ZM_DECODE_BANDS_MAX = 8 };
typedef struct zm_decode_state {
    int bands; /* 0: a clip begins */
    size_t floats[ZM_DECODE_BANDS_MAX];
    float *at[ZM_DECODE_BANDS_MAX]; /* floats[k] each */
} zm_decode_state;
void zm_decode_state_release(zm_decode_state *s); /* {0} afterwards */
/* Make room for the states of so many numbers of one more band; they are the caller's to fill.  ZM_E_NOMEM;
 * ZM_E_UNSUPPORTED: too many bands. */
ZM_MUST zm_status zm_decode_state_add(zm_decode_state *s, size_t floats, zm_error *err);

/* As zm_latent_decode, of latent frames that follow those which `state` is of; then it is of these.  frames: what is
 * wanted of them; fewer than they give, and `state` is of no use any more.  ZM_E_FORMAT: the state is another decoder's. */
ZM_MUST zm_status zm_latent_decode_on(zm_latent_decoder *d, zm_decode_state *state, const float *latent,
                                      int latent_frames, int frames, const zm_decode_hooks *hooks, zm_error *err);
/* One latent frame [H,W,z] by itself; the picture is borrowed until the next call. */
ZM_MUST zm_status zm_latent_sketch(zm_latent_decoder *d, const float *latent, const zm_frame **out, zm_error *err);

#endif
