/* Reading: sizes and rates as asked for; truncated, flipped and oversized files give a sentence and nothing else.
 * SPDX-License-Identifier: MIT */
#include "clips.h"

static const char *const names[] = {"r.mp4", "r.webm", "r.gif", "r.apng", "r.png"};
enum { NAMES = 5 };

typedef struct {
    char *bytes;
    size_t size;
} blob;

static blob make(zm_rng *r, const char *name, int n, int width, int height)
{
    clip c = smooth_clip(r, strstr(name, "r.png") ? 1 : n, width, height);
    blob b = {0};
    zm_error err = {0};
    if (write_clip(in_scratch(name), &c, &(zm_writer_options){.fps_num = 10, .fps_den = 1}, &err) ||
        zm_file_read(&b.bytes, &b.size, in_scratch(name), 1 << 28, &err))
        tap_ok(0, "%s", err.text);
    clip_release(&c);
    return b;
}

/* Every cut must be noticed: at open, or at the latest before the last frame. */
static void check_truncation(zm_rng *r, const char *name)
{
    blob b = make(r, name, 12, 64, 48);
    int bad = 0, tries = 0, worst = -1;
    char text[512] = "";
    for (size_t i = 0; i < 60; i++) {
        size_t n = i < 20 ? i * 3 : i < 40 ? b.size - 1 - (i - 20) : zm_rng_below(r, (uint32_t)b.size);
        if (n >= b.size)
            continue;
        put_file(in_scratch("cut"), b.bytes, n);
        clip c;
        int total;
        zm_error err = {0};
        zm_status s = read_clip(&c, &total, in_scratch("cut"), NULL, &err);
        tries++;
        if (!good_sentence(&err, s)) {
            bad++;
            worst = (int)n;
        } else {
            snprintf(text, sizeof text, "%s", err.text);
        }
        clip_release(&c);
    }
    tap_ok(!bad, "%s (%zu bytes): %d of %d cuts unnoticed, e.g. at %d; %s", name, b.size, bad, tries, worst, text);
    free(b.bytes);
    empty_scratch();
}

/* Whatever is flipped: frames, or a sentence; never a crash (asan and ubsan watch). */
static void check_flips(zm_rng *r, const char *name)
{
    blob b = make(r, name, 6, 48, 32);
    int refused = 0, bad = 0, tries = 150;
    for (int i = 0; i < tries; i++) {
        char *copy = malloc(b.size);
        if (!copy)
            exit(1);
        memcpy(copy, b.bytes, b.size);
        for (int k = (int)zm_rng_below(r, 8); k >= 0; k--) { /* half of them in the headers at the front */
            uint32_t reach = i & 1 && b.size > 800 ? 800 : (uint32_t)b.size;
            copy[zm_rng_below(r, reach)] ^= (char)(1 << zm_rng_below(r, 8));
        }
        put_file(in_scratch("flip"), copy, b.size);
        clip c;
        int total;
        zm_error err = {0};
        zm_reader_options opt = {.width = 32, .height = 32, .fps_num = i % 3 ? 0 : 7, .fps_den = i % 3 ? 0 : 1};
        zm_status s = read_clip(&c, &total, in_scratch("flip"), &opt, &err);
        refused += s != ZM_OK;
        bad += s && !good_sentence(&err, s);
        clip_release(&c);
        free(copy);
    }
    tap_ok(!bad, "%s: %d of %d flipped files refused, all with a sentence", name, refused, tries);
    free(b.bytes);
    empty_scratch();
}

static void check_options(zm_rng *r)
{
    blob b = make(r, "r.mp4", 20, 64, 48); /* 2 seconds at 10 frames a second */
    clip all, some;
    int total;
    zm_error err = {0};
    zm_status s = read_clip(&all, &total, in_scratch("r.mp4"), NULL, &err);
    s = s ? s : read_clip(&some, &total, in_scratch("r.mp4"), &(zm_reader_options){.fps_num = 5, .fps_den = 1}, &err);
    tap_ok(!s && total == 10, "half the rate: %d frames %s", total, err.text);
    int right = !s;
    for (int i = 0; right && i < 10; i++)
        right &= psnr(&all.frame[2 * i], &some.frame[i]) == 99;
    tap_ok(right, "and they are every second one");
    clip_release(&some);
    s = s ? s : read_clip(&some, &total, in_scratch("r.mp4"), &(zm_reader_options){.fps_num = 25, .fps_den = 1}, &err);
    tap_ok(!s && total == 50, "two and a half times the rate: %d frames %s", total, err.text);
    clip_release(&some);
    s = s ? s
          : read_clip(&some, &total, in_scratch("r.mp4"),
                      &(zm_reader_options){.width = 20, .height = 30, .fps_num = 10, .fps_den = 1}, &err);
    tap_ok(!s && total == 20 && some.frame[19].width == 20 && some.frame[19].height == 30,
           "cropped and resized at the same rate: %d frames %s", total, err.text);
    right = !s;
    for (int i = 0; right && i < 20; i++) {
        zm_frame f;
        if (zm_frame_init(&f, 20, 30, NULL) || zm_frame_fit(&f, &all.frame[i], NULL))
            exit(1);
        right &= psnr(&f, &some.frame[i]) == 99;
        zm_frame_release(&f);
    }
    tap_ok(right, "as zm_frame_fit does it");
    uint8_t *raw = malloc(7 * 20 * 30 * 3);
    int got = 0;
    s = zm_clip_read(raw, 7, &got, in_scratch("r.mp4"), &(zm_reader_options){.width = 20, .height = 30}, &err);
    tap_ok(!s && got == 7 && !memcmp(raw + 6 * 1800, some.frame[6].rgb, 1800), "zm_clip_read: %d frames %s", got,
           err.text);
    free(raw);
    clip_release(&some);
    clip_release(&all);
    zm_reader *reader;
    s = zm_reader_open(&reader, in_scratch("r.mp4"), NULL, &err);
    if (!s) {
        const zm_reader_info *a = zm_reader_about(reader);
        tap_ok(a->width == 64 && a->height == 48 && a->fps_num == 10 && a->fps_den == 1 && a->frames == 20 &&
                   !a->still && fabs(a->seconds - 2) < 0.01,
               "about: %dx%d at %d/%d, %lld frames, %.3f s", a->width, a->height, a->fps_num, a->fps_den,
               (long long)a->frames, a->seconds);
        zm_reader_close(&reader);
    }
    static const zm_reader_options bad[] = {
        {.width = 5}, {.width = -1, .height = 4}, {.fps_num = 1}, {.width = 99999, .height = 2}};
    for (int i = 0; i < 4; i++) {
        zm_error_clear(&err);
        s = zm_reader_open(&reader, in_scratch("r.mp4"), &bad[i], &err);
        tap_ok(s == ZM_E_USAGE && !reader && good_sentence(&err, s), "%s", err.text);
    }
    free(b.bytes);
    empty_scratch();
}

