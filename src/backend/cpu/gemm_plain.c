/* Inner loops of matrix products for any processor.
 * SPDX-License-Identifier: MIT */
#define ISA_NAME  "plain"
#define ISA_TABLE zm_gemm_plain
#define LANES     4
#define ROWS      6
#define VECTORS   2
#include "backend/cpu/gemm_tile.h"
#include "backend/cpu/gemm_table.h"
