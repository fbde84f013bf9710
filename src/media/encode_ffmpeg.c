/* Encoding and muxing through FFmpeg: one encoder, one stream, bit-exact flags and one thread.
 * SPDX-License-Identifier: MIT */
#include "media/encode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/avstring.h>
#include <libavutil/cpu.h>
#include <libswscale/swscale.h>

#include "base/spool.h"
#include "media/ffmpeg.h"
#include "media/palette.h"

/* A GIF needs its palette before its first frame, so its frames wait in `spool`, an unlinked file beside the target:
 * memory stays bounded and a crash leaves nothing. */
struct zm_encoder {
    zm_encoder_options opt;
    char *file;
    AVFormatContext *mux;
    AVCodecContext *codec;
    AVStream *stream;
    AVFrame *rgb, *frame; /* as put, and as the codec wants it; one and the same for .apng */
    AVPacket *packet;
    struct SwsContext *convert;
    int64_t count;
    int fd;    /* of a growing file; -1: none */
    bool deaf; /* what is written now is in the file already: the header, from its second stretch on */
    FILE *spool;
    zm_palette *palette;
};

static const struct {
    const char *muxer;
    enum AVPixelFormat format;
    bool video; /* chroma at half size, BT.709 */
} kinds[] = {
    [ZM_KIND_MP4] = {"mp4", AV_PIX_FMT_YUV420P, true}, [ZM_KIND_WEBM] = {"webm", AV_PIX_FMT_YUV420P, true},
    [ZM_KIND_GIF] = {"gif", AV_PIX_FMT_PAL8, false},   [ZM_KIND_APNG] = {"apng", AV_PIX_FMT_RGB24, false},
    [ZM_KIND_PNG] = {NULL, AV_PIX_FMT_RGB24, false},
};

static bool takes_format(const AVCodec *c, enum AVPixelFormat format)
{
    const enum AVPixelFormat *at = c->pix_fmts;
    while (at && *at != AV_PIX_FMT_NONE && *at != format)
        at++;
    return at && *at == format;
}

zm_status zm_encoder_check(const char *path, zm_media_kind kind, const char *codec, zm_error *err)
{
    zm_ffmpeg_setup();
    const AVCodec *c = avcodec_find_encoder_by_name(codec);
    if (!c)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: this FFmpeg has no encoder named '%s'", path, codec);
    if (c->type != AVMEDIA_TYPE_VIDEO || !takes_format(c, kinds[kind].format))
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: the encoder '%s' does not take %s pictures", path, codec,
                       kinds[kind].video ? "yuv420p" : "RGB");
    if (kinds[kind].muxer) {
        const AVOutputFormat *m = av_guess_format(kinds[kind].muxer, NULL, NULL);
        if (!m)
            return zm_fail(err, ZM_E_UNSUPPORTED, "%s: this FFmpeg cannot write %s files", path, kinds[kind].muxer);
        if (avformat_query_codec(m, c->id, FF_COMPLIANCE_NORMAL) == 0)
            return zm_fail(err, ZM_E_UNSUPPORTED, "%s: %s files cannot hold what '%s' encodes", path, kinds[kind].muxer,
                           codec);
    }
    return ZM_OK;
}

static AVFrame *new_frame(enum AVPixelFormat format, int width, int height)
{
    AVFrame *f = av_frame_alloc();
    if (f) {
        f->format = format;
        f->width = width;
        f->height = height;
        if (av_frame_get_buffer(f, 0) < 0)
            av_frame_free(&f);
    }
    return f;
}

