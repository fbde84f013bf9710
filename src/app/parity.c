/* zouma parity DIR...: recompute reference fixtures, one line per group of tensors, exit status 1 on a miss.
 * SPDX-License-Identifier: MIT */
#include "app/parity.h"

#include <stdio.h>
#include <sys/stat.h>

#include "app/common.h"
#include "pipeline/parity.h"

enum { DIRS_MAX = 256 };

static void print_line(void *user, const char *text)
{
    (void)user;
    puts(text);
    fflush(stdout);
}

/* A pattern of the shell names the README beside the directories, too. */
static bool is_plain_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

int zm_cmd_parity(int argc, char **argv)
{
    const char *dirs[DIRS_MAX], *device = NULL;
    const zm_arg args[] = {ZM_ARG_DEVICE(&device)};
    int n = zm_args_parse(argc, argv, args, 1, dirs, DIRS_MAX, "DIR... [--device NAME]",
                          "Recompute directories of reference tensors and compare, always in f32.");
    if (n < 0)
        return n == -2 ? 0 : 2;
    int status = zm_app_device("parity", device, ZM_APP_EXACT);
    if (status)
        return status;
    zm_error err = {0};
    if (n == 0) {
        zm_fail(&err, ZM_E_USAGE, "name at least one directory of reference tensors");
        return zm_app_report("parity", &err);
    }
    zm_parity_report r = {.line = print_line};
    int errors = 0, files = 0;
    for (int i = 0; i < n; i++) {
        zm_error_clear(&err);
        if (is_plain_file(dirs[i])) {
            printf("skip %s: a file, not a directory of reference tensors\n", dirs[i]);
            files++;
            continue;
        }
        if (zm_parity_run(dirs[i], &r, &err)) {
            zm_app_report("parity", &err);
            errors++;
        }
    }
    if (files == n) {
        zm_fail(&err, ZM_E_USAGE, "%s: a file; name a directory of reference tensors", dirs[0]);
        return zm_app_report("parity", &err);
    }
    printf("%d passed, %d failed", r.passed, r.failed + errors);
    if (errors)
        printf(", %d of them could not be computed", errors);
    putchar('\n');
    return r.failed || errors ? 1 : 0;
}
