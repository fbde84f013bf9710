/* Contact sheets: a row of frames per clip and its caption below.
 * SPDX-License-Identifier: MIT */
#include "media/picture.h"

#include <stdlib.h>
#include <string.h>

enum { PAPER = 0xFFFFFF, INK = 0x202020, GAP = 4, MARGIN = 16, TEXT = 2, LINE = (ZM_TEXT_HEIGHT + 2) * TEXT };

/* Measures in pixels.  A block is one clip: frames side by side, then caption lines. */
typedef struct {
    int shown, columns, cell_w, cell_h, block_w, title_h;
} sheet;

/* Length of the next line of a caption when at most `most` characters fit, broken at a blank where there is one. */
static size_t line_length(const char *text, size_t most)
{
    size_t n = strcspn(text, "\n");
    if (n <= most)
        return n;
    for (size_t i = most; i > 0; i--)
        if (text[i] == ' ')
            return i;
    return most;
}

static const char *after_line(const char *text, size_t n)
{
    text += n;
    return text + (*text == ' ' || *text == '\n');
}

static size_t line_capacity(const sheet *s)
{
    int n = s->block_w / (ZM_TEXT_WIDTH * TEXT);
    return n > 1 ? (size_t)n : 1;
}

static int count_lines(const sheet *s, const char *text)
{
    int n = 0;
    for (; text && *text && n < 1000; n++)
        text = after_line(text, line_length(text, line_capacity(s)));
    return n;
}

static void draw_lines(zm_frame *f, const sheet *s, int x, int y, const char *text)
{
    char line[1024];
    for (; text && *text && y < f->height; y += LINE) {
        size_t n = line_length(text, line_capacity(s));
        size_t kept = n < sizeof line - 1 ? n : sizeof line - 1;
        memcpy(line, text, kept);
        line[kept] = 0;
        zm_draw_text(f, x, y, TEXT, INK, line);
        text = after_line(text, n);
    }
}

static zm_status measure(sheet *s, const zm_sheet_options *o, const zm_sheet_clip *clips, size_t n, zm_error *err)
{
    if (!n)
        return zm_fail(err, ZM_E_USAGE, "a contact sheet needs at least one clip");
    size_t shown = o->frames ? o->frames : 6, columns = o->columns ? o->columns : 1;
    s->cell_w = o->cell_width ? o->cell_width : 240;
    if (shown > 1000 || columns > 1000 || s->cell_w < 1 || s->cell_w > ZM_FRAME_MAX_SIDE || n > 100000)
        return zm_fail(err, ZM_E_USAGE, "a contact sheet of %zu clips, %zu frames each, %d pixels wide is too large", n,
                       shown, s->cell_w);
    s->columns = (int)(columns < n ? columns : n);
    for (size_t i = 0; i < n; i++) {
        if (!clips[i].n_frames || !clips[i].frames[0].rgb)
            return zm_fail(err, ZM_E_USAGE, "clip %zu of the contact sheet has no frames", i);
        int many = (int)(clips[i].n_frames < shown ? clips[i].n_frames : shown);
        const zm_frame *f = &clips[i].frames[0];
        int64_t height = ((int64_t)s->cell_w * f->height + f->width / 2) / f->width;
        s->shown = many > s->shown ? many : s->shown;
        if (height > ZM_FRAME_MAX_SIDE)
            height = ZM_FRAME_MAX_SIDE;
        s->cell_h = height > s->cell_h ? (int)height : s->cell_h;
    }
    s->cell_h = s->cell_h ? s->cell_h : 1;
    s->block_w = s->shown * (s->cell_w + GAP) - GAP;
    s->title_h = o->title ? LINE + MARGIN : 0;
    return ZM_OK;
}

/* Height of the row of blocks that begins with clip `first`: its longest caption decides. */
static int row_height(const sheet *s, const zm_sheet_clip *clips, size_t n, size_t first)
{
    int lines = 0;
    for (size_t i = first; i < n && i < first + (size_t)s->columns; i++) {
        int here = count_lines(s, clips[i].caption);
        lines = here > lines ? here : lines;
    }
    return s->cell_h + (lines ? 6 + lines * LINE : 0);
}

static zm_status draw_clip(zm_frame *out, const sheet *s, int x, int y, const zm_sheet_clip *clip, zm_error *err)
{
    size_t many = clip->n_frames < (size_t)s->shown ? clip->n_frames : (size_t)s->shown;
    int height =
        (int)(((int64_t)s->cell_w * clip->frames[0].height + clip->frames[0].width / 2) / clip->frames[0].width);
    zm_frame cell;
    zm_status st = zm_frame_init(&cell, s->cell_w, height < 1 ? 1 : height > s->cell_h ? s->cell_h : height, err);
    for (size_t i = 0; !st && i < many; i++) {
        size_t at = many > 1 ? (i * (clip->n_frames - 1) + (many - 1) / 2) / (many - 1) : 0;
        st = zm_frame_resize(&cell, &clip->frames[at], err);
        if (!st)
            zm_draw_frame(out, x + (int)i * (s->cell_w + GAP), y, &cell);
    }
    zm_frame_release(&cell);
    draw_lines(out, s, x, y + s->cell_h + 6, clip->caption);
    return st;
}

zm_status zm_contact_sheet(zm_frame *out, const zm_sheet_options *opt, const zm_sheet_clip *clips, size_t n_clips,
                           zm_error *err)
{
    *out = (zm_frame){0};
    sheet s = {0};
    zm_status st = measure(&s, opt, clips, n_clips, err);
    if (st)
        return st;
    int64_t width = MARGIN + (int64_t)s.columns * (s.block_w + MARGIN);
    int64_t height = MARGIN + s.title_h;
    for (size_t i = 0; i < n_clips; i += (size_t)s.columns)
        height += row_height(&s, clips, n_clips, i) + MARGIN;
    if (width > ZM_FRAME_MAX_SIDE || height > ZM_FRAME_MAX_SIDE)
        return zm_fail(err, ZM_E_USAGE, "a contact sheet of %lldx%lld pixels is over %d a side", (long long)width,
                       (long long)height, ZM_FRAME_MAX_SIDE);
    st = zm_frame_init(out, (int)width, (int)height, err);
    if (st)
        return st;
    zm_draw_rect(out, 0, 0, out->width, out->height, PAPER);
    if (opt->title)
        zm_draw_text(out, MARGIN, MARGIN, TEXT, INK, opt->title);
    int y = MARGIN + s.title_h;
    for (size_t i = 0; !st && i < n_clips; i++) {
        size_t column = i % (size_t)s.columns;
        if (i && !column)
            y += row_height(&s, clips, n_clips, i - (size_t)s.columns) + MARGIN;
        st = draw_clip(out, &s, MARGIN + (int)column * (s.block_w + MARGIN), y, &clips[i], err);
    }
    if (st)
        zm_frame_release(out);
    return st;
}
