/* Growing arrays of code points, the form in which text is cleaned.
 * SPDX-License-Identifier: MIT */
#include "text/clean_runes.h"

#include <stdlib.h>
#include <string.h>

#include "text/utf8.h"

static bool reserve(zm_runes *r, size_t more)
{
    if (r->failed || more > ZM_RUNES_MAX - r->n) {
        r->failed = true;
        return false;
    }
    if (r->cap - r->n >= more)
        return true;
    size_t cap = (r->n + more) * 2 + 64;
    uint32_t *grown = realloc(r->at, cap * sizeof *grown);
    if (!grown) {
        r->failed = true;
        return false;
    }
    r->at = grown;
    r->cap = cap;
    return true;
}

void zm_runes_push(zm_runes *r, uint32_t c)
{
    if (reserve(r, 1))
        r->at[r->n++] = c;
}

void zm_runes_append(zm_runes *r, const uint32_t *at, size_t n)
{
    if (!n || !reserve(r, n))
        return;
    memcpy(r->at + r->n, at, n * sizeof *at);
    r->n += n;
}

void zm_runes_clear(zm_runes *r)
{
    r->n = 0;
}

void zm_runes_release(zm_runes *r)
{
    free(r->at);
    *r = (zm_runes){0};
}

void zm_runes_swap(zm_runes *a, zm_runes *b)
{
    zm_runes t = *a;
    *a = *b;
    *b = t;
    a->failed = b->failed = a->failed || b->failed;
}

bool zm_runes_equal(const zm_runes *a, const zm_runes *b)
{
    return a->n == b->n && (!a->n || !memcmp(a->at, b->at, a->n * sizeof *a->at));
}

bool zm_runes_append_utf8(zm_runes *r, const char *at, size_t bytes)
{
    for (size_t i = 0; i < bytes;) {
        uint32_t c;
        size_t n = zm_utf8_next(&c, at + i, bytes - i);
        if (!n)
            return false;
        zm_runes_push(r, c);
        i += n;
    }
    return true;
}

char *zm_runes_utf8(const zm_runes *r, size_t *bytes)
{
    *bytes = 0;
    char *out = r->failed ? NULL : malloc(r->n * 4 + 1);
    if (!out)
        return NULL;
    for (size_t i = 0; i < r->n; i++)
        *bytes += zm_utf8_put(out + *bytes, r->at[i]);
    out[*bytes] = 0;
    return out;
}

bool zm_rune_is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}