/* Codec settings that depend on the kind.  One thread each: an x264 stream depends on its number of threads. */
static void configure(zm_encoder *e, AVDictionary **private)
{
    AVCodecContext *c = e->codec;
    const zm_encoder_options *o = &e->opt;
    bool video = kinds[o->kind].video;
    c->width = video ? o->width + (o->width & 1) : o->width;
    c->height = video ? o->height + (o->height & 1) : o->height;
    c->pix_fmt = kinds[o->kind].format;
    c->time_base = o->kind == ZM_KIND_GIF ? (AVRational){1, 100} : (AVRational){o->fps_den, o->fps_num};
    c->framerate = (AVRational){o->fps_num, o->fps_den};
    c->thread_count = 1;
    c->flags |= AV_CODEC_FLAG_BITEXACT;
    if (o->kind == ZM_KIND_APNG || o->kind == ZM_KIND_PNG)
        av_dict_set(private, "pred", "mixed", 0); /* a third smaller than no prediction, and films five times */
    if (o->kind == ZM_KIND_APNG)                  /* it compresses every frame several ways to keep the smallest */
        c->compression_level = 4;
    if (!video)
        return;
    int fps = (o->fps_num + o->fps_den - 1) / o->fps_den;
    c->gop_size = 2 * fps; /* a browser seeks and loops from the nearest key frame */
    c->color_primaries = AVCOL_PRI_BT709;
    c->color_trc = AVCOL_TRC_BT709;
    c->colorspace = AVCOL_SPC_BT709;
    c->color_range = AVCOL_RANGE_MPEG;
    c->chroma_sample_location = AVCHROMA_LOC_LEFT;
    av_dict_set_int(private, "crf", o->crf, 0);
    if (o->growing) /* every stretch begins at its first frame's time, which frames out of order would move */
        c->max_b_frames = 0;
    if (!strcmp(o->codec, "libx264")) {
        av_dict_set(private, "profile", "high", 0);
        /* x264's AVX-512 functions give other bytes from run to run (seen with 0.164); all below agree with each
         * other and with plain C. */
        if (av_get_cpu_flags() & AV_CPU_FLAG_AVX512)
            av_dict_set(private, "x264-params", "asm=avx2", 0);
    }
    if (!strcmp(o->codec, "libvpx-vp9")) { /* constant quality needs a bit rate of 0 */
        c->bit_rate = 0;
        av_dict_set(private, "cpu-used", "3", 0);
        av_dict_set(private, "row-mt", "0", 0);
    }
}

static zm_status open_codec(zm_encoder *e, zm_error *err)
{
    const AVCodec *codec = avcodec_find_encoder_by_name(e->opt.codec);
    AVDictionary *private = NULL;
    if (!(e->codec = avcodec_alloc_context3(codec)))
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", e->opt.path);
    configure(e, &private);
    if (e->mux && e->mux->oformat->flags & AVFMT_GLOBALHEADER)
        e->codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    int r = avcodec_open2(e->codec, codec, &private);
    av_dict_free(&private);
    if (r < 0)
        return zm_ffmpeg_fail(err, ZM_E_UNSUPPORTED, r, "%s: the encoder %s refuses %dx%d pixels at %d/%d frames/s",
                              e->opt.path, e->opt.codec, e->codec->width, e->codec->height, e->opt.fps_num,
                              e->opt.fps_den);
    e->packet = av_packet_alloc();
    e->rgb = new_frame(AV_PIX_FMT_RGB24, e->codec->width, e->codec->height);
    e->frame = e->codec->pix_fmt == AV_PIX_FMT_RGB24 ? e->rgb
                                                     : new_frame(e->codec->pix_fmt, e->codec->width, e->codec->height);
    return e->packet && e->rgb && e->frame ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", e->opt.path);
}

static zm_status open_convert(zm_encoder *e, zm_error *err)
{
    int w = e->codec->width, h = e->codec->height;
    e->convert = sws_getContext(w, h, AV_PIX_FMT_RGB24, w, h, e->codec->pix_fmt,
                                SWS_BICUBIC | SWS_FULL_CHR_H_INP | SWS_ACCURATE_RND | SWS_BITEXACT, NULL, NULL, NULL);
    if (!e->convert)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: FFmpeg cannot convert pictures of %dx%d pixels", e->opt.path, w, h);
    const int *bt709 = sws_getCoefficients(SWS_CS_ITU709); /* full-range RGB in, limited-range YUV out */
    sws_setColorspaceDetails(e->convert, bt709, 1, bt709, 0, 0, 1 << 16, 1 << 16);
    e->frame->color_primaries = e->codec->color_primaries;
    e->frame->color_trc = e->codec->color_trc;
    e->frame->colorspace = e->codec->colorspace;
    e->frame->color_range = e->codec->color_range;
    e->frame->chroma_location = e->codec->chroma_sample_location;
    return ZM_OK;
}

static int write_growing(void *user, uint8_t *bytes, int n)
{
    zm_encoder *e = user;
    for (int done = 0; !e->deaf && done < n;) {
        ssize_t wrote = write(e->fd, bytes + done, (size_t)(n - done));
        if (wrote < 0 && errno != EINTR)
            return AVERROR(errno);
        done += wrote > 0 ? (int)wrote : 0;
    }
    return n;
}

