/* PNG files without a compressor: chunks, checksums, stored blocks.
 * SPDX-License-Identifier: MIT */
#include "media/png_store.h"

#include <stdlib.h>
#include <string.h>

static unsigned char *put_u32(unsigned char *to, uint32_t v)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        *to++ = (unsigned char)(v >> shift);
    return to;
}

/* CRC-32 of ISO 3309, bit by bit into a table first. */
static uint32_t crc32_of(const unsigned char *p, size_t n)
{
    uint32_t table[256], c = 0xFFFFFFFFu;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t v = i;
        for (int bit = 0; bit < 8; bit++)
            v = v & 1 ? v >> 1 ^ 0xEDB88320u : v >> 1;
        table[i] = v;
    }
    for (size_t i = 0; i < n; i++)
        c = table[(c ^ p[i]) & 255] ^ c >> 8;
    return ~c;
}

/* `data` of n bytes already lies at to + 8. */
static unsigned char *put_chunk(unsigned char *to, const char *type, size_t n)
{
    put_u32(to, (uint32_t)n);
    memcpy(to + 4, type, 4);
    return put_u32(to + 8 + n, crc32_of(to + 4, n + 4));
}

/* zlib (RFC 1950): header, stored blocks of rows each led by filter type 0, Adler-32 of what is stored. */
static unsigned char *put_pixels(unsigned char *to, const zm_frame *f)
{
    enum { MOST = 65535, ADLER = 65521 };
    size_t row = (size_t)f->width * 3 + 1, total = row * (size_t)f->height, block = 0;
    uint32_t a = 1, b = 0;
    *to++ = 0x78;
    *to++ = 0x01;
    for (size_t i = 0; i < total; i++, block--) {
        if (!block) {
            block = total - i < MOST ? total - i : MOST;
            *to++ = block == total - i;
            *to++ = (unsigned char)block;
            *to++ = (unsigned char)(block >> 8);
            *to++ = (unsigned char)~block;
            *to++ = (unsigned char)(~block >> 8);
        }
        unsigned char v = i % row ? f->rgb[i - i / row - 1] : 0;
        a = (a + v) % ADLER;
        b = (b + a) % ADLER;
        *to++ = v;
    }
    return put_u32(to, b << 16 | a);
}

zm_status zm_png_store(unsigned char **out, size_t *size, const zm_frame *f, zm_error *err)
{
    static const unsigned char signature[8] = {0x89, 'P', 'N', 'G', 13, 10, 26, 10};
    size_t raw = ((size_t)f->width * 3 + 1) * (size_t)f->height;
    *out = malloc(raw + (raw / 65535 + 1) * 5 + 128);
    if (!*out)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a PNG of %dx%d pixels", f->width, f->height);
    unsigned char *to = *out;
    memcpy(to, signature, 8);
    to += 8;
    put_u32(to + 8, (uint32_t)f->width);
    put_u32(to + 12, (uint32_t)f->height);
    memcpy(to + 16, (const unsigned char[5]){8, 2, 0, 0, 0}, 5); /* 8 bits, RGB */
    to = put_chunk(to, "IHDR", 13);
    to = put_chunk(to, "IDAT", (size_t)(put_pixels(to + 8, f) - (to + 8)));
    to = put_chunk(to, "IEND", 0);
    *size = (size_t)(to - *out);
    return ZM_OK;
}
