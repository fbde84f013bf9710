/* Inner loops of matrix products for AVX-512.
 * SPDX-License-Identifier: MIT */
#define ISA_NAME  "avx512"
#define ISA_TABLE zm_gemm_avx512
#define LANES     16
#define ROWS      8
#define VECTORS   3
#include "backend/cpu/gemm_tile.h"
#include "backend/cpu/gemm_table.h"
