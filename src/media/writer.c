/* Writing clips and pictures: extensions, enlarging, temporary names; encoding itself is behind encode.h.
 * SPDX-License-Identifier: MIT */
#include "media/writer.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <limits.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "media/encode.h"

/* Terms: `path` is the name the caller gave, `beside` the temporary next to it.  For a numbered sequence there is one
 * such pair per frame, made by `numbered` and `temporary`.
 *
 * 1. Until close succeeds, only temporaries exist.
 * 2. After close or abandon, no temporary exists. */
struct zm_writer {
    char *path;
    zm_media_kind kind;
    zm_writer_options opt;
    zm_encoder *encoder; /* NULL for .png */
    bool sequence, failed;
    zm_writer_mark mark; /* of a growing file */
    long count;          /* frames put */
    zm_frame large;      /* the enlarged frame; empty when scale is 1 */
};

enum { WATCHABLE_PX = 320, SEQUENCE_LIMIT = 10000000 };

static const struct {
    const char *extension, *codec;
    int crf, worst_crf;
} kinds[] = {
#define KIND(code, extension, codec, crf, worst) {extension, codec, crf, worst},
    ZM_MEDIA_KIND_TABLE(KIND)
#undef KIND
};

int zm_writer_watchable(int width, int height)
{
    int shorter = width < height ? width : height;
    return shorter < 1 || shorter >= WATCHABLE_PX ? 1 : (WATCHABLE_PX + shorter - 1) / shorter;
}

/* "%d", "%3d" or "%03d" at p: its length, and the digits asked for; 0 when there is none. */
static int number_field(const char *p, int *digits, bool *zeros)
{
    if (*p != '%')
        return 0;
    const char *at = p + 1;
    *zeros = *at == '0';
    *digits = 0;
    for (int n = 0; isdigit((unsigned char)*at) && n < 2; n++)
        *digits = *digits * 10 + (*at++ - '0');
    return *at == 'd' && *digits <= 12 ? (int)(at + 1 - p) : 0;
}

static bool find_number_field(const char *path, size_t *at, int *length, int *digits, bool *zeros)
{
    const char *name = strrchr(path, '/');
    for (const char *p = name ? name + 1 : path; *p; p++)
        if ((*length = number_field(p, digits, zeros))) {
            *at = (size_t)(p - path);
            return true;
        }
    return false;
}

/* The path of frame i (from 0) of a sequence; otherwise a copy of the path.  Malloc'd. */
static char *numbered(const char *path, bool sequence, long i)
{
    size_t at = 0, n = strlen(path) + 32;
    int length, digits = 0;
    bool zeros = false;
    char *out = malloc(n);
    if (!out)
        return NULL;
    if (!sequence || !find_number_field(path, &at, &length, &digits, &zeros))
        snprintf(out, n, "%s", path);
    else
        snprintf(out, n, zeros ? "%.*s%0*ld%s" : "%.*s%*ld%s", (int)at, path, digits, i + 1, path + at + length);
    return out;
}

static char *temporary(const char *name)
{
    size_t n = strlen(name) + 32;
    char *out = malloc(n);
    if (out)
        snprintf(out, n, "%s.part-%ld", name, (long)getpid());
    return out;
}

static zm_status find_kind(zm_media_kind *kind, const char *path, zm_error *err)
{
    size_t n = strlen(path);
    *kind = ZM_KIND_COUNT;
    for (int i = 0; i < ZM_KIND_COUNT; i++) {
        size_t e = strlen(kinds[i].extension);
        if (n > e && path[n - e - 1] != '/' && !strcasecmp(path + n - e, kinds[i].extension)) {
            *kind = (zm_media_kind)i;
            return ZM_OK;
        }
    }
    return zm_fail(err, ZM_E_UNSUPPORTED, "%s: the name must end in .mp4, .webm, .gif, .apng or .png", path);
}

