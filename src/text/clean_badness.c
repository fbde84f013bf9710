/* Whether a text looks like UTF-8 that was read in another character set: classes of characters, and which of them do
 * not stand beside each other in what people write.
 * SPDX-License-Identifier: MIT */
#include "text/clean_badness.h"

#include <string.h>
#include <uchar.h>
#include <utf8proc.h>

#include "text/clean_runes.h"

enum {
    COMMON = 1 << 0, /* in many contexts: no-break space, dashes, ' */
    C1 = 1 << 1,     /* controls that no text has */
    BAD = 1 << 2,    /* hardly ever outside garbled text */
    LAW = 1 << 3,    /* § ¶ */
    MONEY = 1 << 4,
    OPEN = 1 << 5, /* punctuation at the start of things */
    CLOSE = 1 << 6,
    NUMERIC = 1 << 7,
    FACE = 1 << 8, /* letters that faces are drawn with */
    UPPER = 1 << 9,
    LOWER = 1 << 10,
    UPPER2 = 1 << 11, /* Greek and Cyrillic, and letters that often end a word */
    LOWER2 = 1 << 12,
    BOX = 1 << 13,
    /* not from the table */
    AZ_LOWER = 1 << 14,
    AZ_UPPER = 1 << 15,
    AZ = AZ_LOWER | AZ_UPPER,
    NOT_AZ = 1 << 16,
    WORD = 1 << 17,
    SPACE = 1 << 18,
    NOT_NEWLINE = 1 << 19,
    /* often together */
    ACCENTED = LOWER | UPPER,
    PUNCTUATION = OPEN | CLOSE,
};

