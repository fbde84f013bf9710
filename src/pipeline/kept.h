/* What a film made block by block goes on from: keys and values of its past, the decoder's states, and what the blocks were;
 * and all of it as tensors of a file.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_KEPT_H
#define ZM_PIPELINE_KEPT_H

#include "format/weights.h"
#include "pipeline/decode.h"
#include "pipeline/past.h"

typedef struct zm_kept {
    zm_past *past; /* owned; NULL: nothing is made block by block */
    zm_decode_state decoded;
    uint64_t before; /* hash of all latents so far; 0: none */
    /* The list of a file's tensors. */
    zm_weight *row;
    char (*name)[40];
    int64_t place[2]; /* blocks made, and `before` */
} zm_kept;

void zm_kept_release(zm_kept *k); /* {0} afterwards */
/* A film begins. */
void zm_kept_clear(zm_kept *k);
/* *row: "blocks" i64 [2], the blocks made and the hash of what they were; "past.BRANCH.LAYER.k" and ".v" f32
 * [slots,tokens*width]; "decoded.BAND" f32 [numbers].  Borrowed until the next call or change.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_kept_list(zm_kept *k, const zm_weight **row, size_t *n, zm_error *err);
/* From a file that has these: the past must be of the same sizes.  ZM_E_MISSING, ZM_E_FORMAT, ZM_E_NOMEM. */
ZM_MUST zm_status zm_kept_load(zm_kept *k, const zm_weights *w, zm_error *err);

#endif
