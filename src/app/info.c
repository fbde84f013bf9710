/* zouma info: what a weight file or a model directory is.
 * SPDX-License-Identifier: MIT */
#include "app/info.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/common.h"
#include "base/mapfile.h"
#include "format/weights.h"
#include "model/models.h"
#include "model/vae.h"

/* Everything is gathered as JSON first; the text for people is printed from it. */

static json_t *meta_value(const zm_meta *m)
{
    enum { TEXT_MAX = 400 };
    switch (m->type) {
    case ZM_META_STR: {
        size_t n = m->n < TEXT_MAX ? m->n : TEXT_MAX;
        while (n && n < m->n && ((unsigned char)m->str[n] & 0xC0) == 0x80)
            n--; /* not in the middle of a character */
        json_t *s = json_stringn(m->str, n);
        return s ? s : json_pack("s", "(not UTF-8)");
    }
    case ZM_META_U64:
        return json_integer((json_int_t)m->u64);
    case ZM_META_I64:
        return json_integer((json_int_t)m->i64);
    case ZM_META_F64:
        return isfinite(m->f64) ? json_real(m->f64) : json_null();
    case ZM_META_BOOL:
        return json_boolean(m->u64);
    default:
        return json_sprintf("(array of %zu)", m->n);
    }
}

static json_t *metadata(const zm_weights *w)
{
    json_t *j = json_object();
    for (size_t i = 0; i < zm_weights_meta_count(w); i++) {
        const zm_meta *m = zm_weights_meta_at(w, i);
        json_object_set_new(j, m->key, meta_value(m));
    }
    return j;
}

static const char *dtype_of(const zm_weight *t)
{
    return t->dtype_name ? t->dtype_name : t->dtype < ZM_DTYPE_COUNT ? zm_dtype_name(t->dtype) : "?";
}

static json_t *tensor_row(const zm_weight *t)
{
    json_t *dims = json_array();
    for (int i = 0; i < t->rank; i++)
        json_array_append_new(dims, json_integer((json_int_t)t->dim[i]));
    return json_pack("{s:s, s:s, s:o, s:I}", "name", t->name, "dtype", dtype_of(t), "shape", dims, "bytes",
                     (json_int_t)t->bytes);
}

/* What the tensors' names and shapes say, where a family knows them. */
static void add_kind(json_t *j, const zm_weights *w)
{
    zm_dit_config dit;
    zm_text_config text;
    zm_vae_config vae;
    zm_error ignored = {0};
    char *sizes = NULL;
    const char *what = NULL;
    if (!zm_dit_config_detect(&dit, w, "", &ignored)) {
        const zm_model_family *f = zm_model_family_detect(&dit, false);
        what = "diffusion transformer";
        sizes = zm_dit_config_json(&dit);
        if (f)
            json_object_set_new(j, "family", json_string(f->name));
    } else if (!zm_text_config_detect(&text, w, "", &ignored)) {
        what = "text encoder";
        sizes = zm_text_config_json(&text);
    } else if (!zm_vae_config_detect(&vae, w, "", &ignored)) {
        what = "video autoencoder";
        sizes = zm_vae_config_json(&vae);
    }
    if (what)
        json_object_set_new(j, "network", json_string(what));
    json_t *parsed = sizes ? json_loads(sizes, 0, NULL) : NULL;
    if (parsed)
        json_object_set_new(j, "sizes", parsed);
    free(sizes);
}

static json_t *weights_json(const zm_weights *w, bool tensors)
{
    json_t *dtypes = json_object(), *rows = tensors ? json_array() : NULL;
    json_int_t elems = 0, bytes = 0;
    for (size_t i = 0; i < zm_weights_count(w); i++) {
        const zm_weight *t = zm_weights_at(w, i);
        json_int_t n = json_integer_value(json_object_get(dtypes, dtype_of(t)));
        json_object_set_new(dtypes, dtype_of(t), json_integer(n + 1));
        elems += (json_int_t)zm_weight_elems(t);
        bytes += (json_int_t)t->bytes;
        if (rows)
            json_array_append_new(rows, tensor_row(t));
    }
    json_t *j = json_pack("{s:s, s:s, s:I, s:I, s:I, s:o, s:o}", "path", zm_weights_path(w), "container",
                          zm_weights_container(w), "tensors", (json_int_t)zm_weights_count(w), "parameters", elems,
                          "bytes", bytes, "dtypes", dtypes, "metadata", metadata(w));
    if (j) {
        add_kind(j, w);
        if (rows)
            json_object_set_new(j, "list", rows);
    }
    return j;
}

static zm_status file_json(json_t **out, const char *path, bool tensors, zm_error *err)
{
    zm_weights *w;
    *out = NULL;
    zm_status s = zm_weights_open(&w, path, err);
    if (s)
        return s;
    *out = weights_json(w, tensors);
    zm_weights_free(w);
    return *out ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
}

static zm_status add_part(json_t *parts, const char *name, const char *path, bool tensors, zm_error *err)
{
    if (!path)
        return ZM_OK;
    json_t *j;
    zm_status s = file_json(&j, path, tensors, err);
    if (!s)
        json_object_set_new(parts, name, j);
    return s;
}

