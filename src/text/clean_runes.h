/* Growing arrays of code points, the form in which text is cleaned.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TEXT_CLEAN_RUNES_H
#define ZM_TEXT_CLEAN_RUNES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ZM_RUNES_MAX = 1 << 20 }; /* no rule of the cleaner grows a legal prompt this far */

/* {0} is empty.  The first failure (memory, or the limit above) waits in `failed`: appending does nothing from then on,
 * so that rules need not look. */
typedef struct zm_runes {
    uint32_t *at;
    size_t n, cap;
    bool failed;
} zm_runes;

void zm_runes_push(zm_runes *r, uint32_t c);
void zm_runes_append(zm_runes *r, const uint32_t *at, size_t n);
void zm_runes_clear(zm_runes *r); /* keeps memory and `failed` */
void zm_runes_release(zm_runes *r);
/* Contents of two arrays exchanged; both are failed afterwards when one was. */
void zm_runes_swap(zm_runes *a, zm_runes *b);
bool zm_runes_equal(const zm_runes *a, const zm_runes *b);

/* Append strict UTF-8; false (something may have been appended) when it is not. */
bool zm_runes_append_utf8(zm_runes *r, const char *at, size_t bytes);
/* Malloc'd and NUL-terminated; NULL when out of memory or r has failed. */
char *zm_runes_utf8(const zm_runes *r, size_t *bytes);

/* White space as Python's str.strip and re \s have it: UAX 9 classes B, S and WS, and category Zs. */
bool zm_rune_is_space(uint32_t c);

#endif
