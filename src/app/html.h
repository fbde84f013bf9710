/* Writing a page that is complete in itself: escaped text, pictures as data, two languages side by side.
 *
 * Sticky: after the first error every call does nothing, and the error is in the slot given.  Markup is well-formed XML
 * that HTML parsers read the same way, so that a page can be checked with either.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_HTML_H
#define ZM_APP_HTML_H

#include <stddef.h>

#include "base/mapfile.h"
#include "media/frame.h"

typedef struct zm_html {
    zm_save *to;   /* borrowed */
    zm_error *err; /* borrowed */
    zm_status status;
    size_t bytes; /* written */
} zm_html;

/* Markup of our own: numbers and fixed words only.  Whatever comes from outside goes through zm_html_text. */
void zm_html_f(zm_html *h, const char *fmt, ...) ZM_PRINTF(2, 3);
/* Any bytes as text or attribute value: < > & " ' escaped; what is no UTF-8, no character of XML or a control character
 * becomes U+FFFD. */
void zm_html_text(zm_html *h, const char *text);
/* As above as one word of a POSIX shell, in single quotes where it needs them. */
void zm_html_shell(zm_html *h, const char *word);
/* <TAG lang="en">..</TAG><TAG lang="zh">..</TAG>, one beside the other where there is room; markup of our own. */
void zm_html_two(zm_html *h, const char *tag, const char *english, const char *chinese);
/* The same inside a line. */
void zm_html_both(zm_html *h, const char *english, const char *chinese);
/* Open a numbered section with its heading; "</section>" is the caller's. */
void zm_html_section(zm_html *h, const char *id, int number, const char *english, const char *chinese);
/* "data:TYPE;base64,...". */
void zm_html_data(zm_html *h, const char *type, const void *data, size_t bytes);
void zm_html_png(zm_html *h, const zm_frame *f);
/* Three digits and a prefix: "12.3 ms", "4.56 G". */
void zm_html_amount(zm_html *h, double value, const char *unit);

#endif
