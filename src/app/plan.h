/* zouma plan: what a clip will take before anything runs.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_PLAN_H
#define ZM_APP_PLAN_H

int zm_cmd_plan(int argc, char **argv);

#endif
