/* A unigram model in memory: its pieces, their types, and the ids with a meaning of their own.
 * SPDX-License-Identifier: MIT */
#include "text/unigram.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

static const char *const special_names[] = {
    [ZM_TOKEN_PAD] = "<pad>", [ZM_TOKEN_EOS] = "</s>", [ZM_TOKEN_BOS] = "<s>", [ZM_TOKEN_UNK] = "<unk>"};

/* 0..255 for "<0x00>".."<0xFF>", else -1. */
static int byte_value(const char *piece)
{
    unsigned value;
    char again[8];
    if (strlen(piece) != 6 || sscanf(piece, "<0x%2X>", &value) != 1)
        return -1;
    snprintf(again, sizeof again, "<0x%02X>", value & 0xff);
    return strcmp(again, piece) ? -1 : (int)value;
}

static zm_piece_type type_by_name(const char *piece)
{
    if (!strcmp(piece, special_names[ZM_TOKEN_UNK]))
        return ZM_PIECE_UNKNOWN;
    for (int k = 0; k < ZM_TOKEN_UNK; k++)
        if (!strcmp(piece, special_names[k]))
            return ZM_PIECE_CONTROL;
    return byte_value(piece) >= 0 ? ZM_PIECE_BYTE : ZM_PIECE_NORMAL;
}

static zm_status check_piece(const char *piece, float score, int type, size_t i, size_t *pool, zm_error *err)
{
    size_t bytes = strnlen(piece, ZM_TEXT_MAX_PIECE_BYTES + 1);
    if (!bytes || bytes > ZM_TEXT_MAX_PIECE_BYTES)
        return zm_fail(err, ZM_E_FORMAT, "Piece %zu is %s; 1 to %d bytes are taken.", i, bytes ? "too long" : "empty",
                       ZM_TEXT_MAX_PIECE_BYTES);
    size_t bad = zm_utf8_check(piece, bytes);
    if (bad < bytes)
        return zm_fail(err, ZM_E_FORMAT, "Piece %zu is not UTF-8 at its byte %zu.", i, bad);
    if (!isfinite(score))
        return zm_fail(err, ZM_E_FORMAT, "Piece %zu (\"%s\") has the score %g.", i, piece, (double)score);
    if (type < ZM_PIECE_NORMAL || type > ZM_PIECE_BYTE)
        return zm_fail(err, ZM_E_FORMAT, "Piece %zu (\"%s\") has the unknown type %d.", i, piece, type);
    *pool += bytes + 1;
    if (*pool > UINT32_MAX / 2)
        return zm_fail(err, ZM_E_UNSUPPORTED, "The pieces take more than 2 GiB.");
    return ZM_OK;
}

static zm_status copy_pieces(zm_tokenizer *t, const char *const *pieces, const float *scores, const uint8_t *types,
                             zm_error *err)
{
    size_t pool = 0, at = 0;
    for (size_t i = 0; i < t->n; i++) {
        zm_status st = check_piece(pieces[i], scores[i], types ? types[i] : ZM_PIECE_NORMAL, i, &pool, err);
        if (st)
            return st;
    }
    t->pool = malloc(pool);
    t->start = malloc(t->n * sizeof *t->start);
    t->score = malloc(t->n * sizeof *t->score);
    t->type = malloc(t->n);
    if (!t->pool || !t->start || !t->score || !t->type)
        return zm_fail(err, ZM_E_NOMEM, "There is no memory for a tokenizer of %zu pieces.", t->n);
    for (size_t i = 0; i < t->n; i++) {
        size_t bytes = strlen(pieces[i]) + 1;
        memcpy(t->pool + at, pieces[i], bytes);
        t->start[i] = (uint32_t)at;
        t->score[i] = scores[i];
        t->type[i] = types ? types[i] : (uint8_t)type_by_name(pieces[i]);
        at += bytes;
    }
    return ZM_OK;
}

