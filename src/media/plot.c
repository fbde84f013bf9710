/* Line plots: a frame, ticks at round values, soft lines, a legend.
 * SPDX-License-Identifier: MIT */
#include "media/picture.h"

#include <math.h>
#include <stdio.h>

/* One axis: values lo..hi, or their decimal logarithms, lie on pixels from..to. */
typedef struct {
    double lo, hi, step; /* of ticks */
    double from, to;
    bool log;
} axis;

typedef struct {
    zm_frame *f;
    axis x, y;
} plot;

enum { PAPER = 0xFFFFFF, INK = 0x202020, GRID = 0xE4E4E4, FAINT = 0xF3F3F3, TEXT = 2, MOST_TICKS = 64 };

/* Okabe and Ito 2008: told apart by the colour-blind too. */
static const uint32_t colours[] = {0x0072B2, 0xD55E00, 0x009E73, 0xCC79A7, 0xE69F00, 0x56B4E9, 0x8A8A00, 0x555555};

static double value_of(const axis *a, double v)
{
    return a->log ? (v > 0 ? log10(v) : NAN) : v;
}

static double place(const axis *a, double v)
{
    return a->from + (v - a->lo) / (a->hi - a->lo) * (a->to - a->from);
}

static void extend(axis *a, double v)
{
    if (!isfinite(v))
        return;
    a->lo = fmin(a->lo, v);
    a->hi = fmax(a->hi, v);
}

static double x_of(const zm_series *s, size_t i)
{
    return s->x ? s->x[i] : (double)i;
}

/* The round step (1, 2 or 5 times a power of ten) that gives about `wanted` ticks. */
static void settle(axis *a, int wanted)
{
    if (!(a->lo <= a->hi)) {
        a->lo = 0;
        a->hi = 1;
    }
    double span = a->hi - a->lo;
    if (!(span > 1e-9 * fmax(fabs(a->lo), fabs(a->hi)))) { /* one value: room on both sides of it */
        span = a->lo != 0 ? fabs(a->lo) * 0.2 : 1;
        a->lo -= span / 2;
        a->hi += span / 2;
        span = a->hi - a->lo;
    }
    double rough = span / wanted, power = pow(10, floor(log10(rough))), lead = rough / power;
    a->step = power * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
    if (a->log && a->step < 1 && span > 0.8) /* whole decades; those in between get faint lines */
        a->step = 1;
}

static void find_ranges(plot *p, const zm_series *series, size_t n_series)
{
    for (size_t s = 0; s < n_series; s++)
        for (size_t i = 0; i < series[s].n; i++) {
            double x = value_of(&p->x, x_of(&series[s], i)), y = value_of(&p->y, series[s].y[i]);
            if (isfinite(x) && isfinite(y)) {
                extend(&p->x, x);
                extend(&p->y, y);
            }
        }
    settle(&p->x, p->f->width / 130 + 1);
    settle(&p->y, p->f->height / 80 + 1);
    double margin = (p->y.hi - p->y.lo) * 0.04;
    p->y.lo -= margin;
    p->y.hi += margin;
}

static void tick_text(char *out, size_t cap, const axis *a, double v)
{
    double shown = a->log ? pow(10, v) : fabs(v) < a->step * 1e-6 ? 0 : v;
    if (a->log)
        snprintf(out, cap, "%.3g", shown);
    else if (fabs(shown) >= 1e6 || (a->step < 1e-4 && shown != 0))
        snprintf(out, cap, "%.4g", shown);
    else
        snprintf(out, cap, "%.*f", a->step < 1 ? (int)ceil(-log10(a->step) - 1e-9) : 0, shown);
}

/* A grid line; `x`: at a value of the x axis. */
static void grid_line(const plot *p, bool x, double v, uint32_t colour)
{
    if (x)
        zm_draw_line(p->f, place(&p->x, v), p->y.from, place(&p->x, v), p->y.to, 1, colour);
    else
        zm_draw_line(p->f, p->x.from, place(&p->y, v), p->x.to, place(&p->y, v), 1, colour);
}

static void draw_axis(const plot *p, bool x)
{
    const axis *a = x ? &p->x : &p->y;
    if (a->log && a->step == 1)
        for (double decade = floor(a->lo); decade < a->hi; decade++)
            for (int digit = 2; digit < 10 && a->hi - a->lo < 8; digit++) {
                double v = decade + log10(digit);
                if (v > a->lo && v < a->hi)
                    grid_line(p, x, v, FAINT);
            }
    double first = ceil(a->lo / a->step - 1e-9);
    for (int k = 0; k < MOST_TICKS && (first + k) * a->step <= a->hi + a->step * 1e-9; k++) {
        double v = (first + k) * a->step;
        char text[32];
        tick_text(text, sizeof text, a, v);
        int at = (int)lrint(place(a, v)), width = zm_text_width(text, TEXT);
        grid_line(p, x, v, GRID);
        if (x)
            zm_draw_text(p->f, at - width / 2, (int)p->y.from + 8, TEXT, INK, text);
        else
            zm_draw_text(p->f, (int)p->x.from - 8 - width, at - 7, TEXT, INK, text);
    }
}

