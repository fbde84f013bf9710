/* Read PyTorch checkpoints (torch >= 1.6): a zip archive of uncompressed storages and one pickle that names them.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "format/pth_pickle.h"

/* Sizes of zip's fixed records, and the longest comment that may follow the last one. */
enum {
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR_BYTES = 20,
    CENTRAL_BYTES = 46,
    LOCAL_BYTES = 30,
    COMMENT_MAX = 65535
};

typedef struct directory {
    uint64_t at, bytes, entries;
} directory;

static zm_status broken(const zm_weights_file *f, size_t at, const char *why, zm_error *err)
{
    return zm_fail(err, ZM_E_FORMAT, "%s: byte %zu: %s", f->name, at, why);
}

static zm_status find_directory(directory *d, const zm_weights_file *f, zm_error *err)
{
    size_t end = f->size < END_BYTES ? 0 : f->size - END_BYTES;
    size_t last = end > COMMENT_MAX ? end - COMMENT_MAX : 0;
    while (f->size >= END_BYTES && end > last && memcmp(f->at + end, "PK\5\6", 4))
        end--;
    if (f->size < END_BYTES || memcmp(f->at + end, "PK\5\6", 4))
        return broken(f, f->size, "the zip archive has no end record, so the file is cut off", err);
    const unsigned char *p = f->at + end;
    *d = (directory){zm_load_u32le(p + 16), zm_load_u32le(p + 12), zm_load_u16le(p + 10)};
    if (end >= LOCATOR_BYTES && !memcmp(p - LOCATOR_BYTES, "PK\6\7", 4)) {
        uint64_t at = zm_load_u64le(p - LOCATOR_BYTES + 8);
        if (at > f->size || f->size - at < END64_BYTES || memcmp(f->at + at, "PK\6\6", 4))
            return broken(f, end - LOCATOR_BYTES, "the zip64 end record is not where its locator says", err);
        p = f->at + at;
        *d = (directory){zm_load_u64le(p + 48), zm_load_u64le(p + 40), zm_load_u64le(p + 32)};
    }
    if (d->at > f->size || d->bytes > f->size - d->at || d->entries > d->bytes / CENTRAL_BYTES)
        return broken(f, end, "the zip directory is not inside the file", err);
    return ZM_OK;
}

/* Replace 32-bit fields that are all ones by those of the zip64 extra field. */
static bool widen(uint64_t *size, uint64_t *stored, uint64_t *at, const unsigned char *extra, size_t bytes)
{
    uint64_t *const fields[] = {size, stored, at};
    while (bytes >= 4) {
        size_t n = zm_load_u16le(extra + 2);
        if (n > bytes - 4)
            return false;
        if (zm_load_u16le(extra) == 1) {
            const unsigned char *p = extra + 4, *end = p + n;
            for (int i = 0; i < 3; i++) {
                if (*fields[i] != UINT32_MAX)
                    continue;
                if (end - p < 8)
                    return false;
                *fields[i] = zm_load_u64le(p);
                p += 8;
            }
            return true;
        }
        extra += 4 + n;
        bytes -= 4 + n;
    }
    return *size != UINT32_MAX && *stored != UINT32_MAX && *at != UINT32_MAX;
}

