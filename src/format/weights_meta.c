/* Look up metadata of weight files.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "format/weights.h"
#include "format/weights_build.h"

size_t zm_weights_meta_count(const zm_weights *w)
{
    return w->n_meta;
}

const zm_meta *zm_weights_meta_at(const zm_weights *w, size_t i)
{
    ZM_ASSERT(i < w->n_meta);
    return &w->meta[i];
}

const zm_meta *zm_weights_meta(const zm_weights *w, const char *key)
{
    for (size_t i = 0; i < w->n_meta; i++)
        if (!strcmp(w->meta[i].key, key))
            return &w->meta[i];
    return NULL;
}

const char *zm_weights_meta_str(const zm_weights *w, const char *key)
{
    const zm_meta *m = zm_weights_meta(w, key);
    return m && m->type == ZM_META_STR ? m->str : NULL;
}

bool zm_weights_meta_u64(const zm_weights *w, const char *key, uint64_t *out)
{
    const zm_meta *m = zm_weights_meta(w, key);
    if (!m)
        return false;
    switch (m->type) {
    case ZM_META_U64:
    case ZM_META_BOOL:
        *out = m->u64;
        return true;
    case ZM_META_I64:
        if (m->i64 < 0)
            return false;
        *out = (uint64_t)m->i64;
        return true;
    case ZM_META_STR: {
        if (m->str[0] < '0' || m->str[0] > '9')
            return false;
        char *end;
        errno = 0;
        unsigned long long v = strtoull(m->str, &end, 10);
        if (errno || *end)
            return false;
        *out = v;
        return true;
    }
    default:
        return false;
    }
}

bool zm_weights_meta_f64(const zm_weights *w, const char *key, double *out)
{
    const zm_meta *m = zm_weights_meta(w, key);
    if (!m)
        return false;
    switch (m->type) {
    case ZM_META_F64:
        *out = m->f64;
        return true;
    case ZM_META_U64:
        *out = (double)m->u64;
        return true;
    case ZM_META_I64:
        *out = (double)m->i64;
        return true;
    case ZM_META_STR: {
        char *end;
        double v = strtod(m->str, &end);
        if (end == m->str || *end)
            return false;
        *out = v;
        return true;
    }
    default:
        return false;
    }
}
