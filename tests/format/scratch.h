/* A private directory for one test program, removed at its end, and a fresh seed.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TESTS_SCRATCH_H
#define ZM_TESTS_SCRATCH_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char scratch_dir[200];

__attribute__((unused)) static void scratch_remove(const char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[512];
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (unlink(path))
            scratch_remove(path);
    }
    if (d)
        closedir(d);
    rmdir(dir);
}

__attribute__((unused)) static void scratch_end(void)
{
    scratch_remove(scratch_dir);
}

/* "DIR/NAME" in a rotating buffer; makes the directory at the first call. */
__attribute__((unused)) static const char *scratch(const char *name)
{
    static char path[4][512];
    static int turn;
    if (!*scratch_dir) {
        const char *tmp = getenv("TMPDIR");
        snprintf(scratch_dir, sizeof scratch_dir, "%s/zouma-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
        if (!mkdtemp(scratch_dir))
            abort();
        atexit(scratch_end);
    }
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", scratch_dir, name);
    return path[turn];
}

__attribute__((unused)) static const char *scratch_write(const char *name, const void *data, size_t n)
{
    const char *path = scratch(name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f))
        abort();
    return path;
}

/* ZM_SEED, or the clock; printed so that a failure can be repeated. */
__attribute__((unused)) static unsigned long long scratch_seed(void)
{
    const char *given = getenv("ZM_SEED");
    unsigned long long seed = given ? strtoull(given, NULL, 10) : (unsigned long long)time(NULL);
    printf("# seed %llu (set ZM_SEED to repeat)\n", seed);
    return seed;
}

#endif
