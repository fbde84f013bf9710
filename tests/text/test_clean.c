/* Cleaning of prompts against ftfy and Python's html module, over recorded texts of every rule.
 * SPDX-License-Identifier: MIT */
#include "tap.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "text/clean.h"

static void test_vectors(void)
{
    json_error_t at;
    json_t *file = json_load_file("tests/text/clean_vectors.json", JSON_ALLOW_NUL, &at), *one;
    if (!file)
        printf("# %s\n", at.text);
    json_t *cases = json_object_get(file, "cases");
    size_t i, wrong = 0;
    char shown[200] = "";
    json_array_foreach(cases, i, one)
    {
        const char *text = json_string_value(json_object_get(one, "text")),
                   *want = json_string_value(json_object_get(one, "cleaned"));
        char *got = NULL;
        zm_error err = {0};
        zm_status s = text && want
                          ? zm_text_clean_bytes(&got, text, json_string_length(json_object_get(one, "text")), &err)
                          : ZM_E_FORMAT;
        if (s || strcmp(got, want) != 0) {
            if (!wrong++)
                snprintf(shown, sizeof shown, "%.60s: \"%.60s\", wanted \"%.60s\"",
                         json_string_value(json_object_get(one, "rule")), s ? err.text : got, want ? want : "");
        }
        free(got);
    }
    tap_ok(json_array_size(cases) > 1000 && wrong == 0, "%zu texts clean as recorded, %zu do not %s",
           json_array_size(cases), wrong, shown);
    json_decref(file);
}

static bool cleans_to(const char *text, const char *want)
{
    char *got = NULL;
    bool same = !zm_text_clean(&got, text, NULL) && !strcmp(got, want);
    free(got);
    return same;
}

/* Cleaning what is clean changes nothing, but for texts that hide one damage in another. */
static void test_random(zm_rng *rng)
{
    static const char *const bits[] = {"a", " ",  "&amp;",   "Ã©", "猫",    "\xe2\x80\x9c", "\n",
                                       "ﬁ", "Ａ", "\x1b[1m", "é",  "&#x41", "\xef\xbf\xbd", "1"};
    int bad = 0;
    for (int t = 0; t < 2000; t++) {
        char text[256] = "", *got = NULL;
        for (uint32_t n = zm_rng_below(rng, 24); n > 0; n--)
            strcat(text, bits[zm_rng_below(rng, sizeof bits / sizeof *bits)]);
        if (zm_text_clean(&got, text, NULL) || strstr(got, "  ") || got[0] == ' ' || strchr(got, '\n'))
            bad++;
        free(got);
    }
    tap_ok(bad == 0, "2000 random texts come out trimmed, on one line: %d do not", bad);
}

int main(void)
{
    zm_rng rng = zm_rng_init((uint64_t)time(NULL), 9);
    printf("# seed %llu\n", (unsigned long long)rng.seed);
    test_vectors();
    tap_ok(cleans_to("  a &lt;red&gt;   ball ", "a <red> ball"), "entities and spaces");
    tap_ok(cleans_to("sÃ³ um gato", "só um gato"), "mojibake");
    tap_ok(cleans_to("", ""), "nothing stays nothing");
    test_random(&rng);
    char *got = NULL;
    zm_error err = {0};
    tap_ok(zm_text_clean(&got, "a\xff", &err) == ZM_E_FORMAT && !got && strstr(err.text, "1"),
           "invalid UTF-8 names its offset: %s", err.text);
    tap_ok(!zm_text_clean_bytes(&got, "a\0b", 3, &err) && strlen(got) >= 1, "NUL bytes leave a text that ends");
    free(got);
    return tap_done();
}
