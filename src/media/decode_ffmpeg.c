/* Decoding hostile files through FFmpeg: a named demuxer over mapped memory, an allowed codec, one thread, strict.
 * SPDX-License-Identifier: MIT */
#include "media/decode.h"

#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/avstring.h>
#include <libavutil/display.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

#include "base/mapfile.h"
#include "media/container.h"
#include "media/ffmpeg.h"

/* FFmpeg sees the file through `io`, which reads the mapping: it never opens anything itself.  A still picture has no
 * `fmt`; the whole file is its only packet.
 *
 * States: sending packets -> `drained` (the decoder was told there are no more) -> the end. */
struct zm_decoder {
    zm_map map;
    size_t at; /* where `io` reads next */
    zm_container container;
    char *path;
    AVIOContext *io;
    AVFormatContext *fmt;
    AVStream *stream; /* of fmt */
    AVCodecContext *codec;
    AVPacket *packet;
    AVFrame *frame, *rgb;
    struct SwsContext *convert;
    double fps, origin; /* origin: seconds of the first frame's time stamp */
    int64_t packets, count;
    int width, height; /* of the first frame as stored */
    int turn;          /* EXIF orientation last told */
    bool drained;
};

enum {
    IO_BYTES = 1 << 16,
    MOST_STREAMS = 64,
    LARGEST_STILL = 256 << 20,     /* bytes of a picture file */
    SMALL_PIXELS = 1 << 20,        /* never worth suspecting */
    MOST_PIXELS_PER_BYTE = 1 << 14 /* no real file describes more pixels a frame with so few bytes */
};

static const char codecs[] = "h264,hevc,libdav1d,av1,libaom-av1,vp8,vp9,mpeg4,mpeg2video,mpeg1video,mjpeg,png,apng,gif,"
                             "webp,bmp,ffv1,rawvideo,prores,dnxhd";

static int io_read(void *user, uint8_t *buf, int n)
{
    zm_decoder *d = user;
    size_t left = d->map.size - d->at;
    if (!left)
        return AVERROR_EOF;
    if ((size_t)n > left)
        n = (int)left;
    memcpy(buf, d->map.at + d->at, (size_t)n);
    d->at += (size_t)n;
    return n;
}

static int64_t io_seek(void *user, int64_t offset, int whence)
{
    zm_decoder *d = user;
    whence &= ~AVSEEK_FORCE;
    if (whence == AVSEEK_SIZE)
        return (int64_t)d->map.size;
    int64_t from = whence == SEEK_CUR ? (int64_t)d->at : whence == SEEK_END ? (int64_t)d->map.size : 0;
    if (offset < -from || offset > (int64_t)d->map.size - from)
        return AVERROR(EINVAL);
    d->at = (size_t)(from + offset);
    return from + offset;
}

/* Tracks in other files (mov data references and the like) are never followed. */
static int refuse_open(AVFormatContext *s, AVIOContext **pb, const char *url, int flags, AVDictionary **options)
{
    (void)s, (void)url, (void)flags, (void)options;
    *pb = NULL;
    return AVERROR(EPERM);
}

static zm_status check_size(const zm_decoder *d, int64_t width, int64_t height, zm_error *err)
{
    if (width < 1 || height < 1 || width > ZM_FRAME_MAX_SIDE || height > ZM_FRAME_MAX_SIDE ||
        width * height > ZM_FRAME_MAX_PIXELS)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: %lldx%lld pixels is outside 1..%d a side and %d in all", d->path,
                       (long long)width, (long long)height, ZM_FRAME_MAX_SIDE, ZM_FRAME_MAX_PIXELS);
    if (width * height > SMALL_PIXELS && (size_t)(width * height) / MOST_PIXELS_PER_BYTE > d->map.size)
        return zm_fail(err, ZM_E_FORMAT, "%s: damaged: %lldx%lld pixels cannot be in a file of %zu bytes", d->path,
                       (long long)width, (long long)height, d->map.size);
    return ZM_OK;
}

