/* Hand-written YAML checked against a table of rows and written into a C struct.
 * SPDX-License-Identifier: MIT */
#include "format/config.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/mapfile.h"
#include "format/config_value.h"
#include "format/nearest.h"

enum { FILE_BYTES_MAX = 1 << 20, DEPTH_MAX = 8, LIST_MAX_DEFAULT = 4096 };

/* libyaml's event stream.  `event` is the current one; it is owned here until the next. */
typedef struct reader {
    yaml_parser_t parser;
    yaml_event_t event;
    const char *file;
    zm_arena *arena;
    zm_error *err;
    int depth;
} reader;

static zm_config_place here(const reader *r, const char *key)
{
    return (zm_config_place){r->file, r->event.start_mark.line + 1, r->event.start_mark.column + 1, key};
}

static zm_status no_memory(const reader *r)
{
    return zm_fail(r->err, ZM_E_NOMEM, "%s: out of memory", r->file ? r->file : "setting");
}

static zm_status broken(reader *r)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return no_memory(r);
    zm_config_place at = {r->file, p->problem_mark.line + 1, p->problem_mark.column + 1, ""};
    if (p->error == YAML_READER_ERROR) {
        at.line = 0; /* libyaml knows no line then */
        return zm_config_fail(r->err, ZM_E_FORMAT, &at, "%s at byte %zu", p->problem ? p->problem : "not text",
                              p->problem_offset);
    }
    return zm_config_fail(r->err, ZM_E_FORMAT, &at, "%s", p->problem ? p->problem : "broken YAML");
}

static zm_status refuse_references(const reader *r)
{
    const yaml_event_t *e = &r->event;
    bool anchor = e->type == YAML_ALIAS_EVENT || (e->type == YAML_SCALAR_EVENT && e->data.scalar.anchor) ||
                  (e->type == YAML_SEQUENCE_START_EVENT && e->data.sequence_start.anchor) ||
                  (e->type == YAML_MAPPING_START_EVENT && e->data.mapping_start.anchor);
    bool tag = (e->type == YAML_SCALAR_EVENT && e->data.scalar.tag) ||
               (e->type == YAML_SEQUENCE_START_EVENT && e->data.sequence_start.tag) ||
               (e->type == YAML_MAPPING_START_EVENT && e->data.mapping_start.tag);
    zm_config_place at = here(r, "");
    if (anchor)
        return zm_config_fail(r->err, ZM_E_FORMAT, &at, "anchors and aliases (& and *) are not allowed here");
    if (tag)
        return zm_config_fail(r->err, ZM_E_FORMAT, &at, "tags (!) are not allowed here");
    return ZM_OK;
}

static zm_status advance(reader *r)
{
    yaml_event_delete(&r->event);
    if (!yaml_parser_parse(&r->parser, &r->event))
        return broken(r);
    yaml_event_type_t t = r->event.type;
    if (t == YAML_SEQUENCE_START_EVENT || t == YAML_MAPPING_START_EVENT)
        r->depth++;
    if (t == YAML_SEQUENCE_END_EVENT || t == YAML_MAPPING_END_EVENT)
        r->depth--;
    zm_config_place at = here(r, "");
    if (r->depth > DEPTH_MAX)
        return zm_config_fail(r->err, ZM_E_FORMAT, &at, "nested deeper than %d", DEPTH_MAX);
    return refuse_references(r);
}

static bool at_null(const reader *r)
{
    if (r->event.type != YAML_SCALAR_EVENT || !r->event.data.scalar.plain_implicit)
        return false;
    const char *s = (const char *)r->event.data.scalar.value;
    return !*s || !strcmp(s, "~") || !strcmp(s, "null");
}

static zm_status read_struct(void *out, reader *r, const zm_config_table *table, const char *prefix);

static zm_status read_scalar(void *field, reader *r, const zm_config_row *row, zm_config_type type, const char *key)
{
    zm_config_place at = here(r, key);
    if (r->event.type != YAML_SCALAR_EVENT) {
        char needed[160];
        zm_config_needed(needed, sizeof needed, row, type);
        return zm_config_fail(r->err, ZM_E_FORMAT, &at, "%s is a %s, %s is needed", key,
                              r->event.type == YAML_MAPPING_START_EVENT ? "mapping" : "list", needed);
    }
    return zm_config_scalar(field, row, type, (const char *)r->event.data.scalar.value, r->event.data.scalar.length,
                            r->event.data.scalar.plain_implicit, r->arena, &at, r->err);
}

_Static_assert(sizeof(zm_config_ints) == sizeof(zm_config_list) && sizeof(zm_config_floats) == sizeof(zm_config_list) &&
                   sizeof(zm_config_strs) == sizeof(zm_config_list),
               "the list structs are a pointer and a count");

