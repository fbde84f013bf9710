/* Prompts' embeddings on disk.
 * SPDX-License-Identifier: MIT */
#include "pipeline/text_cache.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <utime.h>

#include "base/mapfile.h"
#include "base/rng.h"
#include "format/safetensors_write.h"
#include "format/weights.h"

enum { NAME_BYTES = 64, FILES_MAX = 1 << 16 };
static const char ending[] = ".prompt.safetensors";

/* malloc'd; NULL: no cache. */
static char *directory(void)
{
    const char *own = getenv("ZOUMA_CACHE"), *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (own)
        return *own ? strdup(own) : NULL;
    if (base && *base == '/')
        return zm_path_join(base, "zouma");
    return home && *home == '/' ? zm_path_join(home, ".cache/zouma") : NULL;
}

static void make_directory(char *path)
{
    for (char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = 0;
        (void)!mkdir(path, 0700);
        *at = '/';
    }
    (void)!mkdir(path, 0700);
}

/* Two hashes: 128 bits do not meet by chance. */
static void name_of(char *out, uint64_t weights, const int32_t *ids, int n, int dim)
{
    uint64_t a = zm_hash64(&weights, sizeof weights, (uint64_t)dim), b = zm_hash64(ids, (size_t)n * sizeof *ids, a);
    a = zm_hash64(ids, (size_t)n * sizeof *ids, ~a);
    snprintf(out, NAME_BYTES, "%016" PRIx64 "%016" PRIx64 "%s", a, b, ending);
}

static char *path_of(const char *dir, uint64_t weights, const int32_t *ids, int n, int dim)
{
    char name[NAME_BYTES];
    name_of(name, weights, ids, n, dim);
    return zm_path_join(dir, "%s", name);
}

/* The file holds these very ids, and numbers. */
static bool read_file(float *out, const char *path, const int32_t *ids, int n, int dim)
{
    zm_weights *w = NULL;
    const zm_weight *e, *i;
    bool good = !zm_weights_open(&w, path, NULL) && !zm_weights_find(&e, w, "embedding", NULL) &&
                !zm_weights_find(&i, w, "ids", NULL);
    good = good && e->dtype == ZM_F32 && e->rank == 2 && e->dim[0] == n && e->dim[1] == dim;
    good = good && i->dtype == ZM_I32 && i->rank == 1 && i->dim[0] == n && !memcmp(i->data, ids, i->bytes);
    for (int64_t k = 0; good && k < (int64_t)n * dim; k++) {
        memcpy(out + k, (const char *)e->data + (size_t)k * sizeof *out, sizeof *out);
        good = isfinite(out[k]);
    }
    if (!good && out)
        memset(out, 0, (size_t)n * (size_t)dim * sizeof *out);
    zm_weights_free(w);
    return good;
}

bool zm_text_cache_get(float *out, uint64_t weights, const int32_t *ids, int n, int dim)
{
    char *dir = directory(), *path = dir ? path_of(dir, weights, ids, n, dim) : NULL;
    bool good = path && zm_path_is_file(path) && read_file(out, path, ids, n, dim);
    if (good)
        (void)!utime(path, NULL); /* used just now */
    free(path);
    free(dir);
    return good;
}

typedef struct entry {
    char name[NAME_BYTES];
    uint64_t bytes;
    int64_t used;
} entry;

static int oldest_first(const void *a, const void *b)
{
    int64_t x = ((const entry *)a)->used, y = ((const entry *)b)->used;
    return (x > y) - (x < y);
}

/* Only files of the cache's own names are looked at. */
static size_t list(entry *of, const char *dir, uint64_t *bytes)
{
    size_t n = 0;
    DIR *d = opendir(dir);
    *bytes = 0;
    for (const struct dirent *f; d && n < FILES_MAX && (f = readdir(d));) {
        size_t len = strlen(f->d_name);
        struct stat st;
        char *path = len < NAME_BYTES && len > sizeof ending && !strcmp(f->d_name + len - sizeof ending + 1, ending)
                         ? zm_path_join(dir, "%s", f->d_name)
                         : NULL;
        if (path && !stat(path, &st) && S_ISREG(st.st_mode)) {
            of[n] = (entry){.bytes = (uint64_t)st.st_size, .used = st.st_mtime};
            memcpy(of[n].name, f->d_name, len + 1);
            *bytes += of[n++].bytes;
        }
        free(path);
    }
    if (d)
        closedir(d);
    return n;
}

static void prune(const char *dir)
{
    entry *of = malloc(FILES_MAX * sizeof *of);
    uint64_t bytes;
    size_t n = of ? list(of, dir, &bytes) : 0;
    if (n)
        qsort(of, n, sizeof *of, oldest_first);
    for (size_t i = 0; i < n && bytes > ZM_TEXT_CACHE_BYTES; i++) {
        char *path = zm_path_join(dir, "%s", of[i].name);
        if (path && !remove(path))
            bytes -= of[i].bytes;
        free(path);
    }
    free(of);
}

void zm_text_cache_put(const float *embedding, uint64_t weights, const int32_t *ids, int n, int dim)
{
    char *dir = directory();
    if (!dir)
        return;
    make_directory(dir);
    char *path = path_of(dir, weights, ids, n, dim);
    zm_weight row[] = {
        {.name = "embedding", .dtype = ZM_F32, .rank = 2, .dim = {n, dim}, .data = embedding},
        {.name = "ids", .dtype = ZM_I32, .rank = 1, .dim = {n}, .data = ids},
    };
    row[0].bytes = (size_t)n * (size_t)dim * sizeof *embedding;
    row[1].bytes = (size_t)n * sizeof *ids;
    if (path && !zm_safetensors_write(path, row, 2, NULL, 0, NULL))
        prune(dir);
    free(path);
    free(dir);
}
