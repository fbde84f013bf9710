/* Learning a tokenizer: likelihood, sensible pieces, limits, and the round trip of what it learnt from.
 * SPDX-License-Identifier: MIT */
#include "tap.h"

#include <time.h>

#include "base/clock.h"
#include "captions.h"
#include "text/unigram_train.h"

static struct {
    int n, round[256];
    size_t pieces[256];
    double likelihood[256];
} seen;

static void note(int round, int iteration, size_t pieces, double likelihood, void *user)
{
    (void)user;
    (void)iteration;
    if (seen.n < 256) {
        seen.round[seen.n] = round;
        seen.pieces[seen.n] = pieces;
        seen.likelihood[seen.n++] = likelihood;
    }
}

static void test_likelihood(const char *const *lines, size_t n)
{
    zm_unigram_options o = {.vocab_size = 420, .em_iterations = 5, .plain = true, .progress = note};
    zm_tokenizer *t;
    zm_error err = {0};
    seen.n = 0;
    if (!tap_ok(!zm_unigram_train(&t, lines, n, &o, &err), "plain EM runs%s", err.text))
        return;
    int rises = 1, shrinks = 1, pairs = 0;
    for (int i = 1; i < seen.n; i++)
        if (seen.round[i] == seen.round[i - 1]) {
            rises &= seen.likelihood[i] >= seen.likelihood[i - 1] - 1e-9 * fabs(seen.likelihood[i]);
            pairs++;
        } else {
            shrinks &= seen.pieces[i] < seen.pieces[i - 1];
        }
    tap_ok(pairs > 8 && rises, "EM never lowers the likelihood (%d steps, last %.6g)", pairs,
           seen.likelihood[seen.n - 1]);
    tap_ok(shrinks, "each round prunes");
    tap_ok(zm_tokenizer_count(t) <= 420, "the size is kept: %zu", zm_tokenizer_count(t));
    zm_tokenizer_free(t);
}

static size_t pieces_of(const zm_tokenizer *t, const char *text)
{
    int32_t ids[256];
    size_t n = 0;
    return zm_tokenizer_encode(t, text, ids, 256, &n, NULL, NULL) ? 0 : n - 1;
}

static void test_pieces(const char *const *lines, size_t n)
{
    zm_unigram_options o = {.vocab_size = 450, .rules = {.casefold = true, .punctuation = true}};
    zm_tokenizer *t, *again;
    zm_error err = {0};
    double start = zm_now();
    if (!tap_ok(!zm_unigram_train(&t, lines, n, &o, &err), "training on %zu captions%s", n, err.text))
        return;
    printf("# %zu captions, %zu pieces, %.2f s\n", n, zm_tokenizer_count(t), zm_now() - start);
    tap_ok(zm_tokenizer_count(t) <= 450 && zm_tokenizer_count(t) > 260 + 80, "%zu pieces", zm_tokenizer_count(t));
    tap_ok(zm_tokenizer_special(t, ZM_TOKEN_PAD) == 0 && zm_tokenizer_special(t, ZM_TOKEN_EOS) == 1 &&
               zm_tokenizer_special(t, ZM_TOKEN_BOS) == 2 && zm_tokenizer_special(t, ZM_TOKEN_UNK) == 3,
           "special ids are those of UMT5");
    tap_equal_str(zm_tokenizer_piece(t, 4 + 0x41), "<0x41>", "bytes follow");
    static const char *const whole[] = {"▁panda", "▁giraffe", "▁sunset", "熊猫", "长颈鹿"};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        tap_ok(zm_tokenizer_find(t, whole[i]) >= 0, "%s is one piece", whole[i]);
    static const char *const phrase[] = {"两个熊猫", "一个火箭", "跳过大树", "落在熊猫"};
    for (size_t i = 0; i < sizeof phrase / sizeof *phrase; i++)
        tap_ok(zm_tokenizer_find(t, phrase[i]) < 0, "%s is two words", phrase[i]);
    tap_ok(pieces_of(t, "A panda bounces over three red apples at sunset.") <= 14, "an English prompt is short: %zu",
           pieces_of(t, "A panda bounces over three red apples at sunset."));
    tap_ok(pieces_of(t, "一个熊猫跳过三个红苹果。") <= 11, "a Chinese prompt is short: %zu",
           pieces_of(t, "一个熊猫跳过三个红苹果。"));
    int rules = 1;
    for (int32_t id = 260; (size_t)id < zm_tokenizer_count(t); id++) {
        const char *p = zm_tokenizer_piece(t, id);
        const char *space = strstr(p, "▁");
        rules &= !strchr(p, ' ') && (!space || space == p);
        rules &= !strstr(p, "。") && zm_tokenizer_score(t, id) < 0;
    }
    tap_ok(rules, "no piece crosses a space, Chinese marks were folded");
    int round_trip = 1, bytes = 0;
    for (size_t i = 0; i < n; i += 1 + n / 500) {
        int32_t ids[256];
        size_t k, whole_n;
        char *back = NULL, *want = NULL;
        round_trip &= !zm_tokenizer_encode(t, lines[i], ids, 256, &k, &whole_n, NULL) && k == whole_n;
        round_trip &= !zm_tokenizer_decode(t, ids, k, &back, NULL) && !zm_tokenizer_normalise(t, back, &want, NULL);
        char *norm = NULL;
        round_trip &= !zm_tokenizer_normalise(t, lines[i], &norm, NULL) && !strcmp(norm, want);
        for (size_t j = 0; j + 1 < k; j++)
            bytes += zm_tokenizer_type(t, ids[j]) == ZM_PIECE_BYTE;
        free(back);
        free(want);
        free(norm);
    }
    tap_ok(round_trip && !bytes, "every caption comes back from its ids without byte pieces");
    if (!zm_unigram_train(&again, lines, n, &o, NULL)) {
        int same = zm_tokenizer_count(again) == zm_tokenizer_count(t);
        for (int32_t id = 0; same && (size_t)id < zm_tokenizer_count(t); id++)
            same = !strcmp(zm_tokenizer_piece(t, id), zm_tokenizer_piece(again, id)) &&
                   zm_tokenizer_score(t, id) == zm_tokenizer_score(again, id);
        tap_ok(same, "training twice gives the same model");
        zm_tokenizer_free(again);
    }
    zm_tokenizer_free(t);
}

