/* Time and memory of this process.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BASE_CLOCK_H
#define ZM_BASE_CLOCK_H

#include <stddef.h>

/* Monotonic seconds. */
double zm_now(void);
/* Seconds since the system started this process, whatever program it was then: loading of libraries is in it.  In
 * hundredths; below 0 where the system does not tell. */
double zm_process_age(void);
/* Resident set now, and its peak, in bytes; 0 where the system does not tell. */
size_t zm_rss_bytes(void);
size_t zm_peak_rss_bytes(void);
/* Let the peak begin anew with what is resident now; where the system cannot, it stays. */
void zm_peak_rss_restart(void);

#endif
