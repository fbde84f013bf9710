/* Writing a page that is complete in itself.
 * SPDX-License-Identifier: MIT */
#include "app/html.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "media/encode.h"
#include "text/base64.h"
#include "text/utf8.h"

static void put(zm_html *h, const char *text, size_t n)
{
    if (!h->status)
        h->status = zm_save_write(h->to, text, n, h->err);
    h->bytes += h->status ? 0 : n;
}

void zm_html_f(zm_html *h, const char *fmt, ...)
{
    char small[512], *text = small;
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n >= (int)sizeof small) {
        text = malloc((size_t)n + 1);
        if (text)
            vsnprintf(text, (size_t)n + 1, fmt, again);
        else if (!h->status)
            h->status = zm_fail(h->err, ZM_E_NOMEM, "out of memory for a page");
    }
    va_end(again);
    if (text && n > 0)
        put(h, text, (size_t)n);
    if (text != small)
        free(text);
}

static bool is_shown(uint32_t c)
{
    bool control = (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0);
    bool none = (c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffe) == 0xfffe;
    return !control && !none;
}

/* One character at text; how many bytes it takes. */
static size_t put_character(zm_html *h, const char *text, size_t left)
{
    uint32_t c;
    size_t n = zm_utf8_next(&c, text, left);
    const char *as = NULL;
    switch (n ? c : 0) {
    case '<':
        as = "&lt;";
        break;
    case '>':
        as = "&gt;";
        break;
    case '&':
        as = "&amp;";
        break;
    case '"':
        as = "&quot;";
        break;
    case '\'':
        as = "&#39;";
        break;
    default:
        as = n && is_shown(c) ? NULL : "\xef\xbf\xbd";
    }
    if (as)
        put(h, as, strlen(as));
    else
        put(h, text, n);
    return n ? n : 1;
}

void zm_html_text(zm_html *h, const char *text)
{
    for (size_t i = 0, n = strlen(text); i < n;)
        i += put_character(h, text + i, n - i);
}

void zm_html_shell(zm_html *h, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:-";
    if (*word && !word[strspn(word, plain)]) {
        zm_html_text(h, word);
        return;
    }
    zm_html_text(h, "'");
    for (size_t i = 0, n = strlen(word); i < n;) {
        if (word[i] == '\'') {
            zm_html_text(h, "'\\''");
            i++;
        } else {
            i += put_character(h, word + i, n - i);
        }
    }
    zm_html_text(h, "'");
}

void zm_html_two(zm_html *h, const char *tag, const char *english, const char *chinese)
{
    zm_html_f(h, "<div class=\"two\"><%s lang=\"en\">%s</%s><%s lang=\"zh\">%s</%s></div>\n", tag, english, tag, tag,
              chinese, tag);
}

void zm_html_both(zm_html *h, const char *english, const char *chinese)
{
    zm_html_f(h, "<span lang=\"en\">%s</span><span lang=\"zh\">%s</span>", english, chinese);
}

void zm_html_section(zm_html *h, const char *id, int number, const char *english, const char *chinese)
{
    zm_html_f(h, "<section id=\"%s\"><h2><b>%d</b> ", id, number);
    zm_html_both(h, english, chinese);
    zm_html_f(h, "</h2>\n");
}

void zm_html_data(zm_html *h, const char *type, const void *data, size_t bytes)
{
    char *text = h->status ? NULL : zm_base64_encode(data, bytes);
    if (!text && !h->status)
        h->status = zm_fail(h->err, ZM_E_NOMEM, "out of memory for a page's pictures");
    if (h->status)
        return;
    zm_html_f(h, "data:%s;base64,", type);
    put(h, text, strlen(text));
    free(text);
}

void zm_html_png(zm_html *h, const zm_frame *f)
{
    unsigned char *bytes = NULL;
    size_t n = 0;
    if (h->status)
        return;
    h->status = zm_png_encode(&bytes, &n, f, h->err);
    if (!h->status)
        zm_html_data(h, "image/png", bytes, n);
    free(bytes);
}

void zm_html_amount(zm_html *h, double value, const char *unit)
{
    static const char *const prefix[] = {"n", "\xc2\xb5", "m", "", "k", "M", "G", "T", "P", "E"};
    int i = 3;
    if (!(value > 0)) {
        zm_html_f(h, "0 %s", unit);
        return;
    }
    for (; value < 0.9995 && i > 0; i--)
        value *= 1000;
    for (; value >= 999.5 && i < 9; i++)
        value /= 1000;
    zm_html_f(h, "%.*f %s%s", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value, prefix[i], unit);
}