static zm_status out_of_memory(const zm_decoder *d, zm_error *err)
{
    return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", d->path);
}

static zm_status open_codec(zm_decoder *d, const AVCodec *codec, zm_error *err)
{
    if (!codec || !av_match_list(codec->name, codecs, ','))
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: zouma does not decode %s video", d->path,
                       codec                  ? codec->name
                       : d->container.decoder ? d->container.decoder
                                              : avcodec_get_name(d->stream->codecpar->codec_id));
    d->codec = avcodec_alloc_context3(codec);
    if (!d->codec || (d->stream && avcodec_parameters_to_context(d->codec, d->stream->codecpar) < 0))
        return out_of_memory(d, err);
    d->codec->thread_count = 1;
    d->codec->max_pixels = ZM_FRAME_MAX_PIXELS;
    d->codec->err_recognition = AV_EF_CRCCHECK | AV_EF_BITSTREAM | AV_EF_BUFFER | AV_EF_EXPLODE;
    if (d->stream)
        d->codec->pkt_timebase = d->stream->time_base;
    zm_ffmpeg_forget();
    int r = avcodec_open2(d->codec, codec, NULL);
    return r < 0 ? zm_ffmpeg_fail(err, ZM_E_FORMAT, r, "%s: the %s decoder refuses it", d->path, codec->name) : ZM_OK;
}

/* Let FFmpeg look at the first packets, every decoder that it opens for that under our limits. */
static int find_streams(AVFormatContext *fmt)
{
    unsigned n = fmt->nb_streams;
    AVDictionary **options = calloc(n ? n : 1, sizeof *options);
    if (!options)
        return AVERROR(ENOMEM);
    for (unsigned i = 0; i < n; i++) {
        av_dict_set_int(&options[i], "max_pixels", ZM_FRAME_MAX_PIXELS, 0);
        av_dict_set_int(&options[i], "threads", 1, 0);
    }
    int r = avformat_find_stream_info(fmt, options);
    for (unsigned i = 0; i < n; i++)
        av_dict_free(&options[i]);
    free(options);
    return r;
}

