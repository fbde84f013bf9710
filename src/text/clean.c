/* Clean a prompt before it is tokenised, exactly as the official Wan text path does.
 * SPDX-License-Identifier: MIT */
#include "text/clean.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "text/clean_encoding.h"
#include "text/clean_html.h"
#include "text/unigram.h"
#include "text/utf8.h"

/* "&amp;amp;amp;" takes a pass a level: hostile text must not ask for thousands. */
enum { PASSES_MAX = 512 };

typedef struct cleaner {
    zm_runes all, line, before, other;
    zm_charset_index *sets; /* made when first needed; most prompts do not */
    bool entities;          /* no '<' was seen yet: this is no HTML source */
} cleaner;

/* ---- single characters ------------------------------------------------------------------------------------ */

static const struct {
    uint32_t c, parts[3];
} ligatures[] = {
    {0x132, {'I', 'J'}},    {0x133, {'i', 'j'}},   {0x149, {0x2bc, 'n'}},     {0x1c4, {'D', 0x17d}},
    {0x1c5, {'D', 0x17e}},  {0x1c6, {'d', 0x17e}}, {0x1c7, {'L', 'J'}},       {0x1c8, {'L', 'j'}},
    {0x1c9, {'l', 'j'}},    {0x1ca, {'N', 'J'}},   {0x1cb, {'N', 'j'}},       {0x1cc, {'n', 'j'}},
    {0x1f1, {'D', 'Z'}},    {0x1f2, {'D', 'z'}},   {0x1f3, {'d', 'z'}},       {0xfb00, {'f', 'f'}},
    {0xfb01, {'f', 'i'}},   {0xfb02, {'f', 'l'}},  {0xfb03, {'f', 'f', 'i'}}, {0xfb04, {'f', 'f', 'l'}},
    {0xfb05, {0x17f, 't'}}, {0xfb06, {'s', 't'}},
};

/* Full-width and half-width forms (U+FF01 to U+FFEF) by their compatibility composition; the one with two parts is
 * U+FFE3, a space and a macron. */
static void push_width(zm_runes *out, uint32_t c)
{
    utf8proc_int32_t parts[4];
    int boundary = 0;
    utf8proc_ssize_t n = 0;
    if (c == 0x3000)
        c = ' ';
    if (c >= 0xff01 && c <= 0xffef)
        n = utf8proc_decompose_char((utf8proc_int32_t)c, parts, 4,
                                    UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_STABLE, &boundary);
    if (n < 1 || n > 4)
        zm_runes_push(out, c);
    for (utf8proc_ssize_t i = 0; i < n && n <= 4; i++)
        zm_runes_push(out, (uint32_t)parts[i]);
}

static void push_straight(zm_runes *out, uint32_t c)
{
    if (c == 0x2bc || (c >= 0x2018 && c <= 0x201b))
        zm_runes_push(out, '\'');
    else if (c >= 0x201c && c <= 0x201f)
        zm_runes_push(out, '"');
    else
        push_width(out, c);
}

/* C1 controls as Windows-1252 has them, ligatures apart, usual widths, straight quotes. */
static void fix_characters(zm_runes *out, const zm_runes *in)
{
    for (size_t i = 0; i < in->n; i++) {
        uint32_t c = in->at[i];
        if (c >= 0x80 && c <= 0x9f)
            c = zm_charset_decode(ZM_CHARSET_1252, (unsigned char)c);
        size_t k = 0, last = sizeof ligatures / sizeof *ligatures;
        while (k < last && (c < ligatures[0].c || ligatures[k].c != c))
            k++;
        if (k == last)
            push_straight(out, c);
        for (int p = 0; k < last && p < 3 && ligatures[k].parts[p]; p++)
            push_straight(out, ligatures[k].parts[p]);
    }
}

/* ---- lines, escapes, controls ----------------------------------------------------------------------------- */

/* CR LF, CR, and Unicode's separators of lines and paragraphs.  (U+0085 is an ellipsis by now; lone surrogates, which
 * the official path replaces, cannot be in UTF-8.) */
static void fix_line_breaks(zm_runes *out, const zm_runes *in)
{
    for (size_t i = 0; i < in->n; i++) {
        uint32_t c = in->at[i];
        if (c == '\r' && i + 1 < in->n && in->at[i + 1] == '\n')
            continue;
        zm_runes_push(out, c == '\r' || c == 0x2028 || c == 0x2029 ? '\n' : c);
    }
}

/* Characters of a terminal escape: ESC [, digits (of any script) and semicolons, a letter. */
static size_t terminal_escape(const uint32_t *at, size_t n)
{
    size_t k = 2;
    if (n < 3 || at[0] != 0x1b || at[1] != '[')
        return 0;
    while (k < n && (at[k] == ';' || utf8proc_category((utf8proc_int32_t)at[k]) == UTF8PROC_CATEGORY_ND))
        k++;
    return k < n && ((at[k] >= 'A' && at[k] <= 'Z') || (at[k] >= 'a' && at[k] <= 'z')) ? k + 1 : 0;
}

static void remove_escapes(zm_runes *out, const zm_runes *in)
{
    for (size_t i = 0; i < in->n;) {
        size_t k = terminal_escape(in->at + i, in->n - i);
        if (!k)
            zm_runes_push(out, in->at[i]);
        i += k ? k : 1;
    }
}

/* Controls without a use in text: ASCII's but for tab, line feed, form feed and carriage return, deprecated ones of
 * Arabic, interlinear annotations, the object replacement character and the byte order mark. */
