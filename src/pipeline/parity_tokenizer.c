/* Recompute tokenizer fixtures: golden.json beside the model it names, cleaning.json.
 * SPDX-License-Identifier: MIT */
#include "pipeline/parity_tokenizer.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"
#include "text/clean.h"
#include "text/tokenizer.h"

enum { FILE_MOST = 16 << 20, IDS_MOST = 1 << 16 };

typedef struct context {
    const zm_parity_dir *d;
    zm_tokenizer *t;
    zm_parity_group ids, pieces, decoded;
    zm_error *err;
} context;

static bool has_file(const zm_parity_dir *d, const char *name)
{
    char *path = zm_path_join(d->path, "%s", name);
    bool there = path && zm_path_is_file(path);
    free(path);
    return there;
}

/* Texts may hold NUL bytes, which other JSON files of ours may not. */
static zm_status load(json_t **out, const zm_parity_dir *d, const char *name, zm_error *err)
{
    zm_map map;
    json_error_t at;
    char *path = zm_path_join(d->path, "%s", name);
    zm_status s = path ? zm_map_open(&map, path, err) : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", d->path);
    *out = NULL;
    if (!s) {
        if (map.size <= FILE_MOST)
            *out = json_loadb((const char *)map.at, map.size, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &at);
        if (!*out)
            s = zm_fail(err, ZM_E_FORMAT, "%s:%d:%d: %s", path, map.size <= FILE_MOST ? at.line : 0,
                        map.size <= FILE_MOST ? at.column : 0, map.size <= FILE_MOST ? at.text : "too large");
        zm_map_close(&map);
    }
    free(path);
    return s;
}

/* One yes or no as a comparison of its own. */
static void judge(zm_parity_group *g, size_t kase, bool same)
{
    char name[32];
    snprintf(name, sizeof name, "case %zu", kase);
    zm_parity_add_i32(g, name, &(int32_t){same}, &(int32_t){1}, 1);
}

/* The bytes that a case's hexadecimal digits stand for; malloc'd with a NUL after them. */
static char *bytes_of(const char *hex, size_t *n)
{
    size_t digits = strlen(hex);
    char *out = digits % 2 ? NULL : malloc(digits / 2 + 1);
    for (size_t i = 0; out && i < digits / 2; i++) {
        unsigned value;
        if (sscanf(hex + 2 * i, "%2x", &value) != 1) {
            free(out);
            return NULL;
        }
        out[i] = (char)value;
    }
    if (out)
        out[digits / 2] = 0;
    *n = digits / 2;
    return out;
}

static bool same_pieces(const context *c, const json_t *pieces, const int32_t *ids, size_t n)
{
    bool same = json_array_size(pieces) == n;
    for (size_t i = 0; same && i < n; i++) {
        const char *want = json_string_value(json_array_get(pieces, i));
        same = want && !strcmp(want, zm_tokenizer_piece(c->t, ids[i]));
    }
    return same;
}

static zm_status run_case(context *c, size_t number, const json_t *kase, int32_t *ids)
{
    const char *hex = json_string_value(json_object_get(kase, "utf8_hex")),
               *decoded = json_string_value(json_object_get(kase, "decoded"));
    const json_t *want = json_object_get(kase, "ids");
    size_t bytes, n = 0;
    char *text = hex ? bytes_of(hex, &bytes) : NULL, *back = NULL;
    if (!text || !json_is_array(want))
        return free(text), zm_fail(c->err, ZM_E_FORMAT, "%s: a case of golden.json lacks utf8_hex or ids", c->d->path);
    zm_status s = zm_tokenizer_encode_bytes(c->t, text, bytes, ids, IDS_MOST, &n, NULL, c->err);
    if (!s) {
        n--; /* the fixture's ids come without </s> */
        bool same = json_array_size(want) == n && ids[n] == zm_tokenizer_special(c->t, ZM_TOKEN_EOS);
        for (size_t i = 0; same && i < n; i++)
            same = json_integer_value(json_array_get(want, i)) == ids[i];
        judge(&c->ids, number, same);
        judge(&c->pieces, number, same_pieces(c, json_object_get(kase, "pieces"), ids, n));
        s = zm_tokenizer_decode(c->t, ids, n, &back, c->err);
    }
    if (!s && decoded)
        judge(&c->decoded, number, !strcmp(back, decoded));
    free(back);
    free(text);
    return s;
}

static zm_status run_golden(context *c, zm_parity_report *r)
{
    json_t *golden = NULL;
    const char *model = NULL;
    zm_status s = load(&golden, c->d, "golden.json", c->err);
    if (!s && !(model = json_string_value(json_object_get(golden, "model"))))
        s = zm_fail(c->err, ZM_E_FORMAT, "%s/golden.json names no model", c->d->path);
    if (!s && (strchr(model, '/') || *model == '.'))
        s = zm_fail(c->err, ZM_E_FORMAT, "%s/golden.json: model \"%s\" is not a plain file name", c->d->path, model);
    char *path = s ? NULL : zm_path_join(c->d->path, "%s", model);
    if (!s)
        s = path ? zm_tokenizer_load(&c->t, path, c->err) : zm_fail(c->err, ZM_E_NOMEM, "out of memory");
    free(path);
    int32_t *ids = malloc(IDS_MOST * sizeof *ids);
    if (!s && !ids)
        s = zm_fail(c->err, ZM_E_NOMEM, "%s: out of memory", c->d->path);
    const json_t *cases = json_object_get(golden, "cases");
    for (size_t i = 0; !s && i < json_array_size(cases); i++)
        s = run_case(c, i, json_array_get(cases, i), ids);
    if (!s) {
        zm_parity_line(r, c->d, &c->ids);
        zm_parity_line(r, c->d, &c->pieces);
        if (c->decoded.n)
            zm_parity_line(r, c->d, &c->decoded);
    }
    free(ids);
    zm_tokenizer_free(c->t);
    json_decref(golden);
    return s;
}

static zm_status run_cleaning(const context *c, zm_parity_report *r)
{
    json_t *file = NULL;
    zm_parity_group g = {.name = "cleaning", .metric = ZM_PARITY_EXACT};
    zm_status s = load(&file, c->d, "cleaning.json", c->err);
    for (size_t i = 0; !s && i < json_array_size(file); i++) {
        const json_t *one = json_array_get(file, i);
        const char *text = json_string_value(json_object_get(one, "text")),
                   *want = json_string_value(json_object_get(one, "cleaned"));
        char *got = NULL;
        s = text && want
                ? zm_text_clean(&got, text, c->err)
                : zm_fail(c->err, ZM_E_FORMAT, "%s/cleaning.json: case %zu lacks text or cleaned", c->d->path, i);
        if (!s)
            judge(&g, i, !strcmp(got, want));
        free(got);
    }
    if (!s)
        zm_parity_line(r, c->d, &g);
    json_decref(file);
    return s;
}

static bool detect(const zm_parity_dir *d)
{
    return !d->io && has_file(d, "golden.json");
}

static zm_status run(const zm_parity_dir *d, zm_parity_report *r, zm_error *err)
{
    context c = {.d = d,
                 .ids = {.name = "ids", .metric = ZM_PARITY_EXACT},
                 .pieces = {.name = "pieces", .metric = ZM_PARITY_EXACT},
                 .decoded = {.name = "decoded", .metric = ZM_PARITY_EXACT},
                 .err = err};
    zm_status s = run_golden(&c, r);
    return s || !has_file(d, "cleaning.json") ? s : run_cleaning(&c, r);
}

const zm_parity_kind zm_parity_tokenizer = {"tokenizer", "tokenizers and the cleaning of prompts", detect, run};
