/* Learn a unigram tokenizer from lines of text.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TEXT_UNIGRAM_TRAIN_H
#define ZM_TEXT_UNIGRAM_TRAIN_H

#include "text/unigram.h"

typedef struct zm_unigram_options {
    size_t vocab_size;         /* ids in all, the 4 special and 256 byte pieces included; 0 = 2048 */
    double character_coverage; /* share of the text whose characters get a piece of their own; 0 = 1 (all) */
    int max_piece_chars;       /* 0 = 16 */
    int max_han_chars;         /* of a piece of Han characters; 0 = 6 */
    int em_iterations;         /* per pruning round; 0 = 2 */
    double keep;               /* share of pieces kept in a pruning round; 0 = 0.75 */
    double phrase_entropy;     /* nats; 0 = 0.4 (captions of a grammar), negative = off.  Han has no spaces: a stretch
                                  that can be cut where both sides vary this much is two words, and no piece, so that
                                  a small model can recombine meanings */
    bool plain;                /* M step of maximum likelihood, without the sparse prior (tests) */
    zm_tokenizer_rules rules;  /* how texts are normalised, in training and in use */
    /* Called after each E step with the log likelihood of the corpus under the pieces it started from; may be NULL. */
    void (*progress)(int round, int iteration, size_t pieces, double log_likelihood, void *user);
    void *user;
} zm_unigram_options;

/* Seed pieces from frequent substrings, then expectation maximisation and pruning by loss until the size is reached
 * (Kudo 2018, section 3.2).  Ids: <pad> </s> <s> <unk>, 256 bytes, then pieces by falling score.  Pieces do not cross
 * spaces or mix words, Han characters, digits and punctuation; ▁ stands only in front, never in front of Han.  The
 * same lines and options give the same model.  One thread; 50 000 captions take a few seconds.
 * Fewer pieces than vocab_size come out when the text has no more to offer.
 * ZM_E_USAGE: no text, or vocab_size smaller than 260 plus the characters to cover; ZM_E_FORMAT: a line that is not
 * UTF-8 (names line and byte) or longer than ZM_TEXT_MAX_BYTES; ZM_E_NOMEM. */
ZM_MUST zm_status zm_unigram_train(zm_tokenizer **out, const char *const *lines, size_t n,
                                   const zm_unigram_options *options, zm_error *err);

#endif
