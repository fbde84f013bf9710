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
#include "pipeline/modes.h"
#include "pipeline/tokenizer_inside.h"

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

static bool has_name_with(const zm_weights *w, const char *word)
{
    for (size_t i = 0; i < zm_weights_count(w); i++)
        if (strstr(zm_weights_at(w, i)->name, word))
            return true;
    return false;
}

static char *dit_sizes(const zm_weights *w)
{
    zm_dit_config c;
    return zm_dit_config_detect(&c, w, "", NULL) ? NULL : zm_dit_config_json(&c);
}

static char *text_sizes(const zm_weights *w)
{
    zm_text_config c;
    return zm_text_config_detect(&c, w, "", NULL) ? NULL : zm_text_config_json(&c);
}

static char *vae_sizes(const zm_weights *w)
{
    zm_vae_config c;
    return zm_vae_config_detect(&c, w, "", NULL) ? NULL : zm_vae_config_json(&c);
}

/* Networks that a file may hold, and how it is used. */
static const struct network {
    const char *what;
    int part; /* zm_model_part_kind, -1: none of a text-to-video model */
    char *(*sizes)(const zm_weights *w);
    const char *word; /* in the names of its tensors, for what has no sizes */
    const char *use;
} networks[] = {
    {"diffusion transformer", ZM_PART_DIT, dit_sizes, NULL, "zouma generate -m %s \"PROMPT\""},
    {"text encoder", ZM_PART_TEXT, text_sizes, NULL, "zouma generate -m MODEL --text-encoder %s \"PROMPT\""},
    {"video autoencoder", ZM_PART_VAE, vae_sizes, NULL, "zouma generate -m MODEL --vae %s \"PROMPT\""},
    {"image encoder", ZM_PART_CLIP, NULL, NULL,
     "zouma generate -m MODEL --image-encoder %s --image PICTURE \"PROMPT\""},
    {"adapter (LoRA)", -1, NULL, "lora", "zouma generate -m MODEL --lora %s \"PROMPT\""},
    {"picture transformer of Stable Diffusion 3", -1, NULL, "joint_blocks.0.",
     "zouma parity DIR checks this network; no command makes pictures with it"},
};

/* What the tensors' names and shapes say, where a family knows them: of a lone file all that it holds. */
static void add_kind(json_t *j, zm_weights *w)
{
    zm_names names;
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        const struct network *n = &networks[i];
        zm_weights *own = NULL;
        bool there = n->part >= 0 ? zm_names_find(&names, w, (zm_model_part_kind)n->part) : has_name_with(w, n->word);
        char *sizes = n->part >= 0 && n->sizes ? n->sizes(w) : NULL; /* also of tiny networks under official names */
        if (there && !sizes && n->sizes && !zm_weights_open(&own, zm_weights_path(w), NULL) &&
            !zm_names_apply(own, (zm_model_part_kind)n->part, NULL))
            sizes = n->sizes(own);
        zm_weights_free(own);
        if (!there && !sizes)
            continue;
        json_t *known = json_object_get(j, "network");
        json_object_set_new(j, "network",
                            known ? json_sprintf("%s, %s", json_string_value(known), n->what) : json_string(n->what));
        if (there && names.scheme && n->part >= 0)
            json_object_set_new(j, "names", json_string(names.scheme->name));
        if (!json_object_get(j, "use"))
            json_object_set_new(j, "use", json_sprintf(n->use, zm_weights_path(w)));
        json_t *parsed = sizes && !json_object_get(j, "sizes") ? json_loads(sizes, 0, NULL) : NULL;
        if (parsed)
            json_object_set_new(j, "sizes", parsed);
        free(sizes);
    }
}

static json_t *weights_json(zm_weights *w, bool tensors)
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

/* Names under which a part is usually published, for a model that lacks it. */
static const char *where_from(const zm_model_config *c, zm_model_part_kind part)
{
    switch (part) {
    case ZM_PART_TEXT:
        return "models_t5_umt5-xxl-enc-bf16.pth, or --text-encoder FILE";
    case ZM_PART_VAE:
        return c->dit.out_dim == 48 ? "Wan2.2_VAE.pth, or --vae FILE" : "Wan2.1_VAE.pth, or --vae FILE";
    case ZM_PART_CLIP:
        return "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth, or --image-encoder FILE";
    default:
        return "the transformer's weights";
    }
}

static json_t *missing_parts(const zm_model_config *c)
{
    json_t *list = json_array();
    for (int k = 0; k < ZM_PART_COUNT; k++) {
        zm_model_part_kind part = (zm_model_part_kind)k;
        if (zm_model_part_path(c, part) || part == ZM_PART_DIT_LOW || (part == ZM_PART_CLIP && c->dit.img_dim == 0))
            continue;
        json_array_append_new(list, json_sprintf("%s (%s)", zm_model_part_name(part), where_from(c, part)));
    }
    zm_tokenizer *inside = NULL;
    if (!c->tokenizer_path && c->text_path && !zm_tokenizer_inside(&inside, c->text_path, NULL) && !inside)
        json_array_append_new(
            list, json_string("tokenizer (google/umt5-xxl/spiece.model, tokenizer.json, or --tokenizer FILE)"));
    zm_tokenizer_free(inside);
    return list;
}

static json_t *command_for(const zm_model_config *c, const char *path)
{
    bool picture = !strcmp(c->dit.model_type, "i2v") || !strcmp(c->dit.model_type, "flf2v");
    bool last = !strcmp(c->dit.model_type, "flf2v");
    return json_sprintf("zouma generate -m %s%s%s \"PROMPT\" -o clip.mp4", path, picture ? " --image FIRST.png" : "",
                        last ? " --last LAST.png" : "");
}

