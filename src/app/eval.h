/* zouma eval.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_EVAL_H
#define ZM_APP_EVAL_H

int zm_cmd_eval(int argc, char **argv);

#endif
