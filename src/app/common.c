/* What every subcommand shares.
 * SPDX-License-Identifier: MIT */
#include "app/common.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backend/backend.h"

volatile sig_atomic_t zm_app_stop;

static void on_signal(int number)
{
    if (zm_app_stop) {
        signal(number, SIG_DFL);
        raise(number);
    }
    zm_app_stop = 1;
}

void zm_app_catch_signals(void)
{
    struct sigaction a = {.sa_handler = on_signal};
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

int zm_app_report(const char *command, const zm_error *err)
{
    fprintf(stderr, "zouma %s: %s\n", command, err->text[0] ? err->text : zm_status_name(err->code));
    return err->code == ZM_E_USAGE ? 2 : 1;
}

static void print_help(const zm_arg *args, int n, const char *name, const char *usage, const char *help)
{
    printf("usage: zouma %s %s\n\n%s\n", name, usage, help);
    if (n)
        printf("\noptions:\n");
    for (int i = 0; i < n; i++) {
        char left[64];
        int at = args[i].letter ? snprintf(left, sizeof left, "-%c, %s", args[i].letter, args[i].name)
                                : snprintf(left, sizeof left, "    %s", args[i].name);
        if (args[i].type != ZM_ARG_FLAG && at > 0 && (size_t)at < sizeof left)
            snprintf(left + at, sizeof left - (size_t)at, " %s", args[i].value ? args[i].value : "VALUE");
        printf("  %-28s %s\n", left, args[i].help ? args[i].help : "");
    }
}

static size_t distance(const char *a, const char *b)
{
    size_t row[64], n = strlen(b);
    if (n >= 63)
        return 99;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t best = corner + (a[i - 1] != b[j - 1]);
            corner = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[n];
}

static int unknown_option(const char *command, const char *word, const zm_arg *args, int n)
{
    const char *near = NULL;
    size_t best = 4;
    for (int i = 0; i < n; i++) {
        size_t d = distance(word, args[i].name);
        if (d < best) {
            best = d;
            near = args[i].name;
        }
    }
    fprintf(stderr, "zouma %s: unknown option %s", command, word);
    if (near)
        fprintf(stderr, "; did you mean %s?", near);
    fprintf(stderr, " (zouma %s --help lists them)\n", command);
    return -1;
}

static int bad_value(const char *command, const zm_arg *a, const char *value)
{
    static const char *const want[] = {"", "a text", "a whole number", "a number", "WIDTHxHEIGHT, for example 96x64,",
                                       ""};
    fprintf(stderr, "zouma %s: %s is \"%s\"; %s", command, a->name, value, want[a->type]);
    if (a->hi > a->lo && a->type != ZM_ARG_SIZE)
        fprintf(stderr, " from %g to %g", a->lo, a->hi);
    fprintf(stderr, " is needed\n");
    return -1;
}

static int set_value(const char *command, const zm_arg *a, const char *value)
{
    char *end = NULL;
    errno = 0;
    if (a->type == ZM_ARG_STR) {
        *(const char **)a->to = value;
    } else if (a->type == ZM_ARG_LIST) {
        zm_arg_list *list = a->to;
        if (list->n == (int)(sizeof list->at / sizeof *list->at)) {
            fprintf(stderr, "zouma %s: %s was given more than %d times\n", command, a->name, list->n);
            return -1;
        }
        list->at[list->n++] = value;
    } else if (a->type == ZM_ARG_INT) {
        long long v = strtoll(value, &end, 10);
        if (errno || end == value || *end || (a->hi > a->lo && ((double)v < a->lo || (double)v > a->hi)))
            return bad_value(command, a, value);
        *(int64_t *)a->to = v;
    } else if (a->type == ZM_ARG_FLOAT) {
        double v = strtod(value, &end);
        if (errno || end == value || *end || !isfinite(v) || (a->hi > a->lo && (v < a->lo || v > a->hi)))
            return bad_value(command, a, value);
        *(double *)a->to = v;
    } else {
        int *size = a->to;
        char rest;
        if (sscanf(value, "%5dx%5d%c", &size[0], &size[1], &rest) != 2 || size[0] <= 0 || size[1] <= 0)
            return bad_value(command, a, value);
    }
    return 0;
}

static const zm_arg *find_option(const char *word, const zm_arg *args, int n, const char **value)
{
    *value = NULL;
    size_t name = strcspn(word, "=");
    for (int i = 0; i < n; i++) {
        if (word[1] == '-' && strlen(args[i].name) == name && !strncmp(word, args[i].name, name)) {
            *value = word[name] ? word + name + 1 : NULL;
            return &args[i];
        }
        if (word[1] != '-' && args[i].letter == word[1] && !word[2])
            return &args[i];
    }
    return NULL;
}

int zm_args_parse(int argc, char **argv, const zm_arg *args, int n_args, const char **words, int max_words,
                  const char *usage, const char *help)
{
    int n = 0;
    bool options = true;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i], *value;
        if (options && !strcmp(word, "--")) {
            options = false;
            continue;
        }
        if (options && (!strcmp(word, "--help") || !strcmp(word, "-h"))) {
            print_help(args, n_args, argv[0], usage, help);
            return -2;
        }
        if (!options || word[0] != '-' || !word[1]) {
            if (n == max_words) {
                fprintf(
                    stderr,
                    "zouma %s: \"%s\" is one argument too many; put quotes around a text of several words (usage: zouma %s %s)\n",
                    argv[0], word, argv[0], usage);
                return -1;
            }
            words[n++] = word;
            continue;
        }
        const zm_arg *a = find_option(word, args, n_args, &value);
        if (!a)
            return unknown_option(argv[0], word, args, n_args);
        if (a->type == ZM_ARG_FLAG) {
            if (value) {
                fprintf(stderr, "zouma %s: %s takes no value\n", argv[0], a->name);
                return -1;
            }
            *(bool *)a->to = true;
            continue;
        }
        if (!value && i + 1 == argc) {
            fprintf(stderr, "zouma %s: %s needs a value\n", argv[0], a->name);
            return -1;
        }
        if (set_value(argv[0], a, value ? value : argv[++i]))
            return -1;
    }
    return n;
}

