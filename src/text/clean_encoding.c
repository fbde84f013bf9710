/* Mojibake repaired: UTF-8 that was read in a single-byte character set becomes what it was.  The steps and their order
 * are those of ftfy 6.3 (Robyn Speer), so that a prompt comes out as the official text path has it.
 * SPDX-License-Identifier: MIT */
#include "text/clean_encoding.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "text/clean_badness.h"
#include "text/utf8.h"

enum { LOST = 0x1a, DEPTH_MAX = 64 };

/* Bytes of a text in some character set. */
typedef struct byte_array {
    unsigned char *at;
    size_t n;
} byte_array;

static bool in(unsigned char b, unsigned from, unsigned to)
{
    return b >= from && b <= to;
}

static bool starts(const unsigned char *at, size_t n, const char *word)
{
    size_t k = strlen(word);
    return k <= n && !memcmp(at, word, k);
}

/* ---- a no-break space (byte A0) that some program made a plain one ---------------------------------------- */

/* Bytes of a sequence that is UTF-8 with A0 where it has a space; rare characters are not believed in. */
static size_t altered(const unsigned char *b, size_t n)
{
    if (n >= 2 && b[1] == ' ' && b[0] && strchr("\xc2\xc3\xc5\xce\xd0\xd9", b[0]))
        return 2;
    bool one = n >= 3 && in(b[1], 0x80, 0xbf) && b[1] != 0x85 && b[1] != 0xa0;
    bool two = n >= 3 && in(b[2], 0x80, 0xbf) && b[2] != 0x85 && b[2] != 0xa0;
    if (n >= 3 && ((in(b[0], 0xe2, 0xe3) && b[1] == ' ' && two) || (in(b[0], 0xe0, 0xe3) && one && b[2] == ' ')))
        return 3;
    if (n < 4 || b[0] != 0xf0)
        return 0;
    int spaces = 0, next = 0;
    for (int k = 1; k < 4; k++) {
        spaces += b[k] == ' ';
        next += in(b[k], 0x80, 0xbf);
    }
    return spaces == 1 && next == 2 ? 4 : 0;
}

/* "Ã la" was "à la": the space belongs to the letter and is a space too, except in Portuguese contractions. */
static bool is_a_grave_word(const unsigned char *b, size_t n)
{
    static const char *const not_before[] = {" ", "quele", "quela", "quilo", "s "};
    if (!starts(b, n, "\xc3 "))
        return false;
    for (size_t i = 0; i < sizeof not_before / sizeof *not_before; i++)
        if (starts(b + 2, n - 2, not_before[i]))
            return false;
    return true;
}

/* out: room for half as much again. */
static void restore_a0(byte_array *out, const byte_array *text)
{
    out->n = 0;
    for (size_t i = 0; i < text->n;) {
        const unsigned char *b = text->at + i;
        if (is_a_grave_word(b, text->n - i)) {
            memcpy(out->at + out->n, "\xc3\xa0 ", 3);
            out->n += 3;
            i += 2;
        } else {
            out->at[out->n++] = *b;
            i++;
        }
    }
    for (size_t i = 0; i < out->n;) {
        size_t k = altered(out->at + i, out->n - i);
        for (size_t j = 0; j < k; j++)
            if (out->at[i + j] == ' ')
                out->at[i + j] = 0xa0;
        i += k ? k : 1;
    }
}

/* ---- bytes that were lost on the way ---------------------------------------------------------------------- */

static bool lost(unsigned char b)
{
    return b == LOST || b == '?';
}

static bool next_or_lost(unsigned char b)
{
    return b == LOST || in(b, 0x80, 0xbf);
}

