/* Clips of the toy-box from a device (made of host memory): the same pictures, truth and training pools as without.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/world_card.h"
#include "app/world_source.h"
#include "backend/backend.h"
#include "gpu_host.h"
#include "tap.h"

enum { N = 7, W = 40, H = 36, F = 5, PIXELS = W * H * F, ROWS = F * ZM_WORLD_MAX_BODIES };

static uint8_t want_rgb[N * PIXELS * 3], want_ids[N * PIXELS], got_rgb[N * PIXELS * 3], got_ids[N * PIXELS];
static zm_truth want[N * ROWS], got[N * ROWS];

/* Batches that divide the clips and that do not. */
static void test_clips(const zm_world_options *w, uint64_t seed)
{
    zm_error err = {0};
    bool ok = true;
    for (int i = 0; ok && i < N; i++) {
        zm_scene scene;
        zm_scene_sample(&scene, seed + (uint64_t)i, w);
        ok = !zm_world_render(&scene, w, want_rgb + i * PIXELS * 3, want_ids + i * PIXELS, want + i * ROWS, &err);
    }
    tap_ok(ok, "the CPU draws %s", err.text);
    static const int64_t batch[] = {1, 3, 7, 100, 0};
    for (size_t k = 0; ok && k < sizeof batch / sizeof *batch; k++) {
        zm_world_card *c;
        memset(got_rgb, 0xa5, sizeof got_rgb);
        memset(got_ids, 0xa5, sizeof got_ids);
        memset(got, 0xa5, sizeof got);
        int launches = zm_gpu_host_count().launches;
        bool drawn = !zm_world_card_new(&c, w, batch[k], &err) && c &&
                     !zm_world_card_clips(c, w, seed, N, got_rgb, got_ids, got, &err);
        tap_ok(drawn && !memcmp(got_rgb, want_rgb, sizeof got_rgb) && !memcmp(got_ids, want_ids, sizeof got_ids),
               "%lld clips at a time are the same pictures %s", (long long)batch[k], err.text);
        tap_ok(drawn && !memcmp(got, want, sizeof got), "and the same truth");
        int64_t batches = batch[k] ? (N + batch[k] - 1) / batch[k] : 1;
        tap_equal_i64(zm_gpu_host_count().launches - launches, 2 * batches, "launches: pictures and footprints");
        zm_world_card_free(c);
    }
}

static void test_pool(const zm_world_options *w, uint64_t seed)
{
    zm_error err = {0};
    zm_world_source from = {.world = *w, .seed = seed, .frames = w->frames};
    zm_clip_source cpu = zm_world_source_interface(&from);
    zm_world_source card_from = from;
    zm_pool a, b = {0};
    bool ok = !zm_world_card_new(&card_from.card, w, 2, &err) && card_from.card;
    zm_clip_source card = zm_world_source_interface(&card_from);
    ok = ok && !zm_pool_fill(&a, &cpu, 3, 5, &err) && !zm_pool_fill(&b, &card, 3, 5, &err);
    tap_ok(ok && card.clips && !cpu.clips, "pools are filled %s", err.text);
    int64_t inside = 0;
    for (int64_t i = 0; ok && i < 5 * PIXELS; i++)
        inside += b.mask[i];
    tap_ok(ok && !memcmp(a.rgb, b.rgb, 5 * PIXELS * 3), "with the same pictures");
    tap_ok(ok && !memcmp(a.mask, b.mask, 5 * PIXELS) && inside, "and the same %lld pixels inside of bodies",
           (long long)inside);
    zm_pool_release(&a);
    zm_pool_release(&b);
    zm_world_card_free(card_from.card);
}

/* A source of stretches: each is a part of its scene's clip, with the subject's pixels in it. */
static void test_stretches(const zm_world_options *w, uint64_t seed)
{
    enum { SHORT = 2, CLIPS = 12 };
    zm_error err = {0};
    zm_world_source from = {.world = *w, .seed = seed, .frames = SHORT};
    zm_clip_source whole_of = {0}, part_of = zm_world_source_interface(&from);
    zm_world_source all = from;
    all.frames = w->frames;
    whole_of = zm_world_source_interface(&all);
    size_t frame = (size_t)PIXELS / F;
    uint8_t *whole = malloc(PIXELS * 3), *mask = malloc(PIXELS), *part = malloc(SHORT * frame * 3);
    int found = 0, firsts = 0;
    for (int64_t i = 0; whole && mask && part && i < CLIPS; i++) {
        bool ok =
            !whole_of.clip(whole_of.user, i, whole, mask, &err) && !part_of.clip(part_of.user, i, part, mask, &err);
        for (int f = 0; ok && f + SHORT <= w->frames; f++)
            if (!memcmp(whole + (size_t)f * frame * 3, part, SHORT * frame * 3)) {
                found++;
                firsts |= 1 << f;
                break;
            }
    }
    tap_equal_i64(part_of.frames, SHORT, "frames of a stretch");
    tap_ok(found == CLIPS, "%d of %d stretches are parts of their clips %s", found, CLIPS, err.text);
    tap_ok(firsts & (firsts - 1), "and not all from one place");
    free(whole);
    free(mask);
    free(part);
}

/* Said in a sentence, and nothing stays behind. */
static void test_refusals(zm_world_options w)
{
    size_t before = zm_gpu_host_count().bytes;
    zm_world_card *c;
    for (int n = 1; n < 9; n++) {
        zm_error err = {0};
        zm_gpu_host_fail(n);
        zm_status s = zm_world_card_new(&c, &w, 0, &err);
        zm_gpu_host_fail(0);
        tap_ok(s == ZM_E_NOMEM && !c && err.text[0], "without memory at allocation %d: %s", n, err.text);
    }
    zm_error err = {0};
    w.width = 5000;
    tap_equal_i64(zm_world_card_new(&c, &w, 0, &err), ZM_E_USAGE, "a picture of 5000 pixels is refused");
    tap_equal_i64((int64_t)zm_gpu_host_count().bytes, (int64_t)before, "bytes of the device after all");
}

int main(void)
{
    const char *given = getenv("ZM_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    zm_world_options w = {.width = W, .height = H, .frames = F, .fps = 3, .level = 1, .camera_share = 0.5f};
    zm_error err = {0};
    zm_world_card *none;
    printf("# ZM_TEST_SEED=%llu\n", (unsigned long long)seed);
    tap_ok(!zm_world_card_new(&none, &w, 0, &err) && !none, "the CPU is no card");
    zm_gpu_host_install(0);
    tap_ok(!zm_backend_use(ZM_DEVICE_CUDA, true, &err), "a device of memory alone");
    test_clips(&w, seed % 1000003);
    test_pool(&w, seed % 999983);
    test_stretches(&w, seed % 999979);
    test_refusals(w);
    return tap_done();
}
