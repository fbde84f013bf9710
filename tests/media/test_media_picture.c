/* Canvas, plots, contact sheets, stored PNGs, the terminal preview and the progress line.
 * SPDX-License-Identifier: MIT */
#include "clips.h"

#include "media/container.h"
#include "media/font.h"
#include "media/palette.h"
#include "media/picture.h"
#include "media/png_store.h"
#include "media/preview.h"
#include "media/progress.h"

static long count_colour(const zm_frame *f, uint32_t colour)
{
    long n = 0;
    for (long i = 0; i < (long)f->width * f->height; i++)
        n += ((uint32_t)f->rgb[i * 3] << 16 | (uint32_t)f->rgb[i * 3 + 1] << 8 | f->rgb[i * 3 + 2]) == colour;
    return n;
}

static void check_canvas(zm_rng *r)
{
    zm_frame f;
    if (zm_frame_init(&f, 60, 40, NULL))
        exit(1);
    zm_draw_rect(&f, -5, -5, 10, 10, 0x123456);
    tap_equal_i64(count_colour(&f, 0x123456), 25, "a rectangle is clipped");
    zm_draw_rect(&f, 2147483600, 3, 2147483600, 10, 0xFFFFFF);
    zm_draw_rect(&f, 3, 3, -4, 10, 0xFFFFFF);
    tap_equal_i64(count_colour(&f, 0xFFFFFF), 0, "and draws nothing far outside or with no size");
    zm_draw_line(&f, 10, 20, 49, 20, 1, 0xFF0000);
    tap_equal_i64(count_colour(&f, 0xFF0000), 40, "a level line of 40 pixels");
    zm_draw_line(&f, NAN, 0, INFINITY, 4, 1, 0x00FF00);
    zm_draw_line(&f, -1e9, 0, 1e9, 4, 1, 0x00FF00);
    tap_equal_i64(count_colour(&f, 0x00FF00), 0, "a line from nowhere is not drawn");
    for (int i = 0; i < 300; i++) /* asan watches */
        zm_draw_line(&f, zm_rng_range(r, -99, 199), zm_rng_range(r, -99, 199), zm_rng_range(r, -99, 199),
                     zm_rng_range(r, -99, 199), zm_rng_range(r, 0, 9), zm_rng_u32(r));
    zm_frame_release(&f);
}

static void check_text(void)
{
    zm_frame f, g;
    if (zm_frame_init(&f, 620, 44, NULL) || zm_frame_init(&g, 44, 620, NULL))
        exit(1);
    char all[96];
    int ink = 0, distinct = 1;
    for (int i = 0; i < 95; i++) {
        all[i] = (char)(' ' + i);
        for (int row = 0; row < ZM_FONT_ROWS; row++)
            for (int bit = 0; bit < 8; bit++)
                ink += zm_font[i][row] >> bit & 1;
        for (int k = 0; k < i; k++)
            distinct &= memcmp(zm_font[i], zm_font[k], ZM_FONT_ROWS) != 0;
    }
    all[95] = 0;
    tap_ok(distinct, "no two glyphs are the same");
    tap_equal_i64(zm_text_width(all, 1), 95 * ZM_TEXT_WIDTH - 1, "the width of a line");
    zm_draw_text(&f, 2, 2, 1, 0xFFFFFF, all);
    tap_equal_i64(count_colour(&f, 0xFFFFFF), ink, "every dot of every glyph is drawn");
    zm_draw_text_up(&g, 2, 618, 1, 0xFFFFFF, all);
    int turned = 1;
    for (int y = 0; y < 44; y++)
        for (int x = 0; x < 620; x++)
            turned &= f.rgb[(y * 620 + x) * 3] == g.rgb[((619 - x) * 44 + y) * 3];
    tap_ok(turned, "text upwards is the same turned left");
    tap_equal_i64(zm_text_width("\xE7\x8C\xAB", 2), 5 * 2, "a character outside ASCII takes one cell");
    zm_draw_text(&f, 600, 30, 3, 0xFF0000, "off the edge \xE7\x8C\xAB\nand below");
    zm_frame_release(&f);
    zm_frame_release(&g);
}

