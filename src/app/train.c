/* zouma train: reads the configuration, prepares data, runs a stage and writes the trained part of the model.
 * SPDX-License-Identifier: MIT */
#include "app/train.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/common.h"
#include "app/detector_job.h"
#include "app/train_job.h"

static zm_status set_one(zm_job *job, const char *setting, zm_error *err)
{
    const char *equals = strchr(setting, '=');
    char key[128];
    if (!equals || (size_t)(equals - setting) >= sizeof key)
        return zm_fail(err, ZM_E_USAGE, "--set %s: KEY=VALUE is needed, for example train.steps=100", setting);
    memcpy(key, setting, (size_t)(equals - setting));
    key[equals - setting] = 0;
    return zm_config_set(&job->c, job->arena, key, equals + 1, &zm_train_table, err);
}

static zm_status run(zm_job *job, const char *path, const char *const *sets, int n_sets, bool quiet, zm_error *err)
{
    job->report = quiet ? NULL : stdout;
    job->arena = zm_arena_new();
    if (!job->arena)
        return zm_fail(err, ZM_E_NOMEM, "out of memory");
    zm_status s = zm_config_load(&job->c, job->arena, path, &zm_train_table, err);
    for (int i = 0; !s && i < n_sets; i++)
        s = set_one(job, sets[i], err);
    if (!s)
        s = zm_job_open(job, err);
    if (s)
        return s;
    zm_app_caution("train", zm_train_precision(&job->c));
    switch ((zm_stage_kind)job->c.stage) {
    case ZM_STAGE_VAE:
        return zm_job_vae(job, err);
    case ZM_STAGE_DIT:
        return zm_job_dit(job, err);
    case ZM_STAGE_DETECTOR:
        return zm_job_detector(job, err);
    case ZM_STAGE_DISTILL:
        return zm_job_distill(job, err);
    }
    return ZM_OK;
}

int zm_cmd_train(int argc, char **argv)
{
    static const char usage
        [] = "CONFIG.yaml [--resume] [--set KEY=VALUE]",
   help[] =
        "Train the part of a model that CONFIG.yaml names; models/toybox/train holds the ones that made the bundled model.";
    enum { MAX_SETS = 16 };
    bool resume = false, quiet = false, settings = false;
    const char *words[1 + MAX_SETS], *one = NULL, *device = NULL;
    const zm_arg args[] = {
        {.name = "--resume", .type = ZM_ARG_FLAG, .to = &resume, .help = "continue from the last checkpoint in OUT"},
        {.name = "--quiet", .type = ZM_ARG_FLAG, .to = &quiet, .help = "no progress lines"},
        {.name = "--settings",
         .type = ZM_ARG_FLAG,
         .to = &settings,
         .help = "print every setting of CONFIG.yaml as a table"},
        {.name = "--set",
         .type = ZM_ARG_STR,
         .to = &one,
         .value = "KEY=VALUE",
         .help = "change one setting; more of them as further words"},
        ZM_ARG_DEVICE(&device),
    };
    int n = zm_args_parse(argc, argv, args, sizeof args / sizeof *args, words, 1 + MAX_SETS, usage, help);
    if (n < 0)
        return n == -1 ? 2 : 0;
    if (settings) {
        zm_config_print_help(stdout, &zm_train_table);
        return 0;
    }
    if (n == 0) {
        fprintf(stderr, "zouma train: which configuration?  usage: zouma train %s\n", usage);
        return 2;
    }
    const char *sets[1 + MAX_SETS];
    int n_sets = 0;
    if (one)
        sets[n_sets++] = one;
    for (int i = 1; i < n; i++)
        sets[n_sets++] = words[i];
    int status = zm_app_device("train", device, ZM_APP_TRAINS);
    if (status)
        return status;
    zm_app_catch_signals();
    zm_job job = {.resume = resume};
    zm_error err = {0};
    zm_status s = run(&job, words[0], sets, n_sets, quiet, &err);
    zm_job_close(&job);
    return s ? zm_app_report("train", &err) : 0;
}