/* The file stays as it is but for its end. */
static zm_status open_growing(zm_encoder *e, zm_error *err)
{
    enum { BUFFER = 1 << 16 };
    e->fd = open(e->file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (e->opt.stretch ? 0 : O_TRUNC), 0666);
    if (e->fd < 0)
        return zm_ffmpeg_fail(err, ZM_E_IO, AVERROR(errno), "%s: cannot write", e->opt.path);
    int r = avformat_alloc_output_context2(&e->mux, NULL, kinds[e->opt.kind].muxer, NULL);
    unsigned char *buffer = r < 0 ? NULL : av_malloc(BUFFER);
    if (buffer)
        e->mux->pb = avio_alloc_context(buffer, BUFFER, 1, e, NULL, write_growing, NULL);
    if (r < 0 || !buffer || !e->mux->pb) {
        av_free(buffer);
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", e->opt.path);
    }
    e->mux->flags |= AVFMT_FLAG_BITEXACT | AVFMT_FLAG_CUSTOM_IO;
    e->deaf = e->opt.stretch > 0;
    e->count = e->opt.first_frame;
    return ZM_OK;
}

static int close_growing(zm_encoder *e)
{
    int r = 0;
    if (e->mux && e->mux->pb) {
        av_freep(&e->mux->pb->buffer);
        avio_context_free(&e->mux->pb);
    }
    if (e->fd >= 0 && (fsync(e->fd) || close(e->fd)))
        r = AVERROR(errno);
    e->fd = -1;
    return r;
}

static zm_status open_mux(zm_encoder *e, zm_error *err)
{
    if (e->opt.growing)
        return open_growing(e, err);
    char *url = av_asprintf("file:%s", e->file); /* whatever the name looks like, it is a local file */
    if (!url)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", e->opt.path);
    int r = avformat_alloc_output_context2(&e->mux, NULL, kinds[e->opt.kind].muxer, url);
    if (r >= 0)
        r = avio_open2(&e->mux->pb, url, AVIO_FLAG_WRITE, NULL, NULL);
    av_free(url);
    if (r < 0)
        return zm_ffmpeg_fail(err, ZM_E_IO, r, "%s: cannot write", e->opt.path);
    e->mux->flags |= AVFMT_FLAG_BITEXACT;
    return ZM_OK;
}

static zm_status start(zm_encoder *e, zm_error *err)
{
    AVDictionary *private = NULL;
    e->stream = avformat_new_stream(e->mux, NULL);
    if (!e->stream || avcodec_parameters_from_context(e->stream->codecpar, e->codec) < 0)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", e->opt.path);
    e->stream->time_base = e->codec->time_base;
    e->stream->avg_frame_rate = e->codec->framerate;
    if (e->opt.growing) { /* ISO 14496-12 section 8.8: the index of each stretch stands before it */
        av_dict_set(&private, "movflags",
                    e->opt.stretch ? "+empty_moov+default_base_moof+frag_custom+skip_trailer+frag_discont"
                                   : "+empty_moov+default_base_moof+frag_custom+skip_trailer",
                    0);
        av_dict_set_int(&private, "fragment_index", e->opt.stretch + 1, 0);
        av_dict_set_int(&private, "use_editlist", 0, 0);
        e->mux->avoid_negative_ts = AVFMT_AVOID_NEG_TS_MAKE_NON_NEGATIVE; /* times stay those of the whole file */
    } else if (e->opt.kind == ZM_KIND_MP4) {
        av_dict_set(&private, "movflags", "+faststart", 0);
    }
    if (e->opt.kind == ZM_KIND_APNG)
        av_dict_set(&private, "plays", "0", 0);
    int r = avformat_write_header(e->mux, &private);
    av_dict_free(&private);
    if (r >= 0 && e->opt.growing)
        avio_flush(e->mux->pb);
    e->deaf = false;
    return r < 0 ? zm_ffmpeg_fail(err, ZM_E_IO, r, "%s: cannot write the header", e->opt.path) : ZM_OK;
}

static zm_status open_spool(zm_encoder *e, zm_error *err)
{
    e->palette = zm_palette_new();
    if (!e->palette)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", e->opt.path);
    return zm_spool_open(&e->spool, e->file, err);
}

