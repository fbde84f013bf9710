/* Files without a name.
 * SPDX-License-Identifier: MIT */
#include "base/spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

zm_status zm_spool_open(FILE **out, const char *path, zm_error *err)
{
    static const char end[] = ".wait-XXXXXX";
    if (!path) {
        *out = tmpfile();
        return *out ? ZM_OK : zm_fail(err, ZM_E_IO, "no temporary file can be made: %s", strerror(errno));
    }
    char *name = malloc(strlen(path) + sizeof end);
    *out = NULL;
    if (!name)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    strcpy(name, path);
    strcat(name, end);
    int fd = mkstemp(name);
    if (fd >= 0)
        unlink(name);
    *out = fd >= 0 ? fdopen(fd, "w+b") : NULL;
    zm_status s =
        *out ? ZM_OK : zm_fail(err, ZM_E_IO, "%s: cannot write a temporary beside it: %s", path, strerror(errno));
    if (!*out && fd >= 0)
        close(fd);
    free(name);
    return s;
}
