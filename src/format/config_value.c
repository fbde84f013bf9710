/* Text to typed value by table row.
 * SPDX-License-Identifier: MIT */
#include "format/config_value.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "format/nearest.h"

zm_status zm_config_fail(zm_error *err, zm_status code, const zm_config_place *at, const char *fmt, ...)
{
    char text[384];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (!at->file)
        return zm_fail(err, code, "%s", text);
    if (!at->line)
        return zm_fail(err, code, "%s: %s", at->file, text);
    return zm_fail(err, code, "%s:%zu:%zu: %s", at->file, at->line, at->column, text);
}

zm_config_type zm_config_element(zm_config_type type)
{
    return type == ZM_CONFIG_INTS     ? ZM_CONFIG_INT
           : type == ZM_CONFIG_FLOATS ? ZM_CONFIG_FLOAT
           : type == ZM_CONFIG_STRS   ? ZM_CONFIG_STR
                                      : type;
}

size_t zm_config_type_bytes(zm_config_type type)
{
    switch (type) {
    case ZM_CONFIG_INT:
        return sizeof(int64_t);
    case ZM_CONFIG_FLOAT:
        return sizeof(double);
    case ZM_CONFIG_BOOL:
        return sizeof(bool);
    case ZM_CONFIG_STR:
        return sizeof(const char *);
    case ZM_CONFIG_ENUM:
        return sizeof(int);
    default:
        return sizeof(zm_config_list);
    }
}

void zm_config_needed(char *out, size_t room, const zm_config_row *row, zm_config_type type)
{
    bool any = row->min == 0 && row->max == 0;
    switch (type) {
    case ZM_CONFIG_INT:
        if (any)
            snprintf(out, room, "an integer");
        else
            snprintf(out, room, "an integer between %.17g and %.17g", row->min, row->max);
        return;
    case ZM_CONFIG_FLOAT:
        if (any)
            snprintf(out, room, "a number");
        else
            snprintf(out, room, "a number between %g and %g", row->min, row->max);
        return;
    case ZM_CONFIG_BOOL:
        snprintf(out, room, "true or false");
        return;
    case ZM_CONFIG_STR:
        snprintf(out, room, "text");
        return;
    case ZM_CONFIG_ENUM:
        snprintf(out, room, "one of %s", row->choices);
        return;
    default:
        snprintf(out, room, "a list");
    }
}

static zm_status wrong(const zm_config_row *row, zm_config_type type, const char *text, const char *hint,
                       const zm_config_place *at, zm_error *err)
{
    char needed[160], shown[64];
    zm_config_needed(needed, sizeof needed, row, type);
    snprintf(shown, sizeof shown, "%.60s", text);
    for (char *c = shown; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return zm_config_fail(err, ZM_E_FORMAT, at, "%s is '%s', %s is needed%s", at->key, shown, needed, hint);
}

static bool in_range(const zm_config_row *row, double v)
{
    return (row->min == 0 && row->max == 0) || (v >= row->min && v <= row->max);
}

static bool parse_int(int64_t *out, const char *text, const zm_config_row *row)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno || end == text || *end || strspn(text, "+-0123456789") != strlen(text) || !in_range(row, (double)v))
        return false;
    *out = v;
    return true;
}

static bool parse_float(double *out, const char *text, const zm_config_row *row)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || strspn(text, "+-.eE0123456789") != strlen(text) || !isfinite(v) || !in_range(row, v))
        return false;
    *out = v;
    return true;
}

static bool parse_bool(bool *out, const char *text)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    for (int i = 0; i < 6; i++)
        if (!strcmp(text, words[i])) {
            *out = i & 1;
            return true;
        }
    return false;
}

/* Position in "a|b|c", or -1 with a hint that names the nearest one. */
static int parse_choice(const char *choices, const char *text, char *hint, size_t room)
{
    size_t best = 3;
    *hint = 0;
    for (int i = 0;; i++) {
        size_t n = strcspn(choices, "|");
        char word[96];
        snprintf(word, sizeof word, "%.*s", (int)n, choices);
        if (!strcmp(word, text))
            return i;
        size_t d = zm_edit_distance(word, text);
        if (d < best) {
            best = d;
            snprintf(hint, room, " (did you mean '%s'?)", word);
        }
        if (!choices[n])
            return -1;
        choices += n + 1;
    }
}

zm_status zm_config_scalar(void *field, const zm_config_row *row, zm_config_type type, const char *text, size_t bytes,
                           bool plain, zm_arena *arena, const zm_config_place *at, zm_error *err)
{
    char hint[128] = "";
    if (strlen(text) != bytes)
        return zm_config_fail(err, ZM_E_FORMAT, at, "%s holds a NUL character", at->key);
    if (!plain && type != ZM_CONFIG_STR && type != ZM_CONFIG_ENUM)
        return wrong(row, type, text, " without quotes", at, err);
    switch (type) {
    case ZM_CONFIG_INT:
        return parse_int(field, text, row) ? ZM_OK : wrong(row, type, text, "", at, err);
    case ZM_CONFIG_FLOAT:
        return parse_float(field, text, row) ? ZM_OK : wrong(row, type, text, "", at, err);
    case ZM_CONFIG_BOOL:
        return parse_bool(field, text) ? ZM_OK : wrong(row, type, text, "", at, err);
    case ZM_CONFIG_ENUM: {
        int i = parse_choice(row->choices, text, hint, sizeof hint);
        if (i < 0)
            return wrong(row, type, text, hint, at, err);
        *(int *)field = i;
        return ZM_OK;
    }
    case ZM_CONFIG_STR: {
        char *copy = zm_arena_strdup(arena, text);
        if (!copy)
            return zm_config_fail(err, ZM_E_NOMEM, at, "out of memory at %s", at->key);
        *(const char **)field = copy;
        return ZM_OK;
    }
    default:
        return wrong(row, type, text, "", at, err);
    }
}
