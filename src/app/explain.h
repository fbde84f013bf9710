/* zouma explain.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_EXPLAIN_H
#define ZM_APP_EXPLAIN_H

int zm_cmd_explain(int argc, char **argv);

#endif