static zm_status model_json(json_t **out, const char *path, bool tensors, zm_error *err)
{
    zm_model_config c;
    *out = NULL;
    zm_status s = zm_model_config_open(&c, path, err);
    if (s)
        return s;
    json_t *parts = json_object();
    s = add_part(parts, "diffusion transformer", c.dit_path, tensors, err);
    if (!s)
        s = add_part(parts, "text encoder", c.text_path, tensors, err);
    if (!s)
        s = add_part(parts, "video autoencoder", c.vae_path, tensors, err);
    char *detector = zm_path_join(path, "detector.gguf");
    if (!s && detector && zm_path_is_file(detector))
        s = add_part(parts, "detector", detector, tensors, err);
    free(detector);
    if (s)
        json_decref(parts);
    else if (!(*out = json_pack("{s:s, s:s, s:s, s:s, s:{s:i, s:i, s:i, s:f}, s:{s:i, s:f, s:f, s:s}, s:o, s:O}",
                                "path", path, "name", c.name, "family", c.family->name, "summary", c.family->summary,
                                "video", "width", c.video.width, "height", c.video.height, "frames", c.video.frames,
                                "fps", c.video.fps, "sampling", "steps", c.sampling.steps, "guidance",
                                c.sampling.guidance, "shift", c.sampling.shift, "solver", c.sampling.solver, "parts",
                                parts, "config", c.json.root)))
        s = zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    zm_model_config_close(&c);
    return s;
}

/* ---- for people ---- */

static void print_compact(const char *label, const json_t *value)
{
    char *text = json_is_string(value) ? strdup(json_string_value(value))
                                       : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
    printf("  %-14s %s\n", label, text ? text : "");
    free(text);
}

static void print_weights(const json_t *j, const char *title)
{
    double mb = 1e-6 * (double)json_integer_value(json_object_get(j, "bytes"));
    printf("%s: %s\n", title, json_string_value(json_object_get(j, "path")));
    printf("  %-14s %s, %" JSON_INTEGER_FORMAT " tensors, %" JSON_INTEGER_FORMAT " parameters, %.1f MB\n", "container",
           json_string_value(json_object_get(j, "container")), json_integer_value(json_object_get(j, "tensors")),
           json_integer_value(json_object_get(j, "parameters")), mb);
    static const char *const key[] = {"dtypes", "network", "family", "sizes"};
    for (size_t i = 0; i < sizeof key / sizeof *key; i++)
        if (json_object_get(j, key[i]))
            print_compact(key[i], json_object_get(j, key[i]));
    const char *name;
    json_t *value;
    size_t i;
    json_object_foreach(json_object_get(j, "metadata"), name, value) print_compact(name, value);
    json_array_foreach(json_object_get(j, "list"), i, value)
    {
        char *shape = json_dumps(json_object_get(value, "shape"), JSON_COMPACT);
        printf("  %-6s %-24s %s\n", json_string_value(json_object_get(value, "dtype")), shape ? shape : "",
               json_string_value(json_object_get(value, "name")));
        free(shape);
    }
}

static void print_model(const json_t *j)
{
    printf("%s: %s, %s (%s)\n", json_string_value(json_object_get(j, "path")),
           json_string_value(json_object_get(j, "name")), json_string_value(json_object_get(j, "family")),
           json_string_value(json_object_get(j, "summary")));
    print_compact("video", json_object_get(j, "video"));
    print_compact("sampling", json_object_get(j, "sampling"));
    const char *name;
    json_t *part;
    json_object_foreach(json_object_get(j, "parts"), name, part) print_weights(part, name);
}

int zm_cmd_info(int argc, char **argv)
{
    static const char usage[] = "FILE|DIR [--tensors] [--json]",
                      help[] = "Tell what a weight file (safetensors, GGUF, PyTorch) or a model directory is.";
    bool tensors = false, as_json = false;
    const char *words[1];
    const zm_arg args[] = {
        {"--tensors", 0, ZM_ARG_FLAG, &tensors, 0, 0, NULL, "list every tensor"},
        {"--json", 0, ZM_ARG_FLAG, &as_json, 0, 0, NULL, "one JSON object"},
    };
    int n = zm_args_parse(argc, argv, args, sizeof args / sizeof *args, words, 1, usage, help);
    if (n < 0)
        return n == -1 ? 2 : 0;
    if (n == 0) {
        fprintf(stderr, "zouma info: of what?  usage: zouma info %s\n", usage);
        return 2;
    }
    char *config = zm_path_join(words[0], "config.json");
    bool model = config && zm_path_is_file(config);
    free(config);
    zm_error err = {0};
    json_t *j;
    zm_status s = model ? model_json(&j, words[0], tensors, &err) : file_json(&j, words[0], tensors, &err);
    if (s)
        return zm_app_report("info", &err);
    if (as_json) {
        char *text = json_dumps(j, JSON_REAL_PRECISION(9));
        if (text)
            puts(text);
        free(text);
    } else if (model) {
        print_model(j);
    } else {
        print_weights(j, "weights");
    }
    json_decref(j);
    return 0;
}
