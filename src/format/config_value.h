/* Text to typed value by table row: for config*.c only.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_FORMAT_CONFIG_VALUE_H
#define ZM_FORMAT_CONFIG_VALUE_H

#include "format/config.h"

/* Where a value stands, for errors.  file NULL: nowhere (a command line); line 0: in the file as a whole. */
typedef struct zm_config_place {
    const char *file;
    size_t line, column; /* from 1 */
    const char *key;     /* full dotted key */
} zm_config_place;

/* "FILE:LINE:COLUMN: sentence" with ZM_E_FORMAT or `code`. */
zm_status zm_config_fail(zm_error *err, zm_status code, const zm_config_place *at, const char *fmt, ...)
    ZM_PRINTF(4, 5);

/* Type of one element of a list row; the type itself for scalar rows.  ZM_CONFIG_LIST has no element type. */
zm_config_type zm_config_element(zm_config_type type);
size_t zm_config_type_bytes(zm_config_type type);

/* Convert one scalar to `type` (INT FLOAT BOOL STR ENUM) into *field.  `plain`: written without quotes. */
ZM_MUST zm_status zm_config_scalar(void *field, const zm_config_row *row, zm_config_type type, const char *text,
                                   size_t bytes, bool plain, zm_arena *arena, const zm_config_place *at, zm_error *err);
/* "an integer between 1 and 8", for sentences and help. */
void zm_config_needed(char *out, size_t room, const zm_config_row *row, zm_config_type type);

/* A whole row's value from text as written in YAML, lists included; *row is no LIST unless the text is empty. */
ZM_MUST zm_status zm_config_text(void *field, const zm_config_row *row, const char *text, zm_arena *arena,
                                 const zm_config_place *at, zm_error *err);

#endif
