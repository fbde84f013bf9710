/* Every call of the text and sample rooms when the n-th allocation fails: the error is told, nothing leaks.
 * SPDX-License-Identifier: MIT */
#include "tap.h"

#include <stdlib.h>
#include <unistd.h>

#include "sample/schedule.h"
#include "text/tokenizer.h"
#include "text/unigram_train.h"

/* Linked with --wrap, so that our own calls come here first. */
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *p, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *p, size_t bytes);

static long left = -1; /* allocations until one fails; negative: none does */

static int fails(void)
{
    return left >= 0 && left-- == 0;
}

void *__wrap_malloc(size_t bytes)
{
    return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t n, size_t bytes)
{
    return fails() ? NULL : __real_calloc(n, bytes);
}

void *__wrap_realloc(void *p, size_t bytes)
{
    return fails() ? NULL : __real_realloc(p, bytes);
}

static const char *const lines[] = {"a red ball rolls", "a blue ball rolls", "一个红球在滚动，红球。",
                                    "一个蓝球在滚动"};
static char path[64];
static zm_tokenizer *ready;

static zm_status run_train(zm_error *err)
{
    zm_tokenizer *t;
    zm_unigram_options o = {.vocab_size = 300, .character_coverage = 0.99, .rules = {.casefold = true}};
    zm_status st = zm_unigram_train(&t, lines, 4, &o, err);
    zm_tokenizer_free(t);
    return st;
}

static zm_status run_load(zm_error *err)
{
    zm_tokenizer *t;
    zm_status st = zm_tokenizer_load(&t, path, err);
    zm_tokenizer_free(t);
    return st;
}

static zm_status run_encode(zm_error *err)
{
    int32_t ids[64];
    size_t n;
    return zm_tokenizer_encode(ready, lines[2], ids, 64, &n, NULL, err);
}

static zm_status run_decode(zm_error *err)
{
    int32_t ids[] = {4 + 0xe7, 4 + 0xba, 4 + 0xa2, 260, 270};
    char *text;
    zm_status st = zm_tokenizer_decode(ready, ids, 5, &text, err);
    free(text);
    return st;
}

static zm_status run_unknown(zm_error *err)
{
    char *words;
    zm_status st = zm_tokenizer_unknown(ready, "zebra ☃ red", &words, err);
    free(words);
    return st;
}

static zm_status run_schedule(zm_error *err)
{
    zm_schedule s;
    zm_status st = zm_schedule_build(&s, zm_schedule_find("unipc"), 20, 5, err);
    zm_schedule_release(&s);
    return st;
}

static void test_all(const char *name, zm_status (*run)(zm_error *err))
{
    zm_status st = ZM_E_NOMEM;
    int told = 1, n = 0;
    for (; st && n < 5000; n++) {
        zm_error err = {0};
        left = n;
        st = run(&err);
        left = -1;
        if (st) /* the JSON library words its own failures */
            told &= (st == ZM_E_NOMEM || run == run_load) && err.text[0];
    }
    tap_ok(!st && told, "%s: each of %d allocations may fail", name, n - 1);
}

int main(void)
{
    zm_error err = {0};
    zm_unigram_options o = {.vocab_size = 300};
    snprintf(path, sizeof path, "/tmp/zm-text-memory-%ld.json", (long)getpid());
    if (!tap_ok(!zm_unigram_train(&ready, lines, 4, &o, &err), "a tokenizer to use%s", err.text))
        return tap_done();
    tap_ok(!zm_tokenizer_save(ready, path, &err), "saved%s", err.text);
    test_all("train", run_train);
    test_all("load", run_load);
    test_all("encode", run_encode);
    test_all("decode", run_decode);
    test_all("unknown words", run_unknown);
    test_all("schedule", run_schedule);
    unlink(path);
    zm_tokenizer_free(ready);
    return tap_done();
}