// clang-format off
static const struct {
    uint16_t from, to;
    uint16_t kind;
} kinds[] = {
    {0x80, 0x9F, C1}, {0xA0, 0xA0, COMMON}, {0xA1, 0xA1, OPEN}, {0xA2, 0xA3, MONEY}, {0xA4, 0xA4, BAD},
    {0xA5, 0xA5, MONEY}, {0xA6, 0xA6, BAD}, {0xA7, 0xA7, LAW}, {0xA8, 0xA8, BAD}, {0xA9, 0xA9, OPEN}, {0xAA, 0xAA, BAD},
    {0xAB, 0xAB, OPEN}, {0xAC, 0xAC, BAD}, {0xAD, 0xAD, COMMON}, {0xAE, 0xAE, CLOSE}, {0xAF, 0xAF, BAD},
    {0xB0, 0xB0, FACE}, {0xB1, 0xB3, NUMERIC}, {0xB4, 0xB4, COMMON}, {0xB5, 0xB5, NUMERIC}, {0xB6, 0xB6, LAW},
    {0xB7, 0xB7, COMMON}, {0xB8, 0xB8, BAD}, {0xB9, 0xB9, NUMERIC}, {0xBA, 0xBA, BAD}, {0xBB, 0xBB, CLOSE},
    {0xBC, 0xBE, NUMERIC}, {0xBF, 0xBF, OPEN}, {0xC0, 0xD1, UPPER}, {0xD2, 0xD6, FACE}, {0xD7, 0xD7, NUMERIC},
    {0xD8, 0xD8, UPPER}, {0xD9, 0xDB, FACE}, {0xDC, 0xDC, FACE | UPPER}, {0xDD, 0xDD, UPPER}, {0xDE, 0xDE, UPPER2},
    {0xDF, 0xF1, LOWER}, {0xF2, 0xF6, FACE}, {0xF7, 0xF7, NUMERIC}, {0xF8, 0xFB, FACE}, {0xFC, 0xFC, FACE | LOWER},
    {0x100, 0x100, UPPER}, {0x101, 0x101, LOWER}, {0x102, 0x102, UPPER}, {0x103, 0x103, LOWER}, {0x104, 0x104, UPPER},
    {0x105, 0x105, LOWER}, {0x106, 0x106, UPPER}, {0x107, 0x107, LOWER}, {0x10C, 0x10C, UPPER}, {0x10D, 0x10D, LOWER},
    {0x10E, 0x10E, UPPER}, {0x10F, 0x10F, LOWER}, {0x110, 0x110, UPPER}, {0x111, 0x111, LOWER}, {0x112, 0x112, UPPER},
    {0x113, 0x113, LOWER}, {0x116, 0x116, UPPER}, {0x117, 0x117, LOWER}, {0x118, 0x118, UPPER}, {0x119, 0x119, LOWER},
    {0x11A, 0x11A, UPPER}, {0x11B, 0x11B, LOWER}, {0x11E, 0x11E, UPPER}, {0x11F, 0x11F, LOWER}, {0x122, 0x122, UPPER},
    {0x123, 0x123, LOWER}, {0x12A, 0x12A, UPPER}, {0x12B, 0x12B, LOWER}, {0x12F, 0x12F, LOWER}, {0x130, 0x130, UPPER},
    {0x136, 0x136, UPPER}, {0x137, 0x137, LOWER}, {0x139, 0x139, UPPER}, {0x13A, 0x13A, LOWER}, {0x13B, 0x13B, UPPER},
    {0x13C, 0x13C, LOWER}, {0x13D, 0x13D, UPPER}, {0x13E, 0x13E, LOWER}, {0x141, 0x141, UPPER}, {0x142, 0x142, LOWER},
    {0x143, 0x143, UPPER}, {0x145, 0x145, UPPER}, {0x147, 0x147, UPPER}, {0x14C, 0x14C, FACE}, {0x150, 0x150, FACE},
    {0x152, 0x152, UPPER}, {0x153, 0x153, LOWER}, {0x155, 0x155, LOWER}, {0x158, 0x158, UPPER}, {0x15A, 0x15A, UPPER},
    {0x15B, 0x15B, LOWER}, {0x15E, 0x15E, UPPER}, {0x15F, 0x15F, LOWER}, {0x160, 0x160, UPPER}, {0x161, 0x161, LOWER},
    {0x162, 0x162, UPPER}, {0x164, 0x164, UPPER}, {0x165, 0x165, LOWER}, {0x16A, 0x16A, FACE}, {0x16E, 0x16E, UPPER},
    {0x170, 0x170, UPPER}, {0x172, 0x172, FACE}, {0x178, 0x179, UPPER}, {0x17A, 0x17A, LOWER}, {0x17B, 0x17B, UPPER},
    {0x17C, 0x17C, LOWER}, {0x17D, 0x17D, UPPER}, {0x17E, 0x17E, LOWER}, {0x192, 0x192, BAD}, {0x2C6, 0x2C7, BAD},
    {0x2D8, 0x2D8, BAD}, {0x2DB, 0x2DC, BAD}, {0x2DD, 0x2DD, CLOSE}, {0x384, 0x385, OPEN}, {0x386, 0x386, UPPER2},
    {0x388, 0x38A, UPPER2}, {0x38C, 0x38C, UPPER2}, {0x38E, 0x38F, UPPER2}, {0x391, 0x3AB, UPPER2},
    {0x3AC, 0x3C9, LOWER2}, {0x401, 0x42F, UPPER2}, {0x430, 0x45F, LOWER2}, {0x490, 0x490, UPPER},
    {0x491, 0x491, LOWER}, {0x2013, 0x2015, COMMON}, {0x2018, 0x2018, OPEN}, {0x2019, 0x2019, COMMON},
    {0x201A, 0x201A, OPEN}, {0x201C, 0x201C, OPEN}, {0x201D, 0x201D, CLOSE}, {0x201E, 0x201E, OPEN},
    {0x2020, 0x2021, BAD}, {0x2022, 0x2022, OPEN}, {0x2026, 0x2026, COMMON}, {0x2030, 0x2030, BAD},
    {0x2039, 0x2039, OPEN}, {0x203A, 0x203A, CLOSE}, {0x2044, 0x2044, NUMERIC}, {0x20A7, 0x20A7, MONEY},
    {0x20AC, 0x20AC, MONEY}, {0x2116, 0x2116, NUMERIC}, {0x2122, 0x2122, CLOSE}, {0x2202, 0x2202, NUMERIC},
    {0x2206, 0x2206, NUMERIC}, {0x220F, 0x220F, NUMERIC}, {0x2211, 0x2211, NUMERIC}, {0x221A, 0x221A, NUMERIC},
    {0x221E, 0x221E, NUMERIC}, {0x2229, 0x2229, NUMERIC}, {0x222B, 0x222B, NUMERIC}, {0x2248, 0x2248, NUMERIC},
    {0x2260, 0x2261, NUMERIC}, {0x2264, 0x2265, NUMERIC}, {0x2310, 0x2310, BAD}, {0x2502, 0x2502, BOX},
    {0x250C, 0x250C, BOX}, {0x2510, 0x2510, BOX}, {0x2518, 0x2518, BOX}, {0x251C, 0x251C, BOX}, {0x2524, 0x2524, BOX},
    {0x252C, 0x252C, BOX}, {0x253C, 0x253C, BOX}, {0x2550, 0x256C, BOX}, {0x2580, 0x2580, BOX}, {0x2584, 0x2584, BOX},
    {0x2588, 0x2588, BOX}, {0x258C, 0x258C, BOX}, {0x2590, 0x2593, BOX}, {0x25CA, 0x25CA, BAD}, {0xF8FF, 0xF8FF, OPEN},
    {0xFB01, 0xFB02, LOWER}, {0xFFFD, 0xFFFD, BAD},
};
// clang-format on