/* Fills in the defaults. */
static zm_status settle(zm_media_kind *kind, zm_writer_options *opt, const char *path, zm_error *err)
{
    zm_status s = find_kind(kind, path, err);
    if (s)
        return s;
    if (!opt->scale)
        opt->scale = 1;
    if (!opt->fps_num && !opt->fps_den)
        opt->fps_num = 25, opt->fps_den = 1;
    if (!opt->codec || *kind >= ZM_KIND_GIF)
        opt->codec = kinds[*kind].codec;
    if (!opt->crf)
        opt->crf = kinds[*kind].crf;
    if (opt->width < 1 || opt->height < 1 || opt->scale < 1 || opt->scale > ZM_FRAME_MAX_SIDE ||
        (int64_t)opt->width * opt->scale > ZM_FRAME_MAX_SIDE || (int64_t)opt->height * opt->scale > ZM_FRAME_MAX_SIDE ||
        (int64_t)opt->width * opt->height * opt->scale * opt->scale > ZM_FRAME_MAX_PIXELS)
        return zm_fail(err, ZM_E_USAGE, "%s: %dx%d pixels enlarged %d times is outside 1..%d a side and %d in all",
                       path, opt->width, opt->height, opt->scale, ZM_FRAME_MAX_SIDE, ZM_FRAME_MAX_PIXELS);
    if (opt->fps_num < 1 || opt->fps_den < 1 || opt->fps_den > 1000000 || opt->fps_num / opt->fps_den > 1000)
        return zm_fail(err, ZM_E_USAGE, "%s: %d/%d is not a frame rate between 0 and 1000", path, opt->fps_num,
                       opt->fps_den);
    if (opt->growing && !zm_writer_grows(path))
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: only .mp4 and pictures per frame can grow", path);
    if (*kind == ZM_KIND_GIF && opt->fps_num > 50 * (int64_t)opt->fps_den)
        return zm_fail(err, ZM_E_USAGE, "%s: a GIF plays at most 50 frames a second, not %d/%d", path, opt->fps_num,
                       opt->fps_den);
    if (*kind < ZM_KIND_GIF && (opt->crf < 1 || opt->crf > kinds[*kind].worst_crf))
        return zm_fail(err, ZM_E_USAGE, "%s: quality %d is outside 1..%d", path, opt->crf, kinds[*kind].worst_crf);
    return zm_encoder_check(path, *kind, opt->codec, err);
}

zm_status zm_writer_check(const char *path, const zm_writer_options *opt, zm_error *err)
{
    zm_media_kind kind;
    zm_writer_options settled = *opt;
    return settle(&kind, &settled, path, err);
}

static zm_status open_encoder(zm_writer *w, zm_error *err)
{
    char *beside = w->opt.growing ? strdup(w->path) : temporary(w->path);
    if (!beside)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", w->path);
    zm_encoder_options opt = {.path = w->path,
                              .file = beside,
                              .codec = w->opt.codec,
                              .kind = w->kind,
                              .width = w->opt.width * w->opt.scale,
                              .height = w->opt.height * w->opt.scale,
                              .fps_num = w->opt.fps_num,
                              .fps_den = w->opt.fps_den,
                              .crf = w->opt.crf,
                              .growing = w->opt.growing,
                              .stretch = w->mark.stretches,
                              .first_frame = w->count};
    zm_status s = zm_encoder_open(&w->encoder, &opt, err);
    free(beside);
    return s;
}

/* Nothing is written before the first frame, but whether it can be is told now. */
static zm_status open_pictures(zm_writer *w, zm_error *err)
{
    size_t at;
    int length, digits;
    bool zeros;
    w->sequence = find_number_field(w->path, &at, &length, &digits, &zeros);
    char *name = numbered(w->path, w->sequence, 0), *beside = name ? temporary(name) : NULL;
    zm_status s = beside ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", w->path);
    if (!s) {
        FILE *f = fopen(beside, "wb");
        if (f) {
            fclose(f);
            unlink(beside);
        } else {
            s = zm_fail(err, ZM_E_IO, "%s: cannot write: %s", name, strerror(errno));
        }
    }
    free(beside);
    free(name);
    return s;
}

zm_status zm_writer_open(zm_writer **out, const char *path, const zm_writer_options *opt, zm_error *err)
{
    *out = NULL;
    zm_writer *w = calloc(1, sizeof *w);
    if (!w || !(w->path = strdup(path))) {
        free(w);
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    }
    w->opt = *opt;
    zm_status s = settle(&w->kind, &w->opt, path, err);
    if (!s && w->opt.scale > 1)
        s = zm_frame_init(&w->large, w->opt.width * w->opt.scale, w->opt.height * w->opt.scale, err);
    if (!s && zm_path_is_dir(path))
        s = zm_fail(err, ZM_E_IO, "%s: is a directory", path);
    if (!s && w->kind == ZM_KIND_PNG)
        s = open_pictures(w, err);
    else if (!s && !w->opt.growing) /* one that grows leaves what is there alone until its first frame */
        s = open_encoder(w, err);
    if (s)
        zm_writer_abandon(&w);
    *out = w;
    return s;
}

