/* Inner loops of matrix products in bf16 for AVX2.
 * SPDX-License-Identifier: MIT */
#define ISA_NAME  "bf16 on avx2"
#define ISA_TABLE zm_gemm_bf16_avx2
#define LANES     8
#define ROWS      6
#define VECTORS   2
#include "backend/cpu/gemm_bf16.h"

#include "backend/cpu/gemm_tile.h"
#include "backend/cpu/gemm_table.h"