int zm_app_device(const char *command, const char *name, zm_app_work work)
{
#define WORD(name, device, bf16, precision, what) " " name
    static const char known[] = ZM_DEVICE_TABLE(WORD);
#undef WORD
    zm_error err = {0};
    const zm_device_row *row = zm_device_find(name ? name : "cpu");
    if (!row) {
        fprintf(stderr, "zouma %s: there is no device %s; known are:%s\n", command, name, known);
        return 2;
    }
    if (work != ZM_APP_CLIPS && row->precision != ZM_PRECISION_F32) {
        fprintf(stderr, "zouma %s: --device %s is for making clips: %s; --device cuda does this\n", command, name,
                work == ZM_APP_TRAINS ? "gradients need more than 8 bits" : "what is compared here is f32");
        return 2;
    }
    return zm_backend_use(row->device, row->bf16 && work != ZM_APP_EXACT, &err) ? zm_app_report(command, &err) : 0;
}

int zm_app_precision(const char *command, const char *name, const char *device, zm_precision *out)
{
#define WORD(code, name) " " name
    static const char known[] = ZM_PRECISION_TABLE(WORD);
#undef WORD
    zm_error err = {0};
    const zm_device_row *row = zm_device_find(device ? device : "cpu");
    *out = row ? row->precision : ZM_PRECISION_F32;
    if (name && !zm_precision_parse(out, name)) {
        fprintf(stderr, "zouma %s: there is no precision \"%s\"; known are:%s\n", command, name, known);
        return 2;
    }
    if (name && row && row->precision != ZM_PRECISION_F32 && *out != row->precision) {
        fprintf(stderr, "zouma %s: --device %s and --precision %s are two precisions; give one\n", command, device,
                name);
        return 2;
    }
    if (zm_precision_check(*out, &err)) {
        fprintf(stderr, "zouma %s: %s\n", command, err.text);
        return 2;
    }
    zm_app_caution(command, *out);
    return 0;
}

void zm_app_caution(const char *command, zm_precision p)
{
    const char *why = zm_precision_caution(p);
    if (why)
        fprintf(stderr, "zouma %s: %s\n", command, why);
}

int64_t zm_app_seed(void)
{
    return (int64_t)(((uint64_t)time(NULL) * 2654435761u ^ (uint64_t)getpid() << 16) & 0x7fffffff);
}
