/* Any text as JSON, with every getter tried on what it holds.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "format/json.h"
#include "fuzz.h"

static void use(const zm_json *j, const char *key)
{
    int64_t i = 0, is[4];
    double f = 0, fs[4];
    bool b;
    const char *s = NULL;
    size_t n;
    zm_error e = {0};
    if (!zm_json_int(&i, j, key, true, -5, 5, &e) && (i < -5 || i > 5))
        abort();
    zm_error_clear(&e);
    if (!zm_json_f64(&f, j, key, true, -5, 5, &e) && !(f >= -5 && f <= 5))
        abort();
    if (zm_json_bool(&b, j, key, false, NULL) && zm_json_str(&s, j, key, false, NULL) &&
        zm_json_ints(is, &n, j, key, false, 0, 4, 0, 9, NULL) && zm_json_f64s(fs, &n, j, key, false, 0, 4, 0, 9, NULL))
        return;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    zm_error err = {0};
    zm_json j;
    zm_status s = zm_json_parse(&j, (const char *)data, size, "input", &err);
    if (s) {
        if (j.root || s != err.code || strncmp(err.text, "input", 5) || strchr(err.text, '\n'))
            abort();
        return 0;
    }
    static const char *const keys[] = {"",   "a",   "a.b", "a[0]", "a[1].b", "[0]", "a[99999999999999999999]",
                                       "a[", "a[x]"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        use(&j, keys[i]);
    zm_json_close(&j);
    return 0;
}

unsigned char *zm_fuzz_seed(unsigned i, size_t *size)
{
    static const char *const texts[] = {
        "{\"a\": {\"b\": 1}, \"c\": [1, 2.5e3, -0, true, false, null]}",
        "{\"a\": [0, {\"b\": \"x\\u00e9\\n\"}]}",
        "[[[[[[[[1]]]]]]]]",
        "\"\xe8\xb5\xb0\"",
        "{\"a\": [1, 2, 3, 4]}",
    };
    if (i >= sizeof texts / sizeof *texts)
        return NULL;
    *size = strlen(texts[i]);
    return (unsigned char *)strdup(texts[i]);
}
