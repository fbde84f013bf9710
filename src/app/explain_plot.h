/* Small plots as SVG inside a page: lines over steps, and a table of shades.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_EXPLAIN_PLOT_H
#define ZM_APP_EXPLAIN_PLOT_H

#include "app/html.h"

typedef struct zm_explain_line {
    const double *y;
    int n;
    int colour; /* 1..3: of the page's; + 10: dashed */
    const char *english, *chinese;
} zm_explain_line;

/* Values at 1, 2, ... n (from 0 on where `from_zero`), between lo and hi; NaN breaks a line.  Its legend stands below. */
void zm_explain_lines(zm_html *h, const zm_explain_line *line, int n, double lo, double hi, bool from_zero);

/* A colour for 0..1, dark to bright, into rgb[3]. */
void zm_explain_shade(double v, uint8_t *rgb);

#endif
