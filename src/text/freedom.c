/* How freely stretches of Han text continue.
 * SPDX-License-Identifier: MIT */
#include "text/freedom.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "text/utf8.h"

enum { AFTER = 1, BEFORE = 2 };

/* The edge of a unit is a boundary for certain: it counts as this many different neighbours. */
enum { EDGE_WAYS = 16 };

static uint64_t stretch_key(const char *at, size_t bytes, int side)
{
    uint64_t h = zm_hash64(at, bytes, (uint64_t)side);
    return h ? h : 1;
}

static zm_freedom_entry *find(const zm_freedom *f, uint64_t key)
{
    size_t i = (size_t)(key ^ key >> 32) & (f->cap - 1);
    while (f->at[i].key && f->at[i].key != key)
        i = (i + 1) & (f->cap - 1);
    return &f->at[i];
}

static bool grow(zm_freedom *f)
{
    zm_freedom old = *f;
    f->cap = old.cap ? old.cap * 2 : 4096;
    f->at = calloc(f->cap, sizeof *f->at);
    if (!f->at) {
        *f = old;
        return false;
    }
    for (size_t i = 0; i < old.cap; i++)
        if (old.at[i].key)
            *find(f, old.at[i].key) = old.at[i];
    free(old.at);
    return true;
}

static bool bump(zm_freedom *f, uint64_t key, uint64_t owner, double ways, double count)
{
    if (f->n * 2 >= f->cap && !grow(f))
        return false;
    zm_freedom_entry *e = find(f, key);
    f->n += !e->key;
    e->key = key;
    e->owner = owner;
    e->ways = ways;
    e->count += count;
    return true;
}

/* One occurrence of a stretch with the character beside it (none at the end of a unit). */
static bool note(zm_freedom *f, const char *at, size_t bytes, int side, const char *beside, size_t beside_bytes,
                 double count)
{
    uint64_t owner = stretch_key(at, bytes, side), key = zm_hash64(beside, beside_bytes, owner ^ 0x9e3779b97f4a7c15u);
    return bump(f, owner, 0, 1, count) && bump(f, key ? key : 1, owner, beside_bytes ? 1 : EDGE_WAYS, count);
}

static bool note_unit(zm_freedom *f, const char *text, size_t bytes, int max_chars, double count)
{
    uint32_t c;
    size_t before = 0; /* bytes of the character in front of i */
    for (size_t i = 0; i < bytes;) {
        size_t end = i, step = zm_utf8_next(&c, text + i, bytes - i);
        for (int k = 0; k < max_chars && end < bytes; k++) {
            end += zm_utf8_next(&c, text + end, bytes - end);
            size_t after = end < bytes ? zm_utf8_next(&c, text + end, bytes - end) : 0;
            if (!note(f, text + i, end - i, AFTER, text + end, after, count) ||
                !note(f, text + i, end - i, BEFORE, text + i - before, before, count))
                return false;
        }
        before = step;
        i += step;
    }
    return true;
}

zm_status zm_freedom_build(zm_freedom *out, const zm_corpus *c, int max_chars, zm_error *err)
{
    *out = (zm_freedom){0};
    for (size_t u = 0; u < c->n && max_chars > 0; u++) {
        const char *text = c->text + c->unit[u].at;
        uint32_t first;
        zm_utf8_next(&first, text, c->unit[u].bytes);
        if (zm_char_classify(first) == ZM_CHAR_HAN &&
            !note_unit(out, text, c->unit[u].bytes, max_chars, c->unit[u].count)) {
            zm_freedom_release(out);
            return zm_fail(err, ZM_E_NOMEM, "There is no memory to count neighbours in the training text.");
        }
    }
    for (size_t i = 0; i < out->cap; i++)
        if (out->at[i].owner)
            find(out, out->at[i].owner)->c_log_c += out->at[i].count * log(out->at[i].count / out->at[i].ways);
    return ZM_OK;
}

void zm_freedom_release(zm_freedom *f)
{
    free(f->at);
    *f = (zm_freedom){0};
}

static double entropy(const zm_freedom *f, const char *at, size_t bytes, int side)
{
    const zm_freedom_entry *e = find(f, stretch_key(at, bytes, side));
    return e->key ? log(e->count) - e->c_log_c / e->count : 0;
}

bool zm_freedom_is_word(const zm_freedom *f, const char *at, size_t bytes, double nats)
{
    uint32_t c;
    if (!f->cap || nats <= 0)
        return true;
    if (entropy(f, at, bytes, BEFORE) < nats / 4 || entropy(f, at, bytes, AFTER) < nats / 4)
        return false;
    for (size_t cut = zm_utf8_next(&c, at, bytes); cut < bytes; cut += zm_utf8_next(&c, at + cut, bytes - cut))
        if (entropy(f, at, cut, AFTER) >= nats && entropy(f, at + cut, bytes - cut, BEFORE) >= nats)
            return false;
    return true;
}
