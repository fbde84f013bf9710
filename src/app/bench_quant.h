/* zouma bench quant: what each stored type loses and how fast it is made and read.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_BENCH_QUANT_H
#define ZM_APP_BENCH_QUANT_H

#include "app/bench_rows.h"

/* Rows of every stored type, for normal numbers and for the matrices of the bundled transformer when there is one. */
zm_status zm_bench_quant(zm_bench *b, zm_error *err);
/* The rows that zm_bench_quant added, as a table of their own; nothing when there are none. */
void zm_bench_quant_print(const zm_bench *b);
/* The row's "quant" object. */
json_t *zm_bench_quant_json(const zm_bench_row *r);

#endif
