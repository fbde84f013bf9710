/* Text as a tokenizer sees it: Unicode forms unified, spaces collapsed and written as U+2581.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TEXT_NORMALISE_H
#define ZM_TEXT_NORMALISE_H

#include "text/charsmap.h"
#include "text/unigram.h"

/* Malloc'd, NUL-terminated *out of *out_bytes bytes (NUL bytes of the text are kept).  map: a parsed
 * rules->charsmap, NULL when there is none.  Errors as zm_tokenizer_normalise. */
ZM_MUST zm_status zm_normalise(char **out, size_t *out_bytes, const char *text, size_t bytes,
                               const zm_tokenizer_rules *rules, const zm_charsmap *map, zm_error *err);

#endif