static void put_u32(unsigned char *p, uint32_t v, int big)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> (big ? 24 - 8 * i : 8 * i));
}

/* Files that are not ours to open, or that ask for too much. */
static void check_refusals(zm_rng *r)
{
    blob b = make(r, "r.png", 1, 40, 30);
    zm_frame f;
    zm_error err = {0};
    static const char *const texts[] = {"#EXTM3U\n#EXT-X-VERSION:3\n/etc/passwd\n",
                                        "ffconcat version 1.0\nfile /etc/passwd\n",
                                        "hello",
                                        "",
                                        "GIF89a",
                                        "\x89PNG\r\n\x1a\n1234567890"};
    for (int i = 0; i < 6; i++) {
        put_file(in_scratch("odd"), texts[i], strlen(texts[i]));
        zm_error_clear(&err);
        zm_status s = zm_picture_read(&f, in_scratch("odd"), &err);
        tap_ok((s == ZM_E_UNSUPPORTED || s == ZM_E_FORMAT) && !f.rgb && good_sentence(&err, s), "%s", err.text);
    }
    static const uint32_t sizes[][2] = {{20000, 10}, {16000, 16000}, {8000, 8000}, {0, 5}, {0x7FFFFFFF, 0x7FFFFFFF}};
    for (int i = 0; i < 5; i++) {
        put_u32((unsigned char *)b.bytes + 16, sizes[i][0], 1);
        put_u32((unsigned char *)b.bytes + 20, sizes[i][1], 1);
        put_file(in_scratch("large"), b.bytes, b.size);
        zm_error_clear(&err);
        zm_status s = zm_picture_read(&f, in_scratch("large"), &err);
        tap_ok(s && !f.rgb && good_sentence(&err, s), "%s", err.text);
    }
    free(b.bytes);
    zm_error_clear(&err);
    zm_status s = zm_picture_read(&f, in_scratch("absent.mp4"), &err);
    tap_ok(s == ZM_E_MISSING && good_sentence(&err, s), "%s", err.text);
    zm_error_clear(&err);
    s = zm_picture_read(&f, scratch, &err);
    tap_ok(s == ZM_E_IO && good_sentence(&err, s), "%s", err.text);
    zm_error_clear(&err);
    s = zm_picture_read(&f, "http://127.0.0.1/x.mp4", &err);
    tap_ok(s == ZM_E_MISSING && good_sentence(&err, s), "%s", err.text);
    empty_scratch();
}

/* A bitmap made by hand: 2x2, rows from the bottom, blue green red, rows padded to 8 bytes. */
static void check_bmp(void)
{
    unsigned char bmp[54 + 16] = {'B', 'M'};
    static const unsigned char rows[16] = {0, 0, 255, 0, 255, 0, 0, 0, 255, 0, 0, 255, 255, 255, 0, 0};
    static const unsigned char want[12] = {0, 0, 255, 255, 255, 255, 255, 0, 0, 0, 255, 0};
    put_u32(bmp + 2, sizeof bmp, 0);
    put_u32(bmp + 10, 54, 0);
    put_u32(bmp + 14, 40, 0);
    put_u32(bmp + 18, 2, 0);
    put_u32(bmp + 22, 2, 0);
    bmp[26] = 1, bmp[28] = 24;
    memcpy(bmp + 54, rows, 16);
    put_file(in_scratch("x.bmp"), bmp, sizeof bmp);
    zm_frame f;
    zm_error err = {0};
    zm_status s = zm_picture_read(&f, in_scratch("x.bmp"), &err);
    tap_ok(!s && f.width == 2 && f.height == 2 && !memcmp(f.rgb, want, 12), "a bitmap, right way up %s", err.text);
    zm_frame_release(&f);
    empty_scratch();
}

int main(void)
{
    if (!have_ffmpeg()) {
        zm_frame f;
        zm_error err = {0};
        zm_status s = zm_picture_read(&f, "x.png", &err);
        tap_ok(s == ZM_E_UNSUPPORTED && good_sentence(&err, s), "%s", err.text);
        return tap_done();
    }
    zm_rng r = fresh_rng();
    make_scratch();
    for (int i = 0; i < NAMES; i++) {
        check_truncation(&r, names[i]);
        check_flips(&r, names[i]);
    }
    check_options(&r);
    check_refusals(&r);
    check_bmp();
    remove_scratch();
    return tap_done();
}
