/* Any text as settings; what is accepted prints as text that is accepted again and prints the same.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "format/config.h"
#include "fuzz.h"

typedef struct scene {
    const char *prompt;
    double seconds;
} scene;

typedef struct config {
    int64_t steps;
    double rate;
    bool ema;
    const char *name;
    int solver;
    zm_config_ints size;
    zm_config_floats betas;
    zm_config_strs data;
    zm_config_list scenes;
} config;

static const zm_config_row scene_rows[] = {
    {.key = "prompt", .type = ZM_CONFIG_STR, .offset = offsetof(scene, prompt)},
    {.key = "seconds", .type = ZM_CONFIG_FLOAT, .offset = offsetof(scene, seconds), .fallback = "2"},
};
static const zm_config_table scene_table = {scene_rows, 2, sizeof(scene)};

#define AT(field) .offset = offsetof(config, field)
static const zm_config_row rows[] = {
    {.key = "a.steps", .type = ZM_CONFIG_INT, AT(steps), .fallback = "1", .min = -10, .max = 10},
    {.key = "a.rate", .type = ZM_CONFIG_FLOAT, AT(rate), .fallback = "0.5"},
    {.key = "a.b.ema", .type = ZM_CONFIG_BOOL, AT(ema), .fallback = "on"},
    {.key = "name", .type = ZM_CONFIG_STR, AT(name), .fallback = ""},
    {.key = "solver", .type = ZM_CONFIG_ENUM, AT(solver), .fallback = "x", .choices = "x|y|z"},
    {.key = "size", .type = ZM_CONFIG_INTS, AT(size), .fallback = "[1]", .max_n = 5},
    {.key = "betas", .type = ZM_CONFIG_FLOATS, AT(betas), .fallback = ""},
    {.key = "data", .type = ZM_CONFIG_STRS, AT(data), .fallback = ""},
    {.key = "scenes", .type = ZM_CONFIG_LIST, AT(scenes), .fallback = "", .item = &scene_table},
};
static const zm_config_table table = {rows, sizeof rows / sizeof *rows, sizeof(config)};

static char *print(const config *c, size_t *n)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, n);
    if (!f)
        abort();
    zm_config_print(f, c, &table);
    fclose(f);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    zm_error err = {0};
    config c;
    zm_arena *arena = zm_arena_new();
    zm_status s = zm_config_parse(&c, arena, (const char *)data, size, "input", &table, &err);
    if (s && (s != err.code || strncmp(err.text, "input", 5) || strchr(err.text, '\n')))
        abort();
    if (!s) {
        size_t n, m;
        char *first = print(&c, &n);
        if (zm_config_parse(&c, arena, first, n, "printed", &table, &err))
            abort();
        char *second = print(&c, &m);
        if (n != m || memcmp(first, second, n))
            abort();
        free(first);
        free(second);
    }
    zm_arena_free(arena);
    return 0;
}

unsigned char *zm_fuzz_seed(unsigned i, size_t *size)
{
    static const char *const texts[] = {
        "a: {steps: 3, rate: 1e-3}\nname: \"x\\n\\x41\"\n",
        "a:\n  b:\n    ema: no\n  rate: 2\nsolver: y\nsize: [1, -2]\nbetas:\n- 0.5\n- 1e9\n",
        "scenes:\n  - prompt: a b\n    seconds: 3\n  - {prompt: 'it''s'}\ndata: [a, \"b\", |-]\n",
        "a.steps: 2\nname: |\n  two\n  lines\n# end\n",
        "a: &x {steps: 1}\nname: *x\n",
        "? a\n: {steps: !!int 1}\n...\n---\n",
    };
    if (i >= sizeof texts / sizeof *texts)
        return NULL;
    *size = strlen(texts[i]);
    return (unsigned char *)strdup(texts[i]);
}
