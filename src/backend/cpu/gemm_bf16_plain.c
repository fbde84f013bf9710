/* Inner loops of matrix products in bf16 for any processor.
 * SPDX-License-Identifier: MIT */
#define ISA_NAME  "bf16 on plain"
#define ISA_TABLE zm_gemm_bf16_plain
#define LANES     4
#define ROWS      6
#define VECTORS   2
#include "backend/cpu/gemm_bf16.h"

#include "backend/cpu/gemm_tile.h"
#include "backend/cpu/gemm_table.h"