static zm_status open_demuxer(zm_decoder *d, zm_error *err)
{
    unsigned char *buffer = av_malloc(IO_BYTES);
    d->fmt = avformat_alloc_context();
    d->io = buffer && d->fmt ? avio_alloc_context(buffer, IO_BYTES, 0, d, io_read, NULL, io_seek) : NULL;
    if (!d->io) {
        av_free(buffer);
        return out_of_memory(d, err);
    }
    d->fmt->pb = d->io;
    d->fmt->io_open = refuse_open;
    d->fmt->max_streams = MOST_STREAMS;
    d->fmt->codec_whitelist = av_strdup(codecs);
    d->fmt->format_whitelist = av_strdup("mov,matroska,avi,gif,apng");
    zm_ffmpeg_forget();
    int r = avformat_open_input(&d->fmt, NULL, av_find_input_format(d->container.demuxer), NULL);
    for (unsigned i = 0; r >= 0 && i < d->fmt->nb_streams; i++) {
        AVCodecParameters *p = d->fmt->streams[i]->codecpar;
        if (p->codec_type != AVMEDIA_TYPE_VIDEO)
            d->fmt->streams[i]->discard = AVDISCARD_ALL;
        else if (p->width && p->height && check_size(d, p->width, p->height, err))
            return err ? err->code : ZM_E_UNSUPPORTED;
    }
    if (r >= 0) {
#if LIBAVFORMAT_VERSION_MAJOR < 61                 /* later ones do it unasked */
        av_format_inject_global_side_data(d->fmt); /* a phone's rotation comes with the frames */
#endif
        r = find_streams(d->fmt);
    }
    if (r < 0)
        return zm_ffmpeg_fail(err, ZM_E_FORMAT, r, "%s: cannot be read as %s", d->path, d->container.name);
    int best = av_find_best_stream(d->fmt, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    if (best < 0)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: there is no video in it", d->path);
    d->stream = d->fmt->streams[best];
    for (unsigned i = 0; i < d->fmt->nb_streams; i++)
        d->fmt->streams[i]->discard = (int)i == best ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
    const AVCodecParameters *p = d->stream->codecpar;
    zm_status s = p->width && p->height ? check_size(d, p->width, p->height, err) : ZM_OK;
    return s ? s : open_codec(d, avcodec_find_decoder(p->codec_id), err);
}

/* The next packet of our stream into the decoder, or the news that there are none left. */
static zm_status feed(zm_decoder *d, zm_error *err)
{
    int r = 0;
    zm_ffmpeg_forget();
    if (!d->fmt && !d->packets) {
        r = av_new_packet(d->packet, (int)d->map.size);
        if (r >= 0)
            memcpy(d->packet->data, d->map.at, d->map.size);
    } else if (!d->fmt) {
        r = AVERROR_EOF;
    } else {
        while ((r = av_read_frame(d->fmt, d->packet)) >= 0 && d->packet->stream_index != d->stream->index)
            av_packet_unref(d->packet);
    }
    int64_t promised = d->container.kind == ZM_CONTAINER_MP4 ? avformat_index_get_entries_count(d->stream) : 0;
    if (r == AVERROR_EOF && d->packets < promised)
        return zm_fail(err, ZM_E_FORMAT, "%s: cut off: its index has %lld frames, the file %lld", d->path,
                       (long long)promised, (long long)d->packets);
    if (r < 0 && r != AVERROR_EOF)
        return zm_ffmpeg_fail(err, ZM_E_FORMAT, r, "%s: damaged after frame %lld", d->path, (long long)d->count);
    if (r >= 0 && d->packet->flags & AV_PKT_FLAG_CORRUPT) {
        av_packet_unref(d->packet);
        return zm_ffmpeg_fail(err, ZM_E_FORMAT, 0, "%s: damaged after frame %lld", d->path, (long long)d->count);
    }
    d->drained = r < 0;
    r = avcodec_send_packet(d->codec, d->drained ? NULL : d->packet);
    av_packet_unref(d->packet);
    d->packets++;
    return r < 0 && r != AVERROR_EOF
               ? zm_ffmpeg_fail(err, ZM_E_FORMAT, r, "%s: frame %lld is damaged", d->path, (long long)d->count)
               : ZM_OK;
}

/* EXIF orientation of the frame: from a picture's EXIF, or from a film's display matrix.  0 = the frame does not say:
 * a film tells it with its first frame only. */
static int orientation(const AVFrame *f)
{
    const AVDictionaryEntry *exif = av_dict_get(f->metadata, "Orientation", NULL, 0);
    if (exif)
        return atoi(exif->value);
    const AVFrameSideData *m = av_frame_get_side_data(f, AV_FRAME_DATA_DISPLAYMATRIX);
    if (!m || m->size < 9 * sizeof(int32_t))
        return 0;
    double angle = av_display_rotation_get((const int32_t *)(const void *)m->data); /* counter-clockwise */
    return angle > 45 && angle < 135 ? 8 : angle < -45 && angle > -135 ? 6 : angle >= 135 || angle <= -135 ? 3 : 1;
}

/* Standard definition without a label is BT.601, larger is BT.709: what browsers assume. */
static void set_colours(struct SwsContext *c, const AVFrame *f)
{
    int space = f->colorspace, full = f->color_range == AVCOL_RANGE_JPEG;
    if (space == AVCOL_SPC_UNSPECIFIED)
        space = f->width >= 1280 || f->height > 576 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
    const char *name = av_get_pix_fmt_name(f->format);
    if (name && !strncmp(name, "yuvj", 4))
        full = 1;
    sws_setColorspaceDetails(c, sws_getCoefficients(space), full, sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16,
                             1 << 16);
}

static zm_status prepare_convert(zm_decoder *d, bool alpha, zm_error *err)
{
    const AVFrame *f = d->frame;
    enum AVPixelFormat to = alpha ? AV_PIX_FMT_RGBA : AV_PIX_FMT_RGB24;
    zm_ffmpeg_forget();
    d->convert = sws_getCachedContext(
        d->convert, f->width, f->height, f->format, f->width, f->height, to,
        SWS_BICUBIC | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP | SWS_ACCURATE_RND | SWS_BITEXACT, NULL, NULL, NULL);
    if (!d->convert)
        return zm_ffmpeg_fail(err, ZM_E_UNSUPPORTED, 0, "%s: FFmpeg cannot convert its pixels to RGB", d->path);
    set_colours(d->convert, f);
    if (d->rgb->format == (int)to && d->rgb->width == f->width && d->rgb->height == f->height)
        return ZM_OK;
    av_frame_unref(d->rgb);
    d->rgb->format = to;
    d->rgb->width = f->width;
    d->rgb->height = f->height;
    return av_frame_get_buffer(d->rgb, 0) < 0 ? out_of_memory(d, err) : ZM_OK;
}

/* Rows to a packed frame; what is transparent lets white through, as on a page. */
static void take_rows(zm_frame *to, const AVFrame *from, bool alpha)
{
    size_t row = (size_t)to->width * 3;
    for (int y = 0; y < to->height; y++) {
        const uint8_t *in = from->data[0] + (ptrdiff_t)y * from->linesize[0];
        uint8_t *out = to->rgb + (size_t)y * row;
        if (!alpha) {
            memcpy(out, in, row);
            continue;
        }
        for (int x = 0; x < to->width; x++, in += 4)
            for (int c = 0; c < 3; c++)
                *out++ = (uint8_t)((in[c] * in[3] + 255 * (255 - in[3]) + 127) / 255);
    }
}

static zm_status convert(zm_decoder *d, zm_frame *out, zm_error *err)
{
    const AVFrame *f = d->frame;
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(f->format);
    bool alpha = desc && desc->flags & AV_PIX_FMT_FLAG_ALPHA;
    zm_status s = check_size(d, f->width, f->height, err);
    if (s)
        return s;
    if (d->width && (f->width != d->width || f->height != d->height))
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: frame %lld changes the size from %dx%d to %dx%d", d->path,
                       (long long)d->count, d->width, d->height, f->width, f->height);
    if (f->flags & AV_FRAME_FLAG_CORRUPT || f->decode_error_flags)
        return zm_ffmpeg_fail(err, ZM_E_FORMAT, 0, "%s: frame %lld is damaged", d->path, (long long)d->count);
    d->width = f->width;
    d->height = f->height;
    s = prepare_convert(d, alpha, err);
    if (!s && sws_scale(d->convert, (const uint8_t *const *)f->data, f->linesize, 0, f->height, d->rgb->data,
                        d->rgb->linesize) != f->height)
        s = zm_fail(err, ZM_E_UNSUPPORTED, "%s: FFmpeg cannot convert its pixels to RGB", d->path);
    zm_frame_release(out);
    if (!s)
        s = zm_frame_init(out, f->width, f->height, err);
    if (s)
        return s;
    take_rows(out, d->rgb, alpha);
    int turn = orientation(f);
    if (turn)
        d->turn = turn;
    return zm_frame_orient(out, d->turn, err);
}