/* Read the central record at *pos and step over it. */
static zm_status read_entry(zm_pth_entry *e, size_t *pos, size_t end, const zm_weights_file *f, zm_error *err)
{
    const unsigned char *p = f->at + *pos;
    if (end - *pos < CENTRAL_BYTES || memcmp(p, "PK\1\2", 4))
        return broken(f, *pos, "no zip directory record", err);
    size_t name = zm_load_u16le(p + 28), extra = zm_load_u16le(p + 30), comment = zm_load_u16le(p + 32);
    if (end - *pos - CENTRAL_BYTES < name + extra + comment)
        return broken(f, *pos, "a zip directory record runs past the directory", err);
    uint64_t stored = zm_load_u32le(p + 20), size = zm_load_u32le(p + 24), at = zm_load_u32le(p + 42);
    if (!widen(&size, &stored, &at, p + CENTRAL_BYTES + name, extra))
        return broken(f, *pos, "a zip64 field is missing", err);
    if (zm_load_u16le(p + 10) || (zm_load_u16le(p + 8) & 1) || size != stored)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: byte %zu: a compressed or encrypted zip member", f->name, *pos);
    if (at > f->size || f->size - at < LOCAL_BYTES || memcmp(f->at + at, "PK\3\4", 4))
        return broken(f, *pos, "a zip member is not where the directory says", err);
    size_t skip = (size_t)LOCAL_BYTES + zm_load_u16le(f->at + at + 26) + zm_load_u16le(f->at + at + 28);
    if (skip > f->size - at || size > f->size - at - skip)
        return broken(f, (size_t)at, "a zip member runs past the end of the file", err);
    *e = (zm_pth_entry){(const char *)p + CENTRAL_BYTES, name, f->at + at + skip, (size_t)size};
    *pos += CENTRAL_BYTES + name + extra + comment;
    return ZM_OK;
}

static int order_entries(const void *a, const void *b)
{
    const zm_pth_entry *x = a, *y = b;
    size_t n = x->name_bytes < y->name_bytes ? x->name_bytes : y->name_bytes;
    int c = memcmp(x->name, y->name, n);
    return c ? c : (x->name_bytes > y->name_bytes) - (x->name_bytes < y->name_bytes);
}

const zm_pth_entry *zm_pth_find(const zm_pth_archive *a, const char *folder, const char *name, size_t name_bytes)
{
    char path[512];
    size_t n = a->prefix_bytes, m = strlen(folder);
    if (n + m + name_bytes > sizeof path)
        return NULL;
    memcpy(path, a->prefix, n);
    memcpy(path + n, folder, m);
    memcpy(path + n + m, name, name_bytes);
    const zm_pth_entry want = {.name = path, .name_bytes = n + m + name_bytes};
    return bsearch(&want, a->entries, a->n, sizeof want, order_entries);
}

/* data.pkl of the archive's only folder. */
static const zm_pth_entry *find_pickle(zm_pth_archive *a)
{
    static const char name[] = "data.pkl";
    size_t n = sizeof name - 1;
    for (size_t i = 0; i < a->n; i++) {
        const zm_pth_entry *e = &a->entries[i];
        if (e->name_bytes < n || memcmp(e->name + e->name_bytes - n, name, n))
            continue;
        if (e->name_bytes > n && e->name[e->name_bytes - n - 1] != '/')
            continue;
        a->prefix = e->name;
        a->prefix_bytes = e->name_bytes - n;
        return e;
    }
    return NULL;
}

static zm_status read_archive(zm_pth_archive *a, zm_error *err)
{
    const zm_weights_file *f = a->file;
    const zm_pth_entry *pickle = find_pickle(a);
    if (!pickle)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: a zip archive of %zu files without data.pkl, no PyTorch checkpoint",
                       f->name, a->n);
    const zm_pth_entry *order = zm_pth_find(a, "", "byteorder", 9);
    if (order && (order->size != 6 || memcmp(order->at, "little", 6)))
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: written on a big-endian machine", f->name);
    return zm_pth_tensors(a, pickle, err);
}

zm_status zm_pth_parse(const zm_weights_file *f, zm_error *err)
{
    directory d = {0};
    zm_status s = find_directory(&d, f, err);
    if (s)
        return s;
    zm_pth_entry *entries = malloc(((size_t)d.entries + 1) * sizeof *entries);
    if (!entries)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory for %zu zip members", f->name, (size_t)d.entries);
    zm_pth_archive a = {.file = f, .entries = entries};
    size_t pos = (size_t)d.at, end = (size_t)(d.at + d.bytes);
    for (; a.n < d.entries && !s; a.n += !s)
        s = read_entry(&entries[a.n], &pos, end, f, err);
    if (!s) {
        qsort(entries, a.n, sizeof *entries, order_entries);
        s = read_archive(&a, err);
    }
    free(entries);
    return s;
}
