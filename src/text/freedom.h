/* How freely stretches of Han text continue: where words of a script without spaces end.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TEXT_FREEDOM_H
#define ZM_TEXT_FREEDOM_H

#include "text/corpus.h"

/* Branching entropy (Jin and Tanaka-Ishii 2006, "Unsupervised segmentation of Chinese text by use of branching
 * entropy"): of the character that follows, or precedes, a stretch.  Inside a word it is small, at a boundary large. */
typedef struct zm_freedom_entry {
    uint64_t key;   /* of a stretch and side, or of a stretch, side and neighbour; 0: free */
    uint64_t owner; /* of the stretch, for an entry with a neighbour */
    double count, c_log_c;
    double ways; /* how many different neighbours the entry stands for */
} zm_freedom_entry;

typedef struct zm_freedom {
    zm_freedom_entry *at;
    size_t n, cap; /* power of two */
} zm_freedom;

/* Of all stretches of 1..max_chars characters in Han units; max_chars 0 makes an empty one.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_freedom_build(zm_freedom *out, const zm_corpus *c, int max_chars, zm_error *err);
void zm_freedom_release(zm_freedom *f);

/* A word: no cut of the stretch has `nats` of entropy on both sides of it, and its own two ends have a quarter of
 * that ("长颈", always followed by "鹿", is none).  Always true of an empty freedom or nats <= 0. */
bool zm_freedom_is_word(const zm_freedom *f, const char *at, size_t bytes, double nats);

#endif
