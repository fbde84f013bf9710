/* The text a tokenizer learns from.
 * SPDX-License-Identifier: MIT */
#include "text/corpus.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "text/normalise.h"
#include "text/utf8.h"

void zm_corpus_release(zm_corpus *c)
{
    free(c->text);
    free(c->unit);
    free(c->slot);
    *c = (zm_corpus){0};
}

static bool grow_slots(zm_corpus *c)
{
    size_t slots = c->slots ? c->slots * 2 : 1024;
    uint32_t *slot = calloc(slots, sizeof *slot);
    if (!slot)
        return false;
    for (size_t i = 0; i < c->n; i++) {
        size_t h = zm_hash64(c->text + c->unit[i].at, c->unit[i].bytes, 0) & (slots - 1);
        while (slot[h])
            h = (h + 1) & (slots - 1);
        slot[h] = (uint32_t)i + 1;
    }
    free(c->slot);
    c->slot = slot;
    c->slots = slots;
    return true;
}

static bool reserve(zm_corpus *c, size_t bytes)
{
    if (c->n + 1 > c->cap) {
        size_t cap = c->cap * 2 + 256;
        zm_unit *grown = cap <= UINT32_MAX / 4 ? realloc(c->unit, cap * sizeof *grown) : NULL;
        if (!grown)
            return false;
        c->unit = grown;
        c->cap = cap;
    }
    if (c->text_cap - c->text_bytes < bytes + 1) {
        size_t cap = (c->text_cap + bytes) * 2 + 4096;
        char *grown = realloc(c->text, cap);
        if (!grown)
            return false;
        c->text = grown;
        c->text_cap = cap;
    }
    return c->n * 2 < c->slots || grow_slots(c);
}

/* false when out of memory. */
static bool add_unit(zm_corpus *c, const char *at, size_t bytes, double count)
{
    if (!bytes)
        return true;
    if (!reserve(c, bytes))
        return false;
    size_t h = zm_hash64(at, bytes, 0) & (c->slots - 1);
    for (; c->slot[h]; h = (h + 1) & (c->slots - 1)) {
        zm_unit *u = &c->unit[c->slot[h] - 1];
        if (u->bytes == bytes && !memcmp(c->text + u->at, at, bytes)) {
            u->count += count;
            return true;
        }
    }
    c->unit[c->n++] = (zm_unit){c->text_bytes, (uint32_t)bytes, count};
    c->slot[h] = (uint32_t)c->n;
    memcpy(c->text + c->text_bytes, at, bytes);
    c->text_bytes += bytes;
    c->text[c->text_bytes++] = 0;
    return true;
}

/* A space opens a unit and joins what follows, unless that is Han: "红" stays one piece with or without a space. */
static bool add_line(zm_corpus *c, const char *text, size_t bytes)
{
    size_t start = 0;
    int class = -1; /* of the open unit; -1: none, or only its space */
    for (size_t i = 0; i < bytes;) {
        uint32_t ch = 0;
        size_t n = zm_utf8_next(&ch, text + i, bytes - i);
        zm_char_class k = zm_char_classify(ch);
        bool joins = class < 0 ? k != ZM_CHAR_HAN && k != ZM_CHAR_SPACE : (int)k == class;
        if (i > start && !joins) {
            if (!add_unit(c, text + start, i - start, 1))
                return false;
            start = i;
        }
        class = k == ZM_CHAR_SPACE ? -1 : (int)k;
        i += n ? n : 1;
    }
    return add_unit(c, text + start, bytes - start, 1);
}

