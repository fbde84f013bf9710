/* What the media tests share: random smooth clips, a scratch directory, PSNR, whole clips written and read.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TESTS_MEDIA_CLIPS_H
#define ZM_TESTS_MEDIA_CLIPS_H

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mapfile.h"
#include "base/rng.h"
#include "media/frame.h"
#include "media/reader.h"
#include "media/writer.h"
#include "tap.h"

#define HELPER __attribute__((unused)) static

enum { MOST_FRAMES = 64 };

typedef struct {
    zm_frame frame[MOST_FRAMES];
    int n;
} clip;

static char scratch[64];

/* A fresh seed each run, printed so that a failure can be repeated with ZM_TEST_SEED. */
HELPER zm_rng fresh_rng(void)
{
    const char *fixed = getenv("ZM_TEST_SEED");
    uint64_t seed = fixed ? strtoull(fixed, NULL, 10) : (uint64_t)time(NULL) * 65536 + (uint64_t)getpid();
    printf("# ZM_TEST_SEED=%llu\n", (unsigned long long)seed);
    return zm_rng_init(seed, 1);
}

HELPER void make_scratch(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(scratch, sizeof scratch, "%.32s/zouma-media-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(scratch)) {
        perror("mkdtemp");
        exit(1);
    }
}

HELPER const char *in_scratch(const char *name)
{
    static char path[8][128];
    static int turn;
    char *p = path[turn++ % 8];
    snprintf(p, sizeof path[0], "%s/%.60s", scratch, name);
    return p;
}

HELPER int files_in_scratch(void)
{
    int n = 0;
    DIR *d = opendir(scratch);
    for (struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

HELPER void empty_scratch(void)
{
    DIR *d = opendir(scratch);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.')
            unlink(in_scratch(e->d_name));
    if (d)
        closedir(d);
}

HELPER void remove_scratch(void)
{
    empty_scratch();
    rmdir(scratch);
}

/* Slow waves in each channel that drift from frame to frame. */
HELPER clip smooth_clip(zm_rng *r, int n, int width, int height)
{
    clip c = {.n = n};
    float fx[3], fy[3], phase[3], drift[3];
    for (int k = 0; k < 3; k++) {
        fx[k] = zm_rng_range(r, 1, 5) / (float)(width + 8);
        fy[k] = zm_rng_range(r, 1, 5) / (float)(height + 8);
        phase[k] = zm_rng_range(r, 0, 6);
        drift[k] = zm_rng_range(r, -0.3f, 0.3f);
    }
    for (int i = 0; i < n; i++) {
        if (zm_frame_init(&c.frame[i], width, height, NULL))
            exit(1);
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                for (int k = 0; k < 3; k++)
                    c.frame[i].rgb[(y * width + x) * 3 + k] =
                        (uint8_t)(128 + 90 * sinf(6.28f * (fx[k] * (float)x + fy[k] * (float)y) + phase[k] +
                                                  drift[k] * (float)i));
    }
    return c;
}

HELPER void clip_release(clip *c)
{
    for (int i = 0; i < c->n; i++)
        zm_frame_release(&c->frame[i]);
    c->n = 0;
}

HELPER zm_status write_clip(const char *path, const clip *c, const zm_writer_options *more, zm_error *err)
{
    zm_writer_options opt = more ? *more : (zm_writer_options){0};
    opt.width = c->frame[0].width;
    opt.height = c->frame[0].height;
    zm_writer *w;
    zm_status s = zm_writer_open(&w, path, &opt, err);
    if (s)
        return s;
    for (int i = 0; !s && i < c->n; i++)
        s = zm_writer_put(w, &c->frame[i], err);
    if (!s)
        return zm_writer_close(&w, err);
    zm_writer_abandon(&w);
    return s;
}

/* All frames; more than MOST_FRAMES are counted in *total only. */
HELPER zm_status read_clip(clip *out, int *total, const char *path, const zm_reader_options *opt, zm_error *err)
{
    *out = (clip){0};
    *total = 0;
    zm_reader *r;
    zm_status s = zm_reader_open(&r, path, opt, err);
    const zm_frame *f = NULL;
    while (!s && !(s = zm_reader_next(r, &f, err)) && f && *total < 100000)
        if ((*total)++ < MOST_FRAMES)
            s = zm_frame_copy(&out->frame[out->n++], f, err);
    zm_reader_close(&r);
    return s;
}

/* Over the part that both have; 99 when equal. */
HELPER double psnr(const zm_frame *a, const zm_frame *b)
{
    double sum = 0;
    int w = a->width < b->width ? a->width : b->width, h = a->height < b->height ? a->height : b->height;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w * 3; x++) {
            double d = a->rgb[(size_t)y * (size_t)a->width * 3 + (size_t)x] -
                       b->rgb[(size_t)y * (size_t)b->width * 3 + (size_t)x];
            sum += d * d;
        }
    return sum > 0 ? 10 * log10(255.0 * 255.0 * w * h * 3 / sum) : 99;
}

HELPER double worst_psnr(const clip *a, const clip *b)
{
    double worst = 99;
    for (int i = 0; i < a->n && i < b->n; i++)
        worst = fmin(worst, psnr(&a->frame[i], &b->frame[i]));
    return a->n == b->n ? worst : 0;
}

HELPER int same_files(const char *a, const char *b)
{
    char *x = NULL, *y = NULL;
    size_t n = 0, m = 0;
    int same = !zm_file_read(&x, &n, a, 1 << 28, NULL) && !zm_file_read(&y, &m, b, 1 << 28, NULL) && n == m &&
               !memcmp(x, y, n);
    free(x);
    free(y);
    return same;
}

HELPER void put_file(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f)) {
        perror(path);
        exit(1);
    }
}

/* Whether this build has FFmpeg: without it, only pictures are written and nothing is read. */
HELPER int have_ffmpeg(void)
{
    zm_writer_options opt = {.width = 16, .height = 16};
    return !zm_writer_check("x.mp4", &opt, NULL);
}

/* One complete sentence about the file: not empty, one line, printable. */
HELPER int good_sentence(const zm_error *err, zm_status s)
{
    if (!s || err->code != s || strlen(err->text) < 12)
        return 0;
    for (const char *p = err->text; *p; p++)
        if ((unsigned char)*p < 32)
            return 0;
    return 1;
}

#endif