static zm_status find_special(zm_tokenizer *t, zm_error *err)
{
    size_t bytes = 0;
    bool any = false;
    for (int k = 0; k < ZM_TOKEN_COUNT; k++)
        t->special[k] = -1;
    for (int b = 0; b < 256; b++)
        t->byte_id[b] = -1;
    for (size_t i = 0; i < t->n; i++) {
        const char *piece = t->pool + t->start[i];
        int b = byte_value(piece);
        if (t->type[i] == ZM_PIECE_UNKNOWN && t->special[ZM_TOKEN_UNK] < 0)
            t->special[ZM_TOKEN_UNK] = (int32_t)i;
        if (t->type[i] == ZM_PIECE_CONTROL)
            for (int k = 0; k < ZM_TOKEN_UNK; k++)
                if (!strcmp(piece, special_names[k]))
                    t->special[k] = (int32_t)i;
        if (t->type[i] == ZM_PIECE_BYTE && b >= 0) {
            t->byte_id[b] = (int32_t)i;
            bytes++;
        }
        if (t->type[i] == ZM_PIECE_NORMAL) {
            t->lowest = any ? fminf(t->lowest, t->score[i]) : t->score[i];
            t->highest = any ? fmaxf(t->highest, t->score[i]) : t->score[i];
            any = true;
        }
    }
    t->byte_fallback = bytes == 256;
    if (t->special[ZM_TOKEN_EOS] < 0)
        return zm_fail(err, ZM_E_FORMAT, "The tokenizer has no control piece \"</s>\".");
    if (t->special[ZM_TOKEN_UNK] < 0)
        return zm_fail(err, ZM_E_FORMAT, "The tokenizer has no unknown piece.");
    return ZM_OK;
}

static zm_status build_trie(zm_tokenizer *t, zm_error *err)
{
    zm_trie_key *keys = malloc(t->n * sizeof *keys);
    if (!keys)
        return zm_fail(err, ZM_E_NOMEM, "There is no memory for a tokenizer of %zu pieces.", t->n);
    for (size_t i = 0; i < t->n; i++) {
        const char *piece = t->pool + t->start[i];
        keys[i] = (zm_trie_key){piece, (uint32_t)strlen(piece), (int32_t)i};
    }
    zm_status st = zm_trie_build(&t->trie, keys, t->n, err);
    free(keys);
    return st;
}

static zm_status copy_rules(zm_tokenizer *t, const zm_tokenizer_rules *rules, zm_error *err)
{
    t->rules = rules ? *rules : (zm_tokenizer_rules){0};
    if (!t->rules.charsmap)
        return ZM_OK;
    t->charsmap_copy = malloc(t->rules.charsmap_bytes + 1);
    if (!t->charsmap_copy)
        return zm_fail(err, ZM_E_NOMEM, "There is no memory for a normaliser map.");
    memcpy(t->charsmap_copy, t->rules.charsmap, t->rules.charsmap_bytes);
    t->rules.charsmap = t->charsmap_copy;
    return zm_charsmap_parse(&t->map, t->charsmap_copy, t->rules.charsmap_bytes, err);
}

zm_status zm_tokenizer_new(zm_tokenizer **out, const char *const *pieces, const float *scores, const uint8_t *types,
                           size_t n, const zm_tokenizer_rules *rules, zm_error *err)
{
    *out = NULL;
    if (!n || n > ZM_TEXT_MAX_PIECES)
        return zm_fail(err, ZM_E_FORMAT, "A tokenizer has 1 to %d pieces, not %zu.", ZM_TEXT_MAX_PIECES, n);
    zm_tokenizer *t = calloc(1, sizeof *t);
    if (!t)
        return zm_fail(err, ZM_E_NOMEM, "There is no memory for a tokenizer.");
    t->n = n;
    zm_status st = copy_rules(t, rules, err);
    if (!st)
        st = copy_pieces(t, pieces, scores, types, err);
    if (!st)
        st = find_special(t, err);
    if (!st)
        st = build_trie(t, err);
    if (st)
        zm_tokenizer_free(t);
    else
        *out = t;
    return st;
}

void zm_tokenizer_free(zm_tokenizer *t)
{
    if (!t)
        return;
    zm_trie_release(&t->trie);
    free(t->charsmap_copy);
    free(t->pool);
    free(t->start);
    free(t->score);
    free(t->type);
    free(t);
}

size_t zm_tokenizer_count(const zm_tokenizer *t)
{
    return t->n;
}

static size_t checked(const zm_tokenizer *t, int32_t id)
{
    ZM_ASSERT(id >= 0 && (size_t)id < t->n);
    return (size_t)id;
}

const char *zm_tokenizer_piece(const zm_tokenizer *t, int32_t id)
{
    return t->pool + t->start[checked(t, id)];
}

float zm_tokenizer_score(const zm_tokenizer *t, int32_t id)
{
    return t->score[checked(t, id)];
}

zm_piece_type zm_tokenizer_type(const zm_tokenizer *t, int32_t id)
{
    return (zm_piece_type)t->type[checked(t, id)];
}

const zm_tokenizer_rules *zm_tokenizer_get_rules(const zm_tokenizer *t)
{
    return &t->rules;
}

int32_t zm_tokenizer_special(const zm_tokenizer *t, zm_token which)
{
    return t->special[which];
}

int32_t zm_tokenizer_find(const zm_tokenizer *t, const char *piece)
{
    return zm_trie_find(&t->trie, piece, strlen(piece));
}
