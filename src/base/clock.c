/* Time and memory of this process.
 * SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

double zm_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Field 22 of /proc/self/stat, counted from behind the program's name, which may hold anything. */
double zm_process_age(void)
{
    char line[1024];
    unsigned long long began = 0;
    struct timespec t;
    FILE *f = fopen("/proc/self/stat", "r");
    size_t n = f ? fread(line, 1, sizeof line - 1, f) : 0;
    if (f)
        fclose(f);
    line[n] = 0;
    const char *name_end = strrchr(line, ')');
    if (!name_end ||
        sscanf(name_end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &began) != 1 ||
        clock_gettime(CLOCK_BOOTTIME, &t))
        return -1;
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec - (double)began / (double)sysconf(_SC_CLK_TCK);
}

size_t zm_rss_bytes(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f)
        return 0;
    if (fscanf(f, "%*s %lu", &pages) != 1)
        pages = 0;
    fclose(f);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* VmHWM, which can begin anew, unlike getrusage's maximum. */
size_t zm_peak_rss_bytes(void)
{
    char line[128];
    unsigned long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %lu", &kib) == 1)
            break;
    if (f)
        fclose(f);
    struct rusage u;
    if (!kib && !getrusage(RUSAGE_SELF, &u))
        kib = (unsigned long)u.ru_maxrss;
    return (size_t)kib * 1024;
}

void zm_peak_rss_restart(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (!f)
        return;
    fputs("5", f);
    fclose(f);
}
