/* zouma generate.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_GENERATE_H
#define ZM_APP_GENERATE_H

int zm_cmd_generate(int argc, char **argv);

#endif
