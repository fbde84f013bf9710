/* The unigram tokenizer: best path against brute force, byte fallback, normalisation, files, hostile input.
 * SPDX-License-Identifier: MIT */
#include "tap.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "base/rng.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

/* A small vocabulary: special, all bytes when asked for, then the given pieces. */
typedef struct vocabulary {
    const char *piece[600];
    float score[600];
    char own[600][24];
    size_t n;
} vocabulary;

static void add(vocabulary *v, const char *piece, float score)
{
    snprintf(v->own[v->n], sizeof v->own[v->n], "%s", piece);
    v->piece[v->n] = v->own[v->n];
    v->score[v->n++] = score;
}

static vocabulary *vocabulary_new(int bytes)
{
    static const char *const special[] = {"<pad>", "</s>", "<s>", "<unk>"};
    vocabulary *v = calloc(1, sizeof *v);
    for (int i = 0; i < 4; i++)
        add(v, special[i], 0);
    for (int i = 0; bytes && i < 256; i++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", (unsigned)i);
        add(v, name, 0);
    }
    return v;
}

static zm_tokenizer *make(const vocabulary *v, const zm_tokenizer_rules *rules)
{
    zm_tokenizer *t;
    zm_error err = {0};
    if (zm_tokenizer_new(&t, v->piece, v->score, NULL, v->n, rules, &err))
        printf("# %s\n", err.text);
    return t;
}

/* Every segmentation, by recursion; unknown characters cost the lowest score - 10. */
static double brute(const zm_tokenizer *t, const char *text, size_t at, size_t bytes)
{
    if (at == bytes)
        return 0;
    double best = -1e30;
    int single = 0;
    for (size_t i = 0; i < zm_tokenizer_count(t); i++) {
        const char *p = zm_tokenizer_piece(t, (int32_t)i);
        size_t k = strlen(p);
        if (zm_tokenizer_type(t, (int32_t)i) != ZM_PIECE_NORMAL || k > bytes - at || memcmp(p, text + at, k))
            continue;
        single |= k == 1;
        best = fmax(best, (double)zm_tokenizer_score(t, (int32_t)i) + brute(t, text, at + k, bytes));
    }
    if (!single)
        best = fmax(best, (double)t->lowest - 10 + brute(t, text, at + 1, bytes));
    return best;
}

static void test_viterbi(zm_rng *rng)
{
    double worst = 0;
    int covers = 1;
    for (int round = 0; round < 200; round++) {
        vocabulary *v = vocabulary_new(0);
        for (int i = 0; i < 25; i++) {
            char p[5] = {0};
            int again = 0;
            for (uint32_t k = 0, n = 1 + zm_rng_below(rng, 4); k < n; k++)
                p[k] = (char)('a' + zm_rng_below(rng, 3));
            for (size_t k = 0; k < v->n; k++)
                again |= !strcmp(v->own[k], p);
            if (!again)
                add(v, p, zm_rng_range(rng, -12, -1));
        }
        zm_tokenizer *t = make(v, &(zm_tokenizer_rules){.raw = true, .no_dummy_prefix = true});
        char text[13] = {0};
        for (uint32_t k = 0, n = 1 + zm_rng_below(rng, 12); k < n; k++)
            text[k] = (char)('a' + zm_rng_below(rng, 4)); /* d has no piece */
        zm_segment *path;
        size_t n, bytes = strlen(text), at = 0;
        double score = 0;
        if (!t || zm_tokenizer_segment(t, text, bytes, &path, &n, NULL)) {
            covers = 0;
        } else {
            for (size_t i = 0; i < n; i++) {
                int32_t id = path[i].id;
                covers &= path[i].start == at;
                at += path[i].bytes;
                score += id == 3 ? (double)t->lowest - 10 : (double)zm_tokenizer_score(t, id);
            }
            covers &= at == bytes;
            worst = fmax(worst, fabs(score - brute(t, text, 0, bytes)));
            free(path);
        }
        zm_tokenizer_free(t);
        free(v);
    }
    tap_ok(covers, "segments cover the text in order");
    tap_ok(worst < 1e-4, "the best path scores what brute force finds: %.3g", worst);
}