/* Bytes of a UTF-8 (or CESU-8) sequence in which some are lost: as U+FFFD or, one at most, as '?'. */
static size_t lossy(const unsigned char *b, size_t n)
{
    if (n >= 2 && ((in(b[0], 0xc2, 0xdf) && b[1] == LOST) || (in(b[0], 0xc2, 0xc3) && b[1] == '?')))
        return 2;
    if (n >= 6 && b[0] == 0xed && in(b[1], 0xa0, 0xaf) && b[3] == 0xed && in(b[4], 0xb0, 0xbf) &&
        ((lost(b[2]) && (lost(b[5]) || in(b[5], 0x80, 0xbf))) || ((lost(b[2]) || in(b[2], 0x80, 0xbf)) && lost(b[5]))))
        return 6;
    if (n >= 3 && in(b[0], 0xe0, 0xef) && ((lost(b[1]) && next_or_lost(b[2])) || (next_or_lost(b[1]) && lost(b[2]))))
        return 3;
    if (n >= 4 && in(b[0], 0xf0, 0xf4)) {
        int question = 0, gone = 0, good = 0;
        for (int k = 1; k < 4; k++) {
            question += b[k] == '?';
            gone += b[k] == LOST;
            good += in(b[k], 0x80, 0xbf);
        }
        if (question + gone + good == 3 && question <= 1 && question + gone >= 1)
            return 4;
    }
    return b[0] == LOST;
}

/* out: room for three times as much. */
static void replace_lossy(byte_array *out, const byte_array *text)
{
    out->n = 0;
    for (size_t i = 0; i < text->n;) {
        size_t k = lossy(text->at + i, text->n - i);
        if (k) {
            memcpy(out->at + out->n, "\xef\xbf\xbd", 3);
            out->n += 3;
            i += k;
        } else {
            out->at[out->n++] = text->at[i++];
        }
    }
}

/* ---- bytes read as UTF-8 ---------------------------------------------------------------------------------- */

/* Six bytes of a surrogate pair, each written as three (CESU-8).  The last may be a line break at the very end: the
 * official decoder finds its end with a pattern that allows one. */
static size_t read_pair(uint32_t *c, const unsigned char *b, size_t n)
{
    if (n < 6 || b[0] != 0xed || !in(b[1], 0xa0, 0xaf) || !in(b[2], 0x80, 0xbf) || b[3] != 0xed ||
        !in(b[4], 0xb0, 0xbf) || !(in(b[5], 0x80, 0xbf) || (n == 6 && b[5] == '\n')))
        return 0;
    *c = 0x10000 + ((b[1] & 0x0fu) << 16) + ((b[2] & 0x3fu) << 10) + ((b[4] & 0x0fu) << 6) + (b[5] & 0x3fu);
    return 6;
}

/* Strict UTF-8, but for CESU-8 pairs and C0 80, Java's NUL. */
static bool decode_utf8(zm_runes *out, const byte_array *text)
{
    for (size_t i = 0; i < text->n;) {
        const unsigned char *b = text->at + i;
        uint32_t c = 0;
        size_t left = text->n - i, k = read_pair(&c, b, left);
        if (!k && left >= 2 && b[0] == 0xc0 && (b[1] == 0x80 || (left == 2 && b[1] == '\n')))
            k = 2;
        if (!k)
            k = zm_utf8_next(&c, (const char *)b, left);
        if (!k)
            return false;
        zm_runes_push(out, c);
        i += k;
    }
    return true;
}

/* ---- one step of repair ----------------------------------------------------------------------------------- */

typedef struct repair {
    const zm_charset_index *sets;
    byte_array a, b;
    zm_runes fixed;
    int depth;
} repair;

static void fix(zm_runes *text, const zm_charset_index *sets, int depth);

/* The whole text as UTF-8 read in one set; into r->fixed. */
static bool read_again(repair *r, const zm_runes *text, zm_charset s)
{
    r->a.n = text->n;
    zm_charset_encode(r->sets, s, text->at, text->n, r->a.at);
    byte_array t = r->a;
    if (s != ZM_CHARSET_MACROMAN) { /* there it would match a dash and a space */
        restore_a0(&r->b, &t);
        t = r->b;
    }
    if (zm_charset_is_sloppy(s)) {
        byte_array other = {t.at == r->a.at ? r->b.at : r->a.at, 0};
        replace_lossy(&other, &t);
        t = other;
    }
    zm_runes_clear(&r->fixed);
    return decode_utf8(&r->fixed, &t);
}

