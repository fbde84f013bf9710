/* zouma convert.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_CONVERT_H
#define ZM_APP_CONVERT_H

int zm_cmd_convert(int argc, char **argv);

#endif
