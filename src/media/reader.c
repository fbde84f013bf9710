/* Reading clips and pictures: sizes and times as asked for, over the frames that decode.h delivers.
 * SPDX-License-Identifier: MIT */
#include "media/reader.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/decode.h"

/* A pause longer than this is shortened to it, so that a hostile time stamp cannot ask for frames without end. */
#define LONGEST_PAUSE_S 60.0

/* A source frame at its target size, and when it is shown. */
typedef struct {
    zm_frame frame;
    double start, length; /* seconds */
    bool there;
} shown;

/* `now` is what is shown at the output's time; `ahead` is the source frame after it.  Without a target rate every
 * `now` goes out once. */
struct zm_reader {
    zm_decoder *decoder;
    zm_reader_options opt;
    zm_reader_info about;
    zm_frame source;
    shown now, ahead;
    double rate, shift; /* frames per second asked for, 0 = as they come; seconds cut out of long pauses so far */
    double last_start;  /* of the last source frame, as the file says */
    int64_t next;       /* output frame */
    zm_error failed;
};

static zm_status decode(zm_reader *r, shown *to, zm_error *err)
{
    zm_status s = zm_decoder_next(r->decoder, &r->source, &to->start, &to->length, &to->there, err);
    if (s || !to->there)
        return s;
    double step = to->start - r->last_start;
    r->last_start = to->start;
    if (!(step >= 0)) /* time runs backwards in a broken file: show it at once */
        r->shift += step < 0 ? step : 0;
    else if (step > LONGEST_PAUSE_S)
        r->shift += step - LONGEST_PAUSE_S;
    to->start -= r->shift;
    to->length = fmin(to->length, LONGEST_PAUSE_S);
    if (!r->opt.width) {
        zm_frame swap = to->frame;
        to->frame = r->source;
        r->source = swap;
        return ZM_OK;
    }
    if (!to->frame.rgb)
        s = zm_frame_init(&to->frame, r->opt.width, r->opt.height, err);
    return s ? s : zm_frame_fit(&to->frame, &r->source, err);
}

static zm_status check_options(const zm_reader_options *o, const char *path, zm_error *err)
{
    if ((o->width || o->height) &&
        (o->width < 1 || o->height < 1 || o->width > ZM_FRAME_MAX_SIDE || o->height > ZM_FRAME_MAX_SIDE))
        return zm_fail(err, ZM_E_USAGE, "%s: cannot be resized to %dx%d pixels", path, o->width, o->height);
    if ((o->fps_num || o->fps_den) && (o->fps_num < 1 || o->fps_den < 1 || o->fps_num / o->fps_den > 1000))
        return zm_fail(err, ZM_E_USAGE, "%s: cannot be resampled to %d/%d frames a second", path, o->fps_num,
                       o->fps_den);
    return ZM_OK;
}

zm_status zm_reader_open(zm_reader **out, const char *path, const zm_reader_options *opt, zm_error *err)
{
    *out = NULL;
    zm_reader *r = calloc(1, sizeof *r);
    if (!r)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    if (opt)
        r->opt = *opt;
    zm_status s = check_options(&r->opt, path, err);
    if (!s)
        s = zm_decoder_open(&r->decoder, &r->about, path, err);
    if (!s)
        s = decode(r, &r->ahead, err);
    if (s) {
        zm_reader_close(&r);
        return s;
    }
    /* Without a target size the decoded frame was handed over whole. */
    const zm_frame *first = r->opt.width ? &r->source : &r->ahead.frame;
    r->about.width = first->width;
    r->about.height = first->height;
    r->rate = r->opt.fps_num && !r->about.still ? (double)r->opt.fps_num / r->opt.fps_den : 0;
    *out = r;
    return ZM_OK;
}

const zm_reader_info *zm_reader_about(const zm_reader *r)
{
    return &r->about;
}

/* `ahead` becomes `now`, and the frame after it is decoded. */
static zm_status advance(zm_reader *r, zm_error *err)
{
    shown old = r->now;
    r->now = r->ahead;
    r->ahead = old;
    return decode(r, &r->ahead, err);
}

static zm_status next(zm_reader *r, const zm_frame **frame, zm_error *err)
{
    zm_status s = ZM_OK;
    if (!r->rate) {
        /* Decode only when asked for: the frame that goes out must not wait for the one after it. */
        if (r->next)
            s = decode(r, &r->ahead, err);
        if (!s && r->ahead.there)
            *frame = &r->ahead.frame;
        r->next += *frame != NULL || !r->next;
        return s;
    }
    double t = (double)r->next / r->rate;
    while (!s && r->ahead.there && (!r->now.there || r->ahead.start <= t + 1e-6))
        s = advance(r, err);
    if (!s && r->now.there && (r->ahead.there || t < r->now.start + r->now.length - 1e-6)) {
        *frame = &r->now.frame;
        r->next++;
    }
    return s;
}

zm_status zm_reader_next(zm_reader *r, const zm_frame **frame, zm_error *err)
{
    *frame = NULL;
    if (!r->failed.code && next(r, frame, &r->failed))
        *frame = NULL;
    return r->failed.code ? zm_fail(err, r->failed.code, "%s", r->failed.text) : ZM_OK;
}

void zm_reader_close(zm_reader **r)
{
    if (!*r)
        return;
    zm_decoder_free((*r)->decoder);
    zm_frame_release(&(*r)->source);
    zm_frame_release(&(*r)->now.frame);
    zm_frame_release(&(*r)->ahead.frame);
    free(*r);
    *r = NULL;
}

zm_status zm_picture_read(zm_frame *out, const char *path, zm_error *err)
{
    *out = (zm_frame){0};
    zm_reader *r;
    zm_status s = zm_reader_open(&r, path, NULL, err);
    if (s)
        return s;
    const zm_frame *f;
    s = zm_reader_next(r, &f, err);
    if (!s && !f)
        s = zm_fail(err, ZM_E_FORMAT, "%s: there is no frame in it", path);
    if (!s)
        s = zm_frame_copy(out, f, err);
    zm_reader_close(&r);
    return s;
}

zm_status zm_clip_read(uint8_t *out, int frames, int *got, const char *path, const zm_reader_options *opt,
                       zm_error *err)
{
    *got = 0;
    ZM_ASSERT(opt->width > 0 && opt->height > 0);
    zm_reader *r;
    zm_status s = zm_reader_open(&r, path, opt, err);
    size_t bytes = (size_t)opt->width * (size_t)opt->height * 3;
    while (!s && *got < frames) {
        const zm_frame *f;
        s = zm_reader_next(r, &f, err);
        if (s || !f)
            break;
        memcpy(out + (size_t)*got * bytes, f->rgb, bytes);
        ++*got;
    }
    zm_reader_close(&r);
    return s;
}
