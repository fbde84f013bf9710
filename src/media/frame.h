/* One RGB picture in memory: allocation, resizing, cropping, and conversion from and to network floats.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MEDIA_FRAME_H
#define ZM_MEDIA_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Limits of every picture in this room: longest side in pixels, and pixels in all. */
#define ZM_FRAME_MAX_SIDE   16384
#define ZM_FRAME_MAX_PIXELS (64 * 1024 * 1024)

/* 8-bit sRGB, [height, width, 3], rows without padding.  {0} is an empty frame. */
typedef struct zm_frame {
    uint8_t *rgb;
    int width, height; /* pixels */
} zm_frame;

/* A black frame on the heap.  ZM_E_USAGE: a size of 0 or over the limits; ZM_E_NOMEM.  *f stays {0} then. */
ZM_MUST zm_status zm_frame_init(zm_frame *f, int width, int height, zm_error *err);
ZM_MUST zm_status zm_frame_copy(zm_frame *out, const zm_frame *in, zm_error *err); /* out is initialised here */
void zm_frame_release(zm_frame *f);                                                /* {0} afterwards */

/* Fill `out` (initialised, its size is the target) from all of `in`.  Each axis by its own rule: area average when
 * it shrinks, Catmull-Rom cubic (Keys 1981, a = -1/2) when it grows, copy when equal.  14-bit integer weights: the
 * same bytes on every machine, and a flat picture stays flat.  ZM_E_NOMEM only.  out and in must not share memory. */
ZM_MUST zm_status zm_frame_resize(zm_frame *out, const zm_frame *in, zm_error *err);
/* The same after cropping `in` about its centre to the shape of `out`, so that nothing is stretched. */
ZM_MUST zm_status zm_frame_fit(zm_frame *out, const zm_frame *in, zm_error *err);
/* Nearest-neighbour enlargement by an integer factor: out must be factor times the size of in. */
void zm_frame_repeat(zm_frame *out, const zm_frame *in, int factor);

/* Turn upright by an EXIF orientation 1..8 (TIFF 6 tag 274); replaces *f.  Others than 2..8 do nothing. */
ZM_MUST zm_status zm_frame_orient(zm_frame *f, int orientation, zm_error *err);

/* Network floats in -1..1 to bytes, round(127.5 (x + 1)) clamped, NaN as 0; `chw` holds the red, green and blue planes
 * [height, width], each `plane` floats after the one before. */
void zm_frame_from_f32(zm_frame *out, const float *chw, size_t plane);
void zm_frame_to_f32(float *chw, size_t plane, const zm_frame *in);

#endif