static void put_list(void *field, void *at, size_t n)
{
    const zm_config_list list = {at, n};
    memcpy(field, &list, sizeof list);
}

static zm_status read_element(void *slot, reader *r, const zm_config_row *row, const char *key, size_t i)
{
    char *name = zm_arena_printf(r->arena, "%s[%zu]", key, i);
    if (!name)
        return no_memory(r);
    if (row->type != ZM_CONFIG_LIST)
        return read_scalar(slot, r, row, zm_config_element(row->type), name);
    if (r->event.type != YAML_MAPPING_START_EVENT) {
        zm_config_place at = here(r, name);
        return zm_config_fail(r->err, ZM_E_FORMAT, &at, "%s is not a mapping of keys to values", name);
    }
    return read_struct(slot, r, row->item, name);
}

/* Current event: the list's start.  Ends at its end.  `field` is any of the four list structs: one layout. */
static zm_status read_list(void *field, reader *r, const zm_config_row *row, const char *key)
{
    zm_config_place at = here(r, key);
    if (r->event.type != YAML_SEQUENCE_START_EVENT)
        return zm_config_fail(r->err, ZM_E_FORMAT, &at, "%s is not a list", key);
    size_t each = row->type == ZM_CONFIG_LIST ? row->item->size : zm_config_type_bytes(zm_config_element(row->type));
    size_t max = row->max_n ? row->max_n : LIST_MAX_DEFAULT, n = 0, room = 0;
    unsigned char *items = NULL;
    zm_status s;
    while (!(s = advance(r)) && r->event.type != YAML_SEQUENCE_END_EVENT) {
        if (n == max) {
            at = here(r, key);
            s = zm_config_fail(r->err, ZM_E_FORMAT, &at, "%s has more than %zu elements", key, max);
            break;
        }
        if (n == room) {
            room = room ? 2 * room : 8;
            unsigned char *more = realloc(items, room * each);
            if (!more) {
                s = no_memory(r);
                break;
            }
            items = more;
        }
        memset(items + n * each, 0, each);
        if ((s = read_element(items + n * each, r, row, key, n)))
            break;
        n++;
    }
    if (!s && !n)
        put_list(field, NULL, 0);
    if (!s && n) {
        void *kept = zm_arena_array(r->arena, n, each);
        if (kept)
            put_list(field, memcpy(kept, items, n * each), n);
        else
            s = no_memory(r);
    }
    free(items);
    return s;
}

/* Sets *set unless the value is null, which means "the default". */
static zm_status read_value(void *out, bool *set, reader *r, const zm_config_row *row, const char *key)
{
    *set = !at_null(r);
    if (!*set)
        return ZM_OK;
    void *field = (char *)out + row->offset;
    if (row->type == ZM_CONFIG_LIST || zm_config_element(row->type) != row->type)
        return read_list(field, r, row, key);
    return read_scalar(field, r, row, row->type, key);
}

static bool is_group(const zm_config_table *table, const char *key)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < table->n; i++)
        if (!strncmp(table->rows[i].key, key, n) && table->rows[i].key[n] == '.')
            return true;
    return false;
}

static zm_status unknown_key(const reader *r, const zm_config_table *table, const char *key)
{
    const char *nearest = NULL, *last = strrchr(key, '.');
    size_t best = strlen(key) / 3 + 2;
    last = last ? last + 1 : key;
    for (size_t i = 0; i < table->n; i++) {
        const char *known = table->rows[i].key, *known_last = strrchr(known, '.');
        known_last = known_last ? known_last + 1 : known;
        size_t whole = zm_edit_distance(known, key), end = zm_edit_distance(known_last, last);
        size_t d = end < whole ? end : whole; /* right name under the wrong parent is near too */
        if (d < best) {
            best = d;
            nearest = known;
        }
    }
    zm_config_place at = here(r, key);
    return nearest ? zm_config_fail(r->err, ZM_E_FORMAT, &at, "unknown key '%.80s' (did you mean '%s'?)", key, nearest)
                   : zm_config_fail(r->err, ZM_E_FORMAT, &at, "unknown key '%.80s'", key);
}

/* One mapping of a struct: the root or a dotted group.  seen[i] tells whether row i has a value. */
typedef struct level {
    void *out;
    const zm_config_table *table;
    const char *shown;  /* "scenes[2]." or "", for errors */
    const char *prefix; /* "train." or "", for rows */
    bool *seen, *named; /* [table->n]; named: the key appeared, even with null */
} level;

