/* Inner loops of matrix products for AVX2 and FMA.
 * SPDX-License-Identifier: MIT */
#define ISA_NAME  "avx2"
#define ISA_TABLE zm_gemm_avx2
#define LANES     8
#define ROWS      6
#define VECTORS   2
#include "backend/cpu/gemm_tile.h"
#include "backend/cpu/gemm_table.h"
