/* What making a clip takes, phase by phase, from the headers of a model's files alone; and how to stay under a limit.
 *
 * Phases follow one another, each with its own networks: a phase's memory is given back before the next one begins.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_MEMORY_H
#define ZM_PIPELINE_MEMORY_H

#include "backend/backend.h"
#include "model/models.h"

typedef enum {
    ZM_PHASE_TEXT,    /* prompts through the text encoder */
    ZM_PHASE_IMAGE,   /* a given picture through the picture encoder (CLIP) */
    ZM_PHASE_ENCODE,  /* a given picture through the autoencoder */
    ZM_PHASE_DENOISE, /* steps of the transformer (of the high-noise expert where there are two) */
    ZM_PHASE_LOW,     /* steps of the low-noise expert */
    ZM_PHASE_DECODE,  /* latents to frames, the writer beside it */
    ZM_PHASE_COUNT
} zm_phase;

const char *zm_phase_name(zm_phase p); /* "text encoding" */

/* What is to be made; all values resolved. */
typedef struct zm_memory_request {
    int width, height, frames; /* pixels, frames */
    bool guided;               /* two branches: with and without prompt */
    bool whole;                /* of a model that looks back only: not block by block */
    bool given;                /* pictures are given: they pass through the picture encoder and the autoencoder */
    zm_precision precision;    /* of denoising and decoding */
} zm_memory_request;

typedef struct zm_memory_phase {
    bool present;
    int64_t params; /* numbers among the weights of this phase's network */
    size_t owned;   /* weights converted when read, or kept as int8: heap for as long as the network is open */
    size_t mapped;  /* weights that stay in their file */
    size_t window;  /* the least of them that must be resident at a time */
    size_t work;    /* activations, kernels' scratch, state */
    double flops;   /* of one run: a step with all its branches, of every block, the prompts, the whole clip */
} zm_memory_phase;

/* Counts of bands that decoding may be cut into (zm_vae_stream_band): 1, 2, 4, 8. */
enum { ZM_BANDINGS = 4 };

typedef struct zm_memory {
    zm_memory_request request;
    zm_memory_phase phase[ZM_PHASE_COUNT];
    size_t
        band_work[ZM_BANDINGS]; /* decoding's `work` in 1 << i bands, [0] that of its phase; SIZE_MAX: no such bands */
    double band_flops[ZM_BANDINGS];
    size_t
        base; /* held all the time: program, libraries, tokenizer, latents, what a film block by block goes on from */
    size_t past;   /* of the base: keys and values of the blocks that are looked back on, all branches */
    size_t states; /* of the base: the decoder's between two blocks */
    int blocks;    /* that the clip is made in; 0: whole */
    int time;      /* frames of a latent frame */
    int64_t latent_frames, latent_height, latent_width, latent_channels, tokens;
} zm_memory;

/* Read the headers and size every phase.  No weight is read.  A part without a file is sized as if its matrices were
 * bf16.  Errors as of opening the parts. */
ZM_MUST zm_status zm_memory_measure(zm_memory *out, const zm_model_config *c, const zm_memory_request *r,
                                    zm_error *err);

/* How to run under a limit. */
typedef struct zm_memory_plan {
    size_t limit;                    /* bytes */
    size_t peak[ZM_PHASE_COUNT];     /* resident bytes expected in each phase, the base included */
    int bands;                       /* that decoding is cut into: the fewest that fit */
    size_t resident[ZM_PHASE_COUNT]; /* zm_exec_options.resident_bytes of each phase; SIZE_MAX: all weights stay */
} zm_memory_plan;

/* Decide.  limit 0: what the system can spare (zm_memory_available), or what is free on the card where graphs run, which
 * is the most on a card.  ZM_E_NOMEM when even the least is too much: the sentence names the phase and the figure
 * needed. */
ZM_MUST zm_status zm_memory_plan_make(zm_memory_plan *out, const zm_memory *m, size_t limit, zm_error *err);

/* The largest of the plan's peaks; the least and the most that plan_make would ever use. */
size_t zm_memory_peak(const zm_memory_plan *p);
size_t zm_memory_least(const zm_memory *m);
size_t zm_memory_most(const zm_memory *m);

/* Memory this process may take without pushing others out: the smaller of what the system has available and what its
 * control group leaves, less a reserve; SIZE_MAX where the system does not tell. */
size_t zm_memory_available(void);

/* "5.3G", "640M": the spelling that --memory reads back; into a caller's buffer, returned.  Rounded up. */
const char *zm_memory_text(size_t bytes, char *buf, size_t cap);
/* "8G", "512M", "1.5G", "800000K", a bare number of bytes; powers of 1024.  false: neither, or not positive. */
bool zm_memory_parse(size_t *out, const char *text);

#endif
