/* sentencepiece's precompiled normaliser.
 * SPDX-License-Identifier: MIT */
#include "text/charsmap.h"

#include <string.h>

#include "base/dtype.h"

zm_status zm_charsmap_parse(zm_charsmap *out, const void *blob, size_t bytes, zm_error *err)
{
    *out = (zm_charsmap){0};
    if (bytes < 4)
        return zm_fail(err, ZM_E_FORMAT, "The normaliser map is %zu bytes long, too short for its header.", bytes);
    size_t trie = zm_load_u32le(blob);
    if (trie > bytes - 4 || trie % 4 || trie < 4)
        return zm_fail(err, ZM_E_FORMAT, "The normaliser map of %zu bytes says its trie takes %zu bytes.", bytes, trie);
    out->trie = (const unsigned char *)blob + 4;
    out->units = trie / 4;
    out->replacements = (const char *)blob + 4 + trie;
    out->replacement_bytes = bytes - 4 - trie;
    if (out->replacement_bytes && out->replacements[out->replacement_bytes - 1])
        return zm_fail(err, ZM_E_FORMAT, "The last replacement of the normaliser map has no end.");
    return ZM_OK;
}

/* A unit of a Darts-clone double array: bits 0-7 label, bit 8 "a value leaf hangs below", bits 10-30 offset (bit 9
 * scales it by 256), bit 31 set in the leaves, whose lower bits are the value. */
static uint32_t unit(const zm_charsmap *m, size_t i)
{
    return zm_load_u32le(m->trie + 4 * i);
}

static size_t offset_of(uint32_t u)
{
    return (size_t)(u >> 10) << ((u & (1u << 9)) >> 6);
}

size_t zm_charsmap_match(const zm_charsmap *m, const char *at, size_t bytes, const char **to, size_t *to_bytes)
{
    size_t node = offset_of(unit(m, 0)), longest = 0;
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)at[i];
        node ^= c;
        if (node >= m->units)
            break;
        uint32_t u = unit(m, node);
        if ((u & (1u << 31 | 0xff)) != c)
            break;
        node ^= offset_of(u);
        if (!(u >> 8 & 1))
            continue;
        if (node >= m->units)
            break;
        size_t value = unit(m, node) & 0x7fffffff;
        if (value >= m->replacement_bytes)
            break;
        longest = i + 1;
        *to = m->replacements + value;
        *to_bytes = strlen(*to);
    }
    return longest;
}