static void check_plots(zm_rng *r)
{
    double x[400], y[400], z[400];
    for (int i = 0; i < 400; i++) {
        x[i] = i * 25;
        y[i] = exp(-i / 90.0) + 0.01 * zm_rng_uniform(r);
        z[i] = i == 200 ? NAN : i % 50 ? 0.3 : -1;
    }
    zm_series two[] = {{.name = "train", .x = x, .y = y, .n = 400, .colour = 0x0000FE},
                       {.name = "held out", .y = z, .n = 400, .colour = 0xFE0000}};
    for (int k = 0; k < 4; k++) {
        zm_frame f;
        zm_error err = {0};
        zm_plot_options opt = {.title = "Loss", .x_label = "step", .y_label = "loss", .log_x = k & 1, .log_y = k >> 1};
        zm_status s = zm_plot(&f, &opt, two, 2, &err);
        tap_ok(!s && f.width == 960 && count_colour(&f, 0x0000FE) > 500 && count_colour(&f, 0xFE0000) > 100,
               "a plot shows both series, axes %d %s", k, err.text);
        if (have_ffmpeg() && !s) {
            zm_frame back = {0};
            s = zm_picture_write(in_scratch("plot.png"), &f, &err);
            s = s ? s : zm_picture_read(&back, in_scratch("plot.png"), &err);
            tap_ok(!s && psnr(&f, &back) == 99, "and survives as a PNG %s", err.text);
            zm_frame_release(&back);
        }
        zm_frame_release(&f);
    }
    static const double odd[][3] = {{5, 5, 5},    {0, 0, 0},          {NAN, NAN, NAN},
                                    {-1, -2, -3}, {1e300, -1e300, 0}, {1e-12, 2e-12, 3e-12}};
    int drawn = 0;
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < 2; k++) {
            zm_frame f;
            drawn += !zm_plot(&f, &(zm_plot_options){.width = 200, .height = 120, .log_y = k},
                              &(zm_series){.y = odd[i], .n = 3}, 1, NULL);
            zm_frame_release(&f);
        }
    tap_equal_i64(drawn, 12, "one value, none, negative on a logarithm, huge and tiny: all drawn");
    zm_frame f;
    zm_error err = {0};
    zm_status s = zm_plot(&f, &(zm_plot_options){.width = 100, .height = 100}, two, 2, &err);
    tap_ok(s == ZM_E_USAGE && good_sentence(&err, s), "%s", err.text);
    s = zm_plot(&f, &(zm_plot_options){0}, NULL, 0, NULL);
    tap_ok(!s, "no series: empty axes");
    zm_frame_release(&f);
}

static void check_sheet(zm_rng *r)
{
    clip a = smooth_clip(r, 9, 96, 64), b = smooth_clip(r, 2, 40, 60);
    zm_sheet_clip clips[] = {
        {a.frame, 9, "a red ball rolls over a table and falls on the floor"}, {b.frame, 2, "tall"}, {a.frame, 1, NULL}};
    zm_frame f;
    zm_error err = {0};
    zm_status s = zm_contact_sheet(
        &f, &(zm_sheet_options){.title = "clips", .columns = 2, .cell_width = 96, .frames = 3}, clips, 3, &err);
    int exact = !s; /* frames 0, 4, 8 at their own size, from (16, 16 + title) on */
    for (int i = 0; exact && i < 3; i++)
        for (int y = 0; y < 64; y++)
            exact &= !memcmp(f.rgb + ((size_t)(56 + y) * (size_t)f.width + (size_t)(16 + i * 100)) * 3,
                             a.frame[4 * i].rgb + y * 96 * 3, 96 * 3);
    tap_ok(exact, "a sheet of %dx%d shows the first, middle and last frame %s", f.width, f.height, err.text);
    zm_frame_release(&f);
    s = zm_contact_sheet(&f, &(zm_sheet_options){0}, clips, 0, &err);
    tap_ok(s == ZM_E_USAGE && !f.rgb && good_sentence(&err, s), "%s", err.text);
    zm_error_clear(&err);
    s = zm_contact_sheet(&f, &(zm_sheet_options){.cell_width = 9000}, clips, 3, &err);
    tap_ok(s == ZM_E_USAGE && !f.rgb && good_sentence(&err, s), "%s", err.text);
    clip_release(&a);
    clip_release(&b);
}

static void check_stored_png(zm_rng *r)
{
    static const int sizes[][2] = {{1, 1}, {7, 5}, {300, 200}, {21845, 1}};
    for (int i = 0; i < 3; i++) {
        clip c = smooth_clip(r, 1, sizes[i][0], sizes[i][1]);
        unsigned char *png;
        size_t size;
        zm_error err = {0};
        zm_container what = {0};
        zm_status s = zm_png_store(&png, &size, &c.frame[0], &err);
        s = s ? s : zm_container_find(&what, png, size, "stored", &err);
        tap_ok(!s && what.kind == ZM_CONTAINER_PNG && what.width == (unsigned)sizes[i][0], "%zu bytes of PNG %s", size,
               err.text);
        put_file(in_scratch("s.png"), png, size);
        zm_frame back = {0};
        s = have_ffmpeg() ? zm_picture_read(&back, in_scratch("s.png"), &err) : ZM_OK;
        if (back.rgb)
            tap_ok(!s && psnr(&back, &c.frame[0]) == 99, "read back exactly, checksums and all %s", err.text);
        zm_frame_release(&back);
        free(png);
        clip_release(&c);
    }
}