static void encode_is(const zm_tokenizer *t, const char *text, const char *want)
{
    int32_t ids[64];
    size_t n;
    char got[512] = "";
    zm_error err = {0};
    if (zm_tokenizer_encode(t, text, ids, 64, &n, NULL, &err))
        snprintf(got, sizeof got, "error: %.400s", err.text);
    else
        for (size_t i = 0; i < n; i++)
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i ? " " : "", zm_tokenizer_piece(t, ids[i]));
    tap_equal_str(got, want, want);
}

static void normal_is(const zm_tokenizer *t, const char *text, const char *want)
{
    char *got = NULL;
    zm_error err = {0};
    if (zm_tokenizer_normalise(t, text, &got, &err))
        printf("# %s\n", err.text);
    tap_equal_str(got, want, want);
    free(got);
}

static void test_text(void)
{
    vocabulary *v = vocabulary_new(1);
    static const char *const words[] = {"▁", "▁red", "▁ball", "s", "红", "球", "红球", ",", ".", "▁a", "b", "1", "2"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        add(v, words[i], -2 - (float)i / 10);
    zm_tokenizer *plain = make(v, NULL), *own = make(v, &(zm_tokenizer_rules){.casefold = true, .punctuation = true});
    encode_is(plain, "red balls", "▁red ▁ball s </s>");
    encode_is(plain, "  red\t\n balls  ", "▁red ▁ball s </s>");
    encode_is(plain, "", "</s>");
    encode_is(plain, " \t ", "</s>");
    encode_is(plain, "红球", "▁ 红球 </s>");
    encode_is(plain, "é", "▁ <0xC3> <0xA9> </s>");
    encode_is(plain, "</s><pad><0x41>",
              "▁ <0x3C> <0x2F> s <0x3E> <0x3C> <0x70> <0x61> <0x64> <0x3E> <0x3C> <0x30> "
              "<0x78> <0x34> 1 <0x3E> </s>");
    encode_is(own, "RED，ｂａｌｌｓ。", "▁red , b <0x61> <0x6C> <0x6C> s . </s>");
    normal_is(plain, "ｆｕｌｌ\xe3\x80\x80ｗｉｄｔｈ①", "▁full▁width1");
    normal_is(plain,
              "a\xe2\x80\xa8"
              "b\xc2\xad"
              "c\x01",
              "▁a▁bc");
    normal_is(plain, "▁a▁▁b▁", "▁a▁b");
    normal_is(plain, "e\xcc\x81", "▁é");
    normal_is(own, "“Straße” —《猫》、", "▁\"strasse\"▁-\"猫\",");
    int32_t ids[4];
    size_t n, whole;
    tap_ok(!zm_tokenizer_encode(plain, "red balls red balls", ids, 4, &n, &whole, NULL) && n == 4 && whole == 7 &&
               ids[3] == 1,
           "a long text is cut and still ends in </s> (%zu of %zu)", n, whole);
    tap_ok(!zm_tokenizer_encode(plain, "red", ids, 1, &n, &whole, NULL) && n == 1 && ids[0] == 1 && whole == 2,
           "room for one id holds </s>");
    char *words_out = NULL;
    tap_ok(!zm_tokenizer_unknown(plain, "red zebra ball, zebra 红猫 ☃", &words_out, NULL) && words_out,
           "unknown words found");
    tap_equal_str(words_out, "zebra, 猫, ☃", "each once, in order");
    free(words_out);
    tap_ok(!zm_tokenizer_unknown(plain, "red balls, 红球 12.", &words_out, NULL) && !words_out, "none in known words");
    zm_tokenizer_free(plain);
    zm_tokenizer_free(own);
    free(v);
    v = vocabulary_new(0);
    add(v, "▁a", -1);
    plain = make(v, NULL);
    encode_is(plain, "a xyz", "▁a <unk> </s>");
    zm_tokenizer_free(plain);
    free(v);
}

static void test_decode(void)
{
    vocabulary *v = vocabulary_new(1);
    add(v, "▁red", -1);
    add(v, "▁", -2);
    zm_tokenizer *t = make(v, NULL);
    int32_t red = zm_tokenizer_find(t, "▁red");
    int32_t ids[] = {2, red, 4 + 0xe7, 4 + 0x8c, 4 + 0xab, red, 4 + 0xe7, 4 + 0x41, 3, 1};
    char *text = NULL;
    zm_error err = {0};
    tap_ok(!zm_tokenizer_decode(t, ids, 10, &text, NULL), "decodes");
    tap_equal_str(text,
                  "red猫 red\xef\xbf\xbd"
                  "A \xe2\x81\x87 ",
                  "bytes, a stray byte, <unk>, control pieces");
    free(text);
    int32_t bad[] = {red, 100000};
    tap_equal_i64(zm_tokenizer_decode(t, bad, 2, &text, &err), ZM_E_USAGE, "an id outside the model");
    tap_ok(strstr(err.text, "100000"), "is named: %s", err.text);
    zm_tokenizer_free(t);
    free(v);
}

static void test_hostile_text(zm_rng *rng)
{
    vocabulary *v = vocabulary_new(1);
    add(v, "▁a", -1);
    zm_tokenizer *t = make(v, NULL);
    static const char *const bad[] = {"ab\xff",     "ab\xc0\x80", "ab\xed\xa0\x80", "ab\xf4\x90\x80\x80",
                                      "ab\xe4\xbd", "ab\x80"};
    char *out;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        zm_error err = {0};
        tap_ok(zm_tokenizer_normalise(t, bad[i], &out, &err) == ZM_E_FORMAT && !out && strstr(err.text, "byte 2"),
               "invalid UTF-8 %zu: %s", i, err.text);
    }
    char *longest = malloc(ZM_TEXT_MAX_BYTES + 2);
    memset(longest, 'x', ZM_TEXT_MAX_BYTES + 1);
    longest[ZM_TEXT_MAX_BYTES + 1] = 0;
    tap_equal_i64(zm_tokenizer_normalise(t, longest, &out, NULL), ZM_E_FORMAT, "a text beyond the limit");
    longest[ZM_TEXT_MAX_BYTES] = 0;
    int32_t *ids = malloc(70000 * sizeof *ids);
    size_t n;
    tap_ok(!zm_tokenizer_encode(t, longest, ids, 70000, &n, NULL, NULL) && n > 60000, "the longest text: %zu ids", n);
    int safe = 1;
    for (int round = 0; round < 2000; round++) {
        size_t bytes = zm_rng_below(rng, 40);
        for (size_t i = 0; i < bytes; i++)
            longest[i] = (char)(1 + zm_rng_below(rng, 255));
        if (round & 1) /* valid text of random characters */
            for (size_t i = 0; i + 4 <= bytes;) {
                uint32_t c = 1 + zm_rng_below(rng, 0x3ffff);
                i += zm_utf8_put(longest + i, c >= 0xd800 && c < 0xe000 ? 'x' : c);
                memset(longest + i, 'y', bytes - i);
            }
        longest[bytes] = 0;
        char *words = NULL;
        zm_status a = zm_tokenizer_encode(t, longest, ids, 70000, &n, NULL, NULL);
        zm_status b = zm_tokenizer_unknown(t, longest, &words, NULL);
        safe &= a == b && (a == ZM_OK || a == ZM_E_FORMAT) && (round % 2 == 0 || a == ZM_OK || bytes < 4);
        free(words);
    }
    tap_ok(safe, "2000 random byte strings");
    free(ids);
    free(longest);
    zm_tokenizer_free(t);
    free(v);
}

