/* zouma info.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_INFO_H
#define ZM_APP_INFO_H

int zm_cmd_info(int argc, char **argv);

#endif
