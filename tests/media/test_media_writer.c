/* Every container written and read back; the same bytes twice; what is left behind when writing fails: nothing.
 * SPDX-License-Identifier: MIT */
#include "clips.h"

#include <signal.h>
#include <sys/resource.h>

typedef struct {
    const char *extension;
    double least_psnr; /* 99 = exact */
    bool video;
} kind;

/* Worst frames measured at the default quality: mp4 31.7, webm 35.7, gif 29.3 (chroma at half size, 255 colours). */
static const kind kinds[] = {{"mp4", 29, true}, {"webm", 32, true}, {"gif", 27, false}, {"apng", 99, false}};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void check_round_trip(zm_rng *r, const kind *k, int width, int height, int n)
{
    clip in = smooth_clip(r, n, width, height), out;
    char first[32], second[32];
    zm_error err = {0};
    zm_writer_options opt = {.fps_num = 16, .fps_den = 1};
    int total = 0;
    snprintf(first, sizeof first, "a.%s", k->extension);
    snprintf(second, sizeof second, "b.%s", k->extension);
    zm_status s = write_clip(in_scratch(first), &in, &opt, &err);
    tap_ok(!s, "%s: %d frames of %dx%d written %s", first, n, width, height, err.text);
    s = s ? s : write_clip(in_scratch(second), &in, &opt, &err);
    tap_ok(!s && same_files(in_scratch(first), in_scratch(second)), "%s: the same frames give the same bytes", first);
    tap_ok(files_in_scratch() == 2, "%s: and no temporaries", first);
    s = read_clip(&out, &total, in_scratch(first), NULL, &err);
    tap_ok(!s && total == n, "%s: %d of %d frames read back %s", first, total, n, err.text);
    int even_w = k->video ? width + (width & 1) : width, even_h = k->video ? height + (height & 1) : height;
    if (out.n)
        tap_ok(out.frame[0].width == even_w && out.frame[0].height == even_h, "%s: %dx%d", first, out.frame[0].width,
               out.frame[0].height);
    double got = worst_psnr(&in, &out);
    double want = k->video && (width < 32 || height < 32) ? 0 : k->least_psnr; /* too few chroma samples to ask for */
    tap_ok(got >= want, "%s: worst PSNR %.1f dB, at least %.0f", first, got, want);
    clip_release(&in);
    clip_release(&out);
    empty_scratch();
}

/* Saturated flat colours come back as they were: range and matrix agree between writing and reading. */
static void check_colours(zm_rng *r)
{
    for (int k = 0; k < KINDS; k++) {
        clip in = smooth_clip(r, 3, 64, 48), out;
        char name[32];
        zm_error err = {0};
        int total, worst = 0;
        uint8_t colour[3];
        for (int c = 0; c < 3; c++)
            colour[c] = (uint8_t)zm_rng_below(r, 256);
        for (int i = 0; i < 3 * 64 * 48 * 3; i++)
            in.frame[i / (64 * 48 * 3)].rgb[i % (64 * 48 * 3)] = colour[i % 3];
        snprintf(name, sizeof name, "c.%s", kinds[k].extension);
        zm_status s = write_clip(in_scratch(name), &in, NULL, &err);
        s = s ? s : read_clip(&out, &total, in_scratch(name), NULL, &err);
        for (int i = 0; !s && i < 64 * 48 * 3; i++) {
            int d = abs(out.frame[1].rgb[i] - colour[i % 3]);
            worst = d > worst ? d : worst;
        }
        tap_ok(!s && worst <= (kinds[k].video ? 4 : 0), "%s: the colour %d %d %d is off by %d at most %s", name,
               colour[0], colour[1], colour[2], worst, err.text);
        clip_release(&in);
        clip_release(&out);
    }
    empty_scratch();
}

static void check_times(zm_rng *r)
{
    clip in = smooth_clip(r, 24, 48, 32);
    for (int i = 0; i < 3; i++) {
        static const int fps[][2] = {{24, 1}, {30000, 1001}, {8, 1}};
        for (int k = 0; k < 3; k++) { /* .apng stores no more than its own delays, .gif hundredths */
            char name[32];
            zm_error err = {0};
            zm_reader *reader = NULL;
            snprintf(name, sizeof name, "t.%s", kinds[k].extension);
            zm_writer_options opt = {.fps_num = fps[i][0], .fps_den = fps[i][1]};
            zm_status s = write_clip(in_scratch(name), &in, &opt, &err);
            s = s ? s : zm_reader_open(&reader, in_scratch(name), NULL, &err);
            double want = (double)fps[i][0] / fps[i][1], got = 0, seconds = 0;
            if (!s) {
                const zm_reader_info *a = zm_reader_about(reader);
                got = (double)a->fps_num / a->fps_den;
                seconds = a->seconds;
            }
            tap_ok(fabs(got - want) < want * 0.03, "%s at %.3f frames/s reads as %.3f %s", name, want, got, err.text);
            tap_ok(k == 2 || fabs(seconds - 24 / want) < 1.1 / want, "%s lasts %.3f s, wanted %.3f", name, seconds,
                   24 / want);
            zm_reader_close(&reader);
        }
    }
    clip_release(&in);
    empty_scratch();
}

