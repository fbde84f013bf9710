/* Every open of the format room with its n-th allocation failing: a clean ZM_E_NOMEM each time, nothing leaked.
 * SPDX-License-Identifier: MIT */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "format/config.h"
#include "format/gguf_write.h"
#include "format/jsonl.h"
#include "format/safetensors_write.h"
#include "format/weights.h"
#include "scratch.h"
#include "tap.h"

/* The linker sends the library's allocations here (-Wl,--wrap).  countdown 0 is off; at 1 the call fails. */
static long countdown, failed;

static int fails(void)
{
    if (countdown > 0 && --countdown == 0) {
        failed++;
        return 1;
    }
    return 0;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t each);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t alignment, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t each);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t alignment, size_t n);
char *__wrap_strdup(const char *s);

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t each)
{
    return fails() ? NULL : __real_calloc(n, each);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

void *__wrap_aligned_alloc(size_t alignment, size_t n)
{
    return fails() ? NULL : __real_aligned_alloc(alignment, n);
}

char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}

/* libyaml allocates through these, and takes the program's before its own. */
void *yaml_malloc(size_t n);
void *yaml_realloc(void *p, size_t n);
char *yaml_strdup(const unsigned char *s);

void *yaml_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n ? n : 1);
}

void *yaml_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n ? n : 1);
}

char *yaml_strdup(const unsigned char *s)
{
    return !s || fails() ? NULL : __real_strdup((const char *)s);
}

typedef zm_status (*attempt)(const void *what, zm_error *err);

static zm_status open_memory(const void *what, zm_error *err)
{
    const bytes *b = what;
    zm_weights *w;
    zm_status s = zm_weights_open_memory(&w, b->at, b->n, "m.bin", err);
    if (!s)
        zm_weights_free(w);
    return s;
}

static zm_status open_path(const void *what, zm_error *err)
{
    zm_weights *w;
    zm_status s = zm_weights_open(&w, what, err);
    if (!s)
        zm_weights_free(w);
    return s;
}

static const float x[64];
static const zm_weight tensors[2] = {
    {.name = "a", .dtype = ZM_F32, .rank = 2, .dim = {2, 4}, .data = x, .bytes = 32},
    {.name = "b", .dtype = ZM_F16, .rank = 1, .dim = {4}, .data = x, .bytes = 8},
};
static const zm_meta meta = {.key = "k", .type = ZM_META_STR, .str = "v", .n = 1};

static zm_status write_safetensors(const void *what, zm_error *err)
{
    return zm_safetensors_write(what, tensors, 2, &meta, 1, err);
}

static zm_status write_gguf(const void *what, zm_error *err)
{
    return zm_gguf_write(what, tensors, 2, &meta, 1, err);
}

static zm_status read_json(const void *what, zm_error *err)
{
    zm_json j;
    zm_status s = zm_json_load(&j, what, 1000, err);
    zm_json_close(&j);
    return s;
}

static zm_status read_lines(const void *what, zm_error *err)
{
    zm_jsonl *r;
    zm_json j;
    zm_status s = zm_jsonl_open(&r, what, err);
    if (s)
        return s;
    do
        s = zm_jsonl_next(&j, r, err);
    while (!s && j.root);
    zm_jsonl_close(r);
    return s;
}

typedef struct item {
    const char *text;
} item;
typedef struct config {
    zm_config_ints list;
    zm_config_list items;
    const char *name;
} config;

static zm_status read_config(const void *what, zm_error *err)
{
    static const zm_config_row item_rows[] = {{.key = "text", .type = ZM_CONFIG_STR, .fallback = "none"}};
    static const zm_config_table item_table = {item_rows, 1, sizeof(item)};
    static const zm_config_row rows[] = {
        {.key = "a.list", .type = ZM_CONFIG_INTS, .offset = offsetof(config, list), .fallback = "[1, 2]"},
        {.key = "items", .type = ZM_CONFIG_LIST, .offset = offsetof(config, items), .item = &item_table},
        {.key = "name", .type = ZM_CONFIG_STR, .offset = offsetof(config, name), .fallback = "x"},
    };
    static const zm_config_table table = {rows, 3, sizeof(config)};
    zm_arena *arena = zm_arena_new();
    if (!arena)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", (const char *)what);
    config c;
    zm_status s = zm_config_load(&c, arena, what, &table, err);
    zm_arena_free(arena);
    return s;
}

/* Fail allocation 1, 2, 3 ... until one attempt needs fewer and succeeds. */
static void exhaust(const char *name, attempt f, const void *what)
{
    long n = 1, bad = 0;
    for (; n < 5000; n++) {
        zm_error err = {0};
        failed = 0;
        countdown = n;
        zm_status s = f(what, &err);
        countdown = 0;
        if (!failed) {
            tap_ok(s == ZM_OK, "%s: without a failure it succeeds: %s", name, err.text);
            break;
        }
        /* An allocation whose failure does no harm (qsort's buffer, a directory sync) may be survived. */
        int told = s == ZM_E_NOMEM && strstr(err.text, "out of memory");
        /* jansson's scanner takes a string that it cannot store for a broken one. */
        if (s == ZM_E_FORMAT && (strstr(err.text, "invalid token near") || strstr(err.text, "expected near")))
            told = 1;
        if (s && !told) {
            bad++;
            printf("# allocation %ld: %s: %s\n", n, zm_status_name(s), err.text);
        }
    }
    tap_ok(!bad && n > 1 && n < 5000, "%s: each of %ld allocations failed in turn", name, n - 1);
}

int main(void)
{
    json_set_alloc_funcs(__wrap_malloc, free);
    bytes s = make_safetensors("{\"__metadata__\":{\"k\":\"v\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2],"
                               "\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"X9\",\"shape\":[],\"data_offsets\":[8,9]}}",
                               9),
          g = make_gguf(), p = make_pth();
    exhaust("safetensors", open_memory, &s);
    exhaust("GGUF", open_memory, &g);
    exhaust("pth", open_memory, &p);
    free(s.at);
    free(g.at);
    free(p.at);
    static char path[512], dir[512];
    snprintf(path, sizeof path, "%s", scratch("out"));
    snprintf(dir, sizeof dir, "%s", scratch("d"));
    exhaust("write safetensors", write_safetensors, path);
    exhaust("open file", open_path, path);
    exhaust("write GGUF", write_gguf, path);
    zm_error err = {0};
    static const char index[] = "{\"weight_map\":{\"a\":\"1\",\"b\":\"1\"}}";
    mkdir(dir, 0777);
    if (!write_safetensors(scratch("d/1"), &err)) {
        scratch_write("d/m.safetensors.index.json", index, sizeof index - 1);
        exhaust("sharded", open_path, dir);
    }
    static const char line[] = "{\"caption\": [1, 2.5, \"x\"]}\n{}\n",
                      yaml[] = "a: {list: [3, 4]}\nitems:\n - text: 1\n";
    snprintf(path, sizeof path, "%s", scratch_write("x.json", line, sizeof line - 5));
    exhaust("JSON", read_json, path);
    snprintf(path, sizeof path, "%s", scratch_write("x.jsonl", line, sizeof line - 1));
    exhaust("JSON lines", read_lines, path);
    snprintf(path, sizeof path, "%s", scratch_write("x.yaml", yaml, sizeof yaml - 1));
    exhaust("YAML", read_config, path);
    return tap_done();
}