/* A character that is of one of these kinds or among these; an empty one ends a rule. */
typedef struct one {
    uint32_t kinds;
    const char32_t *among;
} one;

enum { RULE_MAX = 4, AT_START = 2, READ_TWICE = 7 };

/* Any of these anywhere in a text makes it garbled.  Comments name what was read as what. */
static const one rules[][RULE_MAX] = {
    {{C1, NULL}},
    {{BAD | ACCENTED | BOX | PUNCTUATION | MONEY | NUMERIC | LAW, NULL}, {BAD, NULL}},
    {{BAD, NULL}, {ACCENTED | BOX | PUNCTUATION | MONEY | NUMERIC | LAW, NULL}},
    {{AZ, NULL}, {LOWER2 | UPPER2, NULL}, {BAD, NULL}},
    {{LOWER | LOWER2 | BOX | CLOSE | MONEY | NUMERIC, NULL}, {UPPER, NULL}},
    {{BOX | CLOSE | MONEY | NUMERIC, NULL}, {LOWER, NULL}},
    {{LOWER | BOX | CLOSE, NULL}, {MONEY, NULL}},
    {{SPACE, NULL}, {UPPER, NULL}, {MONEY, NULL}},
    {{UPPER | BOX, NULL}, {NUMERIC | LAW, NULL}},
    {{ACCENTED | BOX | MONEY | CLOSE, NULL}, {OPEN, NULL}, {NUMERIC, NULL}},
    {{ACCENTED | MONEY | NUMERIC | BOX | LAW, NULL}, {CLOSE, NULL}, {OPEN, NULL}},
    {{MONEY | NUMERIC | BOX, NULL}, {OPEN, NULL}},
    {{AZ_LOWER, NULL}, {UPPER, NULL}, {OPEN | MONEY, NULL}},
    {{BOX, NULL}, {FACE, NULL}},
    {{ACCENTED | MONEY | NUMERIC | PUNCTUATION | LAW, NULL}, {BOX, NULL}},
    {{BOX, NULL}, {CLOSE, NULL}},
    {{ACCENTED, NULL}, {PUNCTUATION, NULL}, {WORD, NULL}},
    {{0, U"Œœ"}, {NOT_AZ, NULL}},
    {{UPPER, NULL}, {0, U"°"}},
    /* Windows-1252 */
    {{0, U"ÂÃÎÐ"}, {PUNCTUATION, U"€œŠš¢£Ÿž\u00a0\u00ad®©°·»–—´"}},
    {{0, U"×"}, {0, U"²³"}},
    {{0, U"Ã"}, {0, U"\u00a0¡"}},
    {{AZ_LOWER, NULL}, {0, U"ÃÂ"}, {0, U" "}},
    {{AZ_LOWER, NULL}, {SPACE, NULL}, {0, U"ÃÂ"}, {0, U" "}},
    {{AZ_LOWER | CLOSE, U".,?!"}, {0, U"Â"}, {PUNCTUATION, U" "}},
    /* Arabic, where two pairs are asked for */
    {{0, U"ØÙ"},
     {COMMON | MONEY | BAD | NUMERIC | OPEN, U"ŸŠ®°µ»"},
     {0, U"ØÙ"},
     {COMMON | MONEY | BAD | NUMERIC | OPEN, U"ŸŠ®°µ»"}},
    /* South Asian scripts */
    {{0, U"à"}, {0, U"²µ¹¼½¾"}},
    /* Mac OS Roman */
    {{0, U"√"}, {0, U"±∂†≠®™´≤≥¥µø"}},
    {{0, U"≈"}, {0, U"°¢"}},
    {{0, U"‚"}, {0, U"Ä"}, {0, U"ìîïòôúùû†°¢π"}},
    {{0, U"‚"}, {0, U"âó"}, {0, U"àä°ê"}},
    /* Windows-1251: punctuation, Cyrillic, and Latin-1 read twice */
    {{0, U"в"}, {0, U"Ђ"}},
    {{0, U"ВГРС"}, {C1 | BAD | PUNCTUATION | MONEY, U"°µ"}, {0, U"ВГРС"}},
    /* Windows-1253: punctuation, Greek */
    {{0, U"β"}, {0, U"€"}, {0, U"™\u00a0Ά\u00ad®°"}},
    {{0, U"ΒΓΞΟ"}, {C1 | BAD | PUNCTUATION | MONEY, U"°"}, {0, U"ΒΓΞΟ"}},
    /* Windows-1257: punctuation */
    {{0, U"ā"}, {0, U"€"}},
};

