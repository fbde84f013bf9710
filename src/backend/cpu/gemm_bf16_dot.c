/* Inner loops of matrix products in bf16 for AVX512_BF16.
 * SPDX-License-Identifier: MIT */
#define ISA_NAME  "avx512_bf16"
#define ISA_TABLE zm_gemm_bf16_dot
#define LANES     16
#define ROWS      8
#define VECTORS   3
#include "backend/cpu/gemm_bf16.h"

#include "backend/cpu/gemm_tile.h"
#include "backend/cpu/gemm_table.h"
