/* Encoding in a build without FFmpeg: PNG pictures only.
 * SPDX-License-Identifier: MIT */
#include "media/encode.h"

#include "media/png_store.h"

zm_status zm_encoder_check(const char *path, zm_media_kind kind, const char *codec, zm_error *err)
{
    (void)codec;
    return kind == ZM_KIND_PNG
               ? ZM_OK
               : zm_fail(err, ZM_E_UNSUPPORTED, "%s: this build has no FFmpeg and writes .png pictures only", path);
}

zm_status zm_encoder_open(zm_encoder **out, const zm_encoder_options *opt, zm_error *err)
{
    *out = NULL;
    return zm_encoder_check(opt->path, opt->kind, opt->codec, err);
}

zm_status zm_encoder_put(zm_encoder *e, const zm_frame *f, zm_error *err)
{
    (void)e, (void)f;
    return zm_fail(err, ZM_E_UNSUPPORTED, "this build has no FFmpeg");
}

zm_status zm_encoder_finish(zm_encoder *e, zm_error *err)
{
    (void)e;
    return zm_fail(err, ZM_E_UNSUPPORTED, "this build has no FFmpeg");
}

void zm_encoder_free(zm_encoder *e)
{
    (void)e;
}

zm_status zm_png_encode(unsigned char **out, size_t *size, const zm_frame *f, zm_error *err)
{
    return zm_png_store(out, size, f, err);
}
