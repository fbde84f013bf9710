/* The program: picks a subcommand from the table; anything else is a prompt.
 * SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "base/log.h"

static void print_line(zm_log_level level, const char *text, void *user)
{
    (void)user;
    fprintf(stderr, "%s%s\n", level == ZM_LOG_WARN ? "warning: " : "", text);
}

static int print_usage(FILE *to)
{
    fprintf(
        to,
        "zouma - text to video on your own computer\n\n  zouma \"a red ball bounces on the grass at sunset\" -o clip.mp4\n\ncommands:\n");
    for (const zm_command *c = zm_commands; c->name; c++)
        fprintf(to, "  %-9s %s\n", c->name, c->help);
    fprintf(to, "\nzouma COMMAND --help explains one of them.  A prompt may be English or Chinese.\n");
    return to == stdout ? 0 : 2;
}

/* Start anew with threads that wait for each other awake for a tenth of a millisecond, then asleep.  OpenMP's own wait of
 * milliseconds takes the processor from the very thread that is waited for as soon as another program runs.  The library
 * reads its environment before main; the user's own wishes win, and where this fails, clips are as right as before. */
static void wait_briefly(char **argv)
{
    char path[4096];
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT") || getenv("KMP_BLOCKTIME"))
        return;
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0 || setenv("GOMP_SPINCOUNT", "10000", 1) || setenv("KMP_BLOCKTIME", "1", 1))
        return;
    path[n] = 0;
    execv(path, argv);
}

int main(int argc, char **argv)
{
    zm_log_set(print_line, getenv("ZM_DEBUG") ? ZM_LOG_DEBUG : ZM_LOG_INFO, NULL);
    if (argc < 2)
        return print_usage(stderr);
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
        return print_usage(stdout);
    if (!strcmp(argv[1], "--version")) {
        printf("zouma %s\n", ZM_VERSION);
        return 0;
    }
    wait_briefly(argv);
    for (const zm_command *c = zm_commands; c->name; c++)
        if (!strcmp(argv[1], c->name))
            return c->run(argc - 1, argv + 1);
    bool prompt = strchr(argv[1], ' ') || (unsigned char)argv[1][0] >= 0x80 || argv[1][0] == '-';
    if (!prompt) {
        fprintf(stderr, "zouma: \"%s\" is no command; for a prompt of one word write: zouma generate %s\n", argv[1],
                argv[1]);
        return 2;
    }
    argv[0] = "generate"; /* a prompt stands where the command would */
    for (const zm_command *c = zm_commands; c->name; c++)
        if (!strcmp(c->name, "generate"))
            return c->run(argc, argv);
    return print_usage(stderr);
}