static void test_refusals(const char *const *lines, size_t n)
{
    zm_tokenizer *t;
    zm_error err = {0};
    zm_unigram_options o = {.vocab_size = 270};
    tap_equal_i64(zm_unigram_train(&t, lines, n, &o, &err), ZM_E_USAGE, "a vocabulary smaller than the alphabet");
    tap_ok(!t && strstr(err.text, "too small"), "says so: %s", err.text);
    const char *bad[] = {"good", "b\xff d"}, *empty[] = {"", "  "};
    zm_error_clear(&err);
    o.vocab_size = 400;
    tap_equal_i64(zm_unigram_train(&t, bad, 2, &o, &err), ZM_E_FORMAT, "a line that is not UTF-8");
    tap_ok(strstr(err.text, "Line 2") && strstr(err.text, "byte 1"), "names line and byte: %s", err.text);
    tap_equal_i64(zm_unigram_train(&t, empty, 2, &o, NULL), ZM_E_USAGE, "no text");
    tap_equal_i64(zm_unigram_train(&t, NULL, 0, &o, NULL), ZM_E_USAGE, "no lines");
    const char *one[] = {"x"};
    tap_equal_i64(zm_unigram_train(&t, one, 1, &o, NULL), ZM_OK, "one letter is enough");
    zm_tokenizer_free(t);
    char *longest = malloc(ZM_TEXT_MAX_BYTES + 1);
    memset(longest, 'a', ZM_TEXT_MAX_BYTES);
    longest[ZM_TEXT_MAX_BYTES] = 0;
    const char *monotone[] = {longest};
    tap_equal_i64(zm_unigram_train(&t, monotone, 1, &o, NULL), ZM_OK, "64 KiB of one letter");
    zm_tokenizer_free(t);
    free(longest);
}

static void test_coverage(const char *const *lines, size_t n)
{
    const char **more = malloc((n + 1) * sizeof *more);
    memcpy(more, lines, n * sizeof *more);
    more[n] = "龘";
    zm_tokenizer *t;
    zm_unigram_options o = {.vocab_size = 450, .character_coverage = 0.9999};
    if (tap_ok(!zm_unigram_train(&t, more, n + 1, &o, NULL), "coverage below 1")) {
        tap_ok(zm_tokenizer_find(t, "龘") < 0, "a character seen once is left to bytes");
        tap_ok(pieces_of(t, "龘") == 4, "and becomes three of them after a space");
        zm_tokenizer_free(t);
    }
    o.character_coverage = 0;
    if (!zm_unigram_train(&t, more, n + 1, &o, NULL)) {
        tap_ok(zm_tokenizer_find(t, "龘") >= 0, "full coverage keeps it");
        zm_tokenizer_free(t);
    }
    free(more);
}

int main(void)
{
    zm_rng rng = zm_rng_init((uint64_t)time(NULL), 21);
    printf("# seed %llu\n", (unsigned long long)rng.seed);
    size_t n = 3000;
    char **lines = captions(&rng, n);
    test_likelihood((const char *const *)lines, n / 4);
    test_pieces((const char *const *)lines, n);
    test_refusals((const char *const *)lines, n);
    test_coverage((const char *const *)lines, n);
    free(lines);
    return tap_done();
}
