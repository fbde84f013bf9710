/* Unigram tokenizer: prompts to ids and back, bit for bit as sentencepiece does it.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TEXT_UNIGRAM_H
#define ZM_TEXT_UNIGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Terms.  A model is a list of pieces with log probabilities (Kudo 2018, "Subword regularization", arXiv:1804.10959,
 * eq. 1-3); a text is cut into the pieces whose scores sum highest.  In pieces a space is written U+2581 "▁".
 * A tokenizer does not change after creation: any number of threads may use one. */

/* Numbers as in sentencepiece's protobuf and GGUF's tokenizer.ggml.token_type. */
typedef enum {
    ZM_PIECE_NORMAL = 1,
    ZM_PIECE_UNKNOWN = 2,
    ZM_PIECE_CONTROL = 3, /* <pad>, </s>, <s>: never produced from text */
    ZM_PIECE_USER = 4,    /* user defined: wins over any other segmentation of the same text */
    ZM_PIECE_UNUSED = 5,
    ZM_PIECE_BYTE = 6 /* "<0x41>": a character without a piece becomes one of these per UTF-8 byte */
} zm_piece_type;

typedef enum { ZM_TOKEN_PAD, ZM_TOKEN_EOS, ZM_TOKEN_BOS, ZM_TOKEN_UNK, ZM_TOKEN_COUNT } zm_token;

typedef struct zm_tokenizer_rules {
    bool raw;             /* no Unicode normalisation (NFKC) */
    bool casefold;        /* "Red" = "red" */
    bool punctuation;     /* Chinese and typographic punctuation to ASCII: 。 -> .  “ -> " */
    bool no_dummy_prefix; /* do not put a space in front of the text */
    bool keep_spaces;     /* do not strip and collapse spaces */
    const void *charsmap; /* sentencepiece's precompiled normaliser, used instead of NFKC, casefold and punctuation;
                             copied; NULL = none */
    size_t charsmap_bytes;
} zm_tokenizer_rules; /* {0}: NFKC, spaces collapsed, one space in front */

enum {
    ZM_TEXT_MAX_BYTES = 65536,       /* of a prompt */
    ZM_TEXT_MAX_PIECES = 1 << 20,    /* of a model */
    ZM_TEXT_MAX_PIECE_BYTES = 512,   /* of one piece */
    ZM_TEXT_MAX_TRIE_NODES = 1 << 23 /* 12 bytes each */
};

typedef struct zm_tokenizer zm_tokenizer;

/* A tokenizer from n pieces (UTF-8, copied), scores (log probabilities) and types.  types NULL: worked out from the
 * names <pad> </s> <s> <unk> <0x00>.. <0xFF>, the rest normal.  Arrays like these are what GGUF metadata carries.
 * ZM_E_FORMAT: no "</s>" or no unknown piece, an empty, repeated, overlong or non-UTF-8 piece, a score that is not
 * finite, more pieces than the limits above; ZM_E_NOMEM. */
ZM_MUST zm_status zm_tokenizer_new(zm_tokenizer **out, const char *const *pieces, const float *scores,
                                   const uint8_t *types, size_t n, const zm_tokenizer_rules *rules, zm_error *err);
void zm_tokenizer_free(zm_tokenizer *t); /* NULL is fine */

/* Read a file: tokenizer.json (Hugging Face, model type "Unigram") or a sentencepiece .model, told apart by content.
 * Rules of our own (casefold, ...) are in the key "zouma".  ZM_E_MISSING, ZM_E_IO, ZM_E_FORMAT; ZM_E_UNSUPPORTED:
 * another model type. */
ZM_MUST zm_status zm_tokenizer_load(zm_tokenizer **out, const char *path, zm_error *err);
/* The same from memory, which is copied; `name` is for errors. */
ZM_MUST zm_status zm_tokenizer_from_memory(zm_tokenizer **out, const void *data, size_t bytes, const char *name,
                                           zm_error *err);
/* Write tokenizer.json beside and rename. */
ZM_MUST zm_status zm_tokenizer_save(const zm_tokenizer *t, const char *path, zm_error *err);

size_t zm_tokenizer_count(const zm_tokenizer *t);
/* id < count asserted; borrowed. */
const char *zm_tokenizer_piece(const zm_tokenizer *t, int32_t id);
float zm_tokenizer_score(const zm_tokenizer *t, int32_t id);
zm_piece_type zm_tokenizer_type(const zm_tokenizer *t, int32_t id);
/* Borrowed. */
const zm_tokenizer_rules *zm_tokenizer_get_rules(const zm_tokenizer *t);
/* -1 when the model has no such piece (only pad and bos may be absent). */
int32_t zm_tokenizer_special(const zm_tokenizer *t, zm_token which);
/* The id of a piece by its exact spelling; -1 when there is none. */
int32_t zm_tokenizer_find(const zm_tokenizer *t, const char *piece);

/* The text as the model sees it, spaces written as ▁; malloc'd, the caller frees.  ZM_E_FORMAT: invalid UTF-8
 * (names the byte offset) or longer than ZM_TEXT_MAX_BYTES; ZM_E_NOMEM. */
ZM_MUST zm_status zm_tokenizer_normalise(const zm_tokenizer *t, const char *text, char **out, zm_error *err);

/* Ids of a NUL-terminated UTF-8 text, then </s>, into ids[cap]; *n >= 1 is how many.  A longer text is cut to its
 * first cap - 1 ids.  *whole (may be NULL) receives the number without the cut.  cap >= 1 asserted; nothing is padded.
 * Errors as zm_tokenizer_normalise. */
ZM_MUST zm_status zm_tokenizer_encode(const zm_tokenizer *t, const char *text, int32_t *ids, size_t cap, size_t *n,
                                      size_t *whole, zm_error *err);

/* As above for text of known length, which may hold NUL bytes. */
ZM_MUST zm_status zm_tokenizer_encode_bytes(const zm_tokenizer *t, const char *text, size_t bytes, int32_t *ids,
                                            size_t cap, size_t *n, size_t *whole, zm_error *err);

/* Text of ids, malloc'd; control pieces are skipped, bytes that are no UTF-8 become U+FFFD.  ZM_E_USAGE: an id the
 * model does not have. */
ZM_MUST zm_status zm_tokenizer_decode(const zm_tokenizer *t, const int32_t *ids, size_t n, char **out, zm_error *err);

/* Which words of a prompt the tokenizer never learnt: those with characters that fall to byte or unknown pieces,
 * and words of four letters or more that shatter into more pieces than half their letters.  *words is malloc'd,
 * "word, word, ..." each once in order of appearance; NULL when there is none. */
ZM_MUST zm_status zm_tokenizer_unknown(const zm_tokenizer *t, const char *text, char **words, zm_error *err);

#endif
