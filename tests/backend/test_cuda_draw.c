/* Frames of fresh scenes, drawn by the device's kernel on a device made of host memory, against the CPU's renderer: the same
 * bytes.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/backend.h"
#include "backend/draw.h"
#include "base/rng.h"
#include "gpu_host.h"
#include "tap.h"
#include "world/world.h"

/* A clip in memory, drawn by one or the other. */
typedef struct clip {
    zm_still *frame;
    uint8_t *rgb, *ids;
    zm_truth *truth;
    int32_t *whole;
} clip;

static clip clip_new(const zm_world_options *o)
{
    size_t n = (size_t)o->frames, pixels = n * (size_t)o->width * (size_t)o->height;
    clip c = {.frame = calloc(n, sizeof *c.frame),
              .rgb = malloc(pixels * 3),
              .ids = malloc(pixels),
              .truth = calloc(n * ZM_WORLD_MAX_BODIES, sizeof *c.truth),
              .whole = malloc(n * ZM_DRAW_SOLIDS * sizeof *c.whole)};
    memset(c.rgb, 0xa5, pixels * 3);
    memset(c.ids, 0xa5, pixels);
    return c;
}

static void clip_free(clip *c)
{
    free(c->frame);
    free(c->rgb);
    free(c->ids);
    free(c->truth);
    free(c->whole);
}

static int64_t differ(const void *a, const void *b, size_t n)
{
    int64_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((const uint8_t *)a)[i] != ((const uint8_t *)b)[i];
    return count;
}

/* Whole clips of o's kind, in batches of at most `room` frames. */
static void compare(const zm_world_options *o, uint64_t seed, int room, const char *what)
{
    zm_error err = {0};
    zm_draw_art art = zm_world_art();
    zm_drawer *d = NULL;
    zm_scene scene;
    size_t pixels = (size_t)o->width * (size_t)o->height, all = pixels * (size_t)o->frames;
    clip want = clip_new(o), got = clip_new(o);
    zm_scene_sample(&scene, seed, o);
    bool ok = !zm_world_render(&scene, o, want.rgb, want.ids, want.truth, &err) &&
              !zm_world_describe(&scene, o, got.frame, got.truth, &err) &&
              !zm_drawer_new(&d, &art, o->width, o->height, room, &err);
    for (int at = 0; ok && at < o->frames; at += room) {
        int n = o->frames - at < room ? o->frames - at : room;
        memcpy(zm_drawer_room(d), got.frame + at, (size_t)n * sizeof *got.frame);
        ok = !zm_drawer_start(d, n, true, &err);
        memset(zm_drawer_room(d), 0x77, (size_t)room * sizeof *got.frame); /* the next batch's, not this one's */
        ok = ok && !zm_drawer_finish(d, got.rgb + (size_t)at * pixels * 3, got.ids + (size_t)at * pixels,
                                     got.whole + (size_t)at * ZM_DRAW_SOLIDS, &err);
    }
    for (int f = 0; ok && f < o->frames; f++)
        zm_truth_see(got.truth + (size_t)f * ZM_WORLD_MAX_BODIES, scene.n_body, o->width, o->height,
                     got.ids + (size_t)f * pixels, got.whole + (size_t)f * ZM_DRAW_SOLIDS);
    tap_ok(ok, "%s, scene %llu, %dx%d, %d frames are drawn %s", what, (unsigned long long)seed, o->width, o->height,
           o->frames, err.text);
    tap_equal_i64(ok ? differ(got.rgb, want.rgb, all * 3) : -1, 0, "bytes of the pictures that differ");
    tap_equal_i64(ok ? differ(got.ids, want.ids, all) : -1, 0, "pixels of bodies that differ");
    size_t rows = (size_t)o->frames * ZM_WORLD_MAX_BODIES;
    tap_equal_i64(ok ? differ(got.truth, want.truth, rows * sizeof *want.truth) : -1, 0,
                  "bytes of the truth that differ");
    zm_drawer_free(d);
    clip_free(&want);
    clip_free(&got);
}

static void scenes(zm_rng *rng)
{
    for (int i = 0; i < 24; i++) {
        zm_world_options o = {.width = 16 + (int)(zm_rng_u64(rng) % 120),
                              .height = 16 + (int)(zm_rng_u64(rng) % 80),
                              .frames = 1 + (int)(zm_rng_u64(rng) % 9),
                              .fps = 1 + (float)(zm_rng_u64(rng) % 8),
                              .level = i & 1,
                              .camera_share = i % 3 ? 0.8f : 0,
                              .sustained = i % 4 == 3,
                              .split = ZM_SPLIT_ANY};
        compare(&o, zm_rng_u64(rng) % 1000000007, 1 + i % 5, i & 1 ? "everything" : "the core");
    }
}

/* The n-th allocation fails: nothing stays behind. */
static void no_memory(void)
{
    zm_draw_art art = zm_world_art();
    size_t before = zm_gpu_host_count().bytes;
    int failed = 0;
    for (int n = 1; n < 20; n++) {
        zm_error err = {0};
        zm_drawer *d;
        zm_gpu_host_fail(n);
        zm_status s = zm_drawer_new(&d, &art, 40, 24, 3, &err);
        zm_gpu_host_fail(0);
        if (s) {
            tap_ok(s == ZM_E_NOMEM && !d && err.text[0] && zm_gpu_host_count().bytes == before,
                   "allocation %d fails and all is let go", n);
            failed++;
        }
        zm_drawer_free(d);
    }
    tap_ok(failed >= 6, "%d allocations can fail", failed);
    tap_equal_i64((int64_t)zm_gpu_host_count().bytes, (int64_t)before, "bytes of the device after all");
}

int main(void)
{
    const char *given = getenv("ZM_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    zm_rng rng = zm_rng_init(seed, 31);
    zm_error err = {0};
    zm_drawer *none;
    zm_draw_art art = zm_world_art();
    printf("# ZM_TEST_SEED=%llu\n", (unsigned long long)seed);
    tap_ok(!zm_drawer_new(&none, &art, 32, 32, 1, &err) && !none, "the CPU is no drawer");
    zm_gpu_host_install(0);
    tap_ok(!zm_backend_use(ZM_DEVICE_CUDA, true, &err), "a device of memory alone");
    scenes(&rng);
    no_memory();
    return tap_done();
}
