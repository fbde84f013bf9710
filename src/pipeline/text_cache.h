/* Prompts' embeddings on disk, so that an encoder of eleven gigabytes is not run twice for the same prompt.
 *
 * One small safetensors file for each (weights of the encoder, token ids), in $ZOUMA_CACHE, else $XDG_CACHE_HOME/zouma,
 * else ~/.cache/zouma; an empty $ZOUMA_CACHE switches it off.  A cache never fails a run: what cannot be read is not
 * there, what cannot be written is not kept.  Files are written beside and renamed, so several programs may share it;
 * above ZM_TEXT_CACHE_BYTES the files not used for longest go.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_TEXT_CACHE_H
#define ZM_PIPELINE_TEXT_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#define ZM_TEXT_CACHE_BYTES ((uint64_t)1 << 30)

/* weights: zm_model_part_key of the text encoder.  out [n,dim] is filled only when true is returned. */
bool zm_text_cache_get(float *out, uint64_t weights, const int32_t *ids, int n, int dim);
void zm_text_cache_put(const float *embedding, uint64_t weights, const int32_t *ids, int n, int dim);

#endif
