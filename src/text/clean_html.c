/* Character references of HTML turned into characters.
 * SPDX-License-Identifier: MIT */
#include "text/clean_html.h"

#include <string.h>
#include <utf8proc.h>

#include "text/clean_charsets.h"
#include "text/clean_entities.h"

enum { LONGEST_NAME = 32, LONGEST_SURE_NAME = 24, BEYOND = 0x110000 };

static bool is_digit(uint32_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(uint32_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* 0..15, -1. */
static int hex_value(uint32_t c)
{
    if (is_digit(c))
        return (int)c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? (int)c - 'a' + 10 : -1;
}

/* A number behind "&#" at `at`: characters up to the end of its digits (0: there is none), the value held at BEYOND. */
static size_t read_number(const uint32_t *at, size_t n, uint32_t *value)
{
    bool hex = n && (at[0] == 'x' || at[0] == 'X');
    uint32_t base = hex ? 16 : 10;
    size_t start = hex, i = start;
    *value = 0;
    for (; i < n && (hex ? hex_value(at[i]) >= 0 : is_digit(at[i])); i++) {
        *value = *value * base + (uint32_t)hex_value(at[i]);
        *value = *value < BEYOND ? *value : BEYOND;
    }
    return i > start ? i : 0;
}

static bool is_noncharacter(uint32_t c)
{
    return (c >= 1 && c <= 8) || c == 11 || (c >= 14 && c <= 31) || c == 0x7f || (c >= 0xfdd0 && c <= 0xfdef) ||
           (c & 0xfffe) == 0xfffe;
}

/* HTML 5, "numeric character reference end state"; what it calls a parse error without a replacement is nothing. */
static void push_number(zm_runes *out, uint32_t value)
{
    if (!value || (value >= 0xd800 && value <= 0xdfff) || value >= BEYOND)
        zm_runes_push(out, 0xfffd);
    else if (value >= 0x80 && value <= 0x9f)
        zm_runes_push(out, zm_charset_decode(ZM_CHARSET_1252, (unsigned char)value));
    else if (!is_noncharacter(value))
        zm_runes_push(out, value);
}

static bool ends_name(uint32_t c)
{
    return c == '\t' || c == '\n' || c == '\f' || c == ' ' || c == '<' || c == '&' || c == '#' || c == ';';
}

/* The name behind '&' at `at`, without and with its semicolon; characters used. */
static size_t unescape_name(zm_runes *out, const uint32_t *at, size_t n)
{
    char name[LONGEST_NAME];
    size_t k = 0, used;
    for (; k < n && k < LONGEST_NAME && !ends_name(at[k]); k++)
        name[k] = at[k] && at[k] < 0x80 ? (char)at[k] : '\x01'; /* a letter that no name has */
    bool closed = k && k < n && at[k] == ';';
    zm_entity e;
    if (zm_entity_find(&e, name, k, !closed)) {
        zm_runes_append(out, e.c, e.n);
        return k + closed;
    }
    used = zm_entity_prefix(&e, name, k);
    if (used)
        zm_runes_append(out, e.c, e.n);
    else
        zm_runes_push(out, '&');
    zm_runes_append(out, at + used, k + closed - used);
    return k + closed;
}

void zm_html_unescape(zm_runes *out, const zm_runes *in)
{
    const uint32_t *at = in->at;
    for (size_t i = 0; i < in->n;) {
        uint32_t value;
        if (at[i] != '&') {
            zm_runes_push(out, at[i++]);
        } else if (i + 1 < in->n && at[i + 1] == '#') {
            size_t k = read_number(at + i + 2, in->n - i - 2, &value);
            if (k) {
                push_number(out, value);
                i += 2 + k;
                i += i < in->n && at[i] == ';';
            } else {
                zm_runes_push(out, at[i++]);
            }
        } else {
            i++;
            i += unescape_name(out, at + i, in->n - i);
        }
    }
}

/* Full upper case of the characters that entities stand for: only these have more than one letter there. */
static void push_upper(zm_runes *out, uint32_t c)
{
    static const struct {
        uint32_t c, upper[3];
    } wide[] = {{0xdf, {'S', 'S', 0}},   {0x149, {0x2bc, 'N', 0}},  {0xfb00, {'F', 'F', 0}},  {0xfb01, {'F', 'I', 0}},
                {0xfb02, {'F', 'L', 0}}, {0xfb03, {'F', 'F', 'I'}}, {0xfb04, {'F', 'F', 'L'}}};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (wide[i].c == c) {
            zm_runes_append(out, wide[i].upper, wide[i].upper[2] ? 3 : 2);
            return;
        }
    zm_runes_push(out, (uint32_t)utf8proc_toupper((utf8proc_int32_t)c));
}

/* A name of letters and digits with a semicolon behind it. */
static bool unescape_sure_name(zm_runes *out, const uint32_t *at, size_t n)
{
    char name[LONGEST_SURE_NAME], lower[LONGEST_SURE_NAME];
    bool capitals = true;
    for (size_t k = 0; k < n; k++) {
        name[k] = (char)at[k];
        lower[k] = (char)(at[k] >= 'A' && at[k] <= 'Z' ? at[k] + 32 : at[k]);
        capitals &= at[k] < 'a';
    }
    zm_entity e;
    if (zm_entity_find(&e, name, n, false)) {
        zm_runes_append(out, e.c, e.n);
        return true;
    }
    if (!capitals || zm_entity_prefix(&e, name, n) || !zm_entity_find(&e, lower, n, false))
        return false;
    for (size_t k = 0; k < e.n; k++)
        push_upper(out, e.c[k]);
    return true;
}

/* Characters of the reference at '&', its semicolon included; 0: it stays as it is. */
static size_t unescape_sure(zm_runes *out, const uint32_t *at, size_t n)
{
    bool number = n > 1 && at[1] == '#';
    size_t start = number ? 2 : 1, end = start;
    uint32_t value;
    while (end < n && (is_digit(at[end]) || is_letter(at[end])))
        end++;
    if (end == start || end - start > LONGEST_SURE_NAME || end == n || at[end] != ';')
        return 0;
    if (!number)
        return unescape_sure_name(out, at + start, end - start) ? end + 1 : 0;
    /* a semicolon in the result would look like a reference half read, so that "&#59;" stays for later */
    if (read_number(at + start, end - start, &value) != end - start || value == ';')
        return 0;
    push_number(out, value);
    return end + 1;
}

void zm_html_unescape_sure(zm_runes *out, const zm_runes *in)
{
    for (size_t i = 0; i < in->n;) {
        size_t k = in->at[i] == '&' ? unescape_sure(out, in->at + i, in->n - i) : 0;
        if (!k)
            zm_runes_push(out, in->at[i]);
        i += k ? k : 1;
    }
}
