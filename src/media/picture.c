/* The canvas: rectangles, soft lines, pictures and text on an RGB frame.
 * SPDX-License-Identifier: MIT */
#include "media/picture.h"

#include <math.h>
#include <string.h>

#include "media/font.h"

static void set_pixel(zm_frame *f, int x, int y, uint32_t colour)
{
    if (x < 0 || y < 0 || x >= f->width || y >= f->height)
        return;
    uint8_t *p = f->rgb + ((size_t)y * (size_t)f->width + (size_t)x) * 3;
    p[0] = (uint8_t)(colour >> 16);
    p[1] = (uint8_t)(colour >> 8);
    p[2] = (uint8_t)colour;
}

static void mix_pixel(zm_frame *f, int x, int y, uint32_t colour, double part)
{
    uint8_t *p = f->rgb + ((size_t)y * (size_t)f->width + (size_t)x) * 3;
    for (int c = 0; c < 3; c++) {
        int want = colour >> (16 - 8 * c) & 255;
        p[c] = (uint8_t)lrint(p[c] + (want - p[c]) * part);
    }
}

/* [*lo, *hi) clipped to [0, size). */
static void clip(int64_t *lo, int64_t *hi, int size)
{
    if (*lo < 0)
        *lo = 0;
    if (*hi > size)
        *hi = size;
}

void zm_draw_rect(zm_frame *f, int x, int y, int width, int height, uint32_t colour)
{
    int64_t x0 = x, x1 = (int64_t)x + width, y0 = y, y1 = (int64_t)y + height;
    clip(&x0, &x1, f->width);
    clip(&y0, &y1, f->height);
    for (int64_t v = y0; v < y1; v++)
        for (int64_t u = x0; u < x1; u++)
            set_pixel(f, (int)u, (int)v, colour);
}

void zm_draw_line(zm_frame *f, double x0, double y0, double x1, double y1, double thick, uint32_t colour)
{
    double far = 4.0 * ZM_FRAME_MAX_SIDE; /* also keeps NaN and infinity out */
    if (!(fabs(x0) < far && fabs(y0) < far && fabs(x1) < far && fabs(y1) < far && thick > 0))
        return;
    double dx = x1 - x0, dy = y1 - y0, squared = dx * dx + dy * dy, reach = thick / 2 + 0.5;
    int64_t left = (int64_t)floor(fmin(x0, x1) - reach), right = (int64_t)ceil(fmax(x0, x1) + reach) + 1;
    int64_t top = (int64_t)floor(fmin(y0, y1) - reach), bottom = (int64_t)ceil(fmax(y0, y1) + reach) + 1;
    clip(&left, &right, f->width);
    clip(&top, &bottom, f->height);
    for (int64_t y = top; y < bottom; y++)
        for (int64_t x = left; x < right; x++) {
            double px = (double)x - x0, py = (double)y - y0;
            double along = squared > 0 ? fmax(0, fmin(1, (px * dx + py * dy) / squared)) : 0;
            double cover = reach - hypot(px - along * dx, py - along * dy);
            if (cover > 0)
                mix_pixel(f, (int)x, (int)y, colour, fmin(1, cover));
        }
}

void zm_draw_frame(zm_frame *f, int x, int y, const zm_frame *picture)
{
    int64_t x0 = x, x1 = (int64_t)x + picture->width, y0 = y, y1 = (int64_t)y + picture->height;
    clip(&x0, &x1, f->width);
    clip(&y0, &y1, f->height);
    for (int64_t v = y0; v < y1 && x0 < x1; v++)
        memcpy(f->rgb + ((size_t)v * (size_t)f->width + (size_t)x0) * 3,
               picture->rgb + ((size_t)(v - y) * (size_t)picture->width + (size_t)(x0 - x)) * 3, (size_t)(x1 - x0) * 3);
}

static const uint8_t *glyph_of(unsigned char c)
{
    static const uint8_t box[ZM_FONT_ROWS] = {0x1f, 0x11, 0x11, 0x11, 0x11, 0x11, 0x1f};
    return c >= ' ' && c <= '~' ? zm_font[c - ' '] : box;
}

/* Pixel (column, row) of the unturned text is at (x + column, y + row), or turned left at (x + row, y - column). */
static void draw_text(zm_frame *f, int x, int y, int scale, uint32_t colour, const char *text, bool up)
{
    int column = 0, line = 0;
    for (const unsigned char *c = (const unsigned char *)text; *c && scale > 0; c++) {
        if (*c == '\n') {
            column = 0;
            line += ZM_TEXT_HEIGHT * scale;
            continue;
        }
        if ((*c & 0xC0) == 0x80) /* inside a UTF-8 character */
            continue;
        const uint8_t *glyph = glyph_of(*c);
        for (int i = 0; i < ZM_FONT_ROWS * ZM_FONT_WIDTH; i++) {
            int row = i / ZM_FONT_WIDTH, bit = i % ZM_FONT_WIDTH;
            if (!(glyph[row] >> (ZM_FONT_WIDTH - 1 - bit) & 1))
                continue;
            int across = column + bit * scale, down = line + row * scale;
            zm_draw_rect(f, up ? x + down : x + across, up ? y - across - scale : y + down, scale, scale, colour);
        }
        column += ZM_TEXT_WIDTH * scale;
    }
}

void zm_draw_text(zm_frame *f, int x, int y, int scale, uint32_t colour, const char *text)
{
    draw_text(f, x, y, scale, colour, text, false);
}

void zm_draw_text_up(zm_frame *f, int x, int y, int scale, uint32_t colour, const char *text)
{
    draw_text(f, x, y, scale, colour, text, true);
}

int zm_text_width(const char *text, int scale)
{
    int widest = 0, n = 0;
    for (; *text; text++) {
        if (*text == '\n')
            n = 0;
        else if (((unsigned char)*text & 0xC0) != 0x80)
            n++;
        widest = n > widest ? n : widest;
    }
    return widest ? (widest * ZM_TEXT_WIDTH - 1) * scale : 0;
}
