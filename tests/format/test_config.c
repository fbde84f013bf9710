/* YAML settings: values, defaults, every refusal with its place, printing and reading back.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "format/config.h"
#include "scratch.h"
#include "tap.h"

typedef struct scene {
    const char *prompt;
    double seconds;
} scene;

typedef struct config {
    int64_t steps, seed;
    double rate;
    bool ema;
    const char *name, *note;
    int solver;
    zm_config_ints size;
    zm_config_floats betas;
    zm_config_strs data;
    zm_config_list scenes;
} config;

static const zm_config_row scene_rows[] = {
    {.key = "prompt", .type = ZM_CONFIG_STR, .offset = offsetof(scene, prompt), .help = "what is seen"},
    {.key = "seconds",
     .type = ZM_CONFIG_FLOAT,
     .offset = offsetof(scene, seconds),
     .fallback = "2",
     .min = 0.1,
     .max = 60},
};
static const zm_config_table scene_table = {scene_rows, 2, sizeof(scene)};

#define AT(field) .offset = offsetof(config, field)
static const zm_config_row rows[] = {
    {.key = "train.steps", .type = ZM_CONFIG_INT, AT(steps), .min = 1, .max = 1000000, .help = "optimiser steps"},
    {.key = "train.learning_rate", .type = ZM_CONFIG_FLOAT, AT(rate), .fallback = "3e-4", .min = 0, .max = 1},
    {.key = "name", .type = ZM_CONFIG_STR, AT(name), .fallback = "toy"},
    {.key = "note", .type = ZM_CONFIG_STR, AT(note), .fallback = ""},
    {.key = "train.solver.kind", .type = ZM_CONFIG_ENUM, AT(solver), .fallback = "adamw", .choices = "sgd|adamw|muon"},
    {.key = "train.ema", .type = ZM_CONFIG_BOOL, AT(ema), .fallback = "yes"},
    {.key = "seed", .type = ZM_CONFIG_INT, AT(seed), .fallback = "-7"},
    {.key = "size", .type = ZM_CONFIG_INTS, AT(size), .fallback = "[64, 96]", .min = 1, .max = 4096, .max_n = 3},
    {.key = "betas", .type = ZM_CONFIG_FLOATS, AT(betas), .fallback = "[0.9, 0.95]"},
    {.key = "data", .type = ZM_CONFIG_STRS, AT(data), .fallback = ""},
    {.key = "scenes", .type = ZM_CONFIG_LIST, AT(scenes), .fallback = "", .item = &scene_table},
};
static const zm_config_table table = {rows, sizeof rows / sizeof *rows, sizeof(config)};

static zm_arena *arena;

static void defaults(void)
{
    config c;
    zm_error err = {0};
    static const char text[] = "train:\n  steps: 10\n";
    tap_ok(!zm_config_parse(&c, arena, text, strlen(text), "t.yaml", &table, &err), "parses %s", err.text);
    tap_ok(c.steps == 10 && c.rate == 3e-4 && c.ema && c.solver == 1 && c.seed == -7, "defaults");
    tap_ok(!strcmp(c.name, "toy") && !c.note && c.size.n == 2 && c.size.at[1] == 96 && !c.data.n && !c.scenes.n,
           "default lists and texts");
    tap_ok(c.betas.n == 2 && c.betas.at[1] == 0.95, "default numbers");
}

static void values(void)
{
    config c;
    zm_error err = {0};
    static const char text[] = "\xef\xbb\xbf# a comment\n"
                               "name: \"pan da\"\n"
                               "note: ~\n"
                               "train: {steps: 500, learning_rate: 1.5e-3, ema: off, solver: {kind: muon}}\n"
                               "size: [1, 2, 3]\n"
                               "betas: []\n"
                               "data:\n  - a dir\n  - \"\xe8\xb5\xb0\xe9\xa9\xac\"\n"
                               "scenes:\n  - prompt: a panda, bouncing\n    seconds: 3.5\n  - {prompt: 'night'}\n";
    tap_ok(!zm_config_parse(&c, arena, text, strlen(text), "t.yaml", &table, &err), "parses %s", err.text);
    tap_equal_str(c.name, "pan da", "text");
    tap_ok(!c.note && c.steps == 500 && c.rate == 1.5e-3 && !c.ema && c.solver == 2, "scalars");
    tap_ok(c.size.n == 3 && c.size.at[2] == 3 && !c.betas.n, "lists of numbers");
    tap_ok(c.data.n == 2 && !strcmp(c.data.at[1], "\xe8\xb5\xb0\xe9\xa9\xac"), "list of texts");
    const scene *s = c.scenes.at;
    tap_ok(c.scenes.n == 2 && !strcmp(s[0].prompt, "a panda, bouncing") && s[0].seconds == 3.5 && s[1].seconds == 2,
           "list of mappings");
}

static void refuse(const char *text, zm_status code, const char *want)
{
    config c;
    zm_error err = {0};
    zm_status s = zm_config_parse(&c, arena, text, strlen(text), "t.yaml", &table, &err);
    tap_equal_str(s == code ? err.text : zm_status_name(s), want, want);
}

static void refusals(void)
{
    refuse("train:\n  steps: 5\n  lerning_rate: 1\n", ZM_E_FORMAT,
           "t.yaml:3:3: unknown key 'train.lerning_rate' (did you mean 'train.learning_rate'?)");
    refuse("learning_rate: 1\n", ZM_E_FORMAT,
           "t.yaml:1:1: unknown key 'learning_rate' (did you mean 'train.learning_rate'?)");
    refuse("zzzzzzzzzzzz: 1\n", ZM_E_FORMAT, "t.yaml:1:1: unknown key 'zzzzzzzzzzzz'");
    refuse("seed: 1\nseed: 2\n", ZM_E_FORMAT, "t.yaml:2:1: seed is given twice");
    refuse("train: {steps: 1}\ntrain: {ema: no}\n", ZM_E_FORMAT, "t.yaml:2:1: train is given twice");
    refuse("train.steps: 1\ntrain: {steps: 1}\n", ZM_E_FORMAT, "t.yaml:2:9: train.steps is given twice");
    refuse("seed: 1\n", ZM_E_MISSING, "t.yaml: train.steps is missing (optimiser steps)");
    refuse("", ZM_E_MISSING, "t.yaml: train.steps is missing (optimiser steps)");
    refuse("train: {steps: 0}\n", ZM_E_FORMAT,
           "t.yaml:1:16: train.steps is '0', an integer between 1 and 1000000 is needed");
    refuse("train: {steps: ten}\n", ZM_E_FORMAT,
           "t.yaml:1:16: train.steps is 'ten', an integer between 1 and 1000000 is needed");
    refuse("train: {steps: 1e3}\n", ZM_E_FORMAT,
           "t.yaml:1:16: train.steps is '1e3', an integer between 1 and 1000000 is needed");
    refuse("train: {steps: \"5\"}\n", ZM_E_FORMAT,
           "t.yaml:1:16: train.steps is '5', an integer between 1 and 1000000 is needed without quotes");
    refuse("train: {steps: [5]}\n", ZM_E_FORMAT,
           "t.yaml:1:16: train.steps is a list, an integer between 1 and 1000000 is needed");
    refuse("train: 5\n", ZM_E_FORMAT, "t.yaml:1:8: train is not a mapping of keys to values");
    refuse("train: {learning_rate: nan}\n", ZM_E_FORMAT,
           "t.yaml:1:24: train.learning_rate is 'nan', a number between 0 and 1 is needed");
    refuse("train: {learning_rate: 0x1}\n", ZM_E_FORMAT,
           "t.yaml:1:24: train.learning_rate is '0x1', a number between 0 and 1 is needed");
    refuse("train: {solver: {kind: adam}}\n", ZM_E_FORMAT,
           "t.yaml:1:24: train.solver.kind is 'adam', one of sgd|adamw|muon is needed (did you mean 'adamw'?)");
    refuse("train: {ema: maybe}\n", ZM_E_FORMAT, "t.yaml:1:14: train.ema is 'maybe', true or false is needed");
    refuse("size: 5\n", ZM_E_FORMAT, "t.yaml:1:7: size is not a list");
    refuse("size: [1, 2, 3, 4]\n", ZM_E_FORMAT, "t.yaml:1:17: size has more than 3 elements");
    refuse("size: [1, 5000]\n", ZM_E_FORMAT, "t.yaml:1:11: size[1] is '5000', an integer between 1 and 4096 is needed");
    refuse("scenes: [{prompt: a}, {seconds: 1}]\n", ZM_E_MISSING,
           "t.yaml:1:23: scenes[1].prompt is missing (what is seen)");
    refuse("scenes: [{prompt: a, sec: 1}]\n", ZM_E_FORMAT, "t.yaml:1:22: unknown key 'sec'");
    refuse("scenes: [a]\n", ZM_E_FORMAT, "t.yaml:1:10: scenes[0] is not a mapping of keys to values");
    refuse("name: &x a\n", ZM_E_FORMAT, "t.yaml:1:7: anchors and aliases (& and *) are not allowed here");
    refuse("name: *x\n", ZM_E_FORMAT, "t.yaml:1:7: anchors and aliases (& and *) are not allowed here");
    refuse("name: !!python/object a\n", ZM_E_FORMAT, "t.yaml:1:7: tags (!) are not allowed here");
    refuse("name: \"a\\0b\"\n", ZM_E_FORMAT, "t.yaml:1:7: name holds a NUL character");
    refuse("train: {steps: 1}\n---\nseed: 1\n", ZM_E_FORMAT, "t.yaml:2:1: a second document begins, one is possible");
    refuse("- a\n", ZM_E_FORMAT, "t.yaml:1:1: not a mapping of keys to values");
    refuse("? [a, b]\n: 1\n", ZM_E_FORMAT, "t.yaml:1:3: a key must be a word");
    refuse("name: [[[[[[[[[[1]]]]]]]]]]\n", ZM_E_FORMAT, "t.yaml:1:7: name is a list, text is needed");
    refuse("data: [[[[[[[[[[1]]]]]]]]]]\n", ZM_E_FORMAT, "t.yaml:1:8: data[0] is a list, text is needed");
    refuse("name: 'open\n", ZM_E_FORMAT, "t.yaml:2:1: found unexpected end of stream");
    refuse("name:\tx\n\tseed: 1\n", ZM_E_FORMAT, "t.yaml:2:1: found a tab character that violates indentation");
    refuse("name: \xff\n", ZM_E_FORMAT, "t.yaml: invalid leading UTF-8 octet at byte 6");
}

static void settings(void)
{
    config c;
    zm_error err = {0};
    static const char text[] = "train: {steps: 1}\n";
    tap_ok(!zm_config_parse(&c, arena, text, strlen(text), "t.yaml", &table, &err), "parses %s", err.text);
    tap_ok(!zm_config_set(&c, arena, "train.steps", "99", &table, &err) && c.steps == 99, "set integer %s", err.text);
    tap_ok(!zm_config_set(&c, arena, "size", "[7]", &table, &err) && c.size.n == 1 && c.size.at[0] == 7, "set list");
    tap_ok(!zm_config_set(&c, arena, "data", "[a b, c]", &table, &err) && c.data.n == 2, "set texts %s", err.text);
    tap_ok(!zm_config_set(&c, arena, "size", "[]", &table, &err) && !c.size.n, "set empty list");
    tap_ok(!zm_config_set(&c, arena, "name", "a: b", &table, &err) && !strcmp(c.name, "a: b"), "text as it is");
    tap_equal_i64(zm_config_set(&c, arena, "train.step", "1", &table, &err), ZM_E_USAGE, "unknown");
    tap_equal_str(err.text, "unknown setting 'train.step' (did you mean 'train.steps'?)", "sentence");
    zm_error_clear(&err);
    tap_equal_i64(zm_config_set(&c, arena, "train.steps", "x", &table, &err), ZM_E_USAGE, "wrong value");
    tap_equal_str(err.text, "train.steps is 'x', an integer between 1 and 1000000 is needed", "sentence");
    zm_error_clear(&err);
    tap_equal_i64(zm_config_set(&c, arena, "size", "[1", &table, &err), ZM_E_USAGE, "broken list");
    zm_error_clear(&err);
    tap_equal_i64(zm_config_set(&c, arena, "scenes", "[]", &table, &err), ZM_E_USAGE, "list of mappings");
    tap_ok(c.steps == 99 && !c.size.n, "refused settings change nothing");
}

static const char *random_text(zm_rng *r)
{
    static const char *const wide[] = {"\xe8\xb5\xb0", "\xc2\x85", "\xe2\x80\xa8", "\xef\xbb\xbf"};
    size_t n = zm_rng_below(r, 12);
    char *s = zm_arena_alloc(arena, n * 3 + 1), *at = s;
    for (size_t i = 0; i < n; i++)
        if (zm_rng_below(r, 6))
            *at++ = (char)(1 + zm_rng_below(r, 127));
        else
            at += sprintf(at, "%s", wide[zm_rng_below(r, 4)]);
    return s;
}

static char *print(const config *c, size_t *n)
{
    const char *path = scratch("print.yaml");
    FILE *f = fopen(path, "w");
    zm_config_print(f, c, &table);
    fclose(f);
    zm_error err = {0};
    config again;
    if (!tap_ok(!zm_config_load(&again, arena, path, &table, &err), "printed settings are read back %s", err.text))
        return NULL;
    char *text = NULL;
    f = open_memstream(&text, n);
    zm_config_print(f, &again, &table);
    fclose(f);
    return text;
}

/* What is printed is read back to the same values, whatever the texts hold. */
static void print_round(zm_rng *r)
{
    double betas[2] = {(double)zm_rng_normal(r) / 3, 1e300};
    const char *data[3] = {random_text(r), random_text(r), "- x: [\n"};
    scene scenes[2] = {{random_text(r), 1 + (double)zm_rng_uniform(r)}, {random_text(r), 0.1}};
    config c = {.steps = 1 + zm_rng_below(r, 999999),
                .seed = INT64_MIN,
                .rate = (double)zm_rng_uniform(r),
                .ema = zm_rng_below(r, 2),
                .name = random_text(r),
                .solver = (int)zm_rng_below(r, 3),
                .betas = {betas, 2},
                .data = {data, 3},
                .scenes = {scenes, zm_rng_below(r, 3)}};
    char *first = NULL;
    size_t n, m;
    FILE *f = open_memstream(&first, &n);
    zm_config_print(f, &c, &table);
    fclose(f);
    char *second = print(&c, &m);
    tap_ok(second && n == m && !memcmp(first, second, n), "printed twice, %zu bytes alike", n);
    free(first);
    free(second);
}

int main(void)
{
    zm_rng r = zm_rng_init(scratch_seed(), 3);
    arena = zm_arena_new();
    defaults();
    values();
    refusals();
    settings();
    for (int i = 0; i < 30; i++)
        print_round(&r);
    char *help = NULL;
    size_t n;
    FILE *f = open_memstream(&help, &n);
    zm_config_print_help(f, &table);
    fclose(f);
    tap_ok(strstr(help, "| `train.steps` | an integer between 1 and 1000000 | required | optimiser steps |") &&
               strstr(help, "| `scenes[].prompt` | text | required | what is seen |"),
           "help table");
    free(help);
    zm_arena_free(arena);
    return tap_done();
}
