/* Files as memory, whole files written beside and renamed.
 * SPDX-License-Identifier: MIT */
#include "base/mapfile.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Open mappings, so that whoever holds a pointer can ask whether it may be dropped and read again. */
static struct {
    pthread_mutex_t lock;
    zm_map *at;
    size_t n, cap;
} live = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* A mapping that cannot be listed is only never dropped. */
static void list_add(const zm_map *m)
{
    pthread_mutex_lock(&live.lock);
    if (live.n == live.cap) {
        size_t cap = live.cap ? 2 * live.cap : 16;
        zm_map *at = realloc(live.at, cap * sizeof *at);
        if (at) {
            live.at = at;
            live.cap = cap;
        }
    }
    if (live.n < live.cap)
        live.at[live.n++] = *m;
    pthread_mutex_unlock(&live.lock);
}

static void list_remove(const zm_map *m)
{
    pthread_mutex_lock(&live.lock);
    for (size_t i = 0; i < live.n; i++)
        if (live.at[i].at == m->at) {
            live.at[i] = live.at[--live.n];
            break;
        }
    if (!live.n) {
        free(live.at);
        live.at = NULL;
        live.cap = 0;
    }
    pthread_mutex_unlock(&live.lock);
}

bool zm_map_holds(const void *at, size_t bytes)
{
    bool found = false;
    uintptr_t from = (uintptr_t)at;
    pthread_mutex_lock(&live.lock);
    for (size_t i = 0; i < live.n && !found; i++) {
        uintptr_t start = (uintptr_t)live.at[i].at;
        found = from >= start && bytes <= live.at[i].size && from - start <= live.at[i].size - bytes;
    }
    pthread_mutex_unlock(&live.lock);
    return found;
}

static zm_status open_regular(int *fd, size_t *size, const char *path, zm_error *err)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0)
        return zm_fail(err, errno == ENOENT ? ZM_E_MISSING : ZM_E_IO, "%s: cannot open: %s", path, strerror(errno));
    struct stat st;
    if (fstat(*fd, &st) || !S_ISREG(st.st_mode) || st.st_size < 0) {
        close(*fd);
        return zm_fail(err, ZM_E_IO, "%s: not a regular file", path);
    }
    *size = (size_t)st.st_size;
    return ZM_OK;
}

zm_status zm_map_open(zm_map *out, const char *path, zm_error *err)
{
    *out = (zm_map){0};
    int fd;
    size_t size;
    zm_status s = open_regular(&fd, &size, path, err);
    if (s)
        return s;
    void *at = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    int why = errno;
    close(fd);
    if (at == MAP_FAILED)
        return zm_fail(err, ZM_E_IO, "%s: cannot map %zu bytes: %s", path, size, strerror(why));
    *out = (zm_map){.at = at, .size = size};
    if (size)
        list_add(out);
    return ZM_OK;
}

void zm_map_close(zm_map *m)
{
    if (m->size) {
        list_remove(m);
        munmap((void *)m->at, m->size);
    }
    *m = (zm_map){0};
}

static uintptr_t page_size(void)
{
    long page = sysconf(_SC_PAGESIZE);
    return page > 0 ? (uintptr_t)page : 4096;
}

void zm_map_drop(const void *at, size_t bytes)
{
    uintptr_t page = page_size(), begin = ((uintptr_t)at + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)at + bytes) / page * page;
    if (end > begin)
        madvise((char *)(uintptr_t)at + (begin - (uintptr_t)at), end - begin, MADV_DONTNEED); /* else they stay */
}

void zm_map_expect(const void *at, size_t bytes)
{
    uintptr_t page = page_size(), begin = (uintptr_t)at / page * page, end = (uintptr_t)at + bytes;
    madvise((char *)(uintptr_t)at - ((uintptr_t)at - begin), end - begin, MADV_WILLNEED); /* else it is read late */
}

