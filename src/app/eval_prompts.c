/* Prompts of a file: made, looked at, told, and scored on what their lines say.
 * SPDX-License-Identifier: MIT */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "app/eval_run.h"
#include "base/mapfile.h"
#include "format/jsonl.h"

enum { FILE_MAX = 16 << 20, NAME_MAX_BYTES = 64 };

typedef struct work {
    zm_eval_maker *m;
    zm_eval_eye *e;
    uint64_t seed;
    bool json;
    zm_eval_sheet *sheet;
    zm_eval_tally tally;
    uint8_t *rgb;
    json_t *rows;
    int n;
} work;

/* ---- what a line asks for ---- */

static zm_status read_value(int *out, const zm_json *j, const char *key, zm_world_attr a, zm_error *err)
{
    const char *name = NULL;
    zm_status s = zm_json_str(&name, j, key, false, err);
    if (s || !name)
        return s;
    *out = zm_world_find(a, name);
    return *out >= 0 ? ZM_OK
                     : zm_fail(err, ZM_E_FORMAT, "%s: %s is \"%s\", which the toy-box world does not know", j->file,
                               key, name);
}

/* A name, or an array of up to two: the subject's and the others'. */
static zm_status read_pair(int *out, int *n, const zm_json *j, const char *key, zm_world_attr a, zm_error *err)
{
    json_t *v = json_object_get(j->root, key);
    if (!json_is_array(v)) {
        zm_status s = read_value(&out[0], j, key, a, err);
        *n = out[0] >= 0 && *n < 1 ? 1 : *n;
        return s;
    }
    if (json_array_size(v) > ZM_WORLD_GROUPS)
        return zm_fail(err, ZM_E_FORMAT, "%s: %s has %zu names, at most %d can be asked for", j->file, key,
                       json_array_size(v), ZM_WORLD_GROUPS);
    zm_status s = ZM_OK;
    for (int i = 0; !s && i < (int)json_array_size(v); i++) {
        char at[32];
        snprintf(at, sizeof at, "%s[%d]", key, i);
        s = read_value(&out[i], j, at, a, err);
        *n = i + 1 > *n ? i + 1 : *n;
    }
    return s;
}

static zm_status read_facts(zm_eval_facts *f, const zm_json *j, zm_error *err)
{
    *f = zm_eval_facts_none();
    int64_t count = -1;
    zm_status s = read_pair(f->cls, &f->n_group, j, "object", ZM_ATTR_CLASS, err);
    if (!s)
        s = read_pair(f->colour, &f->n_group, j, "colour", ZM_ATTR_COLOUR, err);
    if (!s)
        s = zm_json_int(&count, j, "count", false, 0, ZM_WORLD_MAX_BODIES, err);
    if (!s)
        s = read_value(&f->action, j, "action", ZM_ATTR_ACTION, err);
    if (!s)
        s = read_value(&f->ground, j, "ground", ZM_ATTR_GROUND, err);
    if (!s)
        s = read_value(&f->light, j, "light", ZM_ATTR_LIGHT, err);
    if (!s)
        s = read_value(&f->camera, j, "camera", ZM_ATTR_CAMERA, err);
    f->bodies = (int)count;
    return s;
}

/* ---- what is seen ---- */

static const char *name_of(zm_world_attr a, int value, char *buf)
{
    return zm_world_name(a, value, ZM_LANG_EN, 0, buf, NAME_MAX_BYTES) ? buf : "?";
}

static json_t *seen_json(const zm_eval_sight *v)
{
    char text[NAME_MAX_BYTES];
    json_t *bodies = json_array();
    for (int i = 0; i < v->tracks.n; i++) {
        const zm_track *t = &v->tracks.track[i];
        if (!zm_eval_steady(t, v->tracks.frames))
            continue;
        json_t *b = json_pack("{s:s, s:i, s:i, s:i}", "object", name_of(ZM_ATTR_CLASS, t->cls, text), "first", t->first,
                              "last", t->last, "frames", t->n);
        if (t->cls < ZM_CLASS_SHAPES)
            json_object_set_new(b, "colour", json_string(name_of(ZM_ATTR_COLOUR, t->colour, text)));
        json_array_append_new(bodies, b);
    }
    json_t *j = json_pack("{s:o, s:i}", "bodies", bodies, "count", zm_eval_bodies(v));
    const struct {
        const char *key;
        zm_world_attr attr;
        zm_detector_head head;
    } row[] = {{"action", ZM_ATTR_ACTION, ZM_HEAD_ACTION},
               {"ground", ZM_ATTR_GROUND, ZM_HEAD_GROUND},
               {"light", ZM_ATTR_LIGHT, ZM_HEAD_LIGHT},
               {"camera", ZM_ATTR_CAMERA, ZM_HEAD_CAMERA}};
    for (size_t i = 0; j && i < sizeof row / sizeof *row; i++)
        json_object_set_new(j, row[i].key, json_string(name_of(row[i].attr, v->answer[row[i].head], text)));
    return j;
}

