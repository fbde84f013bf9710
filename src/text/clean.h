/* Clean a prompt before it is tokenised, exactly as the official Wan text path does.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TEXT_CLEAN_H
#define ZM_TEXT_CLEAN_H

#include <stddef.h>

#include "base/error.h"

/* wan/modules/tokenizers.py, clean = "whitespace": ftfy.fix_text (version 6.3, default settings), html.unescape twice,
 * strip, runs of Unicode white space to one space, strip.  So mojibake is repaired ("sÃ³" is "só"), entities become
 * characters, quotes are straightened, full-width letters and ligatures taken apart, control characters and terminal
 * escapes removed, and the rest is NFC.
 *
 * Known differences, none of which a prompt meets: where Python's own tables follow an older Unicode, characters newer
 * than those tables may be digits, letters or composed here and not there; numeric references of more than 4300 digits
 * make Python raise and are U+FFFD here.
 *
 * *out: malloc'd UTF-8 without NUL bytes, the caller frees.  ZM_E_FORMAT: invalid UTF-8 (names the byte offset), longer
 * than ZM_TEXT_MAX_BYTES, or entities nested deeper than 512 levels; ZM_E_NOMEM. */
ZM_MUST zm_status zm_text_clean(char **out, const char *text, zm_error *err);
/* As above for text of known length, which may hold NUL bytes. */
ZM_MUST zm_status zm_text_clean_bytes(char **out, const char *text, size_t bytes, zm_error *err);

#endif
