/* What every subcommand shares: option tables, error reports, the stop flag.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_COMMON_H
#define ZM_APP_COMMON_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/error.h"

typedef enum { ZM_ARG_FLAG, ZM_ARG_STR, ZM_ARG_INT, ZM_ARG_FLOAT, ZM_ARG_SIZE, ZM_ARG_LIST } zm_arg_type;

/* What a repeatable option collects; borrowed from argv. */
typedef struct zm_arg_list {
    const char *at[8];
    int n;
} zm_arg_list;

/* One option.  `to` receives bool, const char *, int64_t, double, int[2] (WxH) or zm_arg_list. */
typedef struct zm_arg {
    const char *name; /* "--steps" */
    char letter;      /* 'o' for -o, 0 none */
    zm_arg_type type;
    void *to;
    double lo, hi;     /* numbers: allowed range when hi > lo */
    const char *value; /* placeholder in help: "N" */
    const char *help;
} zm_arg;

/* Parse argv[1..]; words that are no options go to words[] (at most max_words).  Returns the number of words, or -1
 * after printing what is wrong (then the caller returns 2), or -2 after printing help for --help (return 0).
 * `--` ends options. */
int zm_args_parse(int argc, char **argv, const zm_arg *args, int n_args, const char **words, int max_words,
                  const char *usage, const char *help);

/* Print "zouma NAME: SENTENCE" to stderr and return the exit status that belongs to the error (2 usage, else 1). */
int zm_app_report(const char *command, const zm_error *err);

/* What a command does on its device: clips, which may run in any precision; training, whose gradients want more than 8
 * bits; or comparing with exact numbers, for which products are f32 whatever the device's name says. */
typedef enum { ZM_APP_CLIPS, ZM_APP_TRAINS, ZM_APP_EXACT } zm_app_work;
/* Run graphs where --device says (ZM_DEVICE_TABLE).  NULL: the CPU.  0, or the exit status after printing what is wrong:
 * 2 no such name, or none for this work; 1 no such device here. */
int zm_app_device(const char *command, const char *name, zm_app_work work);
/* The precision of clips, once the device is there: the one that --precision names (NULL: none), or that comes with the
 * device.  0, or 2 after printing that there is none of that name, or that it does not run on this device. */
int zm_app_precision(const char *command, const char *name, const char *device, zm_precision *out);
/* Say on stderr where a precision is no faster than f32 (zm_precision_caution); zm_app_precision does. */
void zm_app_caution(const char *command, zm_precision p);
#define ZM_APP_DEVICE_HELP(name, device, bf16, precision, what) name what "; "
#define ZM_ARG_DEVICE(to)                                                                                              \
    {                                                                                                                  \
        "--device", 0, ZM_ARG_STR, to, 0, 0, "NAME", ZM_DEVICE_TABLE(ZM_APP_DEVICE_HELP) "[cpu]"                       \
    }

/* A seed for a run that was given none. */
int64_t zm_app_seed(void);

/* Becomes 1 on SIGINT or SIGTERM after zm_app_catch_signals; a second signal ends the process. */
extern volatile sig_atomic_t zm_app_stop;
void zm_app_catch_signals(void);

#endif
