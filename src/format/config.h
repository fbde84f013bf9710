/* Hand-written YAML checked against a table of rows and written into a C struct.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_FORMAT_CONFIG_H
#define ZM_FORMAT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/error.h"

/* Row type, and the C type of the field that it fills. */
typedef enum {
    ZM_CONFIG_INT,    /* int64_t */
    ZM_CONFIG_FLOAT,  /* double */
    ZM_CONFIG_BOOL,   /* bool: true false yes no on off */
    ZM_CONFIG_STR,    /* const char *, in the arena */
    ZM_CONFIG_ENUM,   /* int: position in `choices` */
    ZM_CONFIG_INTS,   /* zm_config_ints */
    ZM_CONFIG_FLOATS, /* zm_config_floats */
    ZM_CONFIG_STRS,   /* zm_config_strs */
    ZM_CONFIG_LIST    /* zm_config_list of structs described by `item` */
} zm_config_type;

typedef struct zm_config_ints {
    int64_t *at;
    size_t n;
} zm_config_ints;
typedef struct zm_config_floats {
    double *at;
    size_t n;
} zm_config_floats;
typedef struct zm_config_strs {
    const char **at;
    size_t n;
} zm_config_strs;
typedef struct zm_config_list {
    void *at; /* array of n structs of item->size bytes */
    size_t n;
} zm_config_list;

typedef struct zm_config_table zm_config_table;

/* One setting.  Example:
 *   {.key = "train.learning_rate", .type = ZM_CONFIG_FLOAT, .offset = offsetof(config, learning_rate),
 *    .fallback = "3e-4", .min = 0, .max = 1, .help = "peak step size of AdamW"} */
typedef struct zm_config_row {
    const char *key; /* dots are nested mappings */
    zm_config_type type;
    size_t offset;        /* offsetof(the struct, the field) */
    const char *fallback; /* default, as one would write it in YAML ("[1, 2]" for lists); NULL: the key is required.
                             "" for strings and lists: NULL string, empty list */
    double min, max;      /* of a number or of each list element; both 0: any.  For STR, STRS and LIST: ignored */
    size_t max_n;         /* most elements of a list; 0: 4096 */
    const char *choices;  /* ENUM: "adamw|sgd|muon" */
    const zm_config_table *item; /* LIST */
    const char *help;            /* a few words for people */
} zm_config_row;

struct zm_config_table {
    const zm_config_row *rows;
    size_t n;
    size_t size; /* sizeof the struct */
};

/* Read `path` (at most 1 MiB) into *out, a struct of table->size bytes that is zeroed first; strings and lists live
 * in `arena`.  ZM_E_FORMAT with "FILE:LINE:COLUMN: ..." for broken YAML, unknown keys (with the nearest known one),
 * duplicates, wrong types, values out of range, anchors, aliases, tags, more than one document and nesting beyond
 * 8; ZM_E_MISSING: a required key is absent; ZM_E_IO; ZM_E_NOMEM. */
ZM_MUST zm_status zm_config_load(void *out, zm_arena *arena, const char *path, const zm_config_table *table,
                                 zm_error *err);
/* As above from memory; `name` stands for the file in errors. */
ZM_MUST zm_status zm_config_parse(void *out, zm_arena *arena, const char *text, size_t bytes, const char *name,
                                  const zm_config_table *table, zm_error *err);
/* One value by dotted key over an already read struct, for "--set train.steps=100".  `value` is written as in YAML;
 * LIST rows cannot be set so (ZM_E_USAGE, as every other refusal here). */
ZM_MUST zm_status zm_config_set(void *out, zm_arena *arena, const char *key, const char *value,
                                const zm_config_table *table, zm_error *err);
/* Print the table as a Markdown table: key, type, default, range, help. */
void zm_config_print_help(FILE *to, const zm_config_table *table);
/* Print the values in *in as YAML that zm_config_parse reads back to the same values. */
void zm_config_print(FILE *to, const void *in, const zm_config_table *table);

#endif