static zm_status read_key(char **full, reader *r, const level *l)
{
    zm_config_place at = here(r, "");
    if (r->event.type != YAML_SCALAR_EVENT)
        return zm_config_fail(r->err, ZM_E_FORMAT, &at, "a key must be a word");
    const char *text = (const char *)r->event.data.scalar.value;
    size_t n = r->event.data.scalar.length;
    bool clean = n && n < 128;
    for (size_t i = 0; i < n && clean; i++)
        clean = (unsigned char)text[i] > 0x20 && text[i] != 0x7f;
    if (!clean)
        return zm_config_fail(r->err, ZM_E_FORMAT, &at, "a key of %zu bytes must be one word below 128 bytes", n);
    *full = zm_arena_printf(r->arena, "%s%s", l->prefix, text);
    return *full ? ZM_OK : no_memory(r);
}

static zm_status read_mapping(reader *r, const level *l);

static zm_status read_group(reader *r, const level *l, const char *full)
{
    zm_config_place at = here(r, full);
    if (at_null(r))
        return ZM_OK;
    if (r->event.type != YAML_MAPPING_START_EVENT)
        return zm_config_fail(r->err, ZM_E_FORMAT, &at, "%s%s is not a mapping of keys to values", l->shown, full);
    level inner = *l;
    inner.prefix = zm_arena_printf(r->arena, "%s.", full);
    return inner.prefix ? read_mapping(r, &inner) : no_memory(r);
}

static zm_status read_entry(reader *r, const level *l, const char **keys, size_t *n_keys)
{
    const zm_config_table *t = l->table;
    char *full;
    zm_status s = read_key(&full, r, l);
    if (s)
        return s;
    size_t i = 0;
    while (i < t->n && strcmp(t->rows[i].key, full))
        i++;
    if (i == t->n && !is_group(t, full))
        return unknown_key(r, t, full);
    bool twice = i < t->n && l->named[i];
    for (size_t k = 0; k < *n_keys; k++)
        twice |= !strcmp(keys[k], full);
    zm_config_place at = here(r, full);
    if (twice)
        return zm_config_fail(r->err, ZM_E_FORMAT, &at, "%s%s is given twice", l->shown, full);
    keys[(*n_keys)++] = full;
    if ((s = advance(r)))
        return s;
    if (i == t->n)
        return read_group(r, l, full);
    l->named[i] = true;
    char *name = zm_arena_printf(r->arena, "%s%s", l->shown, full);
    return name ? read_value(l->out, &l->seen[i], r, &t->rows[i], name) : no_memory(r);
}

/* Current event: the mapping's start.  Ends at its end. */
static zm_status read_mapping(reader *r, const level *l)
{
    /* Distinct known keys of one mapping are at most one for each row, and a repeated one ends the reading. */
    const char **keys = zm_arena_array(r->arena, l->table->n + 1, sizeof *keys);
    size_t n_keys = 0;
    zm_status s = keys ? ZM_OK : no_memory(r);
    while (!s && !(s = advance(r)) && r->event.type != YAML_MAPPING_END_EVENT)
        s = read_entry(r, l, keys, &n_keys);
    return s;
}

static zm_status apply_defaults(const level *l, reader *r, zm_config_place at)
{
    for (size_t i = 0; i < l->table->n; i++) {
        const zm_config_row *row = &l->table->rows[i];
        if (l->seen[i])
            continue;
        if (!row->fallback)
            return zm_config_fail(r->err, ZM_E_MISSING, &at, "%s%s is missing (%s)", l->shown, row->key,
                                  row->help ? row->help : "required");
        zm_config_place nowhere = {NULL, 0, 0, row->key};
        zm_error why = {0};
        zm_status s = zm_config_text((char *)l->out + row->offset, row, row->fallback, r->arena, &nowhere, &why);
        if (s == ZM_E_NOMEM)
            return no_memory(r);
        ZM_ASSERT(!s && "a table row's own default is not valid");
    }
    return ZM_OK;
}

/* Current event: a mapping's start, or anything else for an empty one.  `shown` is "" or "scenes[2]". */
static zm_status read_struct(void *out, reader *r, const zm_config_table *table, const char *shown)
{
    zm_config_place start = here(r, shown);
    if (!*shown)
        start.line = 0; /* a missing key of the root has no place of its own */
    bool *flags = zm_arena_array(r->arena, 2 * table->n + 2, sizeof *flags);
    level l = {out, table, shown, "", flags, flags ? flags + table->n + 1 : NULL};
    if (flags && *shown)
        l.shown = zm_arena_printf(r->arena, "%s.", shown);
    if (!flags || !l.shown)
        return no_memory(r);
    zm_status s = ZM_OK;
    if (r->event.type == YAML_MAPPING_START_EVENT)
        s = read_mapping(r, &l);
    return s ? s : apply_defaults(&l, r, start);
}

