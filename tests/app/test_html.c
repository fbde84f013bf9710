/* Pages: hostile text cannot leave its place, pictures are data, figures are short.
 * SPDX-License-Identifier: MIT */
#include "tap.h"

#include <stdlib.h>
#include <unistd.h>

#include "app/html.h"
#include "base/rng.h"
#include "text/base64.h"

static char path[256];

/* What a call writes; malloc'd. */
static char *written(void (*write)(zm_html *h, const void *user), const void *user)
{
    zm_error err = {0};
    zm_save save = {0};
    char *text = NULL;
    size_t n = 0;
    zm_status s = zm_save_open(&save, path, &err);
    zm_html h = {.to = &save, .err = &err, .status = s};
    write(&h, user);
    s = h.status;
    if (!s)
        s = zm_save_commit(&save, &err);
    if (!s)
        s = zm_file_read(&text, &n, path, 1 << 20, &err);
    if (s)
        tap_ok(false, "%s", err.text);
    tap_equal_i64((long long)n, (long long)h.bytes, "bytes are counted");
    zm_save_abandon(&save);
    return text;
}

static void write_text(zm_html *h, const void *user)
{
    zm_html_text(h, user);
}

static void write_shell(zm_html *h, const void *user)
{
    zm_html_shell(h, user);
}

static void check(void (*write)(zm_html *h, const void *user), const char *in, const char *want)
{
    char *got = written(write, in);
    tap_equal_str(got, want, want);
    free(got);
}

/* Any bytes: what comes out has none of the characters that end a text or an attribute, and no control character. */
static void test_random(void)
{
    zm_rng rng = zm_rng_init((uint64_t)getpid(), 3);
    bool clean = true;
    for (int k = 0; k < 20; k++) {
        char in[400];
        size_t n = zm_rng_below(&rng, sizeof in - 1);
        for (size_t i = 0; i < n; i++)
            in[i] = (char)(1 + zm_rng_below(&rng, 255));
        in[n] = 0;
        char *got = written(k % 2 ? write_text : write_shell, in);
        for (const char *c = got; c && *c; c++)
            clean &= !strchr("<>\"'", *c) && ((unsigned char)*c >= 0x20 || *c == '\n' || *c == '\t');
        free(got);
    }
    tap_ok(clean, "random bytes stay text");
}

static void write_amounts(zm_html *h, const void *user)
{
    (void)user;
    static const double value[] = {0, 0.00123, 1, 12.34, 999.4, 999.6, 1234567, 5.5e12, 1e-7};
    for (size_t i = 0; i < sizeof value / sizeof *value; i++) {
        zm_html_f(h, i ? "; " : " ");
        zm_html_amount(h, value[i], "s");
    }
}

static void write_picture(zm_html *h, const void *user)
{
    zm_html_png(h, user);
}

int main(void)
{
    zm_error err = {0};
    zm_frame f = {0};
    snprintf(path, sizeof path, "%s/zouma-html-%ld", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", (long)getpid());
    check(write_text, "a < b && c > \"d\" 'e'", "a &lt; b &amp;&amp; c &gt; &quot;d&quot; &#39;e&#39;");
    check(write_text, "</title><script>x</script>", "&lt;/title&gt;&lt;script&gt;x&lt;/script&gt;");
    check(write_text, "\x01\x1b[31m\x7f", "\xef\xbf\xbd\xef\xbf\xbd[31m\xef\xbf\xbd");
    check(write_text,
          "\xff"
          "a\xc0\xaf\xed\xa0\x80",
          "\xef\xbf\xbd"
          "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    check(write_text, "\xef\xbf\xbe\xc2\x85", "\xef\xbf\xbd\xef\xbf\xbd");
    check(write_text, "红色的球\n", "红色的球\n");
    check(write_shell, "it's; rm -r", "&#39;it&#39;\\&#39;&#39;s; rm -r&#39;");
    check(write_shell, "", "&#39;&#39;");
    check(write_shell, "96x64", "96x64");
    check(write_shell, "~/a b", "&#39;~/a b&#39;");
    test_random();
    char *got = written(write_amounts, NULL);
    tap_equal_str(got, " 0 s; 1.23 ms; 1.00 s; 12.3 s; 999 s; 1.00 ks; 1.23 Ms; 5.50 Ts; 100 ns", "amounts");
    free(got);
    tap_ok(!zm_frame_init(&f, 3, 2, &err), "a picture");
    got = written(write_picture, &f);
    size_t n = 0;
    unsigned char *png = got && !strncmp(got, "data:image/png;base64,", 22) ? zm_base64_decode(got + 22, &n) : NULL;
    tap_ok(png && n > 8 && !memcmp(png + 1, "PNG", 3), "a PNG of %zu bytes", n);
    free(png);
    free(got);
    zm_frame_release(&f);
    remove(path);
    return tap_done();
}
