/* The command table.
 * SPDX-License-Identifier: MIT */
#include "app/commands.h"

#include <stddef.h>

#include "app/train.h"

const zm_command zm_commands[] = {
    {"train", "CONFIG.yaml [--resume] [--set KEY=VALUE]", "train a video autoencoder, a text-to-video model or a detector", zm_cmd_train},
    {NULL, NULL, NULL, NULL},
};