static void check_palette(zm_rng *r)
{
    zm_frame f;
    zm_palette *p = zm_palette_new();
    uint8_t index[64 * 64], want[20][3];
    if (!p || zm_frame_init(&f, 64, 64, NULL))
        exit(1);
    for (int i = 0; i < 20; i++) /* in different cells of the histogram */
        want[i][0] = (uint8_t)(i * 12 + zm_rng_below(r, 4)), want[i][1] = (uint8_t)zm_rng_below(r, 256),
        want[i][2] = 77;
    for (int i = 0; i < 64 * 64; i++)
        memcpy(f.rgb + i * 3, want[zm_rng_below(r, 20)], 3);
    zm_palette_count(p, &f);
    int n = zm_palette_choose(p, 255), exact = n <= 20;
    zm_palette_map(p, index, 64, &f);
    for (int i = 0; i < 64 * 64; i++) {
        uint32_t c = zm_palette_colour(p, index[i]);
        exact &= (c >> 16 & 255) == f.rgb[i * 3] && (c >> 8 & 255) == f.rgb[i * 3 + 1];
    }
    tap_ok(exact, "20 flat colours keep their values: %d chosen", n);
    zm_palette_free(p);
    p = zm_palette_new();
    tap_ok(p && zm_palette_choose(p, 255) == 2, "a palette of nothing is black and white");
    zm_palette_free(p);
    zm_frame_release(&f);
}

static char *written(FILE *f)
{
    static char text[1 << 18];
    rewind(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    return text;
}

static void check_preview(void)
{
    zm_frame f;
    if (zm_frame_init(&f, 4, 3, NULL))
        exit(1);
    for (int i = 0; i < 4; i++) /* rows red, green, blue */
        f.rgb[i * 3] = 255, f.rgb[(4 + i) * 3 + 1] = 255, f.rgb[(8 + i) * 3 + 2] = 255;
    FILE *out = tmpfile();
    zm_preview p;
    zm_error err = {0};
    zm_preview_init(&p, out, false);
    zm_status s = zm_preview_draw(&p, &f, &err);
    tap_equal_str(written(out), "", "nothing is drawn where there is no terminal");
    zm_preview_init(&p, out, true);
    s = s ? s : zm_preview_draw(&p, &f, &err);
    tap_equal_str(
        written(out),
        "\r\033[K\033[38;2;255;0;0m\033[48;2;0;255;0m\xE2\x96\x80\xE2\x96\x80\xE2\x96\x80\xE2\x96\x80\033[0m\033[K\n"
        "\033[38;2;0;0;255m\xE2\x96\x80\xE2\x96\x80\xE2\x96\x80\xE2\x96\x80\033[0m\033[K\n",
        "two pixels a character, colours only where they change");
    long before = ftell(out);
    s = s ? s : zm_preview_draw(&p, &f, &err);
    char *again = written(out) + before;
    tap_ok(!s && !strncmp(again, "\r\033[K\033[2A\033[38;2;255;0;0m", 23), "the next one draws over it %s", err.text);
    zm_frame large;
    if (zm_frame_init(&large, 1000, 1500, NULL))
        exit(1);
    s = s ? s : zm_preview_draw(&p, &large, &err);
    tap_ok(!s && p.drawn == 24, "a tall picture takes %d lines", p.drawn);
    fclose(out);
    zm_frame_release(&large);
    zm_frame_release(&f);
}

static void check_progress(void)
{
    static const struct {
        long done;
        double seconds;
        size_t bytes;
        const char *want;
    } rows[] = {
        {0, 0, 0, "denoise 0/30, 0.0 s"},
        {7, 12.2, (size_t)310 << 20, "denoise 7/30, 12 s, 40 s left, 310 MB"},
        {10, 100, 0, "denoise 10/30, 1 min 40 s, 3 min 20 s left"},
        {30, 7500, (size_t)12 << 30, "denoise 30/30, 2 h 5 min, 12.0 GB"},
        {1, 1e9, 0, "denoise 1/30, over 100 h, over 100 h left"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[96];
        zm_progress_text(text, sizeof text, "denoise", rows[i].done, 30, rows[i].seconds, rows[i].bytes);
        tap_equal_str(text, rows[i].want, rows[i].want);
    }
    FILE *out = tmpfile();
    zm_progress p;
    zm_progress_start(&p, out, "quiet", 3, false);
    zm_progress_step(&p, 1);
    zm_progress_end(&p, 3);
    tap_equal_str(written(out), "", "silent where there is no terminal");
    zm_progress_start(&p, out, "asked", 3, true);
    for (long i = 1; i <= 3; i++)
        zm_progress_step(&p, i);
    zm_progress_end(&p, 3);
    zm_progress_end(&p, 3);
    char *text = written(out);
    tap_ok(!strncmp(text, "asked 3/3, 0.0 s", 16) && strchr(text, '\n') == text + strlen(text) - 1,
           "one line at the end: %.40s", text);
    fclose(out);
}

int main(void)
{
    zm_rng r = fresh_rng();
    make_scratch();
    check_canvas(&r);
    check_text();
    check_plots(&r);
    check_sheet(&r);
    check_stored_png(&r);
    check_palette(&r);
    check_preview();
    check_progress();
    remove_scratch();
    return tap_done();
}
