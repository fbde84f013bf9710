/* Plans of memory: sizes as people write them, limits kept or refused with the figure.
 * SPDX-License-Identifier: MIT */
#include "tap.h"

#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "gpu_host.h"
#include "model/likes.h"
#include "pipeline/memory.h"
#include "pipeline/past.h"

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
    bool made = !zm_memory_plan_make(&p, &m, half, &err);
    tap_ok(made && zm_memory_peak(&p) <= half, "half way: %zu MB under %zu", zm_memory_peak(&p) >> 20, half >> 20);
    tap_ok(!zm_memory_plan_make(&p, &m, least, &err) && zm_memory_peak(&p) <= least, "the least is enough");
    tap_ok(zm_memory_plan_make(&p, &m, least - 1, &err) == ZM_E_NOMEM && strstr(err.text, "at least"),
           "less is refused: %s", err.text);
    zm_model_config_close(&c);
}

/* Block by block: the past counts, and the film's length does not. */
static void test_blocks(const char *name)
{
    zm_model_config c;
    zm_memory few, many, alone, whole;
    zm_error err = {0};
    zm_memory_request r = {.width = 256, .height = 192, .frames = 9, .guided = true};
    zm_status s = zm_like_config(&c, zm_like_find(name), &err);
    if (!s) {
        c.dit.causal = (zm_dit_causal){.block = 3, .window = 3, .sink = 1};
        s = zm_memory_measure(&few, &c, &r, &err);
    }
    r.frames = 9 + 40 * 12;
    if (!s)
        s = zm_memory_measure(&many, &c, &r, &err);
    if (!s) {
        r.guided = false;
        s = zm_memory_measure(&alone, &c, &r, &err);
    }
    if (!s) {
        r.guided = r.whole = true;
        s = zm_memory_measure(&whole, &c, &r, &err);
    }
    if (!tap_ok(!s, "%s block by block is measured without files %s", name, err.text))
        return;
    const int *p = c.dit.patch_size;
    int64_t tokens = 3 / p[0] * (many.latent_height / p[1]) * (many.latent_width / p[2]);
    zm_past_ring ring = zm_past_ring_of(&c.dit.causal, 1);
    tap_equal_i64((int64_t)many.past, 2 * (int64_t)zm_past_bytes(&c.dit, &ring, tokens), "keys of three blocks twice");
    tap_equal_i64((int64_t)alone.past * 2, (int64_t)many.past, "half of it without guidance");
    tap_ok(many.states > 0 && many.base >= many.past + many.states, "the past and the decoder's states are held");
    tap_equal_i64(many.blocks - few.blocks, 40, "blocks more");
    tap_equal_i64((int64_t)zm_memory_most(&many), (int64_t)zm_memory_most(&few), "and no memory more");
    tap_ok(!whole.past && !whole.blocks && whole.phase[ZM_PHASE_DENOISE].work > 2 * many.phase[ZM_PHASE_DENOISE].work,
           "a whole clip of that length is another matter: %zu MB of activations, not %zu",
           whole.phase[ZM_PHASE_DENOISE].work >> 20, many.phase[ZM_PHASE_DENOISE].work >> 20);
    zm_model_config_close(&c);
}

/* Without --memory, and with more than it has, a card's own memory is the limit. */
static void test_card(const char *name)
{
    zm_model_config c;
    zm_memory m;
    zm_memory_plan p;
    zm_error err = {0};
    zm_memory_request r = {.width = 256, .height = 256, .frames = 17};
    zm_status s = zm_like_config(&c, zm_like_find(name), &err);
    if (!s)
        s = zm_memory_measure(&m, &c, &r, &err);
    if (!tap_ok(!s, "%s is measured for a card %s", name, err.text))
        return;
    size_t least = zm_memory_least(&m), limit = least + (zm_memory_most(&m) - least) / 3;
    zm_gpu_host_memory(limit);
    for (int asked = 0; asked < 2; asked++) {
        s = zm_memory_plan_make(&p, &m, asked ? 2 * limit : 0, &err);
        bool passes = false;
        for (int i = 0; i < ZM_PHASE_COUNT; i++)
            passes = passes || p.resident[i] != SIZE_MAX;
        tap_ok(!s && p.limit == limit && passes, "weights of %s pass through a card of %zu MB %s", name, limit >> 20,
               err.text);
    }
    zm_gpu_host_memory(least - 1);
    for (int asked = 0; asked < 2; asked++) {
        zm_error why = {0};
        s = zm_memory_plan_make(&p, &m, asked ? least / 2 : 0, &why);
        tap_ok(s == ZM_E_NOMEM && strstr(why.text, asked ? "--memory of" : "the free memory of") &&
                   strstr(why.text, zm_backend_name()) && strstr(why.text, "at least"),
               "too small a card is refused: %s", why.text);
    }
    zm_model_config_close(&c);
}

int main(void)
{
    test_text();
    test_blocks(zm_likes[0].name);
    for (size_t i = 0; i < zm_like_count; i++)
        test_plans(zm_likes[i].name);
    zm_gpu_host_install(0);
    for (size_t i = 0; i < zm_like_count; i++) {
        zm_gpu_host_memory((size_t)1 << 50);
        test_plans(zm_likes[i].name);
        test_card(zm_likes[i].name);
    }
    return tap_done();
}
