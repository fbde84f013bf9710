/* zouma random: a public model's directory with random weights.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_RANDOM_MODEL_H
#define ZM_APP_RANDOM_MODEL_H

int zm_cmd_random(int argc, char **argv);

#endif
