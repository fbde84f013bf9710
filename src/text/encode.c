/* Text to ids and back: the best segmentation, byte fallback, and what the tokenizer never learnt.
 * SPDX-License-Identifier: MIT */
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "text/normalise.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

/* The best path that ends at a byte. */
typedef struct lattice {
    float score;
    uint32_t from;
    int32_t id; /* -1: nothing ends here yet */
} lattice;

/* Scores are added in f32 and the first of equal paths stays, pieces of earlier starts first: ids of equal-score
 * segmentations depend on it.  An unknown character costs 10 more than the least likely piece. */
static void relax(const zm_tokenizer *t, const char *text, size_t bytes, size_t from, lattice *best)
{
    uint32_t c, node = 0;
    size_t character = zm_utf8_next(&c, text + from, bytes - from);
    character = character ? character : 1;
    bool single = false;
    for (size_t to = from; to < bytes && (node = zm_trie_step(&t->trie, node, (unsigned char)text[to]));) {
        to++;
        int32_t id = t->trie.node[node].value;
        if (id < 0 || (t->type[id] != ZM_PIECE_NORMAL && t->type[id] != ZM_PIECE_USER))
            continue;
        double own =
            t->type[id] == ZM_PIECE_USER ? (double)((float)(to - from) * t->highest) - 0.1 : (double)t->score[id];
        float score = (float)(own + (double)best[from].score);
        if (best[to].id < 0 || score > best[to].score)
            best[to] = (lattice){score, (uint32_t)from, id};
        single |= to - from == character;
    }
    if (!single) {
        size_t to = from + character;
        float score = (t->lowest - 10.0f) + best[from].score;
        if (best[to].id < 0 || score > best[to].score)
            best[to] = (lattice){score, (uint32_t)from, t->special[ZM_TOKEN_UNK]};
    }
}

zm_status zm_tokenizer_segment(const zm_tokenizer *t, const char *text, size_t bytes, zm_segment **out, size_t *n,
                               zm_error *err)
{
    *out = NULL;
    *n = 0;
    lattice *best = malloc((bytes + 1) * sizeof *best);
    zm_segment *path = malloc((bytes + 1) * sizeof *path);
    if (!best || !path) {
        free(best);
        free(path);
        return zm_fail(err, ZM_E_NOMEM, "There is no memory to tokenise a text of %zu bytes.", bytes);
    }
    for (size_t i = 0; i <= bytes; i++)
        best[i] = (lattice){.id = -1};
    for (size_t i = 0; i < bytes; i++)
        if (!i || best[i].id >= 0) /* inside a character nothing ends */
            relax(t, text, bytes, i, best);
    size_t count = 0;
    for (size_t at = bytes; at > 0; at = best[at].from) {
        ZM_ASSERT(best[at].id >= 0);
        path[bytes - ++count] = (zm_segment){best[at].from, (uint32_t)(at - best[at].from), best[at].id};
    }
    memmove(path, path + bytes - count, count * sizeof *path);
    free(best);
    *out = path;
    *n = count;
    return ZM_OK;
}

/* The normalised text and its segments; both malloc'd. */
static zm_status prepare(const zm_tokenizer *t, const char *text, size_t text_bytes, char **normal, zm_segment **path,
                         size_t *n, zm_error *err)
{
    size_t bytes;
    *path = NULL;
    zm_status st = zm_normalise(normal, &bytes, text, text_bytes, &t->rules, t->charsmap_copy ? &t->map : NULL, err);
    if (!st && (st = zm_tokenizer_segment(t, *normal, bytes, path, n, err))) {
        free(*normal);
        *normal = NULL;
    }
    return st;
}

zm_status zm_tokenizer_normalise(const zm_tokenizer *t, const char *text, char **out, zm_error *err)
{
    size_t bytes;
    return zm_normalise(out, &bytes, text, strnlen(text, ZM_TEXT_MAX_BYTES + 1), &t->rules,
                        t->charsmap_copy ? &t->map : NULL, err);
}

