/* What a film goes on from, to and from files.
 * SPDX-License-Identifier: MIT */
#include "pipeline/kept.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"

void zm_kept_release(zm_kept *k)
{
    zm_past_free(k->past);
    zm_decode_state_release(&k->decoded);
    free(k->row);
    free(k->name);
    *k = (zm_kept){0};
}

void zm_kept_clear(zm_kept *k)
{
    zm_past_clear(k->past);
    zm_decode_state_release(&k->decoded);
    k->before = 0;
}

static int past_rows(const zm_past *p)
{
    return p->ring.slots ? p->branches * p->layers * 2 : 0;
}

/* Keys (value 0) or values of one branch: [slots, block]. */
static float *branch_of(const zm_past *p, int branch, int layer, int value)
{
    size_t each = (size_t)p->ring.slots * p->block;
    return zm_past_layer(p, branch / p->batch * p->batch, layer, value) + (size_t)(branch % p->batch) * each;
}

/* Tensor i of the past, wherever its numbers are. */
static zm_weight past_row(const zm_past *p, int i, char *name, size_t cap)
{
    int value = i % 2, layer = i / 2 % p->layers, branch = i / 2 / p->layers;
    zm_weight w = {.dtype = ZM_F32, .rank = 2, .name = name, .data = branch_of(p, branch, layer, value)};
    snprintf(name, cap, "past.%d.%d.%c", branch, layer, value ? 'v' : 'k');
    w.dim[0] = p->ring.slots;
    w.dim[1] = (int64_t)p->block;
    w.bytes = (size_t)p->ring.slots * p->block * sizeof(float);
    return w;
}

zm_status zm_kept_list(zm_kept *k, const zm_weight **row, size_t *n, zm_error *err)
{
    int past = past_rows(k->past), all = 1 + past + k->decoded.bands;
    free(k->row);
    free(k->name);
    k->row = calloc((size_t)all, sizeof *k->row);
    k->name = calloc((size_t)all, sizeof *k->name);
    if (!k->row || !k->name)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a list of %d tensors", all);
    k->place[0] = k->past->ring.made;
    memcpy(&k->place[1], &k->before, sizeof k->before);
    k->row[0] = (zm_weight){
        .name = "blocks", .dtype = ZM_I64, .rank = 1, .dim = {2}, .data = k->place, .bytes = sizeof k->place};
    for (int i = 0; i < past; i++)
        k->row[1 + i] = past_row(k->past, i, k->name[1 + i], sizeof *k->name);
    for (int i = 0; i < k->decoded.bands; i++) {
        char *name = k->name[1 + past + i];
        size_t floats = k->decoded.floats[i];
        snprintf(name, sizeof *k->name, "decoded.%d", i);
        k->row[1 + past + i] = (zm_weight){.name = name,
                                           .dtype = ZM_F32,
                                           .rank = 1,
                                           .dim = {(int64_t)floats},
                                           .data = k->decoded.at[i],
                                           .bytes = floats * sizeof(float)};
    }
    *row = k->row;
    *n = (size_t)all;
    return ZM_OK;
}

static zm_status find(const zm_weight **out, const zm_weights *w, const zm_weight *want, zm_error *err)
{
    zm_status s = zm_weights_find(out, w, want->name, err);
    bool fits = !s && (*out)->dtype == want->dtype && (*out)->rank == want->rank;
    for (int i = 0; fits && i < want->rank; i++)
        fits = want->dim[i] < 0 || want->dim[i] == (*out)->dim[i];
    if (!s && !fits)
        s = zm_fail(err, ZM_E_FORMAT, "%s: tensor %s has another shape than this film's", zm_weights_path(w),
                    want->name);
    return s;
}

static zm_status load_decoded(zm_kept *k, const zm_weights *w, zm_error *err)
{
    zm_status s = ZM_OK;
    zm_decode_state_release(&k->decoded);
    for (int i = 0; !s; i++) {
        char name[40];
        const zm_weight *t;
        snprintf(name, sizeof name, "decoded.%d", i);
        if (!zm_weights_has(w, name))
            break;
        s = find(&t, w, &(zm_weight){.name = name, .dtype = ZM_F32, .rank = 1, .dim = {-1}}, err);
        if (!s)
            s = zm_decode_state_add(&k->decoded, (size_t)t->dim[0], err);
        if (!s)
            memcpy(k->decoded.at[i], t->data, t->bytes);
    }
    if (!s && !k->decoded.bands)
        s = zm_fail(err, ZM_E_MISSING, "%s: no tensor decoded.0", zm_weights_path(w));
    return s;
}

zm_status zm_kept_load(zm_kept *k, const zm_weights *w, zm_error *err)
{
    const zm_weight *t;
    zm_status s = find(&t, w, &(zm_weight){.name = "blocks", .dtype = ZM_I64, .rank = 1, .dim = {2}}, err);
    if (!s) {
        memcpy(k->place, t->data, sizeof k->place);
        if (k->place[0] < 1 || k->place[0] > 1 << 24)
            s = zm_fail(err, ZM_E_FORMAT, "%s: %lld blocks are made", zm_weights_path(w), (long long)k->place[0]);
    }
    for (int i = 0; !s && i < past_rows(k->past); i++) {
        char name[40];
        zm_weight row = past_row(k->past, i, name, sizeof name);
        s = find(&t, w, &row, err);
        if (!s) {
            memcpy(branch_of(k->past, i / 2 / k->past->layers, i / 2 % k->past->layers, i % 2), t->data, t->bytes);
            zm_backend_changed(zm_past_layer(k->past, i / 2 / k->past->layers / k->past->batch * k->past->batch,
                                             i / 2 % k->past->layers, i % 2));
        }
    }
    if (!s)
        s = load_decoded(k, w, err);
    if (!s) {
        k->past->ring.made = k->place[0];
        memcpy(&k->before, &k->place[1], sizeof k->before);
    }
    return s;
}
