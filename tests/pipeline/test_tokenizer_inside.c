/* Tokenizers inside weight files give the ids that the sentencepiece file gives; broken ones are refused.
 * SPDX-License-Identifier: MIT */
#include "tap.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "format/gguf_write.h"
#include "pipeline/tokenizer_inside.h"

static const char source[] = "tests/golden/tokenizer/unigram_umt5like.model";
static char path[64];

static const char *const texts[] = {"A panda bounces over three red balls.", "夜里，一只熊猫 撞开三个蓝色的盒子",
                                    "  ﬁne   print Ⅳ\t…  ", "🙂 emoji and ünïcode", ""};

static bool agree(const zm_tokenizer *a, const zm_tokenizer *b)
{
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int32_t ids[2][256];
        size_t n[2];
        zm_error err = {0};
        if (zm_tokenizer_encode(a, texts[i], ids[0], 256, &n[0], NULL, &err) ||
            zm_tokenizer_encode(b, texts[i], ids[1], 256, &n[1], NULL, &err) || n[0] != n[1] ||
            memcmp(ids[0], ids[1], n[0] * sizeof **ids) != 0)
            return false;
    }
    return true;
}

static void expect_same(const zm_tokenizer *t, const char *what)
{
    zm_error err = {0};
    zm_tokenizer *got;
    zm_status s = zm_tokenizer_inside(&got, path, &err);
    tap_ok(!s && got && zm_tokenizer_count(got) == zm_tokenizer_count(t) && agree(t, got), "%s: the same ids %s", what,
           err.text);
    zm_tokenizer_free(got);
}

/* A safetensors file of one tensor of bytes. */
static void put_safetensors(const char *bytes, size_t n)
{
    char head[256];
    snprintf(head, sizeof head, "{\"spiece_model\":{\"dtype\":\"U8\",\"shape\":[%zu],\"data_offsets\":[0,%zu]}}", n, n);
    unsigned char length[8] = {(unsigned char)strlen(head)};
    FILE *f = fopen(path, "wb");
    if (f) {
        fwrite(length, 1, 8, f);
        fputs(head, f);
        fwrite(bytes, 1, n, f);
        fclose(f);
    }
}

/* A GGUF file of one tensor and the metadata that llama.cpp writes for such tokenizers. */
static void put_gguf(const zm_tokenizer *t, size_t scores)
{
    size_t n = zm_tokenizer_count(t);
    const char **piece = calloc(n, sizeof *piece);
    float *score = calloc(n, sizeof *score), one = 1;
    int32_t *type = calloc(n, sizeof *type);
    zm_error err = {0};
    if (!piece || !score || !type)
        abort();
    for (size_t i = 0; i < n; i++) {
        piece[i] = zm_tokenizer_piece(t, (int32_t)i);
        score[i] = zm_tokenizer_score(t, (int32_t)i);
        type[i] = (int32_t)zm_tokenizer_type(t, (int32_t)i);
    }
    const zm_tokenizer_rules *rules = zm_tokenizer_get_rules(t);
    zm_meta meta[] = {
        {.key = "general.architecture", .type = ZM_META_STR, .str = "t5encoder", .n = 9},
        {.key = "tokenizer.ggml.model", .type = ZM_META_STR, .str = "t5", .n = 2},
        {.key = "tokenizer.ggml.tokens", .type = ZM_META_STRS, .strs = piece, .n = n},
        {.key = "tokenizer.ggml.scores", .type = ZM_META_F32S, .f32s = score, .n = scores},
        {.key = "tokenizer.ggml.token_type", .type = ZM_META_I32S, .i32s = type, .n = n},
        {.key = "tokenizer.ggml.add_space_prefix", .type = ZM_META_BOOL, .u64 = !rules->no_dummy_prefix},
        {.key = "tokenizer.ggml.remove_extra_whitespaces", .type = ZM_META_BOOL, .u64 = !rules->keep_spaces},
        {.key = "tokenizer.ggml.precompiled_charsmap",
         .type = ZM_META_BYTES,
         .str = rules->charsmap,
         .n = rules->charsmap_bytes},
    };
    zm_weight w = {.name = "x", .dtype = ZM_F32, .rank = 1, .dim = {1}, .data = &one, .bytes = 4};
    if (zm_gguf_write(path, &w, 1, meta, sizeof meta / sizeof *meta, &err))
        tap_ok(0, "%s", err.text);
    free(piece);
    free(score);
    free(type);
}

int main(void)
{
    char *bytes = NULL;
    size_t size = 0;
    zm_tokenizer *t = NULL, *none;
    zm_error err = {0};
    snprintf(path, sizeof path, "/tmp/zouma-inside-%ld", (long)getpid());
    if (zm_file_read(&bytes, &size, source, 1 << 24, &err) || zm_tokenizer_load(&t, source, &err)) {
        tap_ok(0, "%s", err.text);
        return tap_done();
    }
    put_safetensors(bytes, size);
    expect_same(t, "a tensor of bytes");
    put_safetensors(bytes, size / 2);
    tap_ok(zm_tokenizer_inside(&none, path, &err) && !none && *err.text, "half of it is refused: %s", err.text);
    zm_error_clear(&err);
    put_gguf(t, zm_tokenizer_count(t));
    expect_same(t, "metadata");
    put_gguf(t, 3);
    tap_ok(zm_tokenizer_inside(&none, path, &err) == ZM_E_FORMAT && strstr(err.text, "3 scores"), "%s", err.text);
    zm_error_clear(&err);
    tap_ok(!zm_tokenizer_inside(&none, "models/toybox/text.gguf", &err) && !none, "a file without one has none");
    remove(path);
    free(bytes);
    zm_tokenizer_free(t);
    return tap_done();
}