/* Rules of other places and lengths. */
static const one at_start[AT_START] = {{0, U"ÃÂ"}, {0, U" "}};
static const one read_twice[READ_TWICE] = {{0, U"Г"}, {0, U"ў"},           {0, U"В"}, {0, U"Ђ"},
                                           {0, U"В"}, {NOT_NEWLINE, NULL}, {AZ, U" "}};

static uint32_t kinds_of(uint32_t c)
{
    if (c < 0x80) {
        bool lower = c >= 'a' && c <= 'z', upper = c >= 'A' && c <= 'Z';
        bool word = lower || upper || (c >= '0' && c <= '9') || c == '_';
        return (lower   ? AZ_LOWER
                : upper ? AZ_UPPER
                        : NOT_AZ) |
               (word ? WORD : 0) | (zm_rune_is_space(c) ? SPACE : 0) | (c != '\n' ? NOT_NEWLINE : 0);
    }
    uint32_t k = NOT_AZ | NOT_NEWLINE | (zm_rune_is_space(c) ? SPACE : 0);
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    if ((category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
        (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO))
        k |= WORD;
    size_t lo = 0, hi = sizeof kinds / sizeof *kinds;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (c >= kinds[mid].from && c <= kinds[mid].to)
            return k | kinds[mid].kind;
        if (c > kinds[mid].to)
            lo = mid + 1;
        else
            hi = mid;
    }
    return k;
}

static bool is_one(const one *o, uint32_t c, uint32_t is)
{
    for (const char32_t *p = o->among; p && *p; p++)
        if (*p == c)
            return true;
    return (o->kinds & is) != 0;
}

/* `is` holds the kinds of the n characters. */
static bool holds(const one *rule, size_t most, const uint32_t *at, const uint32_t *is, size_t n)
{
    for (size_t k = 0; k < most && (rule[k].kinds || rule[k].among); k++)
        if (k == n || !is_one(&rule[k], at[k], is[k]))
            return false;
    return true;
}

bool zm_looks_garbled(const uint32_t *at, size_t n)
{
    uint32_t is[READ_TWICE] = {0};
    for (size_t k = 0; k < READ_TWICE && k < n; k++)
        is[k] = kinds_of(at[k]);
    if (n && holds(at_start, AT_START, at, is, n))
        return true;
    for (size_t i = 0; i < n; i++) {
        size_t left = n - i < READ_TWICE ? n - i : READ_TWICE;
        /* every rule has a letter beyond ASCII among its first three */
        bool plain = at[i] < 0x80 && (left < 2 || at[i + 1] < 0x80) && (left < 3 || at[i + 2] < 0x80);
        for (size_t r = 0; r < sizeof rules / sizeof *rules && !plain; r++)
            if (holds(rules[r], RULE_MAX, at + i, is, left))
                return true;
        if (!plain && holds(read_twice, READ_TWICE, at + i, is, left))
            return true;
        memmove(is, is + 1, sizeof is - sizeof *is);
        is[READ_TWICE - 1] = i + READ_TWICE < n ? kinds_of(at[i + READ_TWICE]) : 0;
    }
    return false;
}
