/* The table of CPU kernels: best first for each op; the op's reference stands behind them all.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/kernel.h"

const zm_kernel *const zm_cpu_kernels[] = {
    NULL,
};