zm_status zm_tokenizer_encode(const zm_tokenizer *t, const char *text, int32_t *ids, size_t cap, size_t *n,
                              size_t *whole, zm_error *err)
{
    return zm_tokenizer_encode_bytes(t, text, strnlen(text, ZM_TEXT_MAX_BYTES + 1), ids, cap, n, whole, err);
}

zm_status zm_tokenizer_encode_bytes(const zm_tokenizer *t, const char *text, size_t bytes, int32_t *ids, size_t cap,
                                    size_t *n, size_t *whole, zm_error *err)
{
    char *normal;
    zm_segment *path;
    size_t segments, count = 0;
    ZM_ASSERT(cap >= 1);
    *n = 0;
    zm_status st = prepare(t, text, bytes, &normal, &path, &segments, err);
    if (st)
        return st;
    for (size_t i = 0; i < segments; i++) {
        bool unknown = path[i].id == t->special[ZM_TOKEN_UNK];
        if (unknown && t->byte_fallback) {
            for (uint32_t b = 0; b < path[i].bytes; b++, count++)
                if (count < cap - 1)
                    ids[count] = t->byte_id[(unsigned char)normal[path[i].start + b]];
        } else if (!unknown || !i || path[i - 1].id != path[i].id) { /* neighbours without a piece share one <unk> */
            if (count < cap - 1)
                ids[count] = path[i].id;
            count++;
        }
    }
    free(path);
    free(normal);
    *n = count < cap - 1 ? count : cap - 1;
    ids[(*n)++] = t->special[ZM_TOKEN_EOS];
    if (whole)
        *whole = count + 1;
    return ZM_OK;
}

/* ---- decode --------------------------------------------------------------------------------------------- */

typedef struct text_out {
    char *at;
    size_t n, cap;
    size_t checked; /* bytes before this are known UTF-8; the rest came from byte pieces */
} text_out;

static bool append(text_out *o, const char *at, size_t n)
{
    if (o->cap - o->n < n + 1) {
        size_t cap = (o->cap + n) * 2 + 64;
        char *grown = realloc(o->at, cap);
        if (!grown)
            return false;
        o->at = grown;
        o->cap = cap;
    }
    memcpy(o->at + o->n, at, n);
    o->n += n;
    o->at[o->n] = 0;
    return true;
}

/* Replace each stray byte of the tail by U+FFFD. */
static bool settle_bytes(text_out *o)
{
    size_t tail = o->n - o->checked;
    if (!tail)
        return true;
    char *raw = malloc(tail);
    if (!raw)
        return false;
    memcpy(raw, o->at + o->checked, tail);
    o->n = o->checked;
    bool ok = true;
    for (size_t i = 0; i < tail && ok;) {
        uint32_t c;
        size_t k = zm_utf8_next(&c, raw + i, tail - i);
        ok = k ? append(o, raw + i, k) : append(o, "\xef\xbf\xbd", 3);
        i += k ? k : 1;
    }
    free(raw);
    o->checked = o->n;
    return ok;
}

static bool append_piece(const zm_tokenizer *t, text_out *o, const char *piece, bool *first)
{
    if (o->n == 0 && (*first || !t->rules.keep_spaces) && (!t->rules.no_dummy_prefix || !t->rules.keep_spaces) &&
        !strncmp(piece, ZM_UTF8_SPACE, 3))
        piece += 3;
    *first = false;
    for (const char *next; (next = strstr(piece, ZM_UTF8_SPACE)); piece = next + 3)
        if (!append(o, piece, (size_t)(next - piece)) || !append(o, " ", 1))
            return false;
    return append(o, piece, strlen(piece));
}

