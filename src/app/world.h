/* zouma world.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_WORLD_H
#define ZM_APP_WORLD_H

int zm_cmd_world(int argc, char **argv);

#endif
