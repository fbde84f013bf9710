/* Prompts into embeddings, through the text encoder that the model has.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_PROMPT_H
#define ZM_PIPELINE_PROMPT_H

#include "pipeline/network.h"

typedef struct zm_prompts zm_prompts;

/* m borrowed; opt: of the encoder's graph.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_prompts_new(zm_prompts **out, zm_model *m, const zm_exec_options *opt, zm_error *err);
void zm_prompts_free(zm_prompts *p);

/* Fill c (of the network's text_len) with the embeddings of the request's c->n texts: prompt, negative prompt; or with
 * those that the request supplies.  A model that does not keep its parts has the encoder opened and dropped here.
 * ZM_E_USAGE: supplied rows beyond text_len; ZM_E_FORMAT: a text that is no UTF-8; as opening the part. */
ZM_MUST zm_status zm_prompts_encode(zm_prompts *p, const zm_request *r, zm_contexts *c, zm_error *err);

/* Ids of a text as the encoder gets them, at most `cap` (>= 1) with </s> last; *whole (NULL: not wanted): how many without the cut.
 * ZM_E_FORMAT: no UTF-8; ZM_E_NOMEM. */
ZM_MUST zm_status zm_prompt_tokens(const zm_model *m, const char *text, int32_t *ids, size_t cap, size_t *n,
                                   size_t *whole, zm_error *err);

#endif
