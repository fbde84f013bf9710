/* A byte trie over the pieces of a model: every piece that begins at a position, in one walk.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TEXT_TRIE_H
#define ZM_TEXT_TRIE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Children of a node are contiguous and sorted by byte. */
typedef struct zm_trie_node {
    uint32_t first_child;
    uint16_t n_children;
    unsigned char byte;
    int32_t value; /* -1: no piece ends here */
} zm_trie_node;

typedef struct zm_trie {
    zm_trie_node *node; /* node 0 is the root */
    size_t n;
} zm_trie;

typedef struct zm_trie_key {
    const char *at; /* borrowed, only while building */
    uint32_t bytes; /* > 0 */
    int32_t value;  /* >= 0 */
} zm_trie_key;

/* Sorts keys in place.  ZM_E_FORMAT: two equal keys; ZM_E_UNSUPPORTED: more than ZM_TEXT_MAX_TRIE_NODES; ZM_E_NOMEM. */
ZM_MUST zm_status zm_trie_build(zm_trie *out, zm_trie_key *keys, size_t n, zm_error *err);
void zm_trie_release(zm_trie *t);

/* The child of `node` along `byte`, 0 when there is none (the root is nobody's child). */
uint32_t zm_trie_step(const zm_trie *t, uint32_t node, unsigned char byte);
/* The value of a whole key, -1 when absent. */
int32_t zm_trie_find(const zm_trie *t, const char *at, size_t bytes);

#endif
