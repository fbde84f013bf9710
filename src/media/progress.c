/* The progress line: text from numbers, and when to draw it.
 * SPDX-License-Identifier: MIT */
#include "media/progress.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define REDRAW_S 0.1 /* on a terminal */
#define REPORT_S 5.0 /* elsewhere */

/* "12 s", "3 min 20 s", "2 h 5 min". */
static void duration_text(char *out, size_t cap, double seconds)
{
    double s = seconds > 0 ? seconds : 0;
    if (s < 60)
        snprintf(out, cap, s < 9.95 ? "%.1f s" : "%.0f s", s);
    else if (s < 3600)
        snprintf(out, cap, "%d min %d s", (int)s / 60, (int)s % 60);
    else if (s < 360000)
        snprintf(out, cap, "%d h %d min", (int)s / 3600, (int)s % 3600 / 60);
    else
        snprintf(out, cap, "over 100 h");
}

void zm_progress_text(char *out, size_t cap, const char *what, long done, long total, double seconds, size_t peak_bytes)
{
    char gone[32], left[48] = "", memory[32] = "";
    duration_text(gone, sizeof gone, seconds);
    if (done > 0 && done < total) {
        char rest[32];
        duration_text(rest, sizeof rest, seconds / (double)done * (double)(total - done));
        snprintf(left, sizeof left, ", %s left", rest);
    }
    if (peak_bytes >= (size_t)10 << 30)
        snprintf(memory, sizeof memory, ", %.1f GB", (double)peak_bytes / (1 << 30));
    else if (peak_bytes)
        snprintf(memory, sizeof memory, ", %zu MB", peak_bytes >> 20);
    snprintf(out, cap, "%s %ld/%ld, %s%s%s", what, done, total, gone, left, memory);
}

void zm_progress_start(zm_progress *p, FILE *out, const char *what, long total, bool always)
{
    bool terminal = out && isatty(fileno(out));
    *p = (zm_progress){.out = terminal || always ? out : NULL,
                       .what = what,
                       .total = total,
                       .terminal = terminal,
                       .started = zm_now()};
    p->shown = terminal ? 0 : p->started; /* a terminal shows "0/n" at once */
    if (terminal)
        zm_progress_step(p, 0);
}

static void draw(zm_progress *p, long done, double now)
{
    char text[256];
    zm_progress_text(text, sizeof text, p->what, done, p->total, now - p->started, zm_peak_rss_bytes());
    fprintf(p->out, p->terminal ? "\r%s\033[K" : "%s\n", text);
    fflush(p->out);
    p->shown = now;
}

void zm_progress_step(zm_progress *p, long done)
{
    if (!p->out)
        return;
    double now = zm_now();
    if (now - p->shown >= (p->terminal ? REDRAW_S : REPORT_S))
        draw(p, done, now);
}

void zm_progress_end(zm_progress *p, long done)
{
    if (!p->out)
        return;
    draw(p, done, zm_now());
    if (p->terminal)
        fputc('\n', p->out);
    fflush(p->out);
    p->out = NULL;
}
