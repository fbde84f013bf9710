/* What kind of file these bytes are, and whether they are all there: a walk over its structure, before any decoder.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MEDIA_CONTAINER_H
#define ZM_MEDIA_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* One row per container: code, name, FFmpeg demuxer (NULL for a still picture), FFmpeg decoder of a still picture. */
#define ZM_CONTAINER_TABLE(X)                                                                                          \
    X(ZM_CONTAINER_MP4, "mp4", "mov", NULL)                                                                            \
    X(ZM_CONTAINER_MATROSKA, "matroska", "matroska", NULL)                                                             \
    X(ZM_CONTAINER_AVI, "avi", "avi", NULL)                                                                            \
    X(ZM_CONTAINER_GIF, "gif", "gif", NULL)                                                                            \
    X(ZM_CONTAINER_APNG, "apng", "apng", NULL)                                                                         \
    X(ZM_CONTAINER_PNG, "png", NULL, "png")                                                                            \
    X(ZM_CONTAINER_JPEG, "jpeg", NULL, "mjpeg")                                                                        \
    X(ZM_CONTAINER_WEBP, "webp", NULL, "webp")                                                                         \
    X(ZM_CONTAINER_BMP, "bmp", NULL, "bmp")

typedef enum {
#define ZM_CONTAINER_ENUM(code, name, demuxer, decoder) code,
    ZM_CONTAINER_TABLE(ZM_CONTAINER_ENUM)
#undef ZM_CONTAINER_ENUM
        ZM_CONTAINER_COUNT
} zm_container_kind;

typedef struct {
    zm_container_kind kind;
    const char *name, *demuxer, *decoder; /* the row's */
    unsigned width, height;               /* pixels the header claims; 0 where only a decoder can tell */
} zm_container;

/* ZM_E_UNSUPPORTED: none of the table; ZM_E_FORMAT: one of them, cut off or broken, with the place.  `path` is for the
 * sentence.  Time linear in the size, no memory. */
ZM_MUST zm_status zm_container_find(zm_container *out, const unsigned char *at, size_t size, const char *path,
                                    zm_error *err);

#endif