static void print_seen(const work *w, const char *prompt, const json_t *seen, const zm_eval_facts *f,
                       const zm_eval_sight *v)
{
    printf("%d: %s\n   sees", w->n, prompt);
    size_t i;
    json_t *body;
    json_array_foreach(json_object_get(seen, "bodies"), i, body)
    {
        const char *colour = json_string_value(json_object_get(body, "colour"));
        printf("%s %s%s%s", i ? "," : "", colour ? colour : "", colour ? " " : "",
               json_string_value(json_object_get(body, "object")));
    }
    printf("%s; %s, %s, %s, camera %s\n", i ? "" : " nothing", json_string_value(json_object_get(seen, "action")),
           json_string_value(json_object_get(seen, "ground")), json_string_value(json_object_get(seen, "light")),
           json_string_value(json_object_get(seen, "camera")));
    bool any = false;
    for (int a = 0; a < ZM_EVAL_ATTRS; a++) {
        int right = zm_eval_check(f, v, (zm_eval_attr)a);
        if (right >= 0)
            printf("%s %s%s", any ? "" : "  ", zm_eval_name((zm_eval_attr)a), right ? " right" : " WRONG");
        any = any || right >= 0;
    }
    if (any)
        printf("\n");
    fflush(stdout);
}

static zm_status keep_row(work *w, const char *prompt, json_t *seen, const zm_eval_facts *f, const zm_eval_sight *v,
                          zm_error *err)
{
    json_t *right = json_object();
    for (int a = 0; a < ZM_EVAL_ATTRS; a++) {
        int r = zm_eval_check(f, v, (zm_eval_attr)a);
        if (r >= 0)
            json_object_set_new(right, zm_eval_name((zm_eval_attr)a), json_boolean(r));
    }
    json_t *row = json_pack("{s:s, s:O, s:o}", "prompt", prompt, "seen", seen, "right", right);
    return !row || json_array_append_new(w->rows, row) ? zm_fail(err, ZM_E_NOMEM, "out of memory for a report") : ZM_OK;
}

static zm_status one(work *w, const char *prompt, const zm_eval_facts *f, zm_error *err)
{
    zm_eval_sight v = {0};
    zm_status s = zm_eval_make(w->m, prompt, w->seed + (uint64_t)w->n, w->rgb, err);
    if (!s)
        s = zm_eval_look(w->e, w->rgb, w->m->request.fps, &v, err);
    if (s)
        return s;
    w->n++;
    zm_eval_add(&w->tally, f, &v);
    json_t *seen = seen_json(&v);
    if (!seen)
        s = zm_fail(err, ZM_E_NOMEM, "out of memory for a report");
    else if (w->json)
        s = keep_row(w, prompt, seen, f, &v, err);
    else
        print_seen(w, prompt, seen, f, &v);
    json_decref(seen);
    zm_tracks_release(&v.tracks);
    return s ? s : zm_eval_sheet_add(w->sheet, w->rgb, zm_eval_eye_config(w->e), prompt, err);
}

/* ---- the file ---- */

static zm_status json_lines(work *w, const char *path, zm_error *err)
{
    zm_jsonl *r;
    zm_status s = zm_jsonl_open(&r, path, err);
    if (s)
        return s;
    zm_json line;
    while (!s && !(s = zm_jsonl_next(&line, r, err)) && line.root) {
        const char *prompt;
        zm_eval_facts f;
        s = zm_json_str(&prompt, &line, "prompt", true, err);
        if (!s)
            s = read_facts(&f, &line, err);
        if (!s)
            s = one(w, prompt, &f, err);
    }
    zm_jsonl_close(r);
    return s;
}

static zm_status text_lines(work *w, char *text, zm_error *err)
{
    zm_eval_facts none = zm_eval_facts_none();
    zm_status s = ZM_OK;
    char *rest = text, *line;
    while (!s && (line = strtok_r(rest, "\r\n", &rest)))
        if (line[strspn(line, " \t")])
            s = one(w, line, &none, err);
    return s;
}

static zm_status print_all(work *w, zm_error *err)
{
    json_t *share = json_object(), *j = NULL;
    for (int a = 0; a < ZM_EVAL_ATTRS; a++)
        if (w->tally.asked[a]) {
            double v = zm_eval_share(&w->tally, (zm_eval_attr)a);
            if (w->json)
                json_object_set_new(share, zm_eval_name((zm_eval_attr)a), json_real(v));
            else
                printf("%-10s %5.1f %% of %d\n", zm_eval_name((zm_eval_attr)a), 100 * v, w->tally.asked[a]);
        }
    char *text = NULL;
    zm_status s = ZM_OK;
    if (w->json) {
        j = json_pack("{s:O, s:O}", "prompts", w->rows, "share_right", share);
        text = j ? json_dumps(j, JSON_REAL_PRECISION(5)) : NULL;
        if (text)
            puts(text);
        else
            s = zm_fail(err, ZM_E_NOMEM, "out of memory for a report");
    }
    json_decref(j);
    json_decref(share);
    free(text);
    return s;
}

zm_status zm_eval_prompts(zm_eval_maker *m, zm_eval_eye *e, const char *path, uint64_t seed, bool json,
                          zm_eval_sheet *sheet, zm_error *err)
{
    const zm_detector_config *c = zm_eval_eye_config(e);
    work w = {.m = m, .e = e, .seed = seed, .json = json, .sheet = sheet, .rows = json_array()};
    char *text = NULL;
    size_t size;
    zm_status s = zm_file_read(&text, &size, path, FILE_MAX, err);
    w.rgb = malloc((size_t)c->width * (size_t)c->height * 3 * (size_t)c->frames);
    if (!s && (!w.rgb || !w.rows))
        s = zm_fail(err, ZM_E_NOMEM, "out of memory for clips");
    if (!s)
        s = text[strspn(text, " \t\r\n")] == '{' ? json_lines(&w, path, err) : text_lines(&w, text, err);
    if (!s && w.n == 0)
        s = zm_fail(err, ZM_E_FORMAT, "%s: there is no prompt in it", path);
    if (!s)
        s = print_all(&w, err);
    json_decref(w.rows);
    free(w.rgb);
    free(text);
    return s;
}
