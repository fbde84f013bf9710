/* Whether a text looks like UTF-8 that was read in another character set.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TEXT_CLEAN_BADNESS_H
#define ZM_TEXT_CLEAN_BADNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True when some few characters stand beside each other that people do not write so, such as an accented small letter
 * before a currency sign.  The judgement, to the character, of ftfy 6.3's "badness" (Robyn Speer). */
bool zm_looks_garbled(const uint32_t *at, size_t n);

#endif
