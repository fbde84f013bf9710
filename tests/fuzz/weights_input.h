/* Open any bytes as a weight file and look at everything that opens.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TESTS_WEIGHTS_INPUT_H
#define ZM_TESTS_WEIGHTS_INPUT_H

#include <stdlib.h>
#include <string.h>

#include "format/weights.h"

static inline unsigned use_tensor(const zm_weights *w, size_t i)
{
    unsigned sum = 0;
    const zm_weight *t = zm_weights_at(w, i), *found;
    zm_error err = {0};
    if (zm_weights_find(&found, w, t->name, &err)) {
        if (err.code != ZM_E_UNSUPPORTED)
            abort(); /* listed, so it can be found */
    } else {
        size_t need;
        if (found != t || !zm_dtype_bytes(&need, t->dtype, zm_weight_elems(t)) || need != t->bytes)
            abort();
        size_t block = zm_dtype_block_elems(t->dtype), n = zm_weight_elems(t);
        float v[ZM_DTYPE_BLOCK_MAX];
        if (n && zm_dtype_is_weight(t->dtype)) { /* any bytes are weights */
            zm_dtype_to_f32(v, t->data, t->dtype, block);
            sum += v[block - 1] > 0;
        }
    }
    for (size_t k = 0; k < t->bytes; k++)
        sum += ((const unsigned char *)t->data)[k];
    return sum;
}

static inline unsigned use_meta(const zm_meta *m)
{
    unsigned sum = (unsigned)strlen(m->key);
    if (m->type == ZM_META_STR)
        sum += (unsigned char)m->str[m->n];
    for (size_t i = 0; i < m->n; i++) {
        if (m->type == ZM_META_STRS)
            sum += (unsigned char)m->strs[i][m->lens[i]];
        if (m->type == ZM_META_F32S)
            sum += m->f32s[i] > 0;
        if (m->type == ZM_META_I32S)
            sum += (unsigned)m->i32s[i];
    }
    return sum;
}

static inline void use_weights(const void *data, size_t size)
{
    zm_error err = {0};
    zm_weights *w;
    zm_status s = zm_weights_open_memory(&w, data, size, "input", &err);
    if (s) {
        if (w || s != err.code || strncmp(err.text, "input", 5) || strchr(err.text, '\n'))
            abort(); /* an error is one sentence that names the file */
        return;
    }
    static volatile unsigned sum; /* so that no read is left out */
    for (size_t i = 0; i < zm_weights_count(w); i++)
        sum = sum + use_tensor(w, i);
    for (size_t i = 0; i < zm_weights_meta_count(w); i++)
        sum = sum + use_meta(zm_weights_meta_at(w, i));
    zm_weights_free(w);
}

#endif
