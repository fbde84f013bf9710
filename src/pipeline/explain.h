/* What happens inside while a clip is made: tokens, noise levels, predictions, attention, guidance and cost of a very run of the
 * one loop, gathered for people who want to see it (zouma explain).
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_EXPLAIN_H
#define ZM_PIPELINE_EXPLAIN_H

#include "pipeline/film.h"
#include "pipeline/memory.h"

/* A piece of the prompt. */
typedef struct zm_explain_token {
    int32_t id;
    bool unknown; /* of a word that the model never learnt, or of no piece at all */
} zm_explain_token;

typedef struct zm_explain_step {
    double sigma, timestep;
    zm_network_cost cost;        /* all branches */
    double with, without, apart; /* root mean squares of the velocity: with the prompt, without it, their difference */
    double cosine;               /* between both; NaN without guidance */
} zm_explain_step;

/* Pictures of a step: first, middle and last frame of its prediction. */
enum { ZM_EXPLAIN_VIEWS = 3, ZM_EXPLAIN_KEYS_MAX = 5 };

typedef struct zm_explain_view {
    int step;
    float *x0;                          /* [F,H,W,z] the step's denoised prediction */
    float *noisy;                       /* [H,W,z] the sample before it, middle latent frame */
    zm_frame picture[ZM_EXPLAIN_VIEWS]; /* decoded from x0 */
} zm_explain_view;

typedef struct zm_explanation {
    zm_request r; /* resolved; borrows from the film */
    int width, height;
    zm_latent_size size;
    /* Tokens of the prompt, the last one </s>. */
    zm_explain_token *token;
    int tokens, whole; /* whole: before the cut to the context's length */
    char *unknown;     /* "word, word"; NULL: none */
    int steps, next;
    zm_explain_step *step;
    double sigma_end; /* after the last step */
    zm_explain_view *view;
    int views;
    /* Attention of patches to columns: the tokens, then, where `padded`, all empty rows of the context together.  Each is a mean
     * over heads, and of what its comment says; columns of a patch sum to 1. */
    int blocks, columns;
    bool padded;
    int64_t grid[3];    /* patches: frames, rows, columns */
    float *map;         /* [tokens of the grid,columns]: steps and blocks */
    float *block_map;   /* [blocks,rows*columns of the grid,columns]: steps; middle latent frame */
    float *block_share; /* [blocks,columns]: steps and patches */
    float *step_share;  /* [steps,columns]: blocks and patches */
    /* Frames of the clip for the latent frames that are shown. */
    int keys, key_latent[ZM_EXPLAIN_KEYS_MAX];
    zm_frame key[ZM_EXPLAIN_KEYS_MAX];
    /* Cost. */
    zm_memory memory;
    double open_s, text_s, denoise_s,
        decode_s; /* wall time of the phases; open: reading weights where it comes first */
} zm_explanation;

typedef struct zm_explain_options {
    size_t memory; /* as zm_generator_fit's limit */
    int views; /* steps whose predictions are decoded; 0: all up to 24, or 5 where the model does not stay in memory */
    int picture_px; /* the pictures' width at most; 0: 192 */
} zm_explain_options;

/* Make the clip of r (prompt, sizes, steps ...; text alone, one window) while looking on, then decode what the steps predicted.
 * w as of zm_film_run; its phase is also told "look" (pictures decoded).  ZM_E_USAGE: a film of several windows, a model that
 * needs a picture; otherwise as zm_film_run.  m is borrowed; *out is to be released in any case. */
ZM_MUST zm_status zm_explain(zm_explanation *out, zm_model *m, const zm_request *r, const zm_explain_options *opt,
                             const zm_watch *w, zm_error *err);
void zm_explanation_release(zm_explanation *x); /* {0} afterwards */

#endif
