/* How fast this machine multiplies matrices: the yardstick of "fraction of measured peak".
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_PEAK_H
#define ZM_BACKEND_CPU_PEAK_H

/* The best f32 rate seen, in GFLOPS (10^9 multiplications and additions a second) on all threads, over a few large
 * matrix products run for about `seconds_budget` through the kernels that models use (and oneDNN's sgemm where the
 * build has it).  At least one product is run; 0 when there is no memory for it. */
double zm_measure_sgemm_peak(double seconds_budget);

#endif