static void set_times(zm_decoder *d, double *start, double *length)
{
    *start = (double)d->count / d->fps;
    *length = 1 / d->fps;
    if (!d->stream)
        return;
    double unit = av_q2d(d->stream->time_base);
    if (d->frame->best_effort_timestamp != AV_NOPTS_VALUE) {
        double t = (double)d->frame->best_effort_timestamp * unit;
        if (!d->count)
            d->origin = t;
        *start = t - d->origin;
    }
#if LIBAVUTIL_VERSION_MAJOR >= 58
    int64_t duration = d->frame->duration;
#else
    int64_t duration = d->frame->pkt_duration;
#endif
    if (duration > 0)
        *length = (double)duration * unit;
}

zm_status zm_decoder_next(zm_decoder *d, zm_frame *f, double *start, double *length, bool *got, zm_error *err)
{
    *got = false;
    for (;;) {
        zm_ffmpeg_forget();
        int r = avcodec_receive_frame(d->codec, d->frame);
        zm_status s = ZM_OK;
        if (r == AVERROR_EOF && !d->count)
            return zm_fail(err, ZM_E_FORMAT, "%s: there is no frame in it", d->path);
        if (r == AVERROR_EOF)
            return ZM_OK;
        if (r == AVERROR(EAGAIN)) {
            s = feed(d, err);
            if (s)
                return s;
            continue;
        }
        if (r < 0)
            return zm_ffmpeg_fail(err, ZM_E_FORMAT, r, "%s: frame %lld is damaged", d->path, (long long)d->count);
        s = convert(d, f, err);
        set_times(d, start, length);
        av_frame_unref(d->frame);
        d->count++;
        *got = !s;
        return s;
    }
}