/* Works without FFmpeg too, but for the reading. */
static void check_pictures(zm_rng *r)
{
    static const char *const names[] = {"p1.png", "p2.png", "p3.png", "p4.png", "p5.png"};
    clip in = smooth_clip(r, 5, 37, 23);
    zm_error err = {0};
    zm_status s = write_clip(in_scratch("p%d.png"), &in, NULL, &err);
    tap_ok(!s && files_in_scratch() == 5, "a sequence: %d files %s", files_in_scratch(), err.text);
    for (int i = 0; i < 5; i++) {
        zm_frame f = {0};
        tap_ok(zm_path_is_file(in_scratch(names[i])), "%s is there", names[i]);
        s = have_ffmpeg() ? zm_picture_read(&f, in_scratch(names[i]), &err) : ZM_OK;
        if (f.rgb)
            tap_ok(!s && psnr(&f, &in.frame[i]) == 99, "%s is exact %s", names[i], err.text);
        zm_frame_release(&f);
    }
    empty_scratch();
    s = write_clip(in_scratch("a-%04d-b.png"), &in, NULL, &err);
    tap_ok(!s && zm_path_is_file(in_scratch("a-0005-b.png")), "zeros and text after the number %s", err.text);
    empty_scratch();
    s = write_clip(in_scratch("100%.png"), &(clip){.frame = {in.frame[0]}, .n = 1}, NULL, &err);
    tap_ok(!s && zm_path_is_file(in_scratch("100%.png")), "a lone %% is a name %s", err.text);
    s = write_clip(in_scratch("one.png"), &in, NULL, &err);
    tap_ok(s == ZM_E_USAGE && files_in_scratch() == 1, "two frames in one picture: %s", err.text);
    clip_release(&in);
    empty_scratch();
}

static void check_scale(zm_rng *r)
{
    tap_equal_i64(zm_writer_watchable(96, 64), 5, "96x64 is watchable 5 times as large");
    tap_equal_i64(zm_writer_watchable(832, 480), 1, "832x480 as it is");
    tap_equal_i64(zm_writer_watchable(64, 63), 6, "64x63 6 times");
    clip in = smooth_clip(r, 3, 48, 32), out;
    zm_error err = {0};
    zm_writer_options opt = {.scale = 10};
    int total;
    zm_status s = write_clip(in_scratch("s.apng"), &in, &opt, &err);
    s = s ? s : read_clip(&out, &total, in_scratch("s.apng"), &(zm_reader_options){.width = 48, .height = 32}, &err);
    tap_ok(!s && worst_psnr(&in, &out) > 40, "enlarged 10 times and shrunk back: %.1f dB %s", worst_psnr(&in, &out),
           err.text);
    clip_release(&in);
    clip_release(&out);
    empty_scratch();
}

static void check_refusals(zm_rng *r)
{
    static const struct {
        const char *name;
        zm_writer_options opt;
        zm_status want;
    } rows[] = {
        {"x.txt", {.width = 8, .height = 8}, ZM_E_UNSUPPORTED},
        {"x", {.width = 8, .height = 8}, ZM_E_UNSUPPORTED},
        {".mp4", {.width = 8, .height = 8}, ZM_E_UNSUPPORTED},
        {"x.png", {.width = 0, .height = 8}, ZM_E_USAGE},
        {"x.png", {.width = 8, .height = 20000}, ZM_E_USAGE},
        {"x.png", {.width = 1000, .height = 1000, .scale = 100}, ZM_E_USAGE},
        {"x.png", {.width = 8, .height = 8, .scale = -1}, ZM_E_USAGE},
        {"x.png", {.width = 8, .height = 8, .fps_num = -5, .fps_den = 1}, ZM_E_USAGE},
        {"x.gif", {.width = 8, .height = 8, .fps_num = 60, .fps_den = 1}, ZM_E_USAGE},
        {"x.mp4", {.width = 8, .height = 8, .crf = 99}, ZM_E_USAGE},
        {"x.mp4", {.width = 8, .height = 8, .codec = "no-such"}, ZM_E_UNSUPPORTED},
        {"x.mp4", {.width = 8, .height = 8, .codec = "aac"}, ZM_E_UNSUPPORTED},
        {"none/x.mp4", {.width = 8, .height = 8}, ZM_E_IO},
        {"none/x.png", {.width = 8, .height = 8}, ZM_E_IO},
        {"none/%d.png", {.width = 8, .height = 8}, ZM_E_IO},
        {"none/x.gif", {.width = 8, .height = 8}, ZM_E_IO},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        zm_writer *w = NULL;
        zm_error err = {0};
        zm_status s = zm_writer_open(&w, in_scratch(rows[i].name), &rows[i].opt, &err);
        if (!have_ffmpeg() && rows[i].want == ZM_E_IO && s == ZM_E_UNSUPPORTED)
            continue;
        tap_ok(s == rows[i].want && !w && good_sentence(&err, s), "%s: %s", zm_status_name(s), err.text);
    }
    clip in = smooth_clip(r, 2, 8, 8), other = smooth_clip(r, 1, 10, 8);
    zm_writer *w;
    zm_error err = {0};
    zm_status s = zm_writer_open(&w, in_scratch("x.png"), &(zm_writer_options){.width = 8, .height = 8}, &err);
    s = s ? s : zm_writer_put(w, &other.frame[0], &err);
    tap_ok(s == ZM_E_SHAPE, "another size: %s", err.text);
    zm_error_clear(&err);
    s = zm_writer_close(&w, &err);
    tap_ok(s && !w && good_sentence(&err, s), "closing after a failed put fails: %s", err.text);
    tap_ok(files_in_scratch() == 0, "nothing is left: %d files", files_in_scratch());
    clip_release(&in);
    clip_release(&other);
}