zm_status zm_corpus_build(zm_corpus *out, const char *const *lines, size_t n, const zm_tokenizer_rules *rules,
                          zm_error *err)
{
    zm_charsmap map;
    zm_status st = ZM_OK;
    *out = (zm_corpus){0};
    if (rules->charsmap && (st = zm_charsmap_parse(&map, rules->charsmap, rules->charsmap_bytes, err)))
        return st;
    for (size_t i = 0; i < n && !st; i++) {
        char *normal;
        size_t bytes;
        st = zm_normalise(&normal, &bytes, lines[i], strnlen(lines[i], ZM_TEXT_MAX_BYTES + 1), rules,
                          rules->charsmap ? &map : NULL, err);
        if (st) {
            zm_error_prefix(err, "Line %zu of the training text", i + 1);
            break;
        }
        if (!add_line(out, normal, bytes))
            st = zm_fail(err, ZM_E_NOMEM, "There is no memory for line %zu of the training text.", i + 1);
        free(normal);
    }
    if (!st && !out->n)
        st = zm_fail(err, ZM_E_USAGE, "There is no text to learn a tokenizer from.");
    if (st)
        zm_corpus_release(out);
    return st;
}

/* ---- characters ----------------------------------------------------------------------------------------- */

static int by_count(const void *pa, const void *pb)
{
    const zm_counted_char *a = pa, *b = pb;
    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    return (a->c > b->c) - (a->c < b->c);
}

static int by_code(const void *pa, const void *pb)
{
    const zm_counted_char *a = pa, *b = pb;
    return (a->c > b->c) - (a->c < b->c);
}

zm_status zm_corpus_characters(const zm_corpus *c, double coverage, zm_counted_char **out, size_t *n, zm_error *err)
{
    enum { CODES = 0x110000 };
    double *count = calloc(CODES, sizeof *count), total = 0, covered = 0;
    size_t distinct = 0, at = 0;
    *out = NULL;
    if (!count)
        return zm_fail(err, ZM_E_NOMEM, "There is no memory to count characters.");
    for (size_t u = 0; u < c->n; u++) {
        const char *text = c->text + c->unit[u].at;
        uint32_t ch;
        for (size_t i = 0, k; i < c->unit[u].bytes; i += k) {
            k = zm_utf8_next(&ch, text + i, c->unit[u].bytes - i);
            distinct += count[ch] == 0;
            count[ch] += c->unit[u].count;
            total += c->unit[u].count;
        }
    }
    zm_counted_char *list = malloc((distinct + 1) * sizeof *list);
    if (list)
        for (uint32_t ch = 0; ch < CODES; ch++)
            if (count[ch] > 0)
                list[at++] = (zm_counted_char){ch, count[ch]};
    free(count);
    if (!list)
        return zm_fail(err, ZM_E_NOMEM, "There is no memory to count characters.");
    qsort(list, at, sizeof *list, by_count);
    for (*n = 0; *n < at && (coverage >= 1 || covered < coverage * total); ++*n)
        covered += list[*n].count;
    *out = list;
    return ZM_OK;
}

static bool is_kept(const zm_counted_char *kept, size_t n, uint32_t c)
{
    zm_counted_char key = {c, 0};
    return bsearch(&key, kept, n, sizeof *kept, by_code) != NULL;
}

zm_status zm_corpus_restrict(zm_corpus *c, zm_counted_char *kept, size_t n, zm_error *err)
{
    zm_corpus fresh = {0};
    bool ok = true;
    qsort(kept, n, sizeof *kept, by_code);
    for (size_t u = 0; u < c->n && ok; u++) {
        const char *text = c->text + c->unit[u].at;
        size_t start = 0, i = 0;
        while (i < c->unit[u].bytes && ok) {
            uint32_t ch;
            size_t k = zm_utf8_next(&ch, text + i, c->unit[u].bytes - i);
            if (!is_kept(kept, n, ch)) {
                ok = add_unit(&fresh, text + start, i - start, c->unit[u].count);
                start = i + k;
            }
            i += k;
        }
        ok = ok && add_unit(&fresh, text + start, i - start, c->unit[u].count);
    }
    if (!ok) {
        zm_corpus_release(&fresh);
        return zm_fail(err, ZM_E_NOMEM, "There is no memory for the training text.");
    }
    zm_corpus_release(c);
    *c = fresh;
    return ZM_OK;
}
