/* Inside of a tokenizer, shared by the files of this room.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TEXT_TOKENIZER_H
#define ZM_TEXT_TOKENIZER_H

#include "text/charsmap.h"
#include "text/trie.h"
#include "text/unigram.h"

struct zm_tokenizer {
    size_t n;
    char *pool;      /* spellings, NUL-terminated */
    uint32_t *start; /* [n] offsets into pool */
    float *score;
    uint8_t *type;
    zm_tokenizer_rules rules; /* rules.charsmap points at charsmap_copy */
    void *charsmap_copy;
    zm_charsmap map;
    zm_trie trie; /* of all pieces; the walk skips types that text does not produce */
    int32_t special[ZM_TOKEN_COUNT];
    int32_t byte_id[256];
    bool byte_fallback;    /* all 256 byte pieces are there */
    float lowest, highest; /* scores of normal pieces */
};

/* A stretch of normalised text and its piece; the unknown id where no piece fits (one character). */
typedef struct zm_segment {
    uint32_t start, bytes;
    int32_t id;
} zm_segment;

/* The best segmentation of normalised text; malloc'd *out.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_tokenizer_segment(const zm_tokenizer *t, const char *text, size_t bytes, zm_segment **out,
                                       size_t *n, zm_error *err);

ZM_MUST zm_status zm_tokenizer_from_json(zm_tokenizer **out, const char *text, size_t bytes, const char *name,
                                         zm_error *err);
/* A sentencepiece .model in memory. */
ZM_MUST zm_status zm_tokenizer_from_sentencepiece(zm_tokenizer **out, const void *data, size_t bytes, const char *name,
                                                  zm_error *err);

#endif
