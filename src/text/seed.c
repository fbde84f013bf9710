/* Candidate pieces: the frequent substrings of a corpus, from its sorted suffixes.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "text/corpus.h"
#include "text/freedom.h"
#include "text/utf8.h"

enum { LONGEST = 256 }; /* bytes compared: 64 characters */

/* A suffix of a unit and the unit it is of. */
typedef struct suffix {
    const char *at;
    uint32_t unit;
    uint16_t chars;  /* available, at most max_chars */
    uint16_t common; /* characters shared with the suffix before it */
} suffix;

static int by_text(const void *pa, const void *pb)
{
    const suffix *a = pa, *b = pb;
    int c = strncmp(a->at, b->at, LONGEST);
    return c ? c : (a->at > b->at) - (a->at < b->at);
}

/* Length in bytes of the first `chars` characters. */
static size_t char_bytes(const char *at, int chars)
{
    size_t n = 0;
    while (chars-- > 0)
        do
            n++;
        while (((unsigned char)at[n] & 0xc0) == 0x80);
    return n;
}

static uint16_t common_chars(const char *a, const char *b, int most)
{
    int chars = 0;
    while (chars < most && *a) {
        size_t n = char_bytes(a, 1);
        if (strncmp(a, b, n))
            break;
        a += n;
        b += n;
        chars++;
    }
    return (uint16_t)chars;
}

static suffix *sorted_suffixes(const zm_corpus *c, int max_chars, size_t *n)
{
    size_t count = 0;
    for (size_t i = 0; i < c->text_bytes; i++)
        count += c->text[i] && ((unsigned char)c->text[i] & 0xc0) != 0x80;
    suffix *s = malloc((count + 1) * sizeof *s);
    *n = 0;
    for (size_t u = 0; s && u < c->n; u++) {
        const char *at = c->text + c->unit[u].at;
        for (; *at; at += char_bytes(at, 1))
            s[(*n)++] = (suffix){.at = at, .unit = (uint32_t)u, .chars = common_chars(at, at, max_chars)};
    }
    if (!s)
        return NULL;
    qsort(s, *n, sizeof *s, by_text);
    for (size_t i = 1; i < *n; i++)
        s[i].common = common_chars(s[i - 1].at, s[i].at, max_chars);
    return s;
}

typedef struct seed_list {
    zm_seed *at;
    size_t n, cap;
} seed_list;

static bool add_seed(seed_list *l, zm_seed s)
{
    if (l->n == l->cap) {
        size_t cap = l->cap * 2 + 1024;
        zm_seed *grown = realloc(l->at, cap * sizeof *grown);
        if (!grown)
            return false;
        l->at = grown;
        l->cap = cap;
    }
    l->at[l->n++] = s;
    return true;
}

static bool is_han(const char *at)
{
    uint32_t c = 0;
    zm_utf8_next(&c, at, strnlen(at, 4));
    return zm_char_classify(c) == ZM_CHAR_HAN;
}

/* Every group of suffixes that share `length` characters and no more (or no more are allowed). */
static bool seeds_of_length(seed_list *l, const zm_corpus *c, const suffix *s, size_t n, int length,
                            const zm_unigram_options *o, const zm_freedom *freedom)
{
    for (size_t i = 0, end; i < n; i = end) {
        double occurrences = c->unit[s[i].unit].count;
        int shared = s[i].chars;
        for (end = i + 1; end < n && s[end].common >= length; end++) {
            occurrences += c->unit[s[end].unit].count;
            shared = s[end].common < shared ? s[end].common : shared;
        }
        bool han = is_han(s[i].at);
        int limit = han ? o->max_han_chars : o->max_piece_chars;
        if (s[i].chars < length || length > limit || occurrences < 2 || (shared != length && length != limit))
            continue;
        zm_seed seed = {(size_t)(s[i].at - c->text), (uint32_t)char_bytes(s[i].at, length), (uint32_t)length,
                        occurrences * length};
        if (han && !zm_freedom_is_word(freedom, s[i].at, seed.bytes, o->phrase_entropy))
            continue;
        if (!add_seed(l, seed))
            return false;
    }
    return true;
}

static int by_weight(const void *pa, const void *pb)
{
    const zm_seed *a = pa, *b = pb;
    if (a->weight != b->weight)
        return a->weight < b->weight ? 1 : -1;
    if (a->chars != b->chars)
        return a->chars < b->chars ? 1 : -1;
    return (a->at > b->at) - (a->at < b->at);
}

zm_status zm_corpus_seeds(const zm_corpus *c, const zm_unigram_options *o, size_t most, zm_seed **out, size_t *n,
                          zm_error *err)
{
    size_t suffixes;
    seed_list l = {0};
    zm_freedom freedom;
    *out = NULL;
    zm_status st = zm_freedom_build(&freedom, c, o->phrase_entropy > 0 ? o->max_han_chars : 0, err);
    if (st)
        return st;
    suffix *s = sorted_suffixes(c, o->max_piece_chars, &suffixes);
    bool ok = s != NULL;
    for (int length = 2; length <= o->max_piece_chars && ok; length++)
        ok = seeds_of_length(&l, c, s, suffixes, length, o, &freedom);
    free(s);
    zm_freedom_release(&freedom);
    if (!ok) {
        free(l.at);
        return zm_fail(err, ZM_E_NOMEM, "There is no memory to collect the substrings of the training text.");
    }
    if (l.n)
        qsort(l.at, l.n, sizeof *l.at, by_weight);
    *n = l.n < most ? l.n : most;
    *out = l.at;
    return ZM_OK;
}
