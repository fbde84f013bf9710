/* Text as a tokenizer sees it.
 * SPDX-License-Identifier: MIT */
#include "text/normalise.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "text/utf8.h"

/* Chinese and typographic marks that NFKC leaves alone, to the ASCII mark an English prompt would use. */
static const struct {
    uint32_t from;
    char to;
} marks[] = {
    {0x3001, ','}, {0x3002, '.'}, {0x3008, '"'},  {0x3009, '"'},  {0x300a, '"'}, {0x300b, '"'},
    {0x300c, '"'}, {0x300d, '"'}, {0x300e, '"'},  {0x300f, '"'},  {0x3010, '['}, {0x3011, ']'},
    {0x3014, '['}, {0x3015, ']'}, {0x2010, '-'},  {0x2011, '-'},  {0x2012, '-'}, {0x2013, '-'},
    {0x2014, '-'}, {0x2015, '-'}, {0x2018, '\''}, {0x2019, '\''}, {0x201c, '"'}, {0x201d, '"'},
    {0x201e, '"'}, {0x00b7, ' '}, {0x30fb, ' '},  {0x00ab, '"'},  {0x00bb, '"'},
};

/* A hostile map may replace a letter by a book. */
enum { OUT_MAX = 16 * ZM_TEXT_MAX_BYTES };

/* Text being written, with sentencepiece's treatment of spaces. */
typedef struct sink {
    char *at;
    size_t n, cap;
    bool after_space; /* spaces that follow are dropped */
    bool keep_spaces;
} sink;

static bool push(sink *s, const char *at, size_t n)
{
    if (n > OUT_MAX - s->n)
        return false;
    if (s->cap - s->n < n + 1) {
        size_t cap = (s->cap + n) * 2 + 64;
        char *grown = realloc(s->at, cap);
        if (!grown)
            return false;
        s->at = grown;
        s->cap = cap;
    }
    memcpy(s->at + s->n, at, n);
    s->n += n;
    s->at[s->n] = 0;
    return true;
}

/* One character or replacement of several. */
static bool emit(sink *s, const char *at, size_t n)
{
    while (s->after_space && n && *at == ' ') {
        at++;
        n--;
    }
    for (size_t i = 0; i < n; i++)
        if (!(at[i] == ' ' ? push(s, ZM_UTF8_SPACE, 3) : push(s, at + i, 1)))
            return false;
    if (n)
        s->after_space = !s->keep_spaces && at[n - 1] == ' ';
    return true;
}

static void fold_marks(utf8proc_int32_t *points, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < sizeof marks / sizeof *marks; k++)
            if ((uint32_t)points[i] == marks[k].from)
                points[i] = marks[k].to;
}

/* NFKC with controls removed; malloc'd UTF-8 in *out. */
static zm_status unify(char **out, size_t *out_bytes, const char *text, size_t bytes, const zm_tokenizer_rules *rules,
                       zm_error *err)
{
    const utf8proc_uint8_t *from = (const utf8proc_uint8_t *)text;
    utf8proc_option_t how = UTF8PROC_COMPAT | UTF8PROC_COMPOSE | UTF8PROC_STABLE | UTF8PROC_IGNORE | UTF8PROC_STRIPCC;
    if (rules->casefold)
        how |= UTF8PROC_CASEFOLD;
    utf8proc_ssize_t n = utf8proc_decompose(from, (utf8proc_ssize_t)bytes, NULL, 0, how);
    if (n < 0)
        return zm_fail(err, ZM_E_FORMAT, "The text cannot be normalised: %s", utf8proc_errmsg(n));
    utf8proc_int32_t *points = malloc(((size_t)n + 1) * sizeof *points);
    if (!points)
        return zm_fail(err, ZM_E_NOMEM, "There is no memory to normalise a text of %zu bytes.", bytes);
    n = utf8proc_decompose(from, (utf8proc_ssize_t)bytes, points, n, how);
    if (rules->punctuation)
        fold_marks(points, (size_t)n);
    n = utf8proc_reencode(points, n, how); /* in place: UTF-8 is never longer than its code points */
    if (n < 0) {
        free(points);
        return zm_fail(err, ZM_E_FORMAT, "The text cannot be normalised: %s", utf8proc_errmsg(n));
    }
    *out = (char *)points;
    *out_bytes = (size_t)n;
    return ZM_OK;
}

