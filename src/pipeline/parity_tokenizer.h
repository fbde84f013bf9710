/* Fixtures of tokenizers: official ids and cleaned prompts.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_PARITY_TOKENIZER_H
#define ZM_PIPELINE_PARITY_TOKENIZER_H

#include "pipeline/parity.h"

extern const zm_parity_kind zm_parity_tokenizer;

#endif
