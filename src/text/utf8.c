/* UTF-8 taken apart, and the classes of characters that pieces do not mix.
 * SPDX-License-Identifier: MIT */
#include "text/utf8.h"

#include <utf8proc.h>

size_t zm_utf8_next(uint32_t *out, const char *at, size_t bytes)
{
    const unsigned char *b = (const unsigned char *)at;
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = b[0] < 0x80 ? 1 : b[0] < 0xc2 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : b[0] < 0xf5 ? 4 : 0;
    if (!n || n > bytes)
        return 0;
    uint32_t c = n == 1 ? b[0] : b[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (b[i] & 0x3f);
    }
    if (c < lowest[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    *out = c;
    return n;
}

size_t zm_utf8_put(char out[4], uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)((0xf00u >> n & 0xff) | c);
    return n;
}

size_t zm_utf8_check(const char *at, size_t bytes)
{
    size_t i = 0;
    uint32_t c;
    while (i < bytes) {
        size_t n = zm_utf8_next(&c, at + i, bytes - i);
        if (!n)
            break;
        i += n;
    }
    return i;
}

static int is_han(uint32_t c)
{
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x3134f) ||
           (c >= 0xf900 && c <= 0xfaff) || (c >= 0x3040 && c <= 0x30ff) || c == 0x3005 || c == 0x3007;
}

zm_char_class zm_char_classify(uint32_t c)
{
    if (c == ' ' || c == 0x2581)
        return ZM_CHAR_SPACE;
    if (is_han(c))
        return ZM_CHAR_HAN;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
        return ZM_CHAR_LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return ZM_CHAR_DIGIT;
    default:
        return ZM_CHAR_OTHER;
    }
}
