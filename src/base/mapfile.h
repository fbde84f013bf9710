/* Files as memory, whole files written beside and renamed.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BASE_MAPFILE_H
#define ZM_BASE_MAPFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

/* A read-only private mapping of a regular file; {0} is closed. */
typedef struct zm_map {
    const unsigned char *at;
    size_t size; /* bytes */
} zm_map;

/* ZM_E_MISSING: no such file; ZM_E_IO: not a regular file or cannot be mapped.  An empty file maps to size 0. */
ZM_MUST zm_status zm_map_open(zm_map *out, const char *path, zm_error *err);
void zm_map_close(zm_map *m);
/* The whole pages inside [at, at + bytes) of a mapping need not stay in memory: they are read from the file again when
 * they are touched.  Only for memory of a zm_map. */
void zm_map_drop(const void *at, size_t bytes);
/* The file's part behind [at, at + bytes) will be wanted soon: it is read ahead, without counting as this process's
 * memory before it is touched.  Only for memory of a zm_map. */
void zm_map_expect(const void *at, size_t bytes);
/* Whether [at, at + bytes) lies in a zm_map that is open now. */
bool zm_map_holds(const void *at, size_t bytes);

/* Read a whole file into heap memory with a NUL after it (free with free()).  ZM_E_FORMAT when larger than
 * `limit` bytes: nothing is read then. */
ZM_MUST zm_status zm_file_read(char **out, size_t *size, const char *path, size_t limit, zm_error *err);

/* Write-beside-and-rename: bytes go to "PATH.part-PID"; only zm_save_commit makes them appear under `path`
 * (flush, fsync, rename, fsync of the directory).  A crash at any instant leaves the old file or the new. */
typedef struct zm_save {
    FILE *file;   /* write here; NULL when closed */
    char *path;   /* final name */
    char *beside; /* temporary name */
} zm_save;
ZM_MUST zm_status zm_save_open(zm_save *out, const char *path, zm_error *err);
ZM_MUST zm_status zm_save_write(zm_save *s, const void *data, size_t bytes, zm_error *err);
ZM_MUST zm_status zm_save_commit(zm_save *s, zm_error *err); /* always closes; removes the temporary on failure */
void zm_save_abandon(zm_save *s);                            /* removes the temporary; fine after commit */

/* Rename an already written temporary over `path` durably. */
ZM_MUST zm_status zm_rename_durable(const char *beside, const char *path, zm_error *err);
/* mkdir -p. */
ZM_MUST zm_status zm_mkdirs(const char *path, zm_error *err);
bool zm_path_is_dir(const char *path);
bool zm_path_is_file(const char *path);
/* Malloc'd "DIR/NAME" (NAME printf-formatted); NULL when out of memory. */
char *zm_path_join(const char *dir, const char *fmt, ...) ZM_PRINTF(2, 3);

#endif
