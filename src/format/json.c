/* JSON documents with bounded size and depth, and getters whose errors name file, key and value.
 * SPDX-License-Identifier: MIT */
#include "format/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"

/* jansson's parser recurses, so depth is checked before it sees the text. */
static zm_status check_depth(const char *text, size_t bytes, const char *name, zm_error *err)
{
    size_t depth = 0, line = 1, line_at = 0;
    bool quoted = false;
    for (size_t i = 0; i < bytes; i++) {
        char c = text[i];
        if (c == '\n') {
            line++;
            line_at = i + 1;
        }
        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '[' || c == '{') {
            if (++depth > ZM_JSON_DEPTH_MAX)
                return zm_fail(err, ZM_E_FORMAT, "%s:%zu:%zu: nested deeper than %d", name, line, i - line_at + 1,
                               ZM_JSON_DEPTH_MAX);
        } else if ((c == ']' || c == '}') && depth) {
            depth--;
        }
    }
    return ZM_OK;
}

/* jansson quotes the text near an error: only printable characters of it may reach a terminal. */
static void make_printable(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = '?';
}

zm_status zm_json_parse(zm_json *out, const char *text, size_t bytes, const char *name, zm_error *err)
{
    *out = (zm_json){0};
    zm_status s = check_depth(text, bytes, name, err);
    if (s)
        return s;
    json_error_t why;
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &why);
    /* jansson leaves the text empty where it ran out of memory outside of its scanner */
    if (!root && (json_error_code(&why) == json_error_out_of_memory || !*why.text))
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory for %zu bytes of JSON", name, bytes);
    if (!root) {
        make_printable(why.text);
        return zm_fail(err, ZM_E_FORMAT, "%s:%d:%d: %s", name, why.line, why.column, why.text);
    }
    out->root = root;
    out->file = strdup(name);
    if (!out->file) {
        zm_json_close(out);
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", name);
    }
    return ZM_OK;
}

zm_status zm_json_load(zm_json *out, const char *path, size_t limit, zm_error *err)
{
    *out = (zm_json){0};
    char *text;
    size_t bytes;
    zm_status s = zm_file_read(&text, &bytes, path, limit, err);
    if (s)
        return s;
    s = zm_json_parse(out, text, bytes, path, err);
    free(text);
    return s;
}

void zm_json_close(zm_json *j)
{
    json_decref(j->root);
    free(j->file);
    *j = (zm_json){0};
}

json_t *zm_json_at(const zm_json *j, const char *key)
{
    json_t *at = j->root;
    while (at && *key) {
        if (*key == '[') {
            char *end;
            unsigned long i = strtoul(key + 1, &end, 10);
            if (*end != ']')
                return NULL;
            at = json_array_get(at, i);
            key = end + 1;
        } else {
            char part[128];
            size_t n = strcspn(key, ".[");
            if (n >= sizeof part)
                return NULL;
            memcpy(part, key, n);
            part[n] = 0;
            at = json_object_get(at, part);
            key += n;
        }
        if (*key == '.')
            key++;
    }
    return at;
}

/* A short text of a value for error sentences. */
static void describe(char *out, size_t room, const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_STRING:
        snprintf(out, room, "\"%.40s\"", json_string_value(v));
        make_printable(out);
        return;
    case JSON_INTEGER:
        snprintf(out, room, "%lld", (long long)json_integer_value(v));
        return;
    case JSON_REAL:
        snprintf(out, room, "%g", json_real_value(v));
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        snprintf(out, room, json_is_true(v) ? "true" : "false");
        return;
    case JSON_ARRAY:
        snprintf(out, room, "a list of %zu", json_array_size(v));
        return;
    case JSON_OBJECT:
        snprintf(out, room, "an object");
        return;
    case JSON_NULL:
        snprintf(out, room, "null");
        return;
    }
}

/* *v = the node, NULL when absent or null. */
static zm_status fetch(json_t **v, const zm_json *j, const char *key, bool required, zm_error *err)
{
    *v = zm_json_at(j, key);
    if (json_is_null(*v))
        *v = NULL;
    if (!*v && required)
        return zm_fail(err, ZM_E_MISSING, "%s: %s is missing", j->file, key);
    return ZM_OK;
}

static zm_status wrong(const zm_json *j, const char *key, const json_t *v, const char *needed, zm_error *err)
{
    char text[96];
    describe(text, sizeof text, v);
    return zm_fail(err, ZM_E_FORMAT, "%s: %s is %s, %s is needed", j->file, key, text, needed);
}