static void test_file(zm_rng *rng)
{
    vocabulary *v = vocabulary_new(1);
    add(v, "▁\"q\\", -1.25f);
    add(v, "\x01", -3);
    for (int i = 0; i < 60; i++) {
        char p[16];
        snprintf(p, sizeof p, "▁w%x", zm_rng_u32(rng));
        add(v, p, -zm_rng_range(rng, 1, 15));
    }
    uint8_t types[600];
    memset(types, ZM_PIECE_NORMAL, sizeof types);
    types[0] = types[1] = types[2] = ZM_PIECE_CONTROL;
    types[3] = ZM_PIECE_UNKNOWN;
    memset(types + 4, ZM_PIECE_BYTE, 256);
    types[v->n - 1] = ZM_PIECE_USER;
    types[v->n - 2] = ZM_PIECE_UNUSED;
    zm_tokenizer *t, *u = NULL;
    zm_error err = {0};
    char path[64];
    snprintf(path, sizeof path, "/tmp/zm-tokenizer-%ld.json", (long)getpid());
    zm_tokenizer_rules rules = {.casefold = true, .keep_spaces = true};
    tap_ok(!zm_tokenizer_new(&t, v->piece, v->score, types, v->n, &rules, &err), "arrays with types %s", err.text);
    tap_ok(!zm_tokenizer_save(t, path, &err) && !zm_tokenizer_load(&u, path, &err), "written and read %s", err.text);
    int same = u && zm_tokenizer_count(u) == v->n;
    for (int32_t i = 0; same && (size_t)i < v->n; i++)
        same = !strcmp(zm_tokenizer_piece(t, i), zm_tokenizer_piece(u, i)) &&
               zm_tokenizer_score(t, i) == zm_tokenizer_score(u, i) && zm_tokenizer_type(u, i) == types[i];
    tap_ok(same, "pieces, scores to the bit and types come back");
    tap_ok(u && zm_tokenizer_get_rules(u)->casefold && zm_tokenizer_get_rules(u)->keep_spaces &&
               !zm_tokenizer_get_rules(u)->punctuation,
           "rules come back");
    unlink(path);
    zm_tokenizer_free(t);
    zm_tokenizer_free(u);
    free(v);
}

