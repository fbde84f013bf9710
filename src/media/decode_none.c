/* Decoding in a build without FFmpeg: there is none, and the sentence says so.
 * SPDX-License-Identifier: MIT */
#include "media/decode.h"

zm_status zm_decoder_open(zm_decoder **out, zm_reader_info *about, const char *path, zm_error *err)
{
    *out = NULL;
    *about = (zm_reader_info){0};
    return zm_fail(err, ZM_E_UNSUPPORTED, "%s: this build has no FFmpeg and reads no videos or pictures", path);
}

zm_status zm_decoder_next(zm_decoder *d, zm_frame *f, double *start, double *length, bool *got, zm_error *err)
{
    (void)d, (void)f, (void)start, (void)length;
    *got = false;
    return zm_fail(err, ZM_E_UNSUPPORTED, "this build has no FFmpeg");
}

void zm_decoder_free(zm_decoder *d)
{
    (void)d;
}
