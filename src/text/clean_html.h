/* Character references of HTML turned into characters.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TEXT_CLEAN_HTML_H
#define ZM_TEXT_CLEAN_HTML_H

#include "text/clean_runes.h"

/* Python's html.unescape: references with and without semicolon as browsers read them ("&notit;" is "¬it;"), numbers
 * through Windows-1252 where HTML says so. */
void zm_html_unescape(zm_runes *out, const zm_runes *in);

/* Only references that are surely meant: a whole name or number and its semicolon, and names in capitals ("&NTILDE;" is
 * "Ñ") that mean nothing else. */
void zm_html_unescape_sure(zm_runes *out, const zm_runes *in);

#endif
