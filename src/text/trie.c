/* A byte trie over the pieces of a model.
 * SPDX-License-Identifier: MIT */
#include "text/trie.h"

#include <stdlib.h>
#include <string.h>

#include "text/unigram.h"

static int by_bytes(const void *pa, const void *pb)
{
    const zm_trie_key *a = pa, *b = pb;
    uint32_t n = a->bytes < b->bytes ? a->bytes : b->bytes;
    int c = memcmp(a->at, b->at, n);
    return c ? c : (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

static uint32_t common_prefix(const zm_trie_key *a, const zm_trie_key *b)
{
    uint32_t n = 0, most = a->bytes < b->bytes ? a->bytes : b->bytes;
    while (n < most && a->at[n] == b->at[n])
        n++;
    return n;
}

/* Keys lo..hi pass through a node of this depth. */
typedef struct span {
    uint32_t lo, hi, depth;
} span;

/* Breadth first, so that the children of a node come out side by side. */
static void fill(zm_trie *t, span *spans, const zm_trie_key *keys)
{
    size_t made = 1;
    for (size_t i = 0; i < made; i++) {
        span s = spans[i];
        zm_trie_node *node = &t->node[i];
        if (s.lo < s.hi && keys[s.lo].bytes == s.depth)
            node->value = keys[s.lo++].value;
        node->first_child = (uint32_t)made;
        while (s.lo < s.hi) {
            unsigned char c = (unsigned char)keys[s.lo].at[s.depth];
            uint32_t end = s.lo;
            while (end < s.hi && (unsigned char)keys[end].at[s.depth] == c)
                end++;
            t->node[made] = (zm_trie_node){.byte = c, .value = -1};
            spans[made++] = (span){s.lo, end, s.depth + 1};
            node->n_children++;
            s.lo = end;
        }
    }
    ZM_ASSERT(made == t->n);
}

zm_status zm_trie_build(zm_trie *out, zm_trie_key *keys, size_t n, zm_error *err)
{
    *out = (zm_trie){0};
    size_t nodes = 1;
    if (n)
        qsort(keys, n, sizeof *keys, by_bytes);
    for (size_t i = 0; i < n; i++) {
        uint32_t shared = i ? common_prefix(&keys[i - 1], &keys[i]) : 0;
        if (shared == keys[i].bytes)
            return zm_fail(err, ZM_E_FORMAT, "The piece \"%.*s\" occurs twice.", (int)shared, keys[i].at);
        nodes += keys[i].bytes - shared;
        if (nodes > ZM_TEXT_MAX_TRIE_NODES)
            return zm_fail(err, ZM_E_UNSUPPORTED, "The pieces need more than %d trie nodes.", ZM_TEXT_MAX_TRIE_NODES);
    }
    out->node = malloc(nodes * sizeof *out->node);
    span *spans = malloc(nodes * sizeof *spans);
    if (!out->node || !spans) {
        free(spans);
        zm_trie_release(out);
        return zm_fail(err, ZM_E_NOMEM, "There is no memory for %zu trie nodes.", nodes);
    }
    out->n = nodes;
    out->node[0] = (zm_trie_node){.value = -1};
    spans[0] = (span){0, (uint32_t)n, 0};
    fill(out, spans, keys);
    free(spans);
    return ZM_OK;
}

void zm_trie_release(zm_trie *t)
{
    free(t->node);
    *t = (zm_trie){0};
}

uint32_t zm_trie_step(const zm_trie *t, uint32_t node, unsigned char byte)
{
    uint32_t lo = t->node[node].first_child, hi = lo + t->node[node].n_children;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (t->node[mid].byte == byte)
            return mid;
        if (t->node[mid].byte < byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    return 0;
}

int32_t zm_trie_find(const zm_trie *t, const char *at, size_t bytes)
{
    uint32_t node = 0;
    for (size_t i = 0; i < bytes; i++)
        if (!(node = zm_trie_step(t, node, (unsigned char)at[i])))
            return -1;
    return t->node[node].value;
}
