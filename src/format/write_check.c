/* What both weight writers check before a byte is written.
 * SPDX-License-Identifier: MIT */
#include "format/write_check.h"

#include <stdlib.h>
#include <string.h>

#include "format/weights_build.h"

static int order_strings(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static zm_status check_unique(const char *path, const char **names, size_t n, size_t name_max, const char *what,
                              zm_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (!names[i] || strlen(names[i]) > name_max || !zm_weights_name_ok(names[i], strlen(names[i])))
            return zm_fail(err, ZM_E_USAGE, "%s: %s %zu, \"%.80s\", is not 1 to %zu printable bytes", path, what, i,
                           names[i] ? names[i] : "", name_max);
    qsort(names, n, sizeof *names, order_strings);
    for (size_t i = 1; i < n; i++)
        if (!strcmp(names[i - 1], names[i]))
            return zm_fail(err, ZM_E_USAGE, "%s: %s %s is given twice", path, what, names[i]);
    return ZM_OK;
}

static zm_status check_size(const char *path, const zm_weight *given, bool later, zm_error *err)
{
    if ((unsigned)given->dtype >= ZM_DTYPE_COUNT)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: tensor %s has no known dtype", path, given->name);
    if (given->rank < 0 || given->rank > ZM_WEIGHT_RANK_MAX)
        return zm_fail(err, ZM_E_SHAPE, "%s: tensor %s has rank %d, 0 to %d are possible", path, given->name,
                       given->rank, ZM_WEIGHT_RANK_MAX);
    zm_weight t = *given;
    t.file = path;
    t.dtype_name = zm_dtype_name(t.dtype);
    zm_error why = {0};
    if (zm_weights_set_bytes(&t, zm_dtype_block_elems(t.dtype), zm_dtype_block_bytes(t.dtype), &why))
        return zm_fail(err, ZM_E_SHAPE, "%s", why.text);
    if (t.bytes != given->bytes || (t.bytes && !given->data && !later))
        return zm_fail(err, ZM_E_SHAPE, "%s: tensor %s is given %zu bytes, dims of %s need %zu", path, t.name,
                       given->bytes, t.dtype_name, t.bytes);
    return ZM_OK;
}

zm_status zm_write_check(const char *path, const zm_weight *tensors, size_t n, const zm_meta *meta, size_t n_meta,
                         size_t name_max, bool later, zm_error *err)
{
    enum { KEY_BYTES_MAX = 65535 };
    const char **names = malloc((n + n_meta + 1) * sizeof *names);
    if (!names)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory for %zu names", path, n + n_meta);
    for (size_t i = 0; i < n; i++)
        names[i] = tensors[i].name;
    for (size_t i = 0; i < n_meta; i++)
        names[n + i] = meta[i].key;
    zm_status s = check_unique(path, names, n, name_max, "tensor", err);
    if (!s)
        s = check_unique(path, names + n, n_meta, KEY_BYTES_MAX, "metadata key", err);
    free(names);
    for (size_t i = 0; i < n && !s; i++)
        s = check_size(path, &tensors[i], later, err);
    return s;
}
