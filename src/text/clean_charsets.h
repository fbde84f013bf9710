/* The single-byte character sets that mojibake passes through.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TEXT_CLEAN_CHARSETS_H
#define ZM_TEXT_CLEAN_CHARSETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order in which they are tried.  The Windows sets are "sloppy": a byte that the set leaves unassigned is the C1
 * control of that number, as in browsers, and byte 1A stands for U+FFFD (a character lost on the way). */
typedef enum {
    ZM_CHARSET_LATIN1,
    ZM_CHARSET_1252,
    ZM_CHARSET_1251,
    ZM_CHARSET_1250,
    ZM_CHARSET_1253,
    ZM_CHARSET_1254,
    ZM_CHARSET_1257, /* the sets up to here give the clues below */
    ZM_CHARSET_8859_2,
    ZM_CHARSET_MACROMAN,
    ZM_CHARSET_CP437,
    ZM_CHARSET_COUNT
} zm_charset;

bool zm_charset_is_sloppy(zm_charset s);
uint32_t zm_charset_decode(zm_charset s, unsigned char byte);
/* Whether Windows-1252 itself (not sloppy) assigns a character to the byte. */
bool zm_charset_1252_assigns(unsigned char byte);

/* What a character may be a part of, when it is UTF-8 read in one of the Western, Baltic, Turkish, Greek or Cyrillic
 * sets: bits of zm_charset_letter.clues. */
enum {
    ZM_CLUE_FIRST_OF_2 = 1, /* bytes C2 to DF */
    ZM_CLUE_FIRST_OF_3 = 2, /* E0 to EF */
    ZM_CLUE_FIRST_OF_4 = 4, /* F0 and F3, the only lead bytes of assigned characters */
    ZM_CLUE_NEXT = 8,       /* 80 to BF, and the space that may have been a no-break space */
    ZM_CLUE_NEXT_ONLY =
        16 /* ZM_CLUE_NEXT without dashes, quotes, bullet, ellipsis and space, which stand for themselves */
};

/* A character beyond ASCII that some set has. */
typedef struct zm_charset_letter {
    uint16_t c;
    uint8_t clues;
    unsigned char byte[ZM_CHARSET_COUNT]; /* 0: not in that set */
} zm_charset_letter;

enum { ZM_CHARSET_LETTERS_MAX = 128 * ZM_CHARSET_COUNT + 1 };

/* All of them, ascending; made once for a text. */
typedef struct zm_charset_index {
    size_t n;
    zm_charset_letter letter[ZM_CHARSET_LETTERS_MAX];
} zm_charset_index;

void zm_charset_index_init(zm_charset_index *x);
/* NULL: in none of the sets (ASCII is in all and not listed). */
const zm_charset_letter *zm_charset_find(const zm_charset_index *x, uint32_t c);
/* Bits of the clues; 0 for characters in no set.  A space is ZM_CLUE_NEXT. */
unsigned zm_charset_clues(const zm_charset_index *x, uint32_t c);
/* Bit s is set when all n characters are in set s. */
unsigned zm_charset_possible(const zm_charset_index *x, const uint32_t *at, size_t n);
/* Bytes of n characters that are all in set s, into out[n]. */
void zm_charset_encode(const zm_charset_index *x, zm_charset s, const uint32_t *at, size_t n, unsigned char *out);

#endif