static zm_status read_document(void *out, reader *r, const zm_config_table *table)
{
    zm_status s = advance(r); /* stream start */
    if (!s)
        s = advance(r);
    if (!s && r->event.type == YAML_DOCUMENT_START_EVENT)
        s = advance(r);
    if (s)
        return s;
    bool empty = r->event.type == YAML_STREAM_END_EVENT;
    zm_config_place at = here(r, "");
    if (!empty && !at_null(r) && r->event.type != YAML_MAPPING_START_EVENT)
        return zm_config_fail(r->err, ZM_E_FORMAT, &at, "not a mapping of keys to values");
    s = read_struct(out, r, table, "");
    if (s || empty)
        return s;
    s = advance(r); /* document end */
    if (!s)
        s = advance(r);
    at = here(r, "");
    if (!s && r->event.type != YAML_STREAM_END_EVENT)
        s = zm_config_fail(r->err, ZM_E_FORMAT, &at, "a second document begins, one is possible");
    return s;
}

static zm_status reader_open(reader *r, const char *text, size_t bytes)
{
    if (!yaml_parser_initialize(&r->parser))
        return no_memory(r);
    if (bytes >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
        text += 3;
        bytes -= 3;
    }
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)text, bytes);
    return ZM_OK;
}

static void reader_close(reader *r)
{
    yaml_event_delete(&r->event);
    yaml_parser_delete(&r->parser);
}

zm_status zm_config_parse(void *out, zm_arena *arena, const char *text, size_t bytes, const char *name,
                          const zm_config_table *table, zm_error *err)
{
    memset(out, 0, table->size);
    if (bytes > FILE_BYTES_MAX)
        return zm_fail(err, ZM_E_FORMAT, "%s: %zu bytes, at most %d are possible", name, bytes, FILE_BYTES_MAX);
    reader r = {.file = name, .arena = arena, .err = err};
    zm_status s = reader_open(&r, text, bytes);
    if (s)
        return s;
    s = read_document(out, &r, table);
    reader_close(&r);
    return s;
}

zm_status zm_config_load(void *out, zm_arena *arena, const char *path, const zm_config_table *table, zm_error *err)
{
    char *text;
    size_t bytes;
    memset(out, 0, table->size);
    zm_status s = zm_file_read(&text, &bytes, path, FILE_BYTES_MAX, err);
    if (s)
        return s;
    s = zm_config_parse(out, arena, text, bytes, path, table, err);
    free(text);
    return s;
}

zm_status zm_config_text(void *field, const zm_config_row *row, const char *text, zm_arena *arena,
                         const zm_config_place *at, zm_error *err)
{
    bool list = row->type == ZM_CONFIG_LIST || zm_config_element(row->type) != row->type;
    if (list && !*text) {
        put_list(field, NULL, 0);
        return ZM_OK;
    }
    if (row->type == ZM_CONFIG_STR && !*text) {
        *(const char **)field = NULL;
        return ZM_OK;
    }
    if (!list)
        return zm_config_scalar(field, row, row->type, text, strlen(text), true, arena, at, err);
    reader r = {.arena = arena, .err = err};
    zm_status s = reader_open(&r, text, strlen(text));
    if (s)
        return s;
    for (int i = 0; i < 3 && !s; i++) /* stream, document, value */
        s = advance(&r);
    if (!s)
        s = read_list(field, &r, row, row->key);
    reader_close(&r);
    return s;
}

zm_status zm_config_set(void *out, zm_arena *arena, const char *key, const char *value, const zm_config_table *table,
                        zm_error *err)
{
    const char *nearest = NULL;
    size_t best = strlen(key) / 3 + 2;
    for (size_t i = 0; i < table->n; i++) {
        const zm_config_row *row = &table->rows[i];
        size_t d = zm_edit_distance(row->key, key);
        if (!strcmp(row->key, key) && row->type == ZM_CONFIG_LIST)
            return zm_fail(err, ZM_E_USAGE, "%s is a list of mappings, which only a file can give", key);
        if (!strcmp(row->key, key)) {
            zm_error why = {0};
            zm_config_place at = {.key = row->key};
            zm_status s = zm_config_text((char *)out + row->offset, row, value, arena, &at, &why);
            return s ? zm_fail(err, s == ZM_E_NOMEM ? s : ZM_E_USAGE, "%s", why.text) : ZM_OK;
        }
        if (d < best) {
            best = d;
            nearest = row->key;
        }
    }
    return nearest ? zm_fail(err, ZM_E_USAGE, "unknown setting '%.80s' (did you mean '%s'?)", key, nearest)
                   : zm_fail(err, ZM_E_USAGE, "unknown setting '%.80s'", key);
}
