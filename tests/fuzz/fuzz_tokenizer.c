/* libFuzzer: tokenizer files of both forms and the text they are used on.  Nothing may crash, leak or run away.
 * SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const zm_tokenizer *t, const char *text)
{
    int32_t ids[256];
    size_t n;
    char *out;
    if (!zm_tokenizer_encode(t, text, ids, 256, &n, NULL, NULL) && !zm_tokenizer_decode(t, ids, n, &out, NULL))
        free(out);
    if (!zm_tokenizer_unknown(t, text, &out, NULL))
        free(out);
}

/* The first byte chooses the form, the next says how many bytes at the end are the text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[257];
    zm_tokenizer *t;
    if (size < 2 || data[1] > size - 2)
        return 0;
    size_t text_bytes = data[1], file_bytes = size - 2 - text_bytes;
    memcpy(text, data + 2 + file_bytes, text_bytes);
    text[text_bytes] = 0;
    char *file = malloc(file_bytes + 1); /* exact size, so that one byte too far is seen */
    if (!file)
        return 0;
    memcpy(file, data + 2, file_bytes);
    zm_status st = data[0] & 1 ? zm_tokenizer_from_json(&t, file, file_bytes, "fuzz", NULL)
                               : zm_tokenizer_from_sentencepiece(&t, file, file_bytes, "fuzz", NULL);
    if (!st) {
        use(t, text);
        use(t, "\xe7\xba\xa2 red  balls, 3 \xef\xbc\xa1");
        zm_tokenizer_free(t);
    }
    free(file);
    return 0;
}