/* U+2581 in a text is a space: pieces write spaces so. */
static bool is_space(uint32_t c)
{
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return c == 0x2581 || k == UTF8PROC_CATEGORY_ZS || k == UTF8PROC_CATEGORY_ZL || k == UTF8PROC_CATEGORY_ZP;
}

static bool copy_characters(sink *s, const char *text, size_t bytes, bool unicode_spaces)
{
    for (size_t i = 0; i < bytes;) {
        uint32_t c = 0;
        size_t n = zm_utf8_next(&c, text + i, bytes - i);
        n = n ? n : 1;
        if (!(unicode_spaces && is_space(c) ? emit(s, " ", 1) : emit(s, text + i, n)))
            return false;
        i += n;
    }
    return true;
}

static bool copy_mapped(sink *s, const char *text, size_t bytes, const zm_charsmap *map)
{
    for (size_t i = 0; i < bytes;) {
        const char *to = text + i;
        size_t to_bytes = 0, n = zm_charsmap_match(map, text + i, bytes - i, &to, &to_bytes);
        if (!n) {
            uint32_t c;
            n = to_bytes = zm_utf8_next(&c, text + i, bytes - i);
            if (!n) /* a rule that ended inside a character */
                n = to_bytes = 1;
            to = text + i;
        }
        if (!emit(s, to, to_bytes))
            return false;
        i += n;
    }
    return true;
}

/* Spaces at the end go, and a text of nothing but spaces is empty, the space in front included. */
static void finish(sink *s)
{
    if (s->keep_spaces)
        return;
    while (s->n >= 3 && !memcmp(s->at + s->n - 3, ZM_UTF8_SPACE, 3))
        s->n -= 3;
    s->at[s->n] = 0;
}

zm_status zm_normalise(char **out, size_t *out_bytes, const char *text, size_t bytes, const zm_tokenizer_rules *rules,
                       const zm_charsmap *map, zm_error *err)
{
    *out = NULL;
    *out_bytes = 0;
    if (bytes > ZM_TEXT_MAX_BYTES)
        return zm_fail(err, ZM_E_FORMAT, "The text is %zu bytes long, at most %d are taken.", bytes, ZM_TEXT_MAX_BYTES);
    size_t bad = zm_utf8_check(text, bytes);
    if (bad < bytes)
        return zm_fail(err, ZM_E_FORMAT, "The text is not UTF-8: byte %zu is 0x%02x.", bad, (unsigned char)text[bad]);
    char *unified = NULL;
    if (!map && !rules->raw) {
        zm_status st = unify(&unified, &bytes, text, bytes, rules, err);
        if (st)
            return st;
        text = unified;
    }
    sink s = {.keep_spaces = rules->keep_spaces};
    bool ok = push(&s, "", 0) && (rules->no_dummy_prefix || push(&s, ZM_UTF8_SPACE, 3));
    s.after_space = !rules->keep_spaces;
    ok = ok && (map ? copy_mapped(&s, text, bytes, map) : copy_characters(&s, text, bytes, !rules->raw));
    free(unified);
    if (!ok) {
        free(s.at);
        return zm_fail(err, ZM_E_NOMEM, "A text of %zu bytes does not normalise within %d bytes.", bytes, OUT_MAX);
    }
    if (map && zm_utf8_check(s.at, s.n) < s.n) {
        free(s.at);
        return zm_fail(err, ZM_E_FORMAT, "The tokenizer's normaliser map turns this text into something not UTF-8.");
    }
    if (!bytes) /* even with kept spaces nothing stays nothing */
        s.at[s.n = 0] = 0;
    finish(&s);
    *out = s.at;
    *out_bytes = s.n;
    return ZM_OK;
}