/* Neighbours that fall on the same pixel column are still all drawn: spikes matter in a loss curve. */
static void draw_series(const plot *p, const zm_series *s, uint32_t colour)
{
    double last_x = NAN, last_y = NAN;
    bool joined = false;
    for (size_t i = 0; i <= s->n; i++) {
        double x = i < s->n ? place(&p->x, value_of(&p->x, x_of(s, i))) : NAN;
        double y = i < s->n ? place(&p->y, value_of(&p->y, s->y[i])) : NAN;
        bool here = isfinite(x) && isfinite(y), before = isfinite(last_x) && isfinite(last_y);
        if (here && before)
            zm_draw_line(p->f, last_x, last_y, x, y, 2, colour);
        else if (before && !joined) /* a point with no neighbour */
            zm_draw_line(p->f, last_x, last_y, last_x, last_y, 5, colour);
        joined = here && before;
        last_x = x;
        last_y = here ? y : NAN;
    }
}

static void draw_legend(const plot *p, const zm_series *series, size_t n_series)
{
    int widest = 0, lines = 0, line = 10 * TEXT + 4;
    for (size_t i = 0; i < n_series; i++)
        if (series[i].name) {
            int width = zm_text_width(series[i].name, TEXT);
            widest = width > widest ? width : widest;
            lines++;
        }
    if (!lines)
        return;
    int box = widest + 56, x = (int)p->x.to - box - 10, y = (int)p->y.to + 10;
    zm_draw_rect(p->f, x, y, box, lines * line + 10, GRID);
    zm_draw_rect(p->f, x + 1, y + 1, box - 2, lines * line + 8, PAPER);
    y += 8;
    for (size_t i = 0; i < n_series; i++)
        if (series[i].name) {
            uint32_t colour = series[i].colour ? series[i].colour : colours[i % (sizeof colours / sizeof *colours)];
            zm_draw_line(p->f, x + 10, y + 7, x + 34, y + 7, 4, colour);
            zm_draw_text(p->f, x + 46, y, TEXT, INK, series[i].name);
            y += line;
        }
}

/* Where the plotting area lies, with room for what is written around it. */
static void lay_out(plot *p, const zm_plot_options *o)
{
    p->x.from = 110 + (o->y_label ? 24 : 0);
    p->x.to = p->f->width - 40;
    p->y.from = p->f->height - 40 - (o->x_label ? 28 : 0); /* y grows upwards */
    p->y.to = o->title ? 52 : 24;
    if (p->x.to < p->x.from + 20)
        p->x.to = p->x.from + 20;
    if (p->y.from < p->y.to + 20)
        p->y.from = p->y.to + 20;
}

static void draw_labels(const plot *p, const zm_plot_options *o)
{
    int middle_x = (int)(p->x.from + p->x.to) / 2, middle_y = (int)(p->y.from + p->y.to) / 2;
    if (o->title)
        zm_draw_text(p->f, middle_x - zm_text_width(o->title, TEXT) / 2, 18, TEXT, INK, o->title);
    if (o->x_label)
        zm_draw_text(p->f, middle_x - zm_text_width(o->x_label, TEXT) / 2, p->f->height - 28, TEXT, INK, o->x_label);
    if (o->y_label)
        zm_draw_text_up(p->f, 10, middle_y + zm_text_width(o->y_label, TEXT) / 2, TEXT, INK, o->y_label);
}

zm_status zm_plot(zm_frame *out, const zm_plot_options *opt, const zm_series *series, size_t n_series, zm_error *err)
{
    *out = (zm_frame){0};
    int width = opt->width || opt->height ? opt->width : 960, height = opt->width || opt->height ? opt->height : 540;
    if (width < 200 || height < 120)
        return zm_fail(err, ZM_E_USAGE, "a plot of %dx%d pixels is too small; 200x120 is the least", width, height);
    zm_status s = zm_frame_init(out, width, height, err);
    if (s)
        return s;
    plot p = {.f = out,
              .x = {.lo = INFINITY, .hi = -INFINITY, .log = opt->log_x},
              .y = {.lo = INFINITY, .hi = -INFINITY, .log = opt->log_y}};
    zm_draw_rect(out, 0, 0, width, height, PAPER);
    find_ranges(&p, series, n_series);
    lay_out(&p, opt);
    draw_axis(&p, true);
    draw_axis(&p, false);
    for (size_t i = 0; i < n_series; i++)
        draw_series(&p, &series[i],
                    series[i].colour ? series[i].colour : colours[i % (sizeof colours / sizeof *colours)]);
    zm_draw_line(out, p.x.from, p.y.from, p.x.to, p.y.from, 1, INK);
    zm_draw_line(out, p.x.from, p.y.from, p.x.from, p.y.to, 1, INK);
    draw_legend(&p, series, n_series);
    draw_labels(&p, opt);
    return ZM_OK;
}
