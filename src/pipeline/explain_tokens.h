/* The prompt's tokens, and which of them belong to words that the model never learnt.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_EXPLAIN_TOKENS_H
#define ZM_PIPELINE_EXPLAIN_TOKENS_H

#include "pipeline/explain.h"

/* Fill in token, tokens, whole and unknown of x->r's prompt.  ZM_E_FORMAT: no UTF-8; ZM_E_NOMEM. */
ZM_MUST zm_status zm_explain_tokenise(zm_explanation *x, const zm_model *m, zm_error *err);

#endif
