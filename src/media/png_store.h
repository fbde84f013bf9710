/* PNG files without a compressor: what a build without FFmpeg writes.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MEDIA_PNG_STORE_H
#define ZM_MEDIA_PNG_STORE_H

#include <stddef.h>

#include "base/error.h"
#include "media/frame.h"

/* A whole PNG file (ISO 15948) in heap memory, free with free(): 8-bit RGB, filter 0, deflate "stored" blocks
 * (RFC 1951 section 3.2.4), so a little larger than the pixels.  ZM_E_NOMEM only. */
ZM_MUST zm_status zm_png_store(unsigned char **out, size_t *size, const zm_frame *f, zm_error *err);

#endif