/* Frames in an mp4's index that will be shown: an edit list may cut some away. */
static int64_t shown_frames(zm_decoder *d)
{
    int64_t shown = 0;
    int n = d->container.kind == ZM_CONTAINER_MP4 ? avformat_index_get_entries_count(d->stream) : 0;
    for (int i = 0; i < n; i++) {
        const AVIndexEntry *e = avformat_index_get_entry(d->stream, i);
        shown += e && !(e->flags & AVINDEX_DISCARD_FRAME);
    }
    return shown ? shown : -1;
}

static void describe(zm_decoder *d, zm_reader_info *about)
{
    *about = (zm_reader_info){.container = d->container.name,
                              .codec = d->codec->codec->name,
                              .fps_num = 1,
                              .fps_den = 1,
                              .frames = 1,
                              .still = true};
    d->fps = 1;
    if (!d->stream)
        return;
    AVRational fps = av_guess_frame_rate(d->fmt, d->stream, NULL);
    if (fps.num < 1 || fps.den < 1 || av_q2d(fps) > 1000)
        fps = (AVRational){25, 1};
    about->fps_num = fps.num;
    about->fps_den = fps.den;
    about->frames = shown_frames(d);
    about->seconds = d->fmt->duration > 0 ? (double)d->fmt->duration / AV_TIME_BASE : 0;
    about->still = false;
    d->fps = av_q2d(fps);
}

zm_status zm_decoder_open(zm_decoder **out, zm_reader_info *about, const char *path, zm_error *err)
{
    *out = NULL;
    zm_ffmpeg_setup();
    zm_decoder *d = calloc(1, sizeof *d);
    if (!d)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    zm_status s = zm_map_open(&d->map, path, err);
    d->path = strdup(path);
    d->packet = av_packet_alloc();
    d->frame = av_frame_alloc();
    d->rgb = av_frame_alloc();
    if (!s && (!d->path || !d->packet || !d->frame || !d->rgb))
        s = zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    if (!s)
        s = zm_container_find(&d->container, d->map.at, d->map.size, path, err);
    if (!s && d->container.width | d->container.height)
        s = check_size(d, d->container.width, d->container.height, err);
    if (!s && d->container.decoder && d->map.size > LARGEST_STILL)
        s = zm_fail(err, ZM_E_UNSUPPORTED, "%s: a picture of %zu bytes is over the %d allowed", path, d->map.size,
                    LARGEST_STILL);
    if (!s)
        s = d->container.demuxer ? open_demuxer(d, err)
                                 : open_codec(d, avcodec_find_decoder_by_name(d->container.decoder), err);
    if (s) {
        zm_decoder_free(d);
        return s;
    }
    describe(d, about);
    *out = d;
    return ZM_OK;
}

void zm_decoder_free(zm_decoder *d)
{
    if (!d)
        return;
    avcodec_free_context(&d->codec);
    avformat_close_input(&d->fmt);
    if (d->io)
        av_freep(&d->io->buffer);
    avio_context_free(&d->io);
    av_packet_free(&d->packet);
    av_frame_free(&d->frame);
    av_frame_free(&d->rgb);
    sws_freeContext(d->convert);
    zm_map_close(&d->map);
    free(d->path);
    free(d);
}
