/* Learn a unigram tokenizer: expectation maximisation and pruning (Kudo 2018, section 3.2).
 * SPDX-License-Identifier: MIT */
#include "text/unigram_train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/corpus.h"
#include "text/trie.h"
#include "text/utf8.h"

enum { FIXED = 4 + 256 }; /* special and byte pieces */

/* A piece in training.  Single characters are never pruned, so every unit can always be cut. */
typedef struct candidate {
    char *at; /* into the pool */
    uint32_t bytes, chars;
    double score, count, loss;
} candidate;

/* An arc of a unit's lattice. */
typedef struct arc {
    uint32_t from, to;
    int32_t id;
} arc;

typedef struct trainer {
    zm_corpus corpus;
    zm_unigram_options o;
    char *pool;
    candidate *piece;
    size_t n;
    zm_trie trie;
    arc *arcs;
    size_t arcs_cap;
    double *alpha, *beta; /* [longest unit + 1] */
    double *expected;     /* [pieces at the start] */
} trainer;

static zm_status no_memory(zm_error *err)
{
    return zm_fail(err, ZM_E_NOMEM, "There is no memory to learn a tokenizer from this text.");
}

static void trainer_release(trainer *t)
{
    zm_corpus_release(&t->corpus);
    zm_trie_release(&t->trie);
    free(t->pool);
    free(t->piece);
    free(t->arcs);
    free(t->alpha);
    free(t->beta);
    free(t->expected);
}

static zm_status rebuild_trie(trainer *t, zm_error *err)
{
    zm_trie_key *keys = malloc((t->n + 1) * sizeof *keys);
    zm_trie_release(&t->trie);
    if (!keys)
        return no_memory(err);
    for (size_t i = 0; i < t->n; i++)
        keys[i] = (zm_trie_key){t->piece[i].at, t->piece[i].bytes, (int32_t)i};
    zm_status st = zm_trie_build(&t->trie, keys, t->n, err);
    free(keys);
    return st;
}

/* All pieces inside a text, by start and then length; `skip` is left out. */
static bool list_arcs(trainer *t, const char *text, uint32_t bytes, int32_t skip, size_t *n)
{
    *n = 0;
    for (uint32_t from = 0; from < bytes; from++) {
        if (((unsigned char)text[from] & 0xc0) == 0x80)
            continue;
        uint32_t node = 0, to = from;
        while (to < bytes && (node = zm_trie_step(&t->trie, node, (unsigned char)text[to]))) {
            int32_t id = t->trie.node[node].value;
            to++;
            if (id < 0 || id == skip)
                continue;
            if (*n == t->arcs_cap) {
                size_t cap = t->arcs_cap * 2 + 1024;
                arc *grown = realloc(t->arcs, cap * sizeof *grown);
                if (!grown)
                    return false;
                t->arcs = grown;
                t->arcs_cap = cap;
            }
            t->arcs[(*n)++] = (arc){from, to, id};
        }
    }
    return true;
}

static double log_add(double a, double b)
{
    double hi = a > b ? a : b, lo = a > b ? b : a;
    return lo - hi < -40 ? hi : hi + log1p(exp(lo - hi));
}

/* Expected counts of one unit over all its segmentations; returns its log likelihood. */
static double forward_backward(trainer *t, uint32_t bytes, size_t arcs, double count)
{
    for (uint32_t i = 0; i <= bytes; i++)
        t->alpha[i] = t->beta[i] = -INFINITY;
    t->alpha[0] = t->beta[bytes] = 0;
    for (size_t k = 0; k < arcs; k++) { /* arcs are sorted by start: alpha[from] is complete */
        const arc *a = &t->arcs[k];
        t->alpha[a->to] = log_add(t->alpha[a->to], t->alpha[a->from] + t->piece[a->id].score);
    }
    for (size_t k = arcs; k-- > 0;) {
        const arc *a = &t->arcs[k];
        t->beta[a->from] = log_add(t->beta[a->from], t->beta[a->to] + t->piece[a->id].score);
    }
    double z = t->alpha[bytes];
    for (size_t k = 0; k < arcs; k++) {
        const arc *a = &t->arcs[k];
        t->expected[a->id] += count * exp(t->alpha[a->from] + t->piece[a->id].score + t->beta[a->to] - z);
    }
    return z * count;
}

