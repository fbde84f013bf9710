/* The command table: one row per subcommand; help, dispatch and docs are printed from it.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_COMMANDS_H
#define ZM_APP_COMMANDS_H

#include "base/error.h"

typedef struct zm_command {
    const char *name;
    const char *usage; /* arguments after the name */
    const char *help;  /* one line */
    /* argv[0] is the command's name.  Returns the exit status: 0 done, 1 the work failed, 2 the command was wrong. */
    int (*run)(int argc, char **argv);
} zm_command;

extern const zm_command zm_commands[]; /* ends with a NULL name */

#endif
