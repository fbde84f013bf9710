/* 256 colours for a whole clip, and ordered dither to them: what a GIF needs.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MEDIA_PALETTE_H
#define ZM_MEDIA_PALETTE_H

#include <stdint.h>

#include "base/error.h"
#include "media/frame.h"

typedef struct zm_palette zm_palette;

/* An empty histogram; NULL when out of memory (about 1 MiB). */
zm_palette *zm_palette_new(void);
void zm_palette_free(zm_palette *p);
/* Count the pixels of one frame. */
void zm_palette_count(zm_palette *p, const zm_frame *f);
/* Choose at most `colours` (2..256) from everything counted: boxes cut where the squared error is largest (after
 * Heckbert 1982 and Wu 1991), then a few rounds of Lloyd's algorithm on the histogram.  Returns how many. */
int zm_palette_choose(zm_palette *p, int colours);
/* Colour i as 0xRRGGBB. */
uint32_t zm_palette_colour(const zm_palette *p, int i);
/* Indices [height, width], rows `stride` bytes apart.  The 8x8 Bayer pattern depends on the place alone, so that what
 * does not move does not flicker and costs nothing in the file. */
void zm_palette_map(zm_palette *p, uint8_t *out, int stride, const zm_frame *f);

#endif
