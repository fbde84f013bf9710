/* Mojibake repaired: UTF-8 that was read in a single-byte character set becomes what it was.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TEXT_CLEAN_ENCODING_H
#define ZM_TEXT_CLEAN_ENCODING_H

#include "text/clean_charsets.h"
#include "text/clean_runes.h"

/* Repair text in place until nothing more is to be done; text that does not look garbled is left alone. */
void zm_fix_encoding(zm_runes *text, const zm_charset_index *sets);

#endif
