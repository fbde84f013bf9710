/* Tokenizers that come inside the weight file of a text encoder.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_TOKENIZER_INSIDE_H
#define ZM_PIPELINE_TOKENIZER_INSIDE_H

#include "text/unigram.h"

/* Repackaged safetensors carry the sentencepiece model as a tensor of bytes, "spiece_model"; llama.cpp's GGUF carries
 * pieces, scores, types and the normaliser as metadata, "tokenizer.ggml.*".  *out stays NULL when there is neither.
 * ZM_E_FORMAT: arrays of different lengths, or no unigram model; other errors as of zm_weights_open and
 * zm_tokenizer_new.  The caller frees *out. */
ZM_MUST zm_status zm_tokenizer_inside(zm_tokenizer **out, const char *path, zm_error *err);

#endif
