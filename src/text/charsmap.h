/* sentencepiece's precompiled normaliser: a double-array trie from byte strings to their replacements.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TEXT_CHARSMAP_H
#define ZM_TEXT_CHARSMAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Borrowed views of the blob: u32 size of the trie, the trie (u32 units), replacements (NUL-terminated strings). */
typedef struct zm_charsmap {
    const unsigned char *trie;
    size_t units;
    const char *replacements;
    size_t replacement_bytes;
} zm_charsmap;

/* ZM_E_FORMAT: sizes that do not fit the blob, a last replacement without its NUL. */
ZM_MUST zm_status zm_charsmap_parse(zm_charsmap *out, const void *blob, size_t bytes, zm_error *err);

/* The longest rule that matches at `at`: bytes of text it covers, 0 when there is none.  *to / *to_bytes: the
 * replacement, borrowed from the blob.  Any blob that parses is safe here. */
size_t zm_charsmap_match(const zm_charsmap *m, const char *at, size_t bytes, const char **to, size_t *to_bytes);

#endif
