/* Small plots as SVG.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdbool.h>

#include "app/explain_plot.h"

enum { WIDTH = 640, HEIGHT = 230, LEFT = 44, RIGHT = 12, TOP = 12, BOTTOM = 30, TICKS = 5 };

typedef struct axes {
    double lo, hi;
    int first, last; /* x */
} axes;

static double x_of(const axes *a, int i)
{
    int span = a->last > a->first ? a->last - a->first : 1;
    return LEFT + (double)(i - a->first) * (WIDTH - LEFT - RIGHT) / span;
}

static double y_of(const axes *a, double y)
{
    return TOP + (a->hi - y) / (a->hi - a->lo) * (HEIGHT - TOP - BOTTOM);
}

static void draw_axes(zm_html *h, const axes *a)
{
    for (int i = 0; i < TICKS; i++) {
        double v = a->lo + (a->hi - a->lo) * i / (TICKS - 1), y = y_of(a, v);
        zm_html_f(h, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" />", LEFT, WIDTH - RIGHT, y, y);
        zm_html_f(h, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.3g</text>", LEFT - 6, y + 4, v);
    }
    int span = a->last - a->first, each = span > 100 ? 20 : span > 40 ? 10 : span > 20 ? 5 : span > 10 ? 2 : 1;
    for (int i = a->first; i <= a->last; i++)
        if (i % each == 0 || i == a->first)
            zm_html_f(h, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%d</text>", x_of(a, i), HEIGHT - 10, i);
}

#define END "\" />" /* of a line's element */

static void draw_line(zm_html *h, const axes *a, const zm_explain_line *l)
{
    bool open = false;
    for (int i = 0; i < l->n; i++) {
        if (!isfinite(l->y[i])) {
            zm_html_f(h, "%s", open ? END : "");
            open = false;
            continue;
        }
        if (!open)
            zm_html_f(h, "<polyline class=\"line c%d%s\" points=\"", l->colour % 10, l->colour > 9 ? " dash" : "");
        zm_html_f(h, "%s%.1f,%.1f", open ? " " : "", x_of(a, a->first + i), y_of(a, l->y[i]));
        open = true;
    }
    zm_html_f(h, "%s", open ? END : "");
    for (int i = 0; i < l->n && l->n <= 60 && l->colour < 10; i++)
        if (isfinite(l->y[i]))
            zm_html_f(h, "<circle class=\"dot c%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\"><title>%d: %.4f</title></circle>",
                      l->colour, x_of(a, a->first + i), y_of(a, l->y[i]), a->first + i, l->y[i]);
}

void zm_explain_lines(zm_html *h, const zm_explain_line *line, int n, double lo, double hi, bool from_zero)
{
    int most = 1;
    for (int i = 0; i < n; i++)
        most = line[i].n > most ? line[i].n : most;
    axes a = {lo, hi, from_zero ? 0 : 1, from_zero ? most - 1 : most};
    zm_html_f(h, "<figure class=\"plot\"><svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"plot\">", WIDTH, HEIGHT);
    draw_axes(h, &a);
    for (int i = 0; i < n; i++)
        draw_line(h, &a, &line[i]);
    zm_html_f(h, "</svg><figcaption>");
    for (int i = 0; i < n; i++) {
        zm_html_f(h, "<span class=\"key\"><span class=\"swatch c%d%s\"></span>", line[i].colour % 10,
                  line[i].colour > 9 ? " dash" : "");
        zm_html_both(h, line[i].english, line[i].chinese);
        zm_html_f(h, "</span> ");
    }
    zm_html_f(h, "</figcaption></figure>\n");
}

void zm_explain_shade(double v, uint8_t *rgb)
{
    static const double stop[][3] = {{8, 8, 28},     {66, 22, 104},  {165, 44, 96},
                                     {237, 105, 37}, {251, 190, 60}, {252, 252, 200}};
    enum { LAST = sizeof stop / sizeof *stop - 1 };
    double at = (v > 0 ? v < 1 ? v : 1 : 0) * LAST;
    int i = at < LAST ? (int)at : LAST - 1;
    for (int c = 0; c < 3; c++)
        rgb[c] = (uint8_t)lrint(stop[i][c] + (at - i) * (stop[i + 1][c] - stop[i][c]));
}
