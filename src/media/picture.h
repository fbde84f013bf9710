/* Pictures for people: a canvas with text, line plots, and contact sheets of clips.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MEDIA_PICTURE_H
#define ZM_MEDIA_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "media/frame.h"

/* Colours are 0xRRGGBB.  Everything is clipped to the frame; sizes of 0 or less draw nothing. */
void zm_draw_rect(zm_frame *f, int x, int y, int width, int height, uint32_t colour);
/* A straight line between pixel centres with soft edges, `thick` pixels wide. */
void zm_draw_line(zm_frame *f, double x0, double y0, double x1, double y1, double thick, uint32_t colour);
/* Copy a picture with its top left corner at (x, y). */
void zm_draw_frame(zm_frame *f, int x, int y, const zm_frame *picture);

/* Fixed-pitch ASCII, a cell of 6x10 pixels times `scale`; (x, y) is the top left corner of the first cell.  Anything
 * outside ASCII is drawn as a small box, one per UTF-8 character; '\n' starts a new line. */
#define ZM_TEXT_WIDTH  6
#define ZM_TEXT_HEIGHT 10
void zm_draw_text(zm_frame *f, int x, int y, int scale, uint32_t colour, const char *text);
/* The same upwards (turned left by 90 degrees); (x, y) is the bottom left corner of the first cell. */
void zm_draw_text_up(zm_frame *f, int x, int y, int scale, uint32_t colour, const char *text);
/* Pixels that one line of text takes. */
int zm_text_width(const char *text, int scale);

typedef struct {
    const char *name;    /* in the legend; NULL = none */
    const double *x, *y; /* n points; a NaN or infinite y breaks the line; x NULL = 0, 1, 2... */
    size_t n;
    uint32_t colour; /* 0 = the next of a fixed palette */
} zm_series;

typedef struct {
    const char *title, *x_label, *y_label; /* NULL = none */
    int width, height;                     /* pixels; 0 = 960 x 540 */
    bool log_x, log_y;                     /* logarithmic axes: values <= 0 are left out */
} zm_plot_options;                         /* {0} is valid */

/* Line plot of several series on common axes with ticks, labels and a legend; `out` is initialised here.
 * ZM_E_USAGE: a size under 200 x 120 or over the limits; ZM_E_NOMEM.  With no drawable point: empty axes 0..1. */
ZM_MUST zm_status zm_plot(zm_frame *out, const zm_plot_options *opt, const zm_series *series, size_t n_series,
                          zm_error *err);

typedef struct {
    const zm_frame *frames; /* at least one, all of one size */
    size_t n_frames;
    const char *caption; /* ASCII, wrapped to the row's width; NULL = none */
} zm_sheet_clip;

typedef struct {
    size_t frames;     /* frames shown of each clip, evenly chosen with the first and the last; 0 = 6 */
    size_t columns;    /* clips side by side; 0 = 1 */
    int cell_width;    /* pixels of one shown frame; 0 = 240; the height follows the clip's shape */
    const char *title; /* NULL = none */
} zm_sheet_options;    /* {0} is valid */

/* A row of frames per clip with its caption below; `out` is initialised here.  ZM_E_USAGE: no clips, a clip without
 * frames, or a sheet over the limits; ZM_E_NOMEM. */
ZM_MUST zm_status zm_contact_sheet(zm_frame *out, const zm_sheet_options *opt, const zm_sheet_clip *clips,
                                   size_t n_clips, zm_error *err);

#endif