static zm_status e_step(trainer *t, double *likelihood, zm_error *err)
{
    *likelihood = 0;
    memset(t->expected, 0, t->n * sizeof *t->expected);
    for (size_t u = 0; u < t->corpus.n; u++) {
        const zm_unit *unit = &t->corpus.unit[u];
        size_t arcs;
        if (!list_arcs(t, t->corpus.text + unit->at, unit->bytes, -1, &arcs))
            return no_memory(err);
        *likelihood += forward_backward(t, unit->bytes, arcs, unit->count);
    }
    return ZM_OK;
}

static double digamma(double x)
{
    double r = 0;
    for (; x < 7; x++)
        r -= 1 / x;
    x -= 0.5;
    double i2 = 1 / (x * x);
    return r + log(x) + i2 * (1. / 24 - i2 * (7. / 960 - i2 * (31. / 8064)));
}

/* Scores from expected counts.  With the sparse prior (digamma) rare pieces lose weight and those expected less than
 * half a time go. */
static zm_status m_step(trainer *t, zm_error *err)
{
    double total = 0;
    size_t kept = 0;
    for (size_t i = 0; i < t->n; i++) {
        candidate p = t->piece[i];
        p.count = t->expected[i];
        if (p.chars > 1 && !t->o.plain && p.count < 0.5)
            continue;
        if (p.chars == 1 && p.count < 0.5 && !t->o.plain)
            p.count = 0.5;
        p.count = fmax(p.count, 1e-12);
        total += p.count;
        t->piece[kept++] = p;
    }
    bool changed = kept != t->n;
    t->n = kept;
    for (size_t i = 0; i < t->n; i++)
        t->piece[i].score = t->o.plain ? log(t->piece[i].count / total) : digamma(t->piece[i].count) - digamma(total);
    return changed ? rebuild_trie(t, err) : ZM_OK;
}

/* Best segmentation of a text from its arcs: the ids from last to first into path, how many returned. */
static size_t best_path(trainer *t, uint32_t bytes, size_t arcs, int32_t *path, uint32_t *from, int32_t *by)
{
    for (uint32_t i = 1; i <= bytes; i++)
        t->alpha[i] = -INFINITY;
    t->alpha[0] = 0;
    for (size_t k = 0; k < arcs; k++) {
        const arc *a = &t->arcs[k];
        double score = t->alpha[a->from] + t->piece[a->id].score;
        if (score > t->alpha[a->to]) {
            t->alpha[a->to] = score;
            from[a->to] = a->from;
            by[a->to] = a->id;
        }
    }
    size_t n = 0;
    for (uint32_t at = bytes; at > 0; at = from[at])
        path[n++] = by[at];
    return n;
}

typedef struct scratch {
    int32_t *path, *by;
    uint32_t *from;
    double *frequency; /* of each piece in the best segmentations */
} scratch;

/* What the corpus likelihood loses when the piece is replaced by its best other segmentation. */
static zm_status measure_losses(trainer *t, scratch *s, zm_error *err)
{
    double total = 0;
    size_t arcs;
    for (size_t u = 0; u < t->corpus.n; u++) {
        const zm_unit *unit = &t->corpus.unit[u];
        if (!list_arcs(t, t->corpus.text + unit->at, unit->bytes, -1, &arcs))
            return no_memory(err);
        size_t n = best_path(t, unit->bytes, arcs, s->path, s->from, s->by);
        for (size_t k = 0; k < n; k++)
            s->frequency[s->path[k]] += unit->count;
        total += (double)n * unit->count;
    }
    for (size_t i = 0; i < t->n; i++) {
        candidate *p = &t->piece[i];
        double f = s->frequency[i];
        p->loss = 0;
        if (p->chars == 1 || f == 0)
            continue;
        if (!list_arcs(t, p->at, p->bytes, (int32_t)i, &arcs))
            return no_memory(err);
        size_t n = best_path(t, p->bytes, arcs, s->path, s->from, s->by);
        double log_total = log(total + f * (double)(n - 1)), other = 0;
        for (size_t k = 0; k < n; k++)
            other += log(s->frequency[s->path[k]] + f) - log_total;
        p->loss = fmax(f * (log(f) - log(total) - other), 0);
    }
    return ZM_OK;
}