/* Abandoned, empty, or a file that was there before. */
static void check_leftovers(zm_rng *r)
{
    static const char *const names[] = {"l.png", "l%02d.png", "l.mp4", "l.webm", "l.gif", "l.apng"};
    clip in = smooth_clip(r, 3, 32, 32);
    for (int i = 0; i < (have_ffmpeg() ? 6 : 2); i++) {
        zm_writer *w;
        zm_error err = {0};
        zm_writer_options opt = {.width = 32, .height = 32};
        zm_status s = zm_writer_open(&w, in_scratch(names[i]), &opt, &err);
        s = s ? s : zm_writer_put(w, &in.frame[0], &err);
        zm_writer_abandon(&w);
        tap_ok(!s && !w && files_in_scratch() == 0, "%s abandoned leaves nothing %s", names[i], err.text);
        s = zm_writer_open(&w, in_scratch(names[i]), &opt, &err);
        s = s ? s : zm_writer_close(&w, &err);
        tap_ok(s == ZM_E_USAGE && !w && files_in_scratch() == 0, "%s without frames leaves nothing: %s", names[i],
               err.text);
    }
    zm_writer_abandon(&(zm_writer *){NULL});
    clip_release(&in);
}

/* The system refuses to let files grow past a limit, as on a full disk: every limit from nothing to almost enough. */
static void check_full_disk(zm_rng *r)
{
    static const char *const names[] = {"f.png", "f.mp4", "f.webm", "f.gif", "f.apng"};
    clip in = smooth_clip(r, 12, 96, 64), one = {.n = 1};
    one.frame[0] = in.frame[0];
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    for (int i = 0; i < (have_ffmpeg() ? 5 : 1); i++) {
        const clip *c = i ? &in : &one;
        zm_error err = {0};
        zm_status s = write_clip(in_scratch(names[i]), c, NULL, &err);
        struct stat st = {0};
        if (s || stat(in_scratch(names[i]), &st))
            tap_ok(0, "%s: %s", names[i], err.text);
        char *old = NULL;
        size_t old_size = 0;
        s = zm_file_read(&old, &old_size, in_scratch(names[i]), 1 << 28, NULL);
        int failed = 0, clean = 1, tries = 8;
        char text[sizeof err.text] = "";
        for (int t = 0; t < tries; t++) { /* a GIF also needs its frames beside it, so no more than the result */
            struct rlimit less = before;
            less.rlim_cur = (rlim_t)(st.st_size * t / tries);
            setrlimit(RLIMIT_FSIZE, &less);
            zm_error_clear(&err);
            s = write_clip(in_scratch(names[i]), c, NULL, &err);
            setrlimit(RLIMIT_FSIZE, &before);
            failed += s == ZM_E_IO && good_sentence(&err, s);
            snprintf(text, sizeof text, "%s", err.text);
            char *now = NULL;
            size_t size = 0;
            clean &= files_in_scratch() == 1 && !zm_file_read(&now, &size, in_scratch(names[i]), 1 << 28, NULL) &&
                     size == old_size && !memcmp(now, old, size);
            free(now);
        }
        tap_ok(failed == tries, "%s: %d of %d limits reported: %s", names[i], failed, tries, text);
        tap_ok(clean, "%s: the old file is untouched and nothing is beside it", names[i]);
        free(old);
        empty_scratch();
    }
    clip_release(&in);
}

int main(void)
{
    static const int sizes[][3] = {{96, 64, 17}, {97, 63, 5}, {1, 1, 2}, {3, 2, 3}, {16, 200, 4}};
    zm_rng r = fresh_rng();
    make_scratch();
    if (have_ffmpeg()) {
        for (int k = 0; k < KINDS; k++)
            for (int i = 0; i < 5; i++)
                check_round_trip(&r, &kinds[k], sizes[i][0], sizes[i][1], sizes[i][2]);
        check_colours(&r);
        check_times(&r);
        check_scale(&r);
    } else {
        tap_skip("round trips", "this build has no FFmpeg");
    }
    check_pictures(&r);
    check_refusals(&r);
    check_leftovers(&r);
    check_full_disk(&r);
    remove_scratch();
    return tap_done();
}
