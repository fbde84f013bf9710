/* The prompt's tokens.
 * SPDX-License-Identifier: MIT */
#include "pipeline/explain_tokens.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/prompt.h"

/* The prompt as its tokens spell it, and where each begins. */
typedef struct spelling {
    char *text;
    size_t *start; /* [tokens + 1] */
} spelling;

/* What a token adds to the text: a piece, one byte, or nothing. */
static size_t spell(const zm_tokenizer *t, int32_t id, char *out)
{
    const char *piece = zm_tokenizer_piece(t, id);
    zm_piece_type type = zm_tokenizer_type(t, id);
    if (type == ZM_PIECE_BYTE) {
        *out = (char)strtoul(piece + 3, NULL, 16);
        return 1;
    }
    if (type != ZM_PIECE_NORMAL && type != ZM_PIECE_USER)
        return 0;
    size_t n = strlen(piece);
    memcpy(out, piece, n);
    return n;
}

static zm_status spell_all(spelling *s, const zm_tokenizer *t, const zm_explanation *x, zm_error *err)
{
    s->text = malloc((size_t)x->tokens * ZM_TEXT_MAX_PIECE_BYTES + 1);
    s->start = calloc((size_t)x->tokens + 1, sizeof *s->start);
    if (!s->text || !s->start)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a prompt");
    for (int i = 0; i < x->tokens; i++)
        s->start[i + 1] = s->start[i] + spell(t, x->token[i].id, s->text + s->start[i]);
    s->text[s->start[x->tokens]] = 0;
    return ZM_OK;
}

static bool is_letter(char c)
{
    return isalpha((unsigned char)c);
}

/* A word that stands by itself (Latin letters beside it would make it another word) marks the tokens it lies in. */
static void mark_word(zm_explanation *x, const spelling *s, const char *word, size_t n)
{
    for (const char *at = s->text; (at = strstr(at, word)); at += n) {
        size_t from = (size_t)(at - s->text), to = from + n;
        bool inside = (is_letter(word[0]) && from && is_letter(at[-1])) || (is_letter(word[n - 1]) && is_letter(at[n]));
        for (int i = 0; !inside && i < x->tokens; i++)
            x->token[i].unknown |= s->start[i] < to && s->start[i + 1] > from;
    }
}

/* Where the prompt was cut, its last word may be the beginning of one. */
static void mark_cut_word(zm_explanation *x, const spelling *s, const char *word, size_t n)
{
    size_t all = s->start[x->tokens];
    for (size_t k = n - 1 < all ? n - 1 : all; k > 0; k--) {
        const char *at = s->text + all - k;
        if (memcmp(at, word, k) || (at > s->text && is_letter(word[0]) && is_letter(at[-1])))
            continue;
        for (int i = 0; i < x->tokens; i++)
            x->token[i].unknown |= s->start[i + 1] > all - k;
        return;
    }
}

static void mark_unknown(zm_explanation *x, const zm_tokenizer *t, const spelling *s)
{
    for (int i = 0; i < x->tokens; i++) {
        zm_piece_type type = zm_tokenizer_type(t, x->token[i].id);
        x->token[i].unknown = type == ZM_PIECE_UNKNOWN || type == ZM_PIECE_BYTE;
    }
    char *words = x->unknown ? strdup(x->unknown) : NULL, *next = words;
    while (next && *next) {
        char *end = strstr(next, ", "), *word = next;
        next = end ? end + 2 : NULL;
        if (end)
            *end = 0;
        if (*word)
            mark_word(x, s, word, strlen(word));
        if (*word && x->whole > x->tokens)
            mark_cut_word(x, s, word, strlen(word));
    }
    free(words);
}

zm_status zm_explain_tokenise(zm_explanation *x, const zm_model *m, zm_error *err)
{
    size_t cap = (size_t)m->config.dit.text_len, n = 0, whole = 0;
    int32_t *ids = malloc(cap * sizeof *ids);
    spelling s = {0};
    zm_status st = ids ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for a prompt");
    if (!st)
        st = zm_prompt_tokens(m, x->r.prompt, ids, cap, &n, &whole, err);
    if (!st)
        st = zm_request_unknown(&x->r, m, &x->unknown, err);
    if (!st && !(x->token = calloc(n, sizeof *x->token)))
        st = zm_fail(err, ZM_E_NOMEM, "out of memory for %zu tokens", n);
    x->tokens = st ? 0 : (int)n;
    x->whole = (int)whole;
    for (int i = 0; i < x->tokens; i++)
        x->token[i].id = ids[i];
    if (!st)
        st = spell_all(&s, m->tokenizer, x, err);
    if (!st)
        mark_unknown(x, m->tokenizer, &s);
    free(s.text);
    free(s.start);
    free(ids);
    return st;
}
