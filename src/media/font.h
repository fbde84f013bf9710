/* The bitmap font of zm_draw_text.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MEDIA_FONT_H
#define ZM_MEDIA_FONT_H

#include <stdint.h>

#define ZM_FONT_GLYPHS 95 /* ' ' to '~' */
#define ZM_FONT_ROWS   9
#define ZM_FONT_WIDTH  5

extern const uint8_t zm_font[ZM_FONT_GLYPHS][ZM_FONT_ROWS];

#endif
