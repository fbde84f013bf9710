/* Base64 (RFC 4648), for blobs inside JSON.
 * SPDX-License-Identifier: MIT */
#include "text/base64.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *zm_base64_encode(const void *data, size_t bytes)
{
    const unsigned char *in = data;
    char *out = malloc(bytes / 3 * 4 + 5), *at = out;
    if (!out)
        return NULL;
    for (size_t i = 0; i < bytes; i += 3) {
        size_t k = bytes - i < 3 ? bytes - i : 3;
        uint32_t v = (uint32_t)in[i] << 16 | (k > 1 ? (uint32_t)in[i + 1] << 8 : 0) | (k > 2 ? in[i + 2] : 0u);
        for (size_t c = 0; c < 4; c++)
            *at++ = c <= k ? digits[v >> (18 - 6 * c) & 63] : '=';
    }
    *at = 0;
    return out;
}

unsigned char *zm_base64_decode(const char *text, size_t *bytes)
{
    size_t n = strlen(text), pad = 0;
    while (pad < 2 && pad < n && text[n - 1 - pad] == '=')
        pad++;
    if (n % 4)
        return NULL;
    unsigned char *out = malloc(n / 4 * 3 + 1);
    size_t k = 0;
    uint32_t v = 0;
    for (size_t i = 0; out && i < n; i++) {
        const char *d = i >= n - pad ? digits : strchr(digits, text[i]);
        if (!d) {
            free(out);
            return NULL;
        }
        v = v << 6 | (uint32_t)(d - digits);
        if (i % 4 == 3)
            for (int b = 16; b >= 0; b -= 8)
                out[k++] = (unsigned char)(v >> b);
    }
    *bytes = k - pad;
    return out;
}
