/* Data sets as one JSON object a line.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_FORMAT_JSONL_H
#define ZM_FORMAT_JSONL_H

#include "format/json.h"

typedef struct zm_jsonl zm_jsonl;

enum { ZM_JSONL_LINE_MAX = 1 << 20 };

/* ZM_E_MISSING, ZM_E_IO, ZM_E_NOMEM. */
ZM_MUST zm_status zm_jsonl_open(zm_jsonl **out, const char *path, zm_error *err);
/* Read the next non-blank line into a borrowed view, valid until the next call; at the end of the file out->root is
 * NULL and the status is ZM_OK.  Its getters (zm_json_str, ...) say "FILE:LINE: ..." in errors.  ZM_E_FORMAT: broken
 * JSON, no object, or a line over ZM_JSONL_LINE_MAX bytes. */
ZM_MUST zm_status zm_jsonl_next(zm_json *out, zm_jsonl *r, zm_error *err);
/* Number of the line last read, from 1. */
size_t zm_jsonl_line(const zm_jsonl *r);
/* NULL is fine. */
void zm_jsonl_close(zm_jsonl *r);

#endif
