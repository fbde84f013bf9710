/* Pictures as coloured half blocks: the upper pixel is the character's colour, the lower one its background.
 * SPDX-License-Identifier: MIT */
#include "media/preview.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { MOST_COLUMNS = 80, MOST_ROWS = 24 };

void zm_preview_init(zm_preview *p, FILE *out, bool always)
{
    *p = (zm_preview){.out = out, .columns = MOST_COLUMNS, .rows = MOST_ROWS};
    struct winsize size;
    bool terminal = out && isatty(fileno(out));
    if (!terminal && !always)
        p->out = NULL;
    if (!terminal || ioctl(fileno(out), TIOCGWINSZ, &size) || !size.ws_col || !size.ws_row)
        return;
    if (size.ws_col < MOST_COLUMNS)
        p->columns = size.ws_col;
    if (size.ws_row - 2 < MOST_ROWS) /* the progress line and the shell's own stay in sight */
        p->rows = size.ws_row > 3 ? size.ws_row - 2 : 1;
}

/* Pixels that fit: one per column, two per row. */
static void fit(const zm_preview *p, const zm_frame *f, int *width, int *height)
{
    int most_w = p->columns > 0 ? p->columns : 1, most_h = p->rows > 0 ? 2 * p->rows : 2;
    *width = f->width;
    *height = f->height;
    if (*width > most_w) {
        *height = (int)((int64_t)f->height * most_w / f->width);
        *width = most_w;
    }
    if (*height > most_h) {
        *width = (int)((int64_t)f->width * most_h / f->height);
        *height = most_h;
    }
    *width = *width < 1 ? 1 : *width;
    *height = *height < 1 ? 1 : *height;
}

/* Longest escape sequences of a character: both colours and the block. */
enum { CELL_BYTES = 2 * 19 + 3 + 1, LINE_BYTES = 32 };

static char *put_colours(char *to, const uint8_t *upper, const uint8_t *lower)
{
    to += sprintf(to, "\033[38;2;%d;%d;%dm", upper[0], upper[1], upper[2]);
    if (lower)
        to += sprintf(to, "\033[48;2;%d;%d;%dm", lower[0], lower[1], lower[2]);
    return to;
}

/* Colours are sent only where they change. */
static char *put_line(char *to, const zm_frame *f, int y)
{
    const uint8_t *upper = f->rgb + (size_t)y * (size_t)f->width * 3;
    const uint8_t *lower = y + 1 < f->height ? upper + (size_t)f->width * 3 : NULL;
    for (int x = 0; x < f->width; x++, upper += 3, lower = lower ? lower + 3 : NULL) {
        if (!x || memcmp(upper, upper - 3, 3) || (lower && memcmp(lower, lower - 3, 3)))
            to = put_colours(to, upper, lower);
        memcpy(to, "\xE2\x96\x80", 3); /* U+2580 upper half block */
        to += 3;
    }
    return to + sprintf(to, "\033[0m\033[K\n");
}

zm_status zm_preview_draw(zm_preview *p, const zm_frame *f, zm_error *err)
{
    if (!p->out)
        return ZM_OK;
    int width, height;
    fit(p, f, &width, &height);
    zm_frame small;
    zm_status s = zm_frame_init(&small, width, height, err);
    if (!s)
        s = zm_frame_resize(&small, f, err);
    int lines = (height + 1) / 2;
    size_t cap = (size_t)lines * ((size_t)width * CELL_BYTES + LINE_BYTES) + LINE_BYTES;
    char *text = s ? NULL : malloc(cap), *to = text;
    if (!s && !text)
        s = zm_fail(err, ZM_E_NOMEM, "out of memory for a preview of %dx%d pixels", width, height);
    if (!s) {
        to += sprintf(to, "\r\033[K"); /* a progress line may stand here */
        if (p->drawn)
            to += sprintf(to, "\033[%dA", p->drawn);
        for (int y = 0; y < height; y += 2)
            to = put_line(to, &small, y);
        p->drawn = lines;
        if (fwrite(text, 1, (size_t)(to - text), p->out) != (size_t)(to - text) || fflush(p->out))
            s = zm_fail(err, ZM_E_IO, "the preview could not be written to the terminal");
    }
    free(text);
    zm_frame_release(&small);
    return s;
}
