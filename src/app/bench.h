/* zouma bench.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_BENCH_H
#define ZM_APP_BENCH_H

int zm_cmd_bench(int argc, char **argv);

#endif