zm_status zm_encoder_open(zm_encoder **out, const zm_encoder_options *opt, zm_error *err)
{
    *out = NULL;
    zm_ffmpeg_setup();
    zm_ffmpeg_forget();
    zm_encoder *e = calloc(1, sizeof *e);
    if (!e || !(e->file = strdup(opt->file))) {
        free(e);
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", opt->path);
    }
    e->opt = *opt;
    e->fd = -1;
    e->opt.codec = avcodec_find_encoder_by_name(opt->codec)->name; /* zm_encoder_check has found it; outlives opt */
    zm_status s = open_mux(e, err);
    if (!s)
        s = open_codec(e, err);
    if (!s && kinds[opt->kind].video)
        s = open_convert(e, err);
    if (!s && opt->kind == ZM_KIND_GIF)
        s = open_spool(e, err);
    if (!s)
        s = start(e, err);
    if (s) {
        if (e->mux && e->mux->pb && !opt->stretch)
            unlink(e->file);
        zm_encoder_free(e);
        return s;
    }
    *out = e;
    return ZM_OK;
}

/* Mux what the encoder has ready. */
static zm_status drain(zm_encoder *e, zm_error *err)
{
    for (;;) {
        int r = avcodec_receive_packet(e->codec, e->packet);
        if (r == AVERROR(EAGAIN) || r == AVERROR_EOF)
            return ZM_OK;
        if (r < 0)
            return zm_ffmpeg_fail(err, ZM_E_IO, r, "%s: encoding failed", e->opt.path);
        e->packet->stream_index = 0;
        if (!e->packet->duration) /* the last frame is shown as long as the others */
            e->packet->duration = av_rescale_q(1, av_inv_q(e->codec->framerate), e->codec->time_base);
        av_packet_rescale_ts(e->packet, e->codec->time_base, e->stream->time_base);
        r = av_interleaved_write_frame(e->mux, e->packet);
        if (r >= 0 && e->mux->pb->error < 0)
            r = e->mux->pb->error;
        if (r < 0)
            return zm_ffmpeg_fail(err, ZM_E_IO, r, "%s: write failed", e->opt.path);
    }
}

/* Copy into FFmpeg's padded rows, twice the last column and row where the codec needs even sizes. */
static zm_status fill(zm_encoder *e, const zm_frame *f, zm_error *err)
{
    if (av_frame_make_writable(e->rgb) < 0 || av_frame_make_writable(e->frame) < 0)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", e->opt.path);
    size_t row = (size_t)f->width * 3;
    for (int y = 0; y < e->rgb->height; y++) {
        uint8_t *to = e->rgb->data[0] + (ptrdiff_t)y * e->rgb->linesize[0];
        memcpy(to, f->rgb + (size_t)(y < f->height ? y : f->height - 1) * row, row);
        if (e->rgb->width > f->width)
            memcpy(to + row, to + row - 3, 3);
    }
    return ZM_OK;
}

static zm_status encode(zm_encoder *e, zm_error *err)
{
    AVRational frames = av_inv_q(e->codec->framerate);
    e->frame->pts = av_rescale_q(e->count++, frames, e->codec->time_base);
    zm_ffmpeg_forget();
    int r = avcodec_send_frame(e->codec, e->frame);
    if (r < 0)
        return zm_ffmpeg_fail(err, ZM_E_IO, r, "%s: encoding failed", e->opt.path);
    return drain(e, err);
}

zm_status zm_encoder_put(zm_encoder *e, const zm_frame *f, zm_error *err)
{
    if (e->spool) {
        size_t bytes = (size_t)f->width * (size_t)f->height * 3;
        zm_palette_count(e->palette, f);
        if (fwrite(f->rgb, 1, bytes, e->spool) != bytes)
            return zm_ffmpeg_fail(err, ZM_E_IO, AVERROR(errno), "%s: write failed", e->opt.path);
        return ZM_OK;
    }
    zm_status s = fill(e, f, err);
    if (!s && e->convert)
        sws_scale(e->convert, (const uint8_t *const *)e->rgb->data, e->rgb->linesize, 0, e->rgb->height, e->frame->data,
                  e->frame->linesize);
    return s ? s : encode(e, err);
}