zm_status zm_file_read(char **out, size_t *size, const char *path, size_t limit, zm_error *err)
{
    *out = NULL;
    int fd;
    size_t want, have = 0;
    zm_status s = open_regular(&fd, &want, path, err);
    if (s)
        return s;
    char *buf = NULL;
    if (want > limit)
        s = zm_fail(err, ZM_E_FORMAT, "%s: %zu bytes, more than the %zu allowed here", path, want, limit);
    else if (!(buf = malloc(want + 1)))
        s = zm_fail(err, ZM_E_NOMEM, "%s: out of memory for %zu bytes", path, want);
    while (!s && have < want) {
        ssize_t n = read(fd, buf + have, want - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            s = zm_fail(err, ZM_E_IO, "%s: read stopped at byte %zu: %s", path, have,
                        n ? strerror(errno) : "file shrank");
        else
            have += (size_t)n;
    }
    close(fd);
    if (s) {
        free(buf);
        return s;
    }
    buf[have] = 0;
    *out = buf;
    if (size)
        *size = have;
    return ZM_OK;
}

zm_status zm_save_open(zm_save *out, const char *path, zm_error *err)
{
    *out = (zm_save){0};
    size_t n = strlen(path) + 32;
    out->path = strdup(path);
    out->beside = malloc(n);
    if (!out->path || !out->beside) {
        zm_save_abandon(out);
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    }
    snprintf(out->beside, n, "%s.part-%ld", path, (long)getpid());
    out->file = fopen(out->beside, "wb");
    if (!out->file) {
        zm_status s = zm_fail(err, ZM_E_IO, "%s: cannot write: %s", path, strerror(errno));
        free(out->beside); /* nothing to remove */
        out->beside = NULL;
        zm_save_abandon(out);
        return s;
    }
    return ZM_OK;
}

zm_status zm_save_write(zm_save *s, const void *data, size_t bytes, zm_error *err)
{
    if (bytes && fwrite(data, 1, bytes, s->file) != bytes)
        return zm_fail(err, ZM_E_IO, "%s: write failed: %s", s->path, strerror(errno));
    return ZM_OK;
}

zm_status zm_save_commit(zm_save *s, zm_error *err)
{
    zm_status st = ZM_OK;
    int bad = fflush(s->file) || fsync(fileno(s->file)), why = errno;
    if (fclose(s->file) && !bad) {
        bad = 1;
        why = errno;
    }
    s->file = NULL;
    if (bad)
        st = zm_fail(err, ZM_E_IO, "%s: write failed: %s", s->path, strerror(why));
    else
        st = zm_rename_durable(s->beside, s->path, err);
    if (!st) {
        free(s->beside);
        s->beside = NULL;
    }
    zm_save_abandon(s);
    return st;
}

void zm_save_abandon(zm_save *s)
{
    if (s->file)
        fclose(s->file);
    if (s->beside)
        unlink(s->beside);
    free(s->beside);
    free(s->path);
    *s = (zm_save){0};
}

zm_status zm_rename_durable(const char *beside, const char *path, zm_error *err)
{
    if (rename(beside, path))
        return zm_fail(err, ZM_E_IO, "%s: cannot rename into place: %s", path, strerror(errno));
    /* Without this the rename itself may be lost in a power cut; a failure here loses nothing that was promised. */
    char *dir = strdup(path);
    if (dir) {
        char *slash = strrchr(dir, '/');
        if (slash)
            slash[slash == dir] = 0;
        int fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0) {
            (void)fsync(fd);
            close(fd);
        }
        free(dir);
    }
    return ZM_OK;
}

zm_status zm_mkdirs(const char *path, zm_error *err)
{
    char *p = strdup(path);
    if (!p)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    zm_status s = ZM_OK;
    for (char *at = p + 1; !s; at++)
        if (*at == '/' || !*at) {
            char keep = *at;
            *at = 0;
            if (mkdir(p, 0777) && errno != EEXIST)
                s = zm_fail(err, ZM_E_IO, "%s: cannot create directory: %s", p, strerror(errno));
            *at = keep;
            if (!keep)
                break;
        }
    if (!s && !zm_path_is_dir(p))
        s = zm_fail(err, ZM_E_IO, "%s: exists and is not a directory", path);
    free(p);
    return s;
}

bool zm_path_is_dir(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

bool zm_path_is_file(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISREG(st.st_mode);
}

char *zm_path_join(const char *dir, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    size_t d = strlen(dir);
    char *out = n < 0 ? NULL : malloc(d + (size_t)n + 2);
    if (out) {
        memcpy(out, dir, d);
        out[d] = '/';
        vsnprintf(out + d + 1, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    return out;
}