static void remove_controls(zm_runes *out, const zm_runes *in)
{
    for (size_t i = 0; i < in->n; i++) {
        uint32_t c = in->at[i];
        bool control = c <= 8 || c == 11 || (c >= 14 && c <= 31) || c == 0x7f || (c >= 0x206a && c <= 0x206f) ||
                       c == 0xfeff || (c >= 0xfff9 && c <= 0xfffc);
        if (!control)
            zm_runes_push(out, c);
    }
}

static void compose(zm_runes *out, const zm_runes *in)
{
    size_t plain = 0, bytes;
    while (plain < in->n && in->at[plain] < 0x300) /* below, NFC changes nothing */
        plain++;
    if (plain == in->n) {
        zm_runes_append(out, in->at, in->n);
        return;
    }
    char *text = zm_runes_utf8(in, &bytes);
    utf8proc_uint8_t *nfc = NULL;
    utf8proc_ssize_t n = text ? utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)bytes, &nfc,
                                             UTF8PROC_STABLE | UTF8PROC_COMPOSE)
                              : -1;
    if (n < 0 || !zm_runes_append_utf8(out, (const char *)nfc, (size_t)n))
        out->failed = true;
    free(nfc);
    free(text);
}

/* ---- a line ----------------------------------------------------------------------------------------------- */

static void apply(cleaner *c, zm_runes *text, void (*rule)(zm_runes *out, const zm_runes *in))
{
    zm_runes_clear(&c->other);
    rule(&c->other, text);
    zm_runes_swap(text, &c->other);
}

static void fix_encoding(cleaner *c)
{
    size_t i = 0;
    while (i < c->line.n && c->line.at[i] < 0x80)
        i++;
    if (i == c->line.n)
        return;
    if (!c->sets && (c->sets = malloc(sizeof *c->sets)))
        zm_charset_index_init(c->sets);
    if (c->sets)
        zm_fix_encoding(&c->line, c->sets);
    else
        c->line.failed = true;
}

/* ftfy.fix_and_explain of c->line; false: it does not settle. */
static bool fix_line(cleaner *c)
{
    static void (*const rules[])(zm_runes *, const zm_runes *) = {fix_characters, fix_line_breaks, remove_escapes,
                                                                  remove_controls, compose};
    for (int pass = 0; pass < PASSES_MAX; pass++) {
        zm_runes_clear(&c->before);
        zm_runes_append(&c->before, c->line.at, c->line.n);
        if (c->entities)
            apply(c, &c->line, zm_html_unescape_sure);
        fix_encoding(c);
        for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
            apply(c, &c->line, rules[i]);
        if (c->line.failed || c->before.failed || zm_runes_equal(&c->line, &c->before))
            return true;
    }
    return false;
}

/* ftfy.fix_text: line by line, and from the first '<' on entities stay, for the text may be HTML source. */
static bool fix_lines(cleaner *c, const zm_runes *text)
{
    for (size_t i = 0; i < text->n && !c->all.failed;) {
        size_t end = i;
        while (end < text->n && text->at[end] != '\n') {
            c->entities &= text->at[end] != '<';
            end++;
        }
        end += end < text->n;
        zm_runes_clear(&c->line);
        zm_runes_append(&c->line, text->at + i, end - i);
        if (!fix_line(c))
            return false;
        zm_runes_append(&c->all, c->line.at, c->line.n);
        c->all.failed |= c->line.failed || c->before.failed;
        i = end;
    }
    return true;
}

/* Runs of white space to one space, none at the ends. */
static void collapse(zm_runes *out, const zm_runes *in)
{
    bool space = false;
    for (size_t i = 0; i < in->n; i++) {
        bool now = zm_rune_is_space(in->at[i]);
        if (!now && space && out->n)
            zm_runes_push(out, ' ');
        if (!now)
            zm_runes_push(out, in->at[i]);
        space = now;
    }
}

static void release(cleaner *c)
{
    zm_runes_release(&c->all);
    zm_runes_release(&c->line);
    zm_runes_release(&c->before);
    zm_runes_release(&c->other);
    free(c->sets);
}

zm_status zm_text_clean_bytes(char **out, const char *text, size_t bytes, zm_error *err)
{
    *out = NULL;
    if (bytes > ZM_TEXT_MAX_BYTES)
        return zm_fail(err, ZM_E_FORMAT, "The text is %zu bytes long, at most %d are taken.", bytes, ZM_TEXT_MAX_BYTES);
    size_t bad = zm_utf8_check(text, bytes), n;
    if (bad < bytes)
        return zm_fail(err, ZM_E_FORMAT, "The text is not UTF-8: byte %zu is 0x%02x.", bad, (unsigned char)text[bad]);
    cleaner c = {.entities = true};
    zm_runes whole = {0};
    zm_status st = ZM_OK;
    if (zm_runes_append_utf8(&whole, text, bytes) && !whole.failed && !fix_lines(&c, &whole)) {
        st = zm_fail(err, ZM_E_FORMAT, "The text still changes after being cleaned %d times.", PASSES_MAX);
    } else {
        c.all.failed |= whole.failed;
        apply(&c, &c.all, zm_html_unescape);
        apply(&c, &c.all, zm_html_unescape);
        apply(&c, &c.all, collapse);
        *out = zm_runes_utf8(&c.all, &n);
        if (!*out)
            st = zm_fail(err, ZM_E_NOMEM, "There is no memory to clean a text of %zu bytes.", bytes);
    }
    zm_runes_release(&whole);
    release(&c);
    return st;
}

zm_status zm_text_clean(char **out, const char *text, zm_error *err)
{
    return zm_text_clean_bytes(out, text, strnlen(text, ZM_TEXT_MAX_BYTES + 1), err);
}