static void test_hostile_json(zm_rng *rng)
{
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"", "x.json"},
        {"[1,2", "x.json:1"},
        {"{}", "model"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{}}}", "BPE"},
        {"{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":{}}}", "vocab"},
        {"{\"model\":{\"unk_id\":0,\"vocab\":[]}}", "vocab"},
        {"{\"model\":{\"unk_id\":0,\"vocab\":[[\"a\"]]}}", "vocab[0]"},
        {"{\"model\":{\"unk_id\":9,\"vocab\":[[\"a\",0]]}}", "unk_id"},
        {"{\"model\":{\"unk_id\":-1,\"vocab\":[[\"a\",0]]}}", "unk_id"},
        {"{\"model\":{\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"a\",0]]}}", "</s>"},
        {"{\"model\":{\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"</s>\",0],[\"a\",0],[\"a\",0]]}}", "twice"},
        {"{\"model\":{\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"</s>\",0],[\"\",0]]}}", "empty"},
        {"{\"model\":{\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"</s>\",1e300]]}}", "score"},
        {"{\"zouma\":{\"casefold\":3},\"model\":{\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"</s>\",0]]}}", "casefold"},
        {"{\"zouma\":{\"types\":{\"7\":1}},\"model\":{\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"</s>\",0]]}}", "types"},
        {"{\"normalizer\":{\"precompiled_charsmap\":\"!\"},\"model\":{\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"</s>\",0]]}}",
         "base64"},
        {"{\"normalizer\":{\"precompiled_charsmap\":\"/////w==\"},"
         "\"model\":{\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"</s>\",0]]}}",
         "trie"},
    };
    zm_tokenizer *t;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        zm_error err = {0};
        zm_status st = zm_tokenizer_from_json(&t, cases[i].json, strlen(cases[i].json), "x.json", &err);
        tap_ok(st && !t && strstr(err.text, cases[i].says) && strstr(err.text, "x.json"), "%s", err.text);
        zm_tokenizer_free(t);
    }
    static const char good[] =
        "{\"model\":{\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"</s>\",0],[\"▁a\",-1],[\"b\",-2]]},"
        "\"normalizer\":{\"precompiled_charsmap\":\"CAAAAAAEAAAAAAAAYQA=\"}}";
    int parsed = 0;
    for (int round = 0; round < 3000; round++) {
        char copy[sizeof good];
        memcpy(copy, good, sizeof good);
        for (uint32_t k = zm_rng_below(rng, 4); k-- > 0;)
            copy[zm_rng_below(rng, sizeof good - 1)] = (char)zm_rng_below(rng, 256);
        if (!zm_tokenizer_from_json(&t, copy, sizeof good - 1, "x", NULL)) {
            int32_t ids[16];
            size_t n;
            parsed++;
            if (zm_tokenizer_encode(t, "a b ab", ids, 16, &n, NULL, NULL) == ZM_OK)
                parsed += n == 0;
            zm_tokenizer_free(t);
        }
    }
    tap_ok(parsed > 0 && parsed < 3000, "3000 damaged files, %d still readable", parsed);
}

int main(void)
{
    zm_rng rng = zm_rng_init((uint64_t)time(NULL), 22);
    printf("# seed %llu\n", (unsigned long long)rng.seed);
    test_viterbi(&rng);
    test_text();
    test_decode();
    test_hostile_text(&rng);
    test_file(&rng);
    test_hostile_json(&rng);
    return tap_done();
}
