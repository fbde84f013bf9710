/* The yardstick of measurements on a card: the rate of large matrix products there.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_BENCH_DEVICE_H
#define ZM_APP_BENCH_DEVICE_H

/* GFLOPS of products of 8192 rows and columns in the compute type, the best run of at least `seconds`; 0: they could not
 * be made. */
double zm_bench_device_peak(double seconds);

#endif
