/* The look of zouma explain's page.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_EXPLAIN_STYLE_H
#define ZM_APP_EXPLAIN_STYLE_H

extern const char *const zm_explain_style[]; /* CSS without < and &, so that it is the same in XML; ends with NULL */

#define ZM_EXPLAIN_SPACE "\xe2\x96\x81" /* how pieces write a space */

#endif