/* Characters first, then by falling loss. */
static int by_loss(const void *pa, const void *pb)
{
    const candidate *a = pa, *b = pb;
    if ((a->chars == 1) != (b->chars == 1))
        return a->chars == 1 ? -1 : 1;
    if (a->loss != b->loss)
        return a->loss < b->loss ? 1 : -1;
    return strcmp(a->at, b->at);
}

static zm_status prune(trainer *t, size_t keep, size_t longest, zm_error *err)
{
    scratch s = {malloc((longest + 1) * sizeof *s.path), malloc((longest + 1) * sizeof *s.by),
                 malloc((longest + 1) * sizeof *s.from), calloc(t->n + 1, sizeof *s.frequency)};
    zm_status st = s.path && s.by && s.from && s.frequency ? measure_losses(t, &s, err) : no_memory(err);
    free(s.path);
    free(s.by);
    free(s.from);
    free(s.frequency);
    if (st)
        return st;
    qsort(t->piece, t->n, sizeof *t->piece, by_loss);
    t->n = keep < t->n ? keep : t->n;
    return rebuild_trie(t, err);
}

static zm_status add_candidates(trainer *t, const zm_counted_char *chars, size_t n_chars, const zm_seed *seeds,
                                size_t n_seeds, zm_error *err)
{
    size_t pool = n_chars * 5;
    double total = 0;
    for (size_t i = 0; i < n_seeds; i++)
        pool += seeds[i].bytes + 1;
    t->n = n_chars + n_seeds;
    t->pool = calloc(pool, 1);
    t->piece = calloc(t->n, sizeof *t->piece);
    t->expected = calloc(t->n, sizeof *t->expected);
    if (!t->pool || !t->piece || !t->expected)
        return no_memory(err);
    char *at = t->pool;
    for (size_t i = 0; i < t->n; i++) {
        candidate *p = &t->piece[i];
        p->at = at;
        if (i < n_chars) {
            p->bytes = (uint32_t)zm_utf8_put(at, chars[i].c);
            p->chars = 1;
            p->count = chars[i].count;
        } else {
            const zm_seed *s = &seeds[i - n_chars];
            memcpy(at, t->corpus.text + s->at, s->bytes);
            p->bytes = s->bytes;
            p->chars = s->chars;
            p->count = s->weight;
        }
        at += p->bytes + 1;
        total += p->count;
    }
    for (size_t i = 0; i < t->n; i++)
        t->piece[i].score = log(t->piece[i].count / total);
    return rebuild_trie(t, err);
}

static zm_status prepare(trainer *t, const char *const *lines, size_t n, zm_error *err)
{
    zm_counted_char *chars = NULL;
    zm_seed *seeds = NULL;
    size_t n_chars = 0, n_seeds = 0, most = t->o.vocab_size * 20;
    zm_status st = zm_corpus_build(&t->corpus, lines, n, &t->o.rules, err);
    if (!st)
        st = zm_corpus_characters(&t->corpus, t->o.character_coverage, &chars, &n_chars, err);
    if (!st && n_chars + FIXED > t->o.vocab_size)
        st = zm_fail(err, ZM_E_USAGE, "A vocabulary of %zu is too small: %d fixed pieces and %zu characters need %zu.",
                     t->o.vocab_size, FIXED, n_chars, n_chars + FIXED);
    if (!st)
        st = zm_corpus_restrict(&t->corpus, chars, n_chars, err);
    if (!st)
        st = zm_corpus_seeds(&t->corpus, &t->o, most < 10000 ? 10000 : most, &seeds, &n_seeds, err);
    if (!st)
        st = add_candidates(t, chars, n_chars, seeds, n_seeds, err);
    free(chars);
    free(seeds);
    return st;
}

static zm_status iterate(trainer *t, int round, zm_error *err)
{
    zm_status st = ZM_OK;
    for (int i = 0; i < t->o.em_iterations && !st; i++) {
        double likelihood;
        st = e_step(t, &likelihood, err);
        if (!st && t->o.progress)
            t->o.progress(round, i, t->n, likelihood, t->o.user);
        if (!st)
            st = m_step(t, err);
    }
    return st;
}

