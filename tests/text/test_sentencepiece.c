/* sentencepiece .model files: official tokenisations to the id, and hostile bytes.
 * SPDX-License-Identifier: MIT */
#include "tap.h"

#include <jansson.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "base/rng.h"
#include "text/tokenizer.h"

/* A .model of six pieces, written by hand. */
static size_t small_model(unsigned char *out)
{
    static const struct {
        const char *piece;
        float score;
        int type;
    } rows[] = {{"<pad>", 0, 3}, {"</s>", 0, 3}, {"<unk>", 0, 2}, {"▁a", -1, 1}, {"▁", -2.5f, 0}, {"b", -3, 1}};
    size_t n = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t k = strlen(rows[i].piece);
        out[n++] = 0x0a;
        out[n++] = (unsigned char)(2 + k + 5 + (rows[i].type ? 2 : 0));
        out[n++] = 0x0a;
        out[n++] = (unsigned char)k;
        memcpy(out + n, rows[i].piece, k);
        n += k;
        out[n++] = 0x15;
        memcpy(out + n, &rows[i].score, 4);
        n += 4;
        if (rows[i].type) { /* absent: normal */
            out[n++] = 0x18;
            out[n++] = (unsigned char)rows[i].type;
        }
    }
    static const unsigned char rest[] = {0x12, 2, 0x18, 1,                                     /* trainer: unigram */
                                         0x1a, 2, 0x18, 0,                                     /* no dummy prefix */
                                         0x22, 0, 0x29, 1, 2, 3, 4, 5, 6, 7, 8, 0x30, 150, 1}; /* fields to skip */
    memcpy(out + n, rest, sizeof rest);
    return n + sizeof rest;
}

static void test_small(zm_rng *rng)
{
    unsigned char good[256], copy[256];
    size_t bytes = small_model(good), n;
    zm_tokenizer *t;
    zm_error err = {0};
    int32_t ids[32];
    if (tap_ok(!zm_tokenizer_from_sentencepiece(&t, good, bytes, "x", &err), "a model by hand%s", err.text)) {
        tap_ok(zm_tokenizer_count(t) == 6 && zm_tokenizer_type(t, 4) == ZM_PIECE_NORMAL &&
                   zm_tokenizer_score(t, 4) == -2.5f && zm_tokenizer_special(t, ZM_TOKEN_UNK) == 2 &&
                   zm_tokenizer_special(t, ZM_TOKEN_BOS) == -1,
               "pieces, scores, types");
        tap_ok(zm_tokenizer_get_rules(t)->no_dummy_prefix && zm_tokenizer_get_rules(t)->raw, "normaliser flags");
        tap_ok(!zm_tokenizer_encode(t, "b a  b", ids, 32, &n, NULL, NULL) && n == 5 && ids[0] == 5 && ids[1] == 3 &&
                   ids[2] == 4 && ids[3] == 5 && ids[4] == 1,
               "encodes with them");
        zm_tokenizer_free(t);
    }
    int cut = 0, parsed = 0;
    for (size_t k = 0; k < bytes; k++)
        if (!zm_tokenizer_from_sentencepiece(&t, good, k, "x", NULL)) {
            cut++; /* between fields, once all pieces are there */
            zm_tokenizer_free(t);
        }
    tap_equal_i64(cut, 8, "a cut file is refused unless the cut lies between fields behind </s> and <unk>");
    for (int round = 0; round < 20000; round++) {
        memcpy(copy, good, bytes);
        for (uint32_t k = 1 + zm_rng_below(rng, 3); k-- > 0;)
            copy[zm_rng_below(rng, (uint32_t)bytes)] = (unsigned char)zm_rng_below(rng, 256);
        if (!zm_tokenizer_from_sentencepiece(&t, copy, bytes, "x", NULL)) {
            parsed++;
            if (!zm_tokenizer_encode(t, "b a xy", ids, 32, &n, NULL, NULL))
                parsed += !n;
            zm_tokenizer_free(t);
        }
    }
    tap_ok(parsed > 0 && parsed < 20000, "20000 damaged files, %d still readable", parsed);
    err = (zm_error){0};
    tap_ok(zm_tokenizer_from_sentencepiece(&t, "\x0a\xff\xff\xff\xff\x0f", 6, "x", &err) == ZM_E_FORMAT &&
               strstr(err.text, "byte 6"),
           "a length of 4 GiB: %s", err.text);
    good[bytes - 18] = 0x12, good[bytes - 15] = 2;
    err = (zm_error){0};
    tap_ok(zm_tokenizer_from_sentencepiece(&t, good, bytes, "x", &err) == ZM_E_UNSUPPORTED, "BPE is refused: %s",
           err.text);
}

