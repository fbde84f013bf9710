/* Messages for people; the library itself stays silent unless a sink is set.
 * SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static struct {
    zm_log_sink sink;
    zm_log_level lowest;
    void *user;
} current;

void zm_log_set(zm_log_sink sink, zm_log_level lowest, void *user)
{
    current.sink = sink;
    current.lowest = lowest;
    current.user = user;
}

void zm_log(zm_log_level level, const char *fmt, ...)
{
    if (!current.sink || level < current.lowest)
        return;
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    current.sink(level, text, current.user);
}