static zm_status int_of(int64_t *out, const zm_json *j, const char *key, const json_t *v, int64_t lo, int64_t hi,
                        zm_error *err)
{
    char needed[96];
    if (json_is_integer(v) && json_integer_value(v) >= lo && json_integer_value(v) <= hi) {
        *out = json_integer_value(v);
        return ZM_OK;
    }
    snprintf(needed, sizeof needed, "an integer between %lld and %lld", (long long)lo, (long long)hi);
    return wrong(j, key, v, needed, err);
}

static zm_status f64_of(double *out, const zm_json *j, const char *key, const json_t *v, double lo, double hi,
                        zm_error *err)
{
    char needed[96];
    if (json_is_number(v) && json_number_value(v) >= lo && json_number_value(v) <= hi) {
        *out = json_number_value(v);
        return ZM_OK;
    }
    snprintf(needed, sizeof needed, "a number between %g and %g", lo, hi);
    return wrong(j, key, v, needed, err);
}

zm_status zm_json_int(int64_t *out, const zm_json *j, const char *key, bool required, int64_t lo, int64_t hi,
                      zm_error *err)
{
    json_t *v;
    zm_status s = fetch(&v, j, key, required, err);
    return s || !v ? s : int_of(out, j, key, v, lo, hi, err);
}

zm_status zm_json_f64(double *out, const zm_json *j, const char *key, bool required, double lo, double hi,
                      zm_error *err)
{
    json_t *v;
    zm_status s = fetch(&v, j, key, required, err);
    return s || !v ? s : f64_of(out, j, key, v, lo, hi, err);
}

zm_status zm_json_bool(bool *out, const zm_json *j, const char *key, bool required, zm_error *err)
{
    json_t *v;
    zm_status s = fetch(&v, j, key, required, err);
    if (s || !v)
        return s;
    if (!json_is_boolean(v))
        return wrong(j, key, v, "true or false", err);
    *out = json_is_true(v);
    return ZM_OK;
}

zm_status zm_json_str(const char **out, const zm_json *j, const char *key, bool required, zm_error *err)
{
    json_t *v;
    zm_status s = fetch(&v, j, key, required, err);
    if (s || !v)
        return s;
    if (!json_is_string(v))
        return wrong(j, key, v, "a string", err);
    *out = json_string_value(v);
    return ZM_OK;
}

/* *v = the list, NULL when absent. */
static zm_status fetch_list(json_t **v, const zm_json *j, const char *key, bool required, size_t min_n, size_t max_n,
                            zm_error *err)
{
    zm_status s = fetch(v, j, key, required, err);
    if (s || !*v)
        return s;
    size_t n = json_array_size(*v);
    if (json_is_array(*v) && n >= min_n && n <= max_n)
        return ZM_OK;
    char needed[96];
    snprintf(needed, sizeof needed, "a list of %zu to %zu numbers", min_n, max_n);
    return wrong(j, key, *v, needed, err);
}

zm_status zm_json_ints(int64_t *out, size_t *n, const zm_json *j, const char *key, bool required, size_t min_n,
                       size_t max_n, int64_t lo, int64_t hi, zm_error *err)
{
    json_t *v;
    zm_status s = fetch_list(&v, j, key, required, min_n, max_n, err);
    if (s || !v)
        return s;
    for (size_t i = 0; i < json_array_size(v) && !s; i++) {
        char name[160];
        snprintf(name, sizeof name, "%s[%zu]", key, i);
        s = int_of(&out[i], j, name, json_array_get(v, i), lo, hi, err);
    }
    if (!s)
        *n = json_array_size(v);
    return s;
}

zm_status zm_json_f64s(double *out, size_t *n, const zm_json *j, const char *key, bool required, size_t min_n,
                       size_t max_n, double lo, double hi, zm_error *err)
{
    json_t *v;
    zm_status s = fetch_list(&v, j, key, required, min_n, max_n, err);
    if (s || !v)
        return s;
    for (size_t i = 0; i < json_array_size(v) && !s; i++) {
        char name[160];
        snprintf(name, sizeof name, "%s[%zu]", key, i);
        s = f64_of(&out[i], j, name, json_array_get(v, i), lo, hi, err);
    }
    if (!s)
        *n = json_array_size(v);
    return s;
}