/* Characters of one thing at `at` that would be a UTF-8 sequence if it were bytes. */
static size_t sequence(const zm_charset_index *x, const uint32_t *at, size_t n)
{
    unsigned clues = zm_charset_clues(x, at[0]);
    size_t k = clues & ZM_CLUE_FIRST_OF_2 ? 2 : clues & ZM_CLUE_FIRST_OF_3 ? 3 : clues & ZM_CLUE_FIRST_OF_4 ? 4 : 0;
    if (k > n)
        return 0;
    for (size_t i = 1; i < k; i++)
        if (!(zm_charset_clues(x, at[i]) & ZM_CLUE_NEXT))
            return 0;
    return k;
}

/* Garbled stretches inside a text that as a whole is no UTF-8; into r->fixed. */
static void fix_stretches(repair *r, const zm_runes *text)
{
    zm_runes part = {0};
    zm_runes_clear(&r->fixed);
    for (size_t i = 0; i < text->n;) {
        size_t end = i, k;
        if (!i || !(zm_charset_clues(r->sets, text->at[i - 1]) & ZM_CLUE_NEXT_ONLY))
            while (end < text->n && (k = sequence(r->sets, text->at + end, text->n - end)))
                end += k;
        if (end == i) {
            zm_runes_push(&r->fixed, text->at[i++]);
            continue;
        }
        zm_runes_clear(&part);
        zm_runes_append(&part, text->at + i, end - i);
        if (!part.failed && part.n < text->n && zm_looks_garbled(part.at, part.n))
            fix(&part, r->sets, r->depth + 1);
        zm_runes_append(&r->fixed, part.at, part.n);
        r->fixed.failed |= part.failed;
        i = end;
    }
    zm_runes_release(&part);
}

/* Latin-1 that was Windows-1252 all along.  strictly: only when every control has a character there. */
static bool fix_controls(repair *r, const zm_runes *text, bool strictly)
{
    zm_runes_clear(&r->fixed);
    for (size_t i = 0; i < text->n; i++) {
        uint32_t c = text->at[i];
        bool control = c >= 0x80 && c <= 0x9f;
        if (strictly && control && !zm_charset_1252_assigns((unsigned char)c))
            return false;
        zm_runes_push(&r->fixed, control ? zm_charset_decode(ZM_CHARSET_1252, (unsigned char)c) : c);
    }
    return true;
}

/* One change of the text, if any is called for; into r->fixed. */
static bool step(repair *r, const zm_runes *text)
{
    if (!zm_looks_garbled(text->at, text->n))
        return false;
    unsigned possible = zm_charset_possible(r->sets, text->at, text->n);
    for (zm_charset s = ZM_CHARSET_LATIN1; s < ZM_CHARSET_COUNT; s++)
        if (possible >> s & 1 && read_again(r, text, s))
            return true;
    fix_stretches(r, text);
    if (!zm_runes_equal(&r->fixed, text))
        return true;
    if (possible >> ZM_CHARSET_LATIN1 & 1 && fix_controls(r, text, true) && !zm_runes_equal(&r->fixed, text))
        return true;
    return fix_controls(r, text, false);
}

static void fix(zm_runes *text, const zm_charset_index *sets, int depth)
{
    if (!zm_looks_garbled(text->at, text->n) || depth > DEPTH_MAX)
        return;
    size_t room = text->n * 6 + 1; /* enough for all steps: none makes a text longer, counted in characters */
    repair r = {.sets = sets, .a = {malloc(room), 0}, .b = {malloc(room), 0}, .depth = depth};
    if (!r.a.at || !r.b.at)
        text->failed = true;
    while (!text->failed && step(&r, text) && !r.fixed.failed && !zm_runes_equal(&r.fixed, text)) {
        ZM_ASSERT(r.fixed.n <= text->n);
        zm_runes_swap(text, &r.fixed);
    }
    text->failed |= r.fixed.failed;
    free(r.a.at);
    free(r.b.at);
    zm_runes_release(&r.fixed);
}

void zm_fix_encoding(zm_runes *text, const zm_charset_index *sets)
{
    fix(text, sets, 0);
}