/* The second pass of a GIF.  Index 255 stays free and transparent: the encoder marks unchanged pixels with it. */
static zm_status encode_spool(zm_encoder *e, zm_error *err)
{
    enum { TRANSPARENT = 255 };
    zm_frame f;
    zm_status s = zm_frame_init(&f, e->opt.width, e->opt.height, err);
    if (s)
        return s;
    int n = zm_palette_choose(e->palette, TRANSPARENT);
    size_t bytes = (size_t)f.width * (size_t)f.height * 3, got = bytes;
    if (fflush(e->spool) || fseek(e->spool, 0, SEEK_SET))
        s = zm_ffmpeg_fail(err, ZM_E_IO, AVERROR(errno), "%s: write failed", e->opt.path);
    while (!s && (got = fread(f.rgb, 1, bytes, e->spool)) == bytes) {
        if (av_frame_make_writable(e->frame) < 0) {
            s = zm_fail(err, ZM_E_NOMEM, "%s: out of memory", e->opt.path);
            break;
        }
        uint32_t *colour = (uint32_t *)(void *)e->frame->data[1]; /* 0xAARRGGBB */
        for (int i = 0; i < 256; i++)
            colour[i] = i == TRANSPARENT ? 0 : 0xFF000000u | (i < n ? zm_palette_colour(e->palette, i) : 0);
        zm_palette_map(e->palette, e->frame->data[0], e->frame->linesize[0], &f);
        s = encode(e, err);
    }
    if (!s && (got || ferror(e->spool)))
        s = zm_fail(err, ZM_E_IO, "%s: the temporary beside it could not be read back", e->opt.path);
    zm_frame_release(&f);
    return s;
}

zm_status zm_encoder_finish(zm_encoder *e, zm_error *err)
{
    zm_status s = e->spool ? encode_spool(e, err) : ZM_OK;
    if (s)
        return s;
    zm_ffmpeg_forget();
    int r = avcodec_send_frame(e->codec, NULL);
    if (r < 0)
        return zm_ffmpeg_fail(err, ZM_E_IO, r, "%s: encoding failed", e->opt.path);
    s = drain(e, err);
    if (s)
        return s;
    r = av_write_trailer(e->mux);
    if (r >= 0) {
        avio_flush(e->mux->pb);
        r = e->mux->pb->error;
    }
    int closed = e->opt.growing ? close_growing(e) : avio_closep(&e->mux->pb);
    if (r >= 0)
        r = closed;
    return r < 0 ? zm_ffmpeg_fail(err, ZM_E_IO, r, "%s: write failed", e->opt.path) : ZM_OK;
}

void zm_encoder_free(zm_encoder *e)
{
    if (!e)
        return;
    if (e->opt.growing)
        (void)close_growing(e);
    else if (e->mux && e->mux->pb)
        (void)avio_closep(&e->mux->pb);
    avformat_free_context(e->mux);
    avcodec_free_context(&e->codec);
    av_packet_free(&e->packet);
    if (e->frame != e->rgb)
        av_frame_free(&e->frame);
    av_frame_free(&e->rgb);
    sws_freeContext(e->convert);
    if (e->spool)
        fclose(e->spool);
    zm_palette_free(e->palette);
    free(e->file);
    free(e);
}

zm_status zm_png_encode(unsigned char **out, size_t *size, const zm_frame *f, zm_error *err)
{
    zm_ffmpeg_setup();
    zm_ffmpeg_forget();
    *out = NULL;
    zm_encoder e = {.opt = {.path = "picture",
                            .codec = "png",
                            .kind = ZM_KIND_PNG,
                            .width = f->width,
                            .height = f->height,
                            .fps_num = 25,
                            .fps_den = 1}};
    zm_status s = open_codec(&e, err);
    if (!s)
        s = fill(&e, f, err);
    if (!s) {
        int r = avcodec_send_frame(e.codec, e.frame);
        if (r >= 0)
            r = avcodec_receive_packet(e.codec, e.packet);
        if (r < 0)
            s = zm_ffmpeg_fail(err, ZM_E_IO, r, "a PNG of %dx%d pixels could not be encoded", f->width, f->height);
        else if (!(*out = malloc((size_t)e.packet->size)))
            s = zm_fail(err, ZM_E_NOMEM, "out of memory for a PNG of %d bytes", e.packet->size);
        else
            memcpy(*out, e.packet->data, *size = (size_t)e.packet->size);
    }
    avcodec_free_context(&e.codec);
    av_packet_free(&e.packet);
    av_frame_free(&e.rgb);
    return s;
}
