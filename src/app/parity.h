/* zouma parity.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_PARITY_H
#define ZM_APP_PARITY_H

int zm_cmd_parity(int argc, char **argv);

#endif
