/* The text a tokenizer learns from: distinct stretches that no piece may cross, with how often each occurs.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TEXT_CORPUS_H
#define ZM_TEXT_CORPUS_H

#include <stdint.h>

#include "text/unigram_train.h"

/* A unit: a word with the space in front, a run of Han characters, of digits or of marks. */
typedef struct zm_unit {
    size_t at;      /* offset into text */
    uint32_t bytes; /* a NUL follows */
    double count;
} zm_unit;

typedef struct zm_corpus {
    char *text;
    size_t text_bytes, text_cap;
    zm_unit *unit; /* in order of first appearance */
    size_t n, cap;
    uint32_t *slot; /* open hash of unit index + 1; 0: free */
    size_t slots;   /* power of two */
} zm_corpus;

/* A character of the corpus and its count. */
typedef struct zm_counted_char {
    uint32_t c;
    double count;
} zm_counted_char;

/* Errors as zm_unigram_train. */
ZM_MUST zm_status zm_corpus_build(zm_corpus *out, const char *const *lines, size_t n, const zm_tokenizer_rules *rules,
                                  zm_error *err);
void zm_corpus_release(zm_corpus *c);

/* Characters by falling count (then by code point), malloc'd; cut where they cover the share `coverage`. */
ZM_MUST zm_status zm_corpus_characters(const zm_corpus *c, double coverage, zm_counted_char **out, size_t *n,
                                       zm_error *err);

/* Split units at characters outside the kept ones (sorted in place by code point). */
ZM_MUST zm_status zm_corpus_restrict(zm_corpus *c, zm_counted_char *kept, size_t n, zm_error *err);

/* A candidate piece: `bytes` bytes at an offset of text. */
typedef struct zm_seed {
    size_t at;
    uint32_t bytes, chars;
    double weight; /* occurrences times characters */
} zm_seed;

/* Substrings of 2 to o->max_piece_chars characters (of Han: o->max_han_chars, and no phrases) that occur at least twice and cannot be extended to the right without losing
 * an occurrence; the `most` heaviest, malloc'd, heaviest first. */
ZM_MUST zm_status zm_corpus_seeds(const zm_corpus *c, const zm_unigram_options *o, size_t most, zm_seed **out,
                                  size_t *n, zm_error *err);

#endif
