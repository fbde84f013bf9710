/* Data sets as one JSON object a line.
 * SPDX-License-Identifier: MIT */
#include "format/jsonl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"

struct zm_jsonl {
    zm_map map;
    char *path;
    size_t at, line;
    zm_json doc;
};

zm_status zm_jsonl_open(zm_jsonl **out, const char *path, zm_error *err)
{
    *out = NULL;
    zm_jsonl *r = calloc(1, sizeof *r);
    if (!r || !(r->path = strdup(path))) {
        free(r);
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    }
    zm_status s = zm_map_open(&r->map, path, err);
    if (s)
        zm_jsonl_close(r);
    else
        *out = r;
    return s;
}

static bool blank(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r')
            return false;
    return true;
}

zm_status zm_jsonl_next(zm_json *out, zm_jsonl *r, zm_error *err)
{
    *out = (zm_json){0};
    zm_json_close(&r->doc);
    const char *text;
    size_t bytes;
    do {
        if (r->at >= r->map.size)
            return ZM_OK;
        text = (const char *)r->map.at + r->at;
        const char *end = memchr(text, '\n', r->map.size - r->at);
        bytes = end ? (size_t)(end - text) : r->map.size - r->at;
        r->at += bytes + 1;
        r->line++;
    } while (blank(text, bytes));
    if (bytes > ZM_JSONL_LINE_MAX)
        return zm_fail(err, ZM_E_FORMAT, "%s:%zu: a line of %zu bytes, at most %d are possible", r->path, r->line,
                       bytes, ZM_JSONL_LINE_MAX);
    zm_error why = {0};
    zm_status s = zm_json_parse(&r->doc, text, bytes, "line", &why);
    if (s) /* "line:1:COLUMN: why" becomes "FILE:LINE:COLUMN: why" */
        return zm_fail(err, s, "%s:%zu:%s", r->path, r->line,
                       strncmp(why.text, "line:1:", 7) ? why.text : why.text + 7);
    if (!json_is_object(r->doc.root))
        return zm_fail(err, ZM_E_FORMAT, "%s:%zu: not an object", r->path, r->line);
    size_t room = strlen(r->path) + 24;
    char *name = malloc(room);
    if (!name)
        return zm_fail(err, ZM_E_NOMEM, "%s:%zu: out of memory", r->path, r->line);
    snprintf(name, room, "%s:%zu", r->path, r->line);
    free(r->doc.file);
    r->doc.file = name;
    *out = r->doc;
    return ZM_OK;
}

size_t zm_jsonl_line(const zm_jsonl *r)
{
    return r->line;
}

void zm_jsonl_close(zm_jsonl *r)
{
    if (!r)
        return;
    zm_json_close(&r->doc);
    zm_map_close(&r->map);
    free(r->path);
    free(r);
}
