/* UTF-8 taken apart, and the classes of characters that pieces do not mix.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TEXT_UTF8_H
#define ZM_TEXT_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at `at` (1..4) and its code point; 0 when the bytes are not UTF-8 (overlong forms, surrogates
 * and values above U+10FFFF are not).  bytes > 0. */
size_t zm_utf8_next(uint32_t *out, const char *at, size_t bytes);
/* Bytes written to out[4]. */
size_t zm_utf8_put(char out[4], uint32_t c);
/* Offset of the first byte that is not UTF-8; `bytes` when all is well. */
size_t zm_utf8_check(const char *at, size_t bytes);

#define ZM_UTF8_SPACE "\xe2\x96\x81" /* U+2581, a space inside pieces */

typedef enum {
    ZM_CHAR_SPACE, /* U+0020 and U+2581 */
    ZM_CHAR_LETTER,
    ZM_CHAR_HAN, /* and kana: scripts written without spaces */
    ZM_CHAR_DIGIT,
    ZM_CHAR_OTHER /* punctuation and symbols */
} zm_char_class;
zm_char_class zm_char_classify(uint32_t c);

#endif