static zm_status learn(trainer *t, zm_error *err)
{
    size_t target = t->o.vocab_size - FIXED, longest = ZM_TEXT_MAX_PIECE_BYTES;
    for (size_t u = 0; u < t->corpus.n; u++)
        longest = t->corpus.unit[u].bytes > longest ? t->corpus.unit[u].bytes : longest;
    t->alpha = malloc((longest + 1) * sizeof *t->alpha);
    t->beta = malloc((longest + 1) * sizeof *t->beta);
    if (!t->alpha || !t->beta)
        return no_memory(err);
    int round = 0;
    zm_status st = iterate(t, round, err);
    while (!st && t->n > target) {
        size_t keep = (size_t)((double)t->n * t->o.keep);
        st = prune(t, keep > target ? keep : target, longest, err);
        if (!st)
            st = iterate(t, ++round, err);
    }
    return st;
}

static int by_score(const void *pa, const void *pb)
{
    const candidate *a = pa, *b = pb;
    if (a->score != b->score)
        return a->score < b->score ? 1 : -1;
    return strcmp(a->at, b->at);
}

static zm_status finish(trainer *t, zm_tokenizer **out, zm_error *err)
{
    static const char *const special[] = {"<pad>", "</s>", "<s>", "<unk>"};
    size_t n = FIXED + t->n;
    const char **piece = malloc(n * sizeof *piece);
    float *score = calloc(n, sizeof *score);
    uint8_t *type = malloc(n);
    char(*byte)[8] = malloc(256 * sizeof *byte);
    zm_status st = piece && score && type && byte ? ZM_OK : no_memory(err);
    if (!st) {
        qsort(t->piece, t->n, sizeof *t->piece, by_score);
        for (size_t i = 0; i < 4; i++) {
            piece[i] = special[i];
            type[i] = i == 3 ? ZM_PIECE_UNKNOWN : ZM_PIECE_CONTROL;
        }
        for (size_t i = 0; i < 256; i++) {
            snprintf(byte[i], sizeof byte[i], "<0x%02X>", (unsigned)i);
            piece[4 + i] = byte[i];
            type[4 + i] = ZM_PIECE_BYTE;
        }
        for (size_t i = 0; i < t->n; i++) {
            piece[FIXED + i] = t->piece[i].at;
            score[FIXED + i] = (float)t->piece[i].score;
            type[FIXED + i] = ZM_PIECE_NORMAL;
        }
        st = zm_tokenizer_new(out, piece, score, type, n, &t->o.rules, err);
    }
    free(piece);
    free(score);
    free(type);
    free(byte);
    return st;
}

zm_status zm_unigram_train(zm_tokenizer **out, const char *const *lines, size_t n, const zm_unigram_options *options,
                           zm_error *err)
{
    trainer t = {.o = *options};
    *out = NULL;
    t.o.vocab_size = t.o.vocab_size ? t.o.vocab_size : 2048;
    t.o.character_coverage = t.o.character_coverage > 0 ? t.o.character_coverage : 1;
    t.o.max_piece_chars = t.o.max_piece_chars > 0 ? t.o.max_piece_chars : 16;
    t.o.max_han_chars = t.o.max_han_chars > 0 ? t.o.max_han_chars : 6;
    t.o.phrase_entropy = t.o.phrase_entropy == 0 ? 0.4 : t.o.phrase_entropy;
    t.o.em_iterations = t.o.em_iterations > 0 ? t.o.em_iterations : 2;
    t.o.keep = t.o.keep > 0 && t.o.keep < 1 ? t.o.keep : 0.75;
    if (t.o.vocab_size > ZM_TEXT_MAX_PIECES || t.o.max_piece_chars > 64)
        return zm_fail(err, ZM_E_USAGE, "A vocabulary has at most %d pieces of at most 64 characters, not %zu of %d.",
                       ZM_TEXT_MAX_PIECES, t.o.vocab_size, t.o.max_piece_chars);
    zm_status st = prepare(&t, lines, n, err);
    if (!st)
        st = learn(&t, err);
    if (!st)
        st = finish(&t, out, err);
    trainer_release(&t);
    return st;
}