static zm_status write_bytes(const char *beside, const char *name, const void *data, size_t size, zm_error *err)
{
    FILE *f = fopen(beside, "wb");
    if (!f)
        return zm_fail(err, ZM_E_IO, "%s: cannot write: %s", name, strerror(errno));
    bool bad = fwrite(data, 1, size, f) != size || fflush(f);
    int why = errno;
    if (fclose(f) && !bad)
        bad = true, why = errno;
    return bad ? zm_fail(err, ZM_E_IO, "%s: write failed: %s", name, strerror(why)) : ZM_OK;
}

/* One picture as a temporary of its own. */
static zm_status put_png(zm_writer *w, const zm_frame *f, zm_error *err)
{
    if (w->count && !w->sequence)
        return zm_fail(err, ZM_E_USAGE, "%s: a .png holds one picture; name it like %%03d.png or use .apng", w->path);
    if (w->count >= SEQUENCE_LIMIT)
        return zm_fail(err, ZM_E_USAGE, "%s: more than %d pictures in one sequence", w->path, SEQUENCE_LIMIT);
    unsigned char *bytes = NULL;
    size_t size = 0;
    char *name = numbered(w->path, w->sequence, w->count), *beside = name ? temporary(name) : NULL;
    zm_status s =
        beside ? zm_png_encode(&bytes, &size, f, err) : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", w->path);
    if (!s) {
        w->count++; /* from here on the temporary may exist */
        s = write_bytes(beside, name, bytes, size, err);
    }
    free(bytes);
    free(beside);
    free(name);
    return s;
}

zm_status zm_writer_put(zm_writer *w, const zm_frame *f, zm_error *err)
{
    if (w->failed)
        return zm_fail(err, ZM_E_IO, "%s: an earlier frame could not be written", w->path);
    zm_status s = ZM_OK;
    if (f->width != w->opt.width || f->height != w->opt.height)
        s = zm_fail(err, ZM_E_SHAPE, "%s: frame %ld is %dx%d, the file is %dx%d", w->path, w->count, f->width,
                    f->height, w->opt.width, w->opt.height);
    if (!s && w->large.rgb) {
        s = zm_frame_resize(&w->large, f, err);
        f = &w->large;
    }
    if (!s && w->kind != ZM_KIND_PNG && !w->encoder)
        s = open_encoder(w, err);
    if (!s && w->kind == ZM_KIND_PNG) {
        s = put_png(w, f, err);
    } else if (!s) {
        s = zm_encoder_put(w->encoder, f, err);
        w->count++;
    }
    w->failed = s != ZM_OK;
    return s;
}

/* A rename may reach the disk before the bytes do: wait for the bytes. */
static zm_status sync_file(const char *beside, const char *name, zm_error *err)
{
    int fd = open(beside, O_RDONLY | O_CLOEXEC);
    int bad = fd < 0 || fsync(fd), why = errno;
    if (fd >= 0)
        close(fd);
    return bad ? zm_fail(err, ZM_E_IO, "%s: write failed: %s", name, strerror(why)) : ZM_OK;
}

/* Rename every temporary, or remove them all. */
static zm_status settle_files(zm_writer *w, bool keep, zm_error *err)
{
    zm_status s = ZM_OK;
    long n = w->kind == ZM_KIND_PNG ? w->count : 1;
    for (long i = w->kind == ZM_KIND_PNG ? (long)w->mark.frames : 0; i < n; i++) {
        char *name = numbered(w->path, w->sequence, i), *beside = name ? temporary(name) : NULL;
        if (!beside)
            s = zm_fail(err, ZM_E_NOMEM, "%s: out of memory", w->path);
        else if (!keep || s || (s = sync_file(beside, name, err)) || (s = zm_rename_durable(beside, name, err)))
            unlink(beside);
        free(beside);
        free(name);
    }
    return s;
}

static void destroy(zm_writer **w)
{
    zm_frame_release(&(*w)->large);
    free((*w)->path);
    free(*w);
    *w = NULL;
}

