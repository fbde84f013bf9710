/* FFmpeg's log and error codes, turned into one sentence.
 * SPDX-License-Identifier: MIT */
#include "media/ffmpeg.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <libavutil/error.h>
#include <libavutil/log.h>
#include <libavutil/mem.h>

/* 64 Mi pixels of 16-bit RGBA is the largest buffer an allowed picture takes. */
enum { LARGEST_ALLOCATION = 640 << 20 };

static _Thread_local char complaint[160];

/* Keep the first error since zm_ffmpeg_forget: the ones after it are consequences. */
static void listen(void *from, int level, const char *fmt, va_list ap)
{
    (void)from;
    if (level > AV_LOG_ERROR || complaint[0])
        return;
    int n = vsnprintf(complaint, sizeof complaint, fmt, ap);
    if (n < 0)
        complaint[0] = 0;
    for (char *p = complaint; *p; p++)
        if ((unsigned char)*p < 32 || (unsigned char)*p > 126) /* bytes of a hostile file may be quoted in it */
            *p = ' ';
    for (size_t i = strlen(complaint); i && (complaint[i - 1] == ' ' || complaint[i - 1] == '.'); i--)
        complaint[i - 1] = 0;
}

static void setup(void)
{
    av_log_set_callback(listen);
    av_max_alloc(LARGEST_ALLOCATION);
}

void zm_ffmpeg_setup(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, setup);
}

void zm_ffmpeg_forget(void)
{
    complaint[0] = 0;
}

zm_status zm_ffmpeg_fail(zm_error *err, zm_status status, int code, const char *fmt, ...)
{
    char text[384], why[96] = "";
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (code == AVERROR(ENOMEM))
        status = ZM_E_NOMEM;
    else if (code == AVERROR(ENOSPC) || code == AVERROR(EIO) || code == AVERROR(EFBIG) || code == AVERROR(EACCES) ||
             code == AVERROR(EDQUOT) || code == AVERROR(EROFS) || code == AVERROR(EPERM))
        status = ZM_E_IO;
    if (status == ZM_E_IO || (code && !complaint[0]))
        av_strerror(code, why, sizeof why);
    const char *detail = why[0] ? why : complaint;
    return detail[0] ? zm_fail(err, status, "%s: %s", text, detail) : zm_fail(err, status, "%s", text);
}
