/* Status codes and error sentences.
 * SPDX-License-Identifier: MIT */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const status_names[] = {
#define STATUS_NAME(code, name) name,
    ZM_STATUS_TABLE(STATUS_NAME)
#undef STATUS_NAME
};

zm_status zm_fail(zm_error *err, zm_status code, const char *fmt, ...)
{
    if (!err)
        return code;
    if (err->code)
        return err->code;
    err->code = code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    return code;
}

void zm_error_prefix(zm_error *err, const char *fmt, ...)
{
    if (!err || !err->code)
        return;
    char old[sizeof err->text], head[sizeof err->text];
    memcpy(old, err->text, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(head, sizeof head, fmt, ap);
    va_end(ap);
    size_t used = (size_t)snprintf(err->text, sizeof err->text, "%.*s: ", (int)(sizeof err->text / 2), head);
    snprintf(err->text + used, sizeof err->text - used, "%s", old);
}

void zm_error_clear(zm_error *err)
{
    if (err)
        *err = (zm_error){0};
}

const char *zm_status_name(zm_status code)
{
    size_t i = (size_t)code;
    return i < sizeof status_names / sizeof *status_names ? status_names[i] : "unknown";
}

void zm_assert_failed(const char *cond, const char *file, int line)
{
    fprintf(stderr, "zouma: internal error at %s:%d: %s\n", file, line, cond);
    abort();
}
