/* The yardstick of measurements: the rate of large matrix products where graphs run.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_PEAK_H
#define ZM_BACKEND_PEAK_H

/* GFLOPS of the default device, the best of at least `seconds`: sgemm on the CPU (cpu/peak.h), products of 8192 rows and
 * columns (256 where memory is short) in the compute type on a card; 0: they could not be made. */
double zm_measure_peak(double seconds);

#endif
