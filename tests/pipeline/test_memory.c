/* Plans of memory: sizes as people write them, limits kept or refused with the figure.
 * SPDX-License-Identifier: MIT */
#include "tap.h"

#include <stdlib.h>
#include <string.h>

#include "model/likes.h"
#include "pipeline/memory.h"

static void test_text(void)
{
    size_t n = 0;
    char buf[32];
    tap_ok(zm_memory_parse(&n, "8G") && n == (size_t)8 << 30, "8G");
    tap_ok(zm_memory_parse(&n, "1.5g") && n == (size_t)3 << 29, "1.5g");
    tap_ok(zm_memory_parse(&n, "512MiB") && n == (size_t)512 << 20, "512MiB");
    tap_ok(zm_memory_parse(&n, "4096") && n == 4096, "bytes");
    static const char *const bad[] = {"", "G", "-1G", "0", "8X", "8GG", "nan", "1e30", "8 G"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        tap_ok(!zm_memory_parse(&n, bad[i]), "\"%s\" is no size", bad[i]);
    tap_ok(zm_memory_parse(&n, zm_memory_text((size_t)5 << 30, buf, sizeof buf)) && n == (size_t)5 << 30,
           "%s is read back", buf);
}

static void test_plans(const char *name)
{
    zm_model_config c;
    zm_memory m;
    zm_memory_plan p;
    zm_error err = {0};
    zm_memory_request r = {.width = 256, .height = 256, .frames = 17, .guided = true};
    zm_status s = zm_like_config(&c, zm_like_find(name), &err);
    if (!s)
        s = zm_memory_measure(&m, &c, &r, &err);
    if (!tap_ok(!s, "%s is measured without files %s", name, err.text))
        return;
    size_t least = zm_memory_least(&m), most = zm_memory_most(&m), half = (least + most) / 2;
    tap_ok(least < most, "streaming saves: %zu MB of %zu", least >> 20, most >> 20);
    tap_ok(!zm_memory_plan_make(&p, &m, most, &err) && zm_memory_peak(&p) <= most, "with enough everything stays");
    tap_ok(!zm_memory_plan_make(&p, &m, half, &err) && zm_memory_peak(&p) <= half, "half way: %zu MB under %zu",
           zm_memory_peak(&p) >> 20, half >> 20);
    tap_ok(!zm_memory_plan_make(&p, &m, least, &err) && zm_memory_peak(&p) <= least, "the least is enough");
    tap_ok(zm_memory_plan_make(&p, &m, least - 1, &err) == ZM_E_NOMEM && strstr(err.text, "at least"),
           "less is refused: %s", err.text);
    zm_model_config_close(&c);
}

int main(void)
{
    test_text();
    for (size_t i = 0; i < zm_like_count; i++)
        test_plans(zm_likes[i].name);
    return tap_done();
}