zm_status zm_tokenizer_decode(const zm_tokenizer *t, const int32_t *ids, size_t n, char **out, zm_error *err)
{
    text_out o = {0};
    bool ok = append(&o, "", 0), first = true;
    *out = NULL;
    for (size_t i = 0; i < n && ok; i++) {
        if (ids[i] < 0 || (size_t)ids[i] >= t->n) {
            free(o.at);
            return zm_fail(err, ZM_E_USAGE, "Id %d at %zu is outside the tokenizer's %zu.", (int)ids[i], i, t->n);
        }
        const char *piece = t->pool + t->start[ids[i]];
        zm_piece_type type = (zm_piece_type)t->type[ids[i]];
        if (type == ZM_PIECE_BYTE) {
            char byte = (char)strtoul(piece + 3, NULL, 16);
            ok = append(&o, &byte, 1);
            continue;
        }
        ok = settle_bytes(&o);
        if (ok && type == ZM_PIECE_UNKNOWN)
            ok = append(&o, " \xe2\x81\x87 ", 5);
        else if (ok && type != ZM_PIECE_CONTROL)
            ok = append_piece(t, &o, piece, &first);
        o.checked = o.n;
    }
    ok = ok && settle_bytes(&o);
    if (!ok) {
        free(o.at);
        return zm_fail(err, ZM_E_NOMEM, "There is no memory to decode %zu ids.", n);
    }
    *out = o.at;
    return ZM_OK;
}

/* ---- words never learnt --------------------------------------------------------------------------------- */

enum { MOST_WORDS = 64 };

typedef struct word_list {
    text_out text;
    struct {
        size_t at, n;
    } word[MOST_WORDS];
    size_t n;
} word_list;

static bool add_word(word_list *w, const char *at, size_t n)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->word[i].n == n && !memcmp(w->text.at + w->word[i].at, at, n))
            return true;
    if (w->n == MOST_WORDS)
        return true;
    if (w->n && !append(&w->text, ", ", 2))
        return false;
    w->word[w->n].at = w->text.n;
    w->word[w->n++].n = n;
    return append(&w->text, at, n);
}

/* Letters start..end of one word: unknown characters inside, or more pieces than half its letters. */
static bool is_shattered(const zm_segment *path, size_t n, size_t *next, size_t start, size_t end, size_t letters,
                         int32_t unknown)
{
    size_t pieces = 0;
    bool bad = false;
    while (*next < n && path[*next].start + path[*next].bytes <= start)
        ++*next;
    for (size_t i = *next; i < n && path[i].start < end; i++) {
        pieces++;
        bad |= path[i].id == unknown;
    }
    return bad || (letters >= 4 && pieces * 2 > letters);
}

/* Runs of one class; outside letters every run is judged by its unknown characters alone. */
static bool list_words(const zm_tokenizer *t, const char *text, const zm_segment *path, size_t n, word_list *w)
{
    size_t next = 0, bytes = strlen(text);
    for (size_t i = 0; i < bytes;) {
        uint32_t c;
        size_t start = i, chars = 0, step = zm_utf8_next(&c, text + i, bytes - i);
        zm_char_class class = zm_char_classify(c);
        bool letters = class == ZM_CHAR_LETTER;
        do {
            i += step;
            chars++;
            step = i < bytes ? zm_utf8_next(&c, text + i, bytes - i) : 0;
        } while (letters && step && zm_char_classify(c) == class);
        if (class == ZM_CHAR_SPACE)
            continue;
        if (is_shattered(path, n, &next, start, i, letters ? chars : 0, t->special[ZM_TOKEN_UNK]) &&
            !add_word(w, text + start, i - start))
            return false;
    }
    return true;
}

zm_status zm_tokenizer_unknown(const zm_tokenizer *t, const char *text, char **words, zm_error *err)
{
    char *normal;
    zm_segment *path;
    size_t n;
    *words = NULL;
    zm_status st = prepare(t, text, strlen(text), &normal, &path, &n, err);
    if (st)
        return st;
    word_list *w = calloc(1, sizeof *w);
    if (!w || !list_words(t, normal, path, n, w)) {
        st = zm_fail(err, ZM_E_NOMEM, "There is no memory to list the unknown words of a prompt.");
        free(w ? w->text.at : NULL);
    } else {
        *words = w->text.at;
    }
    free(w);
    free(path);
    free(normal);
    return st;
}
