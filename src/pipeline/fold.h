/* Prompts' embeddings, and the same with their zero rows folded into one.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_FOLD_H
#define ZM_PIPELINE_FOLD_H

#include <stdint.h>

#include "base/error.h"

/* Embeddings of the prompt and of what to steer away from, as the network takes them. */
typedef struct zm_contexts {
    int n;        /* 2, or 1: no guidance */
    int len, dim; /* text_len, text_dim */
    float *at;    /* [n,len,dim], zeros beyond each text; owned */
} zm_contexts;
/* ZM_E_NOMEM. */
ZM_MUST zm_status zm_contexts_init(zm_contexts *c, int n, int len, int dim, zm_error *err);
void zm_contexts_release(zm_contexts *c);

/* All rows beyond a text are zero and so are alike to the network; see zm_dit_fold_padding for why one of them is
 * enough. */
typedef struct zm_fold {
    const zm_contexts *of; /* borrowed until the next zm_fold_init */
    int len[2];            /* rows of each text that are not zero */
    int rows;              /* that hold the longer one folded, rounded up so that similar prompts share a graph */
    float *context;        /* [batch,rows,dim], [batch,rows], [batch]: filled by the calls below */
    float *bias;
    int32_t *visible;
} zm_fold;

/* Look at new contexts.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_fold_init(zm_fold *f, const zm_contexts *of, zm_error *err);
void zm_fold_release(zm_fold *f);
/* Rows of samples first .. first+batch-1, `rows` (>= f->rows, <= text_len) each, into f->context. */
void zm_fold_context(zm_fold *f, int first, int batch, int rows, int dim);
/* Their biases and numbers of visible rows into f->bias and f->visible. */
void zm_fold_bias(zm_fold *f, int first, int batch, int rows);

#endif
