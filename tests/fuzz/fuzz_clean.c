/* libFuzzer: prompts to be cleaned.  Nothing may crash, leak or run away, and what comes out is UTF-8.
 * SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/clean.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *exact = malloc(size + 1), *out = NULL, *again = NULL; /* exact size, so that one byte too far is seen */
    if (!exact)
        return 0;
    memcpy(exact, data, size);
    if (!zm_text_clean_bytes(&out, exact, size, NULL) && zm_text_clean(&again, out, NULL) == ZM_E_FORMAT &&
        strlen(out) < 4096)
        abort();
    free(again);
    free(out);
    free(exact);
    return 0;
}
