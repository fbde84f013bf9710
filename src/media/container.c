/* Walks over the outer structure of video and picture files: nothing here decodes, every length is checked.
 * SPDX-License-Identifier: MIT */
#include "media/container.h"

#include <stdint.h>
#include <string.h>

#include "base/dtype.h"

/* The bytes, how far the walk has come, and whom to tell. */
typedef struct {
    const unsigned char *p;
    size_t size, at;
    const char *path;
    zm_error *err;
} walk;

static uint32_t u32be(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static zm_status cut_off(walk *w, const char *part, uint64_t need)
{
    return zm_fail(w->err, ZM_E_FORMAT,
                   "%s: cut off or damaged: %s at byte %zu needs %llu more bytes, the file has %zu", w->path, part,
                   w->at, (unsigned long long)need, w->size - w->at);
}

static bool have(const walk *w, uint64_t n)
{
    return n <= w->size - w->at;
}

/* ISO 14496-12 section 4.2: boxes of size, type, payload, one after the other. */
static zm_status walk_mp4(walk *w, zm_container *out)
{
    (void)out;
    bool index = false;
    while (have(w, 8)) {
        uint64_t n = u32be(w->p + w->at);
        const unsigned char *type = w->p + w->at + 4;
        uint64_t header = 8;
        if (n == 1) {
            if (!have(w, 16))
                return cut_off(w, "a box", 16);
            n = (uint64_t)u32be(w->p + w->at + 8) << 32 | u32be(w->p + w->at + 12);
            header = 16;
        } else if (n == 0) {
            n = w->size - w->at; /* to the end */
        }
        if (n < header)
            return zm_fail(w->err, ZM_E_FORMAT, "%s: damaged: the box at byte %zu claims a size of %llu", w->path,
                           w->at, (unsigned long long)n);
        if (!have(w, n))
            return cut_off(w, "a box", n);
        index |= !memcmp(type, "moov", 4);
        w->at += (size_t)n;
    }
    return index ? ZM_OK
                 : zm_fail(w->err, ZM_E_FORMAT, "%s: cut off or damaged: an mp4 without its index (no moov box)",
                           w->path);
}

/* An EBML number (RFC 8794 section 4): its length from the leading zeros.  All ones = unknown = UINT64_MAX. */
static int ebml_number(const walk *w, uint64_t *value, bool keep_marker)
{
    if (!have(w, 1) || !w->p[w->at])
        return 0;
    int n = 1;
    while (!(w->p[w->at] & (0x80 >> (n - 1))))
        n++;
    if (!have(w, (uint64_t)n))
        return 0;
    uint64_t v = keep_marker ? w->p[w->at] : w->p[w->at] & (0xFFu >> n);
    for (int i = 1; i < n; i++)
        v = v << 8 | w->p[w->at + (size_t)i];
    if (!keep_marker && v == ((uint64_t)1 << (7 * n)) - 1)
        v = UINT64_MAX;
    *value = v;
    return n;
}

/* RFC 9559: an EBML header, then one segment.  A segment of unknown size (a live recording) may end anywhere. */
static zm_status walk_matroska(walk *w, zm_container *out)
{
    (void)out;
    for (int element = 0; element < 2; element++) {
        uint64_t id, n;
        int a = ebml_number(w, &id, true);
        w->at += (size_t)a;
        int b = a ? ebml_number(w, &n, false) : 0;
        if (!b)
            return cut_off(w, "an element", 1);
        w->at += (size_t)b;
        if (element == 1 && id != 0x18538067)
            return zm_fail(w->err, ZM_E_FORMAT, "%s: damaged: no segment after the header, at byte %zu", w->path,
                           w->at);
        if (element == 1 && n == UINT64_MAX)
            return ZM_OK;
        if (n == UINT64_MAX || !have(w, n))
            return cut_off(w, element ? "the segment" : "the header", n);
        if (element == 0)
            w->at += (size_t)n;
    }
    return ZM_OK;
}

static zm_status walk_riff(walk *w, zm_container *out)
{
    (void)out;
    uint64_t n = zm_load_u32le(w->p + 4);
    w->at = 8;
    return have(w, n) ? ZM_OK : cut_off(w, "the RIFF chunk", n);
}

/* Move over data sub-blocks (a length byte and as many bytes, until a length of 0); false past the end. */
static bool skip_sub_blocks(walk *w)
{
    while (have(w, 1)) {
        size_t n = (size_t)w->p[w->at] + 1;
        if (!have(w, n))
            return false;
        w->at += n;
        if (n == 1)
            return true;
    }
    return false;
}

static size_t colour_table_bytes(unsigned char flags)
{
    return flags & 0x80 ? (size_t)3 << ((flags & 7) + 1) : 0;
}

/* GIF89a section 17 on: a screen, then images and extensions, then a trailer byte. */
static zm_status walk_gif(walk *w, zm_container *out)
{
    if (!have(w, 13))
        return cut_off(w, "the header", 13);
    out->width = zm_load_u16le(w->p + 6);
    out->height = zm_load_u16le(w->p + 8);
    size_t skip = 13 + colour_table_bytes(w->p[10]);
    while (have(w, skip + 1)) {
        w->at += skip;
        unsigned char block = w->p[w->at];
        if (block == 0x3B)
            return ZM_OK;
        if (block != 0x2C && block != 0x21)
            return zm_fail(w->err, ZM_E_FORMAT, "%s: damaged: byte %zu starts no GIF block", w->path, w->at);
        if (block == 0x2C && !have(w, 11))
            return cut_off(w, "an image", 11);
        skip = block == 0x21 ? 2 : 11 + colour_table_bytes(w->p[w->at + 9]);
        if (!have(w, skip))
            return cut_off(w, "a block", skip);
        w->at += skip;
        if (!skip_sub_blocks(w))
            return cut_off(w, "the data of a block", 1);
        skip = 0;
    }
    return cut_off(w, "the trailer", skip + 1);
}

/* PNG section 5.3: chunks of length, type, data, CRC up to IEND; an acTL before the first IDAT makes it an APNG. */
static zm_status walk_png(walk *w, zm_container *out)
{
    bool data = false;
    for (w->at = 8; have(w, 12);) {
        uint64_t n = u32be(w->p + w->at) + (uint64_t)12;
        const unsigned char *type = w->p + w->at + 4;
        if (!have(w, n))
            return cut_off(w, "a chunk", n);
        if (w->at == 8) {
            if (memcmp(type, "IHDR", 4) || n < 25)
                return zm_fail(w->err, ZM_E_FORMAT, "%s: damaged: a PNG that does not begin with IHDR", w->path);
            out->width = u32be(type + 4);
            out->height = u32be(type + 8);
        }
        data |= !memcmp(type, "IDAT", 4);
        if (!data && !memcmp(type, "acTL", 4))
            out->kind = ZM_CONTAINER_APNG;
        if (!memcmp(type, "IEND", 4))
            return data ? ZM_OK : zm_fail(w->err, ZM_E_FORMAT, "%s: damaged: a PNG without image data", w->path);
        w->at += (size_t)n;
    }
    return cut_off(w, "the end chunk", 12);
}

/* ITU T.81 annex B: segments up to the frame header for the size, then the end marker anywhere after the scan. */
static zm_status walk_jpeg(walk *w, zm_container *out)
{
    for (w->at = 2; have(w, 4);) {
        unsigned char marker = w->p[w->at + 1];
        if (w->p[w->at] != 0xFF)
            return zm_fail(w->err, ZM_E_FORMAT, "%s: damaged: byte %zu starts no JPEG segment", w->path, w->at);
        if (marker == 0xFF) {
            w->at++; /* fill byte */
            continue;
        }
        size_t n = (size_t)w->p[w->at + 2] << 8 | w->p[w->at + 3];
        if (n < 2 || !have(w, n + 2))
            return cut_off(w, "a segment", n + 2);
        if (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC && n >= 7) {
            out->height = (unsigned)w->p[w->at + 5] << 8 | w->p[w->at + 6];
            out->width = (unsigned)w->p[w->at + 7] << 8 | w->p[w->at + 8];
        }
        w->at += n + 2;
        if (marker == 0xDA)
            break;
    }
    for (size_t i = w->size; i > w->at + 1; i--)
        if (w->p[i - 2] == 0xFF && w->p[i - 1] == 0xD9)
            return ZM_OK;
    return cut_off(w, "the scan without an end marker", 2);
}

static zm_status walk_bmp(walk *w, zm_container *out)
{
    if (!have(w, 26))
        return cut_off(w, "the header", 26);
    if (zm_load_u32le(w->p + 14) >= 40) {
        int64_t height = (int32_t)zm_load_u32le(w->p + 22); /* negative = rows from the top */
        out->width = zm_load_u32le(w->p + 18);
        out->height = (unsigned)(height < 0 ? -height : height);
    }
    return ZM_OK;
}

static bool is_box(const unsigned char *p)
{
    static const char known[][5] = {"ftyp", "moov", "mdat", "free", "skip", "wide"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!memcmp(p + 4, known[i], 4))
            return true;
    return false;
}

/* The walk that the first twelve bytes ask for; NULL when none. */
static zm_status (*recognise(const unsigned char *p, zm_container_kind *kind))(walk *, zm_container *)
{
    static const unsigned char png[8] = {0x89, 'P', 'N', 'G', 13, 10, 26, 10}, ebml[4] = {0x1A, 0x45, 0xDF, 0xA3};
    bool riff = !memcmp(p, "RIFF", 4);
    if (!memcmp(p, png, 8))
        return *kind = ZM_CONTAINER_PNG, walk_png;
    if (!memcmp(p, ebml, 4))
        return *kind = ZM_CONTAINER_MATROSKA, walk_matroska;
    if (!memcmp(p, "GIF87a", 6) || !memcmp(p, "GIF89a", 6))
        return *kind = ZM_CONTAINER_GIF, walk_gif;
    if (p[0] == 0xFF && p[1] == 0xD8 && p[2] == 0xFF)
        return *kind = ZM_CONTAINER_JPEG, walk_jpeg;
    if (riff && !memcmp(p + 8, "WEBP", 4))
        return *kind = ZM_CONTAINER_WEBP, walk_riff;
    if (riff && !memcmp(p + 8, "AVI ", 4))
        return *kind = ZM_CONTAINER_AVI, walk_riff;
    if (is_box(p))
        return *kind = ZM_CONTAINER_MP4, walk_mp4;
    if (p[0] == 'B' && p[1] == 'M')
        return *kind = ZM_CONTAINER_BMP, walk_bmp;
    return NULL;
}

zm_status zm_container_find(zm_container *out, const unsigned char *at, size_t size, const char *path, zm_error *err)
{
    static const struct {
        const char *name, *demuxer, *decoder;
    } rows[] = {
#define ROW(code, name, demuxer, decoder) {name, demuxer, decoder},
        ZM_CONTAINER_TABLE(ROW)
#undef ROW
    };
    *out = (zm_container){0};
    walk w = {.p = at, .size = size, .path = path, .err = err};
    zm_status (*go)(walk *, zm_container *) = size >= 12 ? recognise(at, &out->kind) : NULL;
    if (!go)
        return zm_fail(
            err, ZM_E_UNSUPPORTED,
            "%s: not a video or picture zouma reads (mp4, mov, webm, mkv, avi, gif, png, apng, jpeg, webp, bmp)", path);
    zm_status s = go(&w, out);
    out->name = rows[out->kind].name;
    out->demuxer = rows[out->kind].demuxer;
    out->decoder = rows[out->kind].decoder;
    return s;
}
