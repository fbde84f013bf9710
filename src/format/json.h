/* JSON documents with bounded size and depth, and getters whose errors name file, key and value.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_FORMAT_JSON_H
#define ZM_FORMAT_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* A document, or a borrowed view of one (file and root of another zm_json); {0} is empty. */
typedef struct zm_json {
    char *file;   /* for errors; owned by the document */
    json_t *root; /* owned by the document */
} zm_json;

enum { ZM_JSON_DEPTH_MAX = 64 };

/* Parse a whole file of at most `limit` bytes.  Duplicate keys, NUL characters, invalid UTF-8, numbers out of
 * range and nesting beyond ZM_JSON_DEPTH_MAX are ZM_E_FORMAT: "FILE:LINE:COLUMN: why".  On failure *out is {0}. */
ZM_MUST zm_status zm_json_load(zm_json *out, const char *path, size_t limit, zm_error *err);
/* As above from memory; `name` stands for the file in errors. */
ZM_MUST zm_status zm_json_parse(zm_json *out, const char *text, size_t bytes, const char *name, zm_error *err);
void zm_json_close(zm_json *j);

/* The node at a dotted key ("model.dim", "stages[2].heads", "" = the root); NULL when absent.  Borrowed. */
json_t *zm_json_at(const zm_json *j, const char *key);

/* Typed getters by dotted key.  When the key is absent or null: ZM_E_MISSING if `required`, else ZM_OK and *out as
 * it was - so set the default before the call.  Any other type, or a value outside [lo, hi]: ZM_E_FORMAT, for
 * example "config.json: model.dim is "x", an integer between 1 and 1048576 is needed". */
ZM_MUST zm_status zm_json_int(int64_t *out, const zm_json *j, const char *key, bool required, int64_t lo, int64_t hi,
                              zm_error *err);
ZM_MUST zm_status zm_json_f64(double *out, const zm_json *j, const char *key, bool required, double lo, double hi,
                              zm_error *err); /* integers are read too */
ZM_MUST zm_status zm_json_bool(bool *out, const zm_json *j, const char *key, bool required, zm_error *err);
/* Borrowed until zm_json_close. */
ZM_MUST zm_status zm_json_str(const char **out, const zm_json *j, const char *key, bool required, zm_error *err);
/* An array of min_n..max_n numbers into the caller's out[max_n]; *n is its length. */
ZM_MUST zm_status zm_json_ints(int64_t *out, size_t *n, const zm_json *j, const char *key, bool required, size_t min_n,
                               size_t max_n, int64_t lo, int64_t hi, zm_error *err);
ZM_MUST zm_status zm_json_f64s(double *out, size_t *n, const zm_json *j, const char *key, bool required, size_t min_n,
                               size_t max_n, double lo, double hi, zm_error *err);

#endif
