/* Between the writer and what encodes: one implementation with FFmpeg, a small one without.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MEDIA_ENCODE_H
#define ZM_MEDIA_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "media/frame.h"

/* One row per extension: code, extension, encoder by default, rate factor by default and at most. */
#define ZM_MEDIA_KIND_TABLE(X)                                                                                         \
    X(ZM_KIND_MP4, ".mp4", "libx264", 18, 51)                                                                          \
    X(ZM_KIND_WEBM, ".webm", "libvpx-vp9", 24, 63)                                                                     \
    X(ZM_KIND_GIF, ".gif", "gif", 0, 0)                                                                                \
    X(ZM_KIND_APNG, ".apng", "apng", 0, 0)                                                                             \
    X(ZM_KIND_PNG, ".png", "png", 0, 0)

typedef enum {
#define ZM_MEDIA_KIND_ENUM(code, extension, codec, crf, worst) code,
    ZM_MEDIA_KIND_TABLE(ZM_MEDIA_KIND_ENUM)
#undef ZM_MEDIA_KIND_ENUM
        ZM_KIND_COUNT
} zm_media_kind;

typedef struct {
    const char *path;     /* for sentences; must outlive the encoder */
    const char *file;     /* where the bytes go */
    const char *codec;    /* FFmpeg encoder name */
    zm_media_kind kind;   /* not ZM_KIND_PNG: pictures go through zm_png_encode */
    int width, height;    /* of the frames that come */
    int fps_num, fps_den; /* > 0 */
    int crf;
    /* A file that can be played while it grows (.mp4): this encoder writes one stretch of it, which can be decoded by
     * itself, behind what is there.  The first stretch begins the file. */
    bool growing;
    int stretch;         /* number of this one, from 0 */
    int64_t first_frame; /* frames before it */
} zm_encoder_options;

typedef struct zm_encoder zm_encoder;

/* ZM_OK when this build has the encoder; touches no file. */
ZM_MUST zm_status zm_encoder_check(const char *path, zm_media_kind kind, const char *codec, zm_error *err);
ZM_MUST zm_status zm_encoder_open(zm_encoder **out, const zm_encoder_options *opt, zm_error *err);
ZM_MUST zm_status zm_encoder_put(zm_encoder *e, const zm_frame *f, zm_error *err);
/* Everything flushed and the file closed; zm_encoder_free still has to be called. */
ZM_MUST zm_status zm_encoder_finish(zm_encoder *e, zm_error *err);
void zm_encoder_free(zm_encoder *e);

/* A whole PNG file in heap memory (free with free()). */
ZM_MUST zm_status zm_png_encode(unsigned char **out, size_t *size, const zm_frame *f, zm_error *err);

#endif