bool zm_writer_grows(const char *path)
{
    zm_media_kind kind;
    size_t at;
    int length, digits;
    bool zeros;
    return !find_kind(&kind, path, NULL) &&
           (kind == ZM_KIND_MP4 || (kind == ZM_KIND_PNG && find_number_field(path, &at, &length, &digits, &zeros)));
}

zm_status zm_writer_mark_here(zm_writer *w, zm_writer_mark *at, zm_error *err)
{
    ZM_ASSERT(w->opt.growing);
    zm_status s = ZM_OK;
    struct stat st;
    if (w->failed)
        return zm_fail(err, ZM_E_IO, "%s: an earlier frame could not be written", w->path);
    if (w->kind == ZM_KIND_PNG) {
        s = settle_files(w, true, err);
    } else if (w->encoder) {
        s = zm_encoder_finish(w->encoder, err);
        zm_encoder_free(w->encoder);
        w->encoder = NULL;
        w->mark.stretches++;
    }
    if (!s && w->kind != ZM_KIND_PNG && stat(w->path, &st))
        s = zm_fail(err, ZM_E_IO, "%s: %s", w->path, strerror(errno));
    w->failed = s != ZM_OK;
    if (s)
        return s;
    w->mark.frames = w->count;
    w->mark.bytes = w->kind == ZM_KIND_PNG ? 0 : (int64_t)st.st_size;
    *at = w->mark;
    return ZM_OK;
}

zm_status zm_writer_go_on(zm_writer *w, const zm_writer_mark *at, zm_error *err)
{
    struct stat st;
    ZM_ASSERT(w->opt.growing && !w->count);
    if (at->frames > LONG_MAX || at->frames < 0)
        return zm_fail(err, ZM_E_USAGE, "%s: %lld frames cannot be gone on from", w->path, (long long)at->frames);
    if (w->kind != ZM_KIND_PNG) {
        if (stat(w->path, &st) || st.st_size < at->bytes)
            return zm_fail(err, ZM_E_IO, "%s: not there any more, or shorter than it was; it cannot be gone on with",
                           w->path);
        if (truncate(w->path, at->bytes))
            return zm_fail(err, ZM_E_IO, "%s: %s", w->path, strerror(errno));
    }
    w->count = (long)at->frames;
    w->mark = *at;
    return ZM_OK;
}

/* What grew after the last mark goes; without a mark all of it does. */
static void cut_back(zm_writer *w)
{
    if (!w->mark.stretches)
        (void)unlink(w->path);
    else if (truncate(w->path, w->mark.bytes))
        (void)0; /* a stretch that breaks off is left: players stop there */
}

zm_status zm_writer_close(zm_writer **w, zm_error *err)
{
    zm_status s = ZM_OK;
    if ((*w)->failed)
        s = zm_fail(err, ZM_E_IO, "%s: an earlier frame could not be written", (*w)->path);
    else if (!(*w)->count)
        s = zm_fail(err, ZM_E_USAGE, "%s: no frame was written", (*w)->path);
    else if ((*w)->encoder)
        s = zm_encoder_finish((*w)->encoder, err);
    if (s) {
        zm_writer_abandon(w);
        return s;
    }
    zm_encoder_free((*w)->encoder);
    (*w)->encoder = NULL;
    if (!(*w)->opt.growing || (*w)->kind == ZM_KIND_PNG)
        s = settle_files(*w, true, err);
    destroy(w);
    return s;
}

void zm_writer_abandon(zm_writer **w)
{
    if (!*w)
        return;
    bool opened = (*w)->encoder || (*w)->kind == ZM_KIND_PNG;
    zm_encoder_free((*w)->encoder);
    if (opened && (*w)->opt.growing && (*w)->kind != ZM_KIND_PNG)
        cut_back(*w);
    else if (opened)
        (void)settle_files(*w, false, NULL);
    destroy(w);
}

zm_status zm_picture_write(const char *path, const zm_frame *f, zm_error *err)
{
    zm_writer *w;
    zm_writer_options opt = {.width = f->width, .height = f->height};
    zm_status s = zm_writer_open(&w, path, &opt, err);
    if (s)
        return s;
    s = zm_writer_put(w, f, err);
    if (!s)
        return zm_writer_close(&w, err);
    zm_writer_abandon(&w);
    return s;
}