static zm_status model_json(json_t **out, const char *path, bool tensors, zm_error *err)
{
    zm_model_config c;
    *out = NULL;
    zm_status s = zm_model_config_open(&c, path, err);
    if (s)
        return s;
    json_t *parts = json_object();
    for (int k = 0; !s && k < ZM_PART_COUNT; k++)
        s = add_part(parts, zm_model_part_name((zm_model_part_kind)k), zm_model_part_path(&c, (zm_model_part_kind)k),
                     tensors, err);
    char *told = zm_dit_config_json(&c.dit); /* the config knows what tensors cannot tell: heads, lengths */
    json_t *transformer = json_object_get(parts, zm_model_part_name(ZM_PART_DIT)),
           *sizes = told ? json_loads(told, 0, NULL) : NULL;
    if (transformer && sizes)
        json_object_set(transformer, "sizes", sizes);
    json_decref(sizes);
    free(told);
    char *detector = zm_path_join(path, "detector.gguf");
    if (!s && detector && zm_path_is_file(detector))
        s = add_part(parts, "detector", detector, tensors, err);
    free(detector);
    if (!s && c.fast.adapter)
        s = add_part(parts, "adapter for few steps", c.fast.adapter, tensors, err);
    json_t *j = s ? NULL
                  : json_pack("{s:s, s:s, s:s, s:s}", "path", path, "name", c.name, "family", c.family->name, "summary",
                              c.family->summary);
    if (!s && !j)
        s = zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    if (s) {
        json_decref(parts);
    } else {
        json_object_set_new(j, "video",
                            json_pack("{s:i, s:i, s:i, s:f}", "width", c.video.width, "height", c.video.height,
                                      "frames", c.video.frames, "fps", c.video.fps));
        json_object_set_new(j, "sampling",
                            json_pack("{s:i, s:f, s:f, s:s}", "steps", c.sampling.steps, "guidance",
                                      c.sampling.guidance, "shift", c.sampling.shift, "solver", c.sampling.solver));
        if (c.fast.adapter)
            json_object_set_new(j, "fast",
                                json_pack("{s:i, s:f, s:f, s:s}", "steps", c.fast.steps, "guidance", c.fast.guidance,
                                          "shift", c.fast.shift, "solver", c.fast.solver));
        json_object_set_new(j, "parts", parts);
        if (c.json.root)
            json_object_set(j, "config", c.json.root);
        json_t *missing = missing_parts(&c);
        bool runs = c.dit_path && c.vae_path && c.text_path;
        json_object_set_new(j, "missing", missing);
        char modes[256], causal[128];
        if (c.dit.causal.block)
            json_object_set_new(j, "attention", json_string(zm_dit_causal_text(&c.dit.causal, causal, sizeof causal)));
        zm_model m = {.config = c}; /* what it can do follows from its config */
        json_object_set_new(j, "modes", json_string(zm_modes_text(&m, modes, sizeof modes)));
        json_object_set_new(j, "run", runs ? command_for(&c, path) : json_null());
        *out = j;
    }
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
    static const char *const key[] = {"dtypes", "network", "names", "sizes"};
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
    if (json_object_get(j, "fast"))
        print_compact("--quality fast", json_object_get(j, "fast"));
    if (json_object_get(j, "attention"))
        print_compact("attention", json_object_get(j, "attention"));
    print_compact("can do", json_object_get(j, "modes"));
    const char *name;
    json_t *part;
    json_object_foreach(json_object_get(j, "parts"), name, part) print_weights(part, name);
    size_t i;
    json_array_foreach(json_object_get(j, "missing"), i, part)
    {
        printf("missing: %s\n", json_string_value(part));
    }
    if (json_is_string(json_object_get(j, "run")))
        printf("run: %s\n", json_string_value(json_object_get(j, "run")));
}

static bool has_config(const char *dir)
{
    static const char *const names[] = {"config.json", "high_noise_model/config.json", "model_index.json"};
    bool any = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = zm_path_join(dir, "%s", names[i]);
        any |= path && zm_path_is_file(path);
        free(path);
    }
    return any;
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
    zm_error err = {0};
    json_t *j = NULL;
    zm_status s = ZM_OK;
    bool model = zm_path_is_dir(words[0]);
    if (!model) {
        s = file_json(&j, words[0], tensors, &err);
        const char *network = s ? NULL : json_string_value(json_object_get(j, "network"));
        /* of a transformer, what lies around it is of interest */
        if (network && strstr(network, zm_model_part_name(ZM_PART_DIT)) == network) {
            json_t *whole = NULL;
            zm_error why = {0};
            model = !model_json(&whole, words[0], tensors, &why);
            if (!model)
                json_object_set_new(j, "use", json_sprintf("not yet: %s", why.text));
            json_t *gone = model ? j : NULL;
            j = model ? whole : j;
            json_decref(gone);
        }
    } else if (has_config(words[0])) {
        s = model_json(&j, words[0], tensors, &err);
    } else if (file_json(&j, words[0], tensors, &err)) { /* shards of one network, or files of several */
        zm_error_clear(&err);
        s = model_json(&j, words[0], tensors, &err);
    } else {
        model = false;
    }
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
        if (json_object_get(j, "use"))
            printf("run: %s\n", json_string_value(json_object_get(j, "use")));
    }
    json_decref(j);
    return 0;
}