static int same_ids(json_t *want, const int32_t *ids, size_t n)
{
    int same = json_array_size(want) == n;
    for (size_t i = 0; same && i < n; i++)
        same = json_integer_value(json_array_get(want, i)) == ids[i];
    return same;
}

static void test_official(void)
{
    const char *dir = getenv("ZM_FIXTURES");
    char path[1024], written[64];
    snprintf(path, sizeof path, "%s/tokenizer/unigram_umt5like.model", dir ? dir : "../shared/fixtures");
    if (!zm_path_is_file(path)) {
        tap_skip("official tokenisations", "no fixtures here; set ZM_FIXTURES");
        return;
    }
    zm_tokenizer *t, *again = NULL;
    zm_error err = {0};
    if (!tap_ok(!zm_tokenizer_load(&t, path, &err), "the model is read%s", err.text))
        return;
    snprintf(written, sizeof written, "/tmp/zm-spm-%ld.json", (long)getpid());
    tap_ok(!zm_tokenizer_save(t, written, &err) && !zm_tokenizer_load(&again, written, &err),
           "written as tokenizer.json and read again %s", err.text);
    unlink(written);
    snprintf(path, sizeof path, "%s/tokenizer/golden.json", dir ? dir : "../shared/fixtures");
    json_t *golden = json_load_file(path, JSON_ALLOW_NUL, NULL), *cases = json_object_get(golden, "cases");
    size_t i, right = 0, decoded = 0, kept = 0, total = 0;
    json_t *c;
    json_array_foreach(cases, i, c)
    {
        const char *text = json_string_value(json_object_get(c, "text"));
        static int32_t ids[1 << 17];
        size_t n;
        char *back = NULL;
        if (!text || strlen(text) != json_string_length(json_object_get(c, "text")))
            continue; /* NUL bytes do not pass a C string */
        total++;
        if (zm_tokenizer_encode(t, text, ids, 1 << 17, &n, NULL, NULL))
            continue;
        int ok = same_ids(json_object_get(c, "ids"), ids, n - 1);
        right += (size_t)ok;
        if (!ok)
            printf("# case %zu: \"%.60s\"\n", i, text);
        if (!zm_tokenizer_decode(t, ids, n, &back, NULL)) {
            ok = !strcmp(back, json_string_value(json_object_get(c, "decoded")));
            decoded += (size_t)ok;
            if (!ok)
                printf("# decoded %zu: \"%.60s\" is not \"%.60s\"\n", i, back,
                       json_string_value(json_object_get(c, "decoded")));
        }
        free(back);
        if (again && !zm_tokenizer_encode(again, text, ids, 1 << 17, &n, NULL, NULL))
            kept += (size_t)same_ids(json_object_get(c, "ids"), ids, n - 1);
    }
    tap_ok(total > 200 && right == total, "%zu of %zu texts have the official ids", right, total);
    tap_ok(decoded == total, "%zu of %zu decode to the official text", decoded, total);
    tap_ok(kept == total, "%zu of %zu through tokenizer.json", kept, total);
    json_decref(golden);
    zm_tokenizer_free(again);
    zm_tokenizer_free(t);
}

int main(void)
{
    zm_rng rng = zm_rng_init((uint64_t)time(NULL), 23);
    printf("# seed %llu\n", (unsigned long long)rng.seed);
    test_small(&rng);
    test_official();
    return tap_done();
}
