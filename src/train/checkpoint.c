/* Training state on disk.
 * SPDX-License-Identifier: MIT */
#include "train/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/safetensors_write.h"

enum { NAME_BYTES = 256 };

zm_status zm_checkpoint_save(const char *path, zm_opt *o, int64_t step, const char *fingerprint, zm_error *err)
{
    int n = zm_opt_state_count(o), used = 0;
    zm_weight *w = calloc((size_t)n + 1, sizeof *w);
    char(*name)[NAME_BYTES] = calloc((size_t)n + 1, sizeof *name), steps[32];
    if (!w || !name) {
        free(w);
        free(name);
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory for a checkpoint", path);
    }
    for (int i = 0; i < n; i++) {
        const zm_shape *shape;
        float *data;
        zm_opt_state_at(o, i, name[i], NAME_BYTES, &data, &shape);
        if (!data)
            continue;
        w[used] = (zm_weight){.name = name[i],
                              .dtype = ZM_F32,
                              .rank = shape->rank,
                              .data = data,
                              .bytes = (size_t)zm_shape_elems(*shape) * 4};
        memcpy(w[used].dim, shape->dim, sizeof shape->dim);
        used++;
    }
    snprintf(steps, sizeof steps, "%" PRId64, step);
    zm_meta meta[] = {{.key = "step", .type = ZM_META_STR, .str = steps, .n = strlen(steps)},
                      {.key = "fingerprint", .type = ZM_META_STR, .str = fingerprint, .n = strlen(fingerprint)}};
    zm_status s = zm_safetensors_write(path, w, (size_t)used, meta, 2, err);
    free(w);
    free(name);
    return s;
}

static zm_status load_tensor(const zm_weights *w, const char *name, float *data, const zm_shape *shape, zm_error *err)
{
    const zm_weight *t;
    zm_status s = zm_weights_find(&t, w, name, err);
    if (s)
        return s;
    bool fits =
        t->dtype == ZM_F32 && t->rank == shape->rank && !memcmp(t->dim, shape->dim, (size_t)t->rank * sizeof *t->dim);
    if (!fits)
        return zm_fail(err, ZM_E_FORMAT, "%s: %s has another shape than this configuration asks for",
                       zm_weights_path(w), name);
    memcpy(data, t->data, t->bytes);
    return ZM_OK;
}

zm_status zm_checkpoint_load(const char *path, zm_opt *o, int64_t *step, const char *fingerprint, zm_error *err)
{
    zm_weights *w;
    zm_status s = zm_weights_open(&w, path, err);
    if (s)
        return s;
    const char *made_by = zm_weights_meta_str(w, "fingerprint");
    uint64_t at = 0;
    if (!made_by || strcmp(made_by, fingerprint))
        s = zm_fail(
            err, ZM_E_FORMAT,
            "%s: made by another configuration (%s, this one is %s); train without --resume or restore the old settings",
            path, made_by ? made_by : "none named", fingerprint);
    else if (!zm_weights_meta_u64(w, "step", &at) || at > INT64_MAX)
        s = zm_fail(err, ZM_E_FORMAT, "%s: no step count in its metadata", path);
    for (int i = 0; !s && i < zm_opt_state_count(o); i++) {
        char name[NAME_BYTES];
        const zm_shape *shape;
        float *data;
        zm_opt_state_at(o, i, name, sizeof name, &data, &shape);
        if (data)
            s = load_tensor(w, name, data, shape, err);
    }
    zm_weights_free(w);
    if (!s)
        *step = (int64_t)at;
    return s;
}
